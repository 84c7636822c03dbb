//! `eric store stats`: what is in a store.

use clap::Args;
use eric_sse::{Clock as _, SystemClock};
use eric_store::Sync;
use eric_store::offline::{self, SegmentStats, Stats};
use serde_json::{Value, json};

use super::{Bar, Directory};
use crate::Failure;
use crate::output::Output;

/// Counts what is in a store
///
/// Example: eric store stats --dir eric-data
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct StatsCommand {
    #[command(flatten)]
    directory: Directory,
}

impl StatsCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let opened = self.directory.open()?;
        let mut bar = Bar::new(None);
        let stats = offline::stats(&opened.disk, SystemClock.now(), &mut |progress| bar.show(progress));
        drop(bar);
        let stats = stats.map_err(|error| opened.failure(&error))?;
        let mut output = Output::new();
        output.object(&object(&stats))?;
        let segments: Vec<Value> = stats.segments.iter().map(segment).collect();
        output.rows(&["segment", "size_bytes", "live_bytes", "live_percent"], &segments)?;
        Ok(output.flush()?)
    }
}

fn object(stats: &Stats) -> Value {
    let size_bytes: u64 = stats.segments.iter().map(|segment| segment.size_bytes).sum();
    let durability = stats.last_opening.map(|opening| match opening.sync {
        Sync::Fsync => "fsync",
        Sync::Os => "os",
    });
    json!({
        "epoch": stats.tail.epoch.as_str(),
        "tail": stats.tail.to_string(),
        "channels": stats.channels,
        "listeners": stats.listeners,
        "entries": stats.entries,
        "entry_bytes": stats.entry_bytes,
        "keys": stats.keys,
        "values": stats.values,
        "value_bytes": stats.value_bytes,
        "index_bytes": stats.index_bytes,
        "index_bytes_per_entry": ratio(stats.index_bytes, stats.entries),
        "openings": stats.openings,
        "opened_at": stats.last_opening.map(|opening| opening.at.to_string()),
        "durability": durability,
        "is_closed": stats.is_closed,
        "may_have_lost": stats.may_have_lost,
        "torn_bytes": stats.torn_bytes,
        "checkpoint_segment": stats.checkpoint,
        "segments": stats.segments.len(),
        "size_bytes": size_bytes,
    })
}

fn segment(segment: &SegmentStats) -> Value {
    json!({
        "segment": segment.number,
        "size_bytes": segment.size_bytes,
        "live_bytes": segment.live_bytes,
        "live_percent": ratio(segment.live_bytes * 100, segment.size_bytes),
    })
}

/// With one digit after the point; none where there is nothing.
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 * 10.0 / whole as f64).round() / 10.0)
}
