//! All servers do all rows by turns, round after round; what came of it is told in tables, targets and plots.
//!
//! What is measured is in `compare/row.rs`, what is told in `compare/table.rs` and `compare/target.rs`.

mod busy;
mod figure;
mod flags;
mod machine;
mod measure;
mod page;
mod peer;
mod plot;
mod progress;
mod results;
mod row;
mod server;
mod table;
mod target;

use std::collections::BTreeMap;

use anyhow::Context as _;

use self::flags::Flags;
use self::measure::Bench;
use self::peer::Peer;
use self::progress::Progress;
use self::results::{Files, Results, Run};
use self::row::Row;

/// Measures what is asked for, and tells that and what was measured before.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let flags = Flags::parse(words)?;
    let rows = flags.rows(row::all())?;
    if flags.rounds > 0 {
        measure(&flags, rows)?;
    }
    page::tell(&Results::read(&flags.out)?, &flags)
}

fn measure(flags: &Flags, mut rows: Vec<Row>) -> anyhow::Result<()> {
    for row in &mut rows {
        row.peers.retain(|peer| flags.peers.contains(peer));
    }
    let mut peers = BTreeMap::new();
    for &name in flags.peers.iter().filter(|name| rows.iter().any(|row| row.peers.contains(name))) {
        eprintln!("installing {name}");
        peers.insert(name, Peer::install(name)?);
    }
    let run = Run {
        date: machine::date()?,
        machine: machine::machine()?,
        commit: machine::commit()?,
        rounds: flags.rounds,
        versions: peers.values().map(|peer| (peer.name.to_owned(), peer.version.clone())).collect(),
    };
    let mut groups: Vec<char> = rows.iter().map(Row::group).collect();
    groups.dedup();
    let files = Files::begin(&flags.out, &groups, &run)?;
    let steps = steps(&rows, flags.rounds);
    let mut progress = Progress::new(&steps, flags.rounds);
    let mut bench = Bench::new(&flags.out, flags.patience);
    for &(round, row, name) in &steps {
        let peer = peers.get(name).context("a server that is not installed")?;
        progress.begin(round, row, name);
        let sample = bench.measure(row, peer, round)?;
        files.add(&sample)?;
        progress.end(row, &sample);
    }
    Ok(())
}

/// In every round all servers take turns for a row, so that a noisy minute hits all.
fn steps(rows: &[Row], rounds: usize) -> Vec<(usize, &Row, &'static str)> {
    let mut steps = Vec::new();
    for round in 1..=rounds {
        for row in rows {
            let peers = row.peers.iter().filter(|name| round <= rounds_max(row, name));
            steps.extend(peers.map(|&name| (round, row, name)));
        }
    }
    steps
}

/// The rounds in which a server does a row: ours all, the others so many that all ends on the same day.
fn rounds_max(row: &Row, peer: &str) -> usize {
    if peer == "eric" { usize::MAX } else { row.rounds_max.min(peer::rounds_max(peer)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_take_turns_and_the_whole_ends_within_an_hour() {
        let rows = row::all();
        let steps = steps(&rows, 5);
        let first: Vec<&str> = steps.iter().take(3).map(|(_, _, peer)| *peer).collect();
        assert_eq!(first, ["bare", "bare-join", "eric"]);
        let seconds: f64 = steps.iter().map(|(_, row, _)| row.seconds).sum();
        // There has to be time for what is repeated.
        assert!(seconds < 50.0 * 60.0, "{seconds}");
    }
}
