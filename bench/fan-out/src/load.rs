//! Runs one scenario, and prints what came of it as one JSON object on one line.

use std::fs;

use anyhow::Context as _;
use eric_load::dialect::Dialect;
use eric_load::scenario::Target;

use crate::options::Options;

/// Returns whether the figures count.
pub(crate) fn run(scenario: &str, words: &[&str]) -> anyhow::Result<bool> {
    let options = Options::parse(scenario, words)?;
    let path = &options.dialect;
    let json = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let dialect = Dialect::parse(&json).with_context(|| format!("in {path}"))?;
    let server = options.server.parse().with_context(|| format!("{} is no address", options.server))?;
    let target = Target { dialect: &dialect, server, pid: options.pid };
    let report = options.scenario.run(target, &options.settings);
    println!("{}", serde_json::to_string(&report)?);
    Ok(report.failure.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_a_dialect_that_can_be_spoken() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
        let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let peers: Vec<_> = folders.filter(|path| path.join("start").exists()).collect();
        assert!(peers.len() >= 4, "{peers:?}");
        for peer in peers {
            let json = fs::read_to_string(peer.join("dialect.json")).unwrap();
            let dialect = Dialect::parse(&json);
            assert!(dialect.is_ok(), "{}: {dialect:?}", peer.display());
            assert!(peer.join("install").exists(), "{}", peer.display());
        }
    }
}
