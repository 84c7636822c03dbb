//! One measurement: a fresh server, the generator beside it, and again while others use the machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::peer::{Peer, folder};
use super::results::Sample;
use super::row::Row;
use super::server::{Ports, Server};

/// The generator's core; the server has the one before.
const CORE: &str = "1";

/// Others may use so much of a core …
const OTHERS_SHARE_MAX: f64 = 0.10;

/// … and what the ticks of 10 ms, in which the system counts, cannot tell from nothing.
const OTHERS_S_MIN: f64 = 0.04;

/// A measurement is repeated so often for the sake of quiet, while patience lasts, …
const REPEATS_MAX: usize = 2;

/// … each time once it is quiet, or after so many looks at it.
const LOOKS_MAX: usize = 15;
const LOOK: Duration = Duration::from_secs(1);

/// What all measurements share.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) ports: Ports,
    /// Where servers leave what they say.
    pub(crate) out: &'a Path,
    /// What is left for repetitions.
    patience: Duration,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(out: &'a Path, patience: Duration) -> Self {
        Self { ports: Ports::new(), out, patience }
    }

    /// Measures; only what others used decides whether that is done again, never a figure. If it never gets quiet, what
    /// was measured in the quietest moment counts.
    pub(crate) fn measure(&mut self, row: &Row, peer: &Peer, round: usize) -> anyhow::Result<Sample> {
        let mut report = self.once(row, peer)?;
        let mut discarded = 0;
        while is_noisy(&report) && discarded < REPEATS_MAX && !self.patience.is_zero() {
            let start = Instant::now();
            wait_for_quiet()?;
            let next = self.once(row, peer)?;
            self.patience = self.patience.saturating_sub(start.elapsed());
            discarded += 1;
            if others_share(&next) < others_share(&report) {
                report = next;
            }
        }
        let (row, peer, is_noisy) = (row.id.clone(), peer.name.to_owned(), is_noisy(&report));
        Ok(Sample { row, peer, round, discarded, is_noisy, report })
    }

    fn once(&mut self, row: &Row, peer: &Peer) -> anyhow::Result<Value> {
        match Server::start(peer, &mut self.ports, self.out) {
            Ok(server) => load(row, peer, &server),
            Err(error) => Ok(json!({"failure": format!("{error:#}")})),
        }
    }
}

/// Waits until others use little of the machine, where nothing of ours runs.
fn wait_for_quiet() -> anyhow::Result<()> {
    for _ in 0..LOOKS_MAX {
        let (start, before) = (Instant::now(), eric_load::machine()?);
        std::thread::sleep(LOOK);
        if eric_load::machine()? - before <= OTHERS_SHARE_MAX * start.elapsed().as_secs_f64() {
            break;
        }
    }
    Ok(())
}

/// Runs the generator, which prints its report whatever came of it.
fn load(row: &Row, peer: &Peer, server: &Server) -> anyhow::Result<Value> {
    let own = std::env::current_exe().context("cannot find the generator")?;
    let output = Command::new("taskset")
        .args(["-c", CORE])
        .arg(own)
        .args(["load", row.scenario, "--dialect"])
        .arg(folder(peer.name).join("dialect.json"))
        .args(["--addr", &server.address.to_string(), "--pid", &server.pid().to_string()])
        .args(row.flags.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]))
        .stdin(Stdio::null())
        .output()
        .context("cannot run taskset, of util-linux")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the generator said: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Cores that others used; none where that was not measured.
pub(crate) fn others_share(report: &Value) -> f64 {
    report["others_share"].as_f64().unwrap_or_default()
}

fn is_noisy(report: &Value) -> bool {
    let seconds = report["seconds"].as_f64().unwrap_or_default();
    others_share(report) * seconds > OTHERS_S_MIN + OTHERS_SHARE_MAX * seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_noisy_by_what_others_used() {
        let report = |share: f64, seconds: f64| json!({"others_share": share, "seconds": seconds});
        assert!(!is_noisy(&report(0.11, 2.0)));
        assert!(is_noisy(&report(0.13, 2.0)));
        assert!(!is_noisy(&report(0.30, 0.15)), "a few ticks");
        assert!(!is_noisy(&json!({"failure": "it did not start"})));
    }
}
