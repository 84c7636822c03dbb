//! What the comparison is asked for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::peer::PEERS;
use super::row::Row;

/// Where results go, unless it is said.
const OUT: &str = "target/bench/fan-out";

/// How long measurements are repeated, unless it is said.
const PATIENCE: Duration = Duration::from_secs(600);

/// The flags.
#[derive(Debug, PartialEq)]
pub(crate) struct Flags {
    pub(crate) rounds: usize,
    /// Letters of groups, or ids of rows; all if there are none.
    pub(crate) only: Vec<String>,
    pub(crate) peers: Vec<&'static str>,
    pub(crate) out: PathBuf,
    /// How long measurements may be repeated for the sake of quiet, all together.
    pub(crate) patience: Duration,
    /// Whether the page and its plots are replaced.
    pub(crate) does_write: bool,
}

impl Flags {
    pub(crate) fn parse(words: &[&str]) -> anyhow::Result<Self> {
        let mut flags = Self {
            rounds: 5,
            only: Vec::new(),
            peers: PEERS.to_vec(),
            out: OUT.into(),
            patience: PATIENCE,
            does_write: false,
        };
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word {
                "--rounds" => flags.rounds = value()?.parse().context("--rounds is no number")?,
                "--only" => flags.only = value()?.split(',').map(str::to_owned).collect(),
                "--peers" => flags.peers = peers(value()?)?,
                "--out" => flags.out = value()?.into(),
                "--patience" => {
                    let seconds = value()?.parse().context("--patience is no number of seconds")?;
                    flags.patience = Duration::from_secs(seconds);
                }
                "--write" => flags.does_write = true,
                _ => bail!(
                    "{word:?} is no flag: there are --rounds, --only, --peers, --out, --patience and --write"
                ),
            }
        }
        Ok(flags)
    }

    /// Those of the rows that are wanted.
    pub(crate) fn rows(&self, all: Vec<Row>) -> anyhow::Result<Vec<Row>> {
        for wanted in &self.only {
            let is_known = all.iter().any(|row| row.is_called(wanted));
            let ids = || all.iter().map(|row| row.id.as_str()).collect::<Vec<_>>().join(" ");
            ensure!(is_known, "there is no row {wanted}, but a to i for groups, and {}", ids());
        }
        let is_wanted = |row: &Row| self.only.is_empty() || self.only.iter().any(|name| row.is_called(name));
        Ok(all.into_iter().filter(is_wanted).collect())
    }
}

/// In the order of the tables.
fn peers(names: &str) -> anyhow::Result<Vec<&'static str>> {
    let names: Vec<&str> = names.split(',').collect();
    let unknown = names.iter().find(|name| !PEERS.contains(name));
    ensure!(unknown.is_none(), "{} is none of {}", unknown.unwrap_or(&""), PEERS.join(" "));
    Ok(PEERS.into_iter().filter(|peer| names.contains(peer)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;

    #[test]
    fn rows_are_called_by_group_or_by_id() {
        let rows = |only: &str| {
            let rows = Flags::parse(&["--only", only]).unwrap().rows(row::all())?;
            anyhow::Ok(rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
        };
        assert_eq!(rows("a").unwrap(), ["a-1", "a-32", "a-64"]);
        assert_eq!(rows("b-20,f").unwrap(), ["b-20", "f-10000"]);
        assert!(rows("a-2").is_err());
    }

    #[test]
    fn peers_keep_their_order_and_must_be_known() {
        let flags = Flags::parse(&["--peers", "nchan,bare", "--rounds", "2", "--write"]).unwrap();
        assert_eq!((flags.peers, flags.rounds, flags.does_write), (vec!["bare", "nchan"], 2, true));
        assert!(Flags::parse(&["--peers", "apache"]).is_err());
        assert!(Flags::parse(&["--round", "2"]).is_err());
    }
}
