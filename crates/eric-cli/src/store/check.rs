//! `eric store check`: whether a store is whole, and what can be saved of it.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use eric_sse::{Clock as _, SystemClock};
use eric_store::StoreSettings;
use eric_store::offline::{self, Checked, Repaired};
use serde_json::{Value, json};

use super::{Bar, Directory, Opened};
use crate::Failure;
use crate::output::Output;

/// Reads everything, changes nothing, and tells every place that is damaged
///
/// With --repair, what is whole of a damaged store goes to a new directory, and what is missing is told.
///
/// Examples:
///   eric store check --dir eric-data
///   eric store check --dir eric-data --repair --into saved
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Check {
    #[command(flatten)]
    directory: Directory,
    /// Writes what is whole of a damaged store to the directory --into.
    #[arg(long, requires = "into")]
    repair: bool,
    /// An empty directory, or one that is made.
    #[arg(long, value_name = "NEWDIR", requires = "repair")]
    into: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let opened = self.directory.open()?;
        let path = opened.path.display();
        let mut bar = Bar::new(None);
        let checked = offline::check(&opened.disk, SystemClock.now(), &mut |progress| bar.show(progress));
        drop(bar);
        let checked = checked.map_err(|error| opened.failure(&error))?;
        let mut output = Output::new();
        tell(&mut output, &checked)?;
        let places = match checked.damages.len() {
            1 => "1 place is damaged".to_owned(),
            places => format!("{places} places are damaged"),
        };
        match self.into {
            _ if checked.is_whole() => {
                let note = if self.repair { ", so nothing was repaired" } else { "" };
                output.done(&format!("{path} is whole{note}"), &summary(&checked))?;
                Ok(output.flush()?)
            }
            Some(into) => {
                repair(&opened, into, &mut output)?;
                Ok(output.flush()?)
            }
            None => {
                output.summary(&summary(&checked))?;
                output.flush()?;
                let advice =
                    "`eric store check --repair --into NEWDIR` writes what is whole to a new directory";
                Err(anyhow!("{path}: {places}; {advice}").into())
            }
        }
    }
}

fn tell(output: &mut Output, checked: &Checked) -> Result<(), Failure> {
    let segments = checked.segments.iter().map(|segment| {
        json!({
            "segment": segment.number,
            "size_bytes": segment.size_bytes,
            "live_bytes": segment.live_bytes,
            "bad_bytes": segment.bad_bytes,
            "entries": segment.entries,
            "records": segment.records.values().sum::<u64>(),
            "kinds": segment.records,
            "is_leftover": segment.is_leftover,
        })
    });
    let columns = ["segment", "size_bytes", "live_bytes", "bad_bytes", "entries", "records"];
    output.rows(&columns, &segments.collect::<Vec<Value>>())?;
    let damages = checked.damages.iter().map(|damage| {
        json!({"segment": damage.segment, "at": damage.at, "damage": damage.what, "text": damage.to_string()})
    });
    let damages: Vec<Value> = damages.collect();
    if !damages.is_empty() {
        output.rows(&["segment", "at", "damage"], &damages)?;
    }
    Ok(())
}

fn summary(checked: &Checked) -> Value {
    json!({
        "is_whole": checked.is_whole(),
        "segments": checked.segments.len(),
        "entries": checked.segments.iter().map(|segment| segment.entries).sum::<u64>(),
        "damages": checked.damages.len(),
        "torn_bytes": checked.torn_bytes,
    })
}

fn repair(from: &Opened, into: PathBuf, output: &mut Output) -> Result<(), Failure> {
    if let (Ok(one), Ok(other)) = (from.path.canonicalize(), into.canonicalize())
        && one == other
    {
        return Err(Failure::Usage(
            "--into is the damaged directory itself, which stays as it is".to_owned(),
        ));
    }
    let into = Opened::empty(into)?;
    let mut bar = Bar::new(None);
    let repaired = offline::repair(
        &from.disk,
        &into.disk,
        &StoreSettings::default(),
        SystemClock.now(),
        &mut |progress| bar.show(progress),
    );
    drop(bar);
    let repaired = repaired.map_err(|error| into.failure(&error))?;
    let Repaired { epoch, damages, values, channels, listeners, entries, .. } = &repaired;
    let missing = repaired.missing.iter().map(|(first, last)| json!([first.get(), last.get()]));
    let lost =
        repaired.lost_lanes.iter().map(|lost| json!({"lane": lost.lane.get(), "entries": lost.entries}));
    let object = json!({
        "into": into.path.display().to_string(),
        "epoch": epoch.as_str(),
        "damages": damages.len(),
        "values": values,
        "channels": channels,
        "listeners": listeners,
        "entries": entries,
        "missing": missing.collect::<Vec<Value>>(),
        "may_miss_more": repaired.may_miss_more,
        "lost_lanes": lost.collect::<Vec<Value>>(),
    });
    output.object(&object)?;
    eprintln!("{}", sentence(&repaired));
    Ok(())
}

/// What is missing, for people.
fn sentence(repaired: &Repaired) -> String {
    let offsets: u64 = repaired.missing.iter().map(|(first, last)| last.get() - first.get() + 1).sum();
    let more = if repaired.may_miss_more { "; there may be more of which nothing tells" } else { "" };
    let lost = repaired.lost_lanes.len();
    format!(
        "{} entries were saved; {offsets} offsets were given to entries that cannot be read, of which some may have \
         been let go before{more}; {lost} lanes could not be saved",
        repaired.entries
    )
}
