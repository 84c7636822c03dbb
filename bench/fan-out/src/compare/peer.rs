//! Who is compared, and how they are installed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use eric_load::dialect::Dialect;

/// All, in the order of the tables: what bounds, ours, others.
pub(crate) const PEERS: [&str; 11] = [
    "bare",
    "bare-join",
    "eric",
    "eric-file",
    "nchan",
    "pushpin",
    "better-sse",
    "sse-starlette",
    "eric-api",
    "durable-streams",
    "axum-broadcast",
];

/// Those that a target is about take part in every round.
const IN_TARGETS: [&str; 5] = ["bare", "bare-join", "eric", "eric-file", "nchan"];

/// Rounds of the others: there are enough of them to make the whole long.
const OTHERS_ROUNDS_MAX: usize = 2;

/// One server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) dialect: Dialect,
}

impl Peer {
    /// Installs it.
    pub(crate) fn install(name: &'static str) -> anyhow::Result<Self> {
        let output = Command::new(folder(name).join("install")).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot install {name}"))?;
        ensure!(output.status.success(), "{name} could not be installed: {}", output.status);
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let path = folder(name).join("dialect.json");
        let json =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { name, version, dialect: Dialect::parse(&json)? })
    }
}

/// Where a server is described, from the project's folder on.
pub(crate) fn folder(name: &str) -> PathBuf {
    ["bench/fan-out/peers", name].iter().collect()
}

/// The rounds in which a server takes part.
pub(crate) fn rounds_max(name: &str) -> usize {
    if IN_TARGETS.contains(&name) { usize::MAX } else { OTHERS_ROUNDS_MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_folder() {
        let peers = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
        let mut names: Vec<String> = std::fs::read_dir(peers)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("start").exists())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        let mut known = PEERS.to_vec();
        names.sort();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
