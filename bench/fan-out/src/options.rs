//! Flags become the settings of a scenario: `--name value` is a field of that name, `--name` alone is true.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use eric_load::scenario::{Scenario, Settings};
use serde_json::{Map, Value};

/// What the flags say.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) dialect: String,
    pub(crate) server: String,
    pub(crate) pid: Option<u32>,
    pub(crate) settings: Settings,
    pub(crate) scenario: Scenario,
}

impl Options {
    pub(crate) fn parse(scenario: &str, words: &[&str]) -> anyhow::Result<Self> {
        let mut flags = flags(words)?;
        let mut take = |name: &str| flags.remove(name).with_context(|| format!("--{name} is missing"));
        let (dialect, server) = (text(take("dialect")?)?, text(take("addr")?)?);
        let pid = take("pid").ok().map(serde_json::from_value).transpose().context("--pid is no number")?;
        let common = serde_json::to_value(Settings::default())?;
        let (common, mut own): (Map<_, _>, Map<_, _>) =
            flags.into_iter().partition(|(name, _)| common.get(name).is_some());
        own.insert("scenario".into(), scenario.into());
        Ok(Self {
            dialect,
            server,
            pid,
            settings: serde_json::from_value(common.into()).context("a wrong value")?,
            scenario: serde_json::from_value(own.into()).context("a wrong flag, value or scenario")?,
        })
    }
}

/// Names, as fields are written, and values.
fn flags(words: &[&str]) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut flags = BTreeMap::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else { bail!("{word:?} is no flag") };
        let value = match words.next_if(|next| !next.starts_with("--")) {
            Some(value) => serde_json::from_str(value).unwrap_or_else(|_| Value::from(*value)),
            None => Value::Bool(true),
        };
        flags.insert(name.replace('-', "_"), value);
    }
    Ok(flags)
}

fn text(value: Value) -> anyhow::Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("{value} is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_fields_of_the_scenario_or_of_all() {
        let words = "--dialect d.json --addr 127.0.0.1:1 --listeners 7 --anonymous --duration-s 1.5 --pid 3";
        let words: Vec<&str> = words.split(' ').collect();
        let options = Options::parse("fan-out-closed", &words).unwrap();
        assert_eq!(
            (options.pid, options.settings.anonymous, options.settings.duration_s),
            (Some(3), true, 1.5)
        );
        assert_eq!(serde_json::to_value(options.scenario).unwrap()["listeners"], 7);
        let error = Options::parse("idle", &[&words[..], &["--window", "3"]].concat()).unwrap_err();
        assert!(format!("{error:#}").contains("unknown field `window`"), "{error:#}");
        assert!(Options::parse("nothing", &words).is_err());
    }
}
