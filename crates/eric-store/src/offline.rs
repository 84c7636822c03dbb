//! What can be done with a store that nobody has open: look it over, save what is whole of a damaged one, count what is
//! in it, write it down as lines, and make a store of such lines.
//!
//! Nothing here changes a store that is there. What is made is made in an empty directory, all or nothing. `docs/store.md`
//! tells when to use what, and the form of the lines.
//!
//! `check.rs`, `repair.rs`, `stats.rs`, `export.rs` and `import.rs` are the verbs. `survey.rs` reads what may be
//! damaged, `image.rs` writes a whole store, `line.rs` is the form of the lines.

mod check;
mod export;
mod image;
mod import;
mod line;
mod repair;
mod stats;
mod survey;

use std::collections::BTreeMap;
use std::sync::Arc;

use eric_sse::{Error, ErrorKind};

pub use self::check::{Checked, CheckedSegment, check};
pub use self::export::{Exported, export};
pub use self::import::{Imported, import};
pub use self::repair::{LostLane, Repaired, repair};
pub use self::stats::{LastOpening, SegmentStats, Stats, stats};
pub use crate::damage::Damage;
use crate::disk::{Disk, DiskFile};
use crate::recover::{PASSES_MAX, Recovered, list_segments, recover_watched};

/// How far something has got that takes long.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let mut done_bytes = 0;
/// let watch = &mut |progress: offline::Progress| done_bytes = progress.done_bytes;
/// offline::check(&disk, SystemClock.now(), watch)?;
/// assert!(done_bytes > 0);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as `reading` or `writing`.
    pub stage: &'static str,
    /// Bytes that are done.
    pub done_bytes: u64,
    /// Bytes that are to be done, where that is known; what is done may take a leap.
    pub total_bytes: Option<u64>,
}

/// Whoever is told how far it has got.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let mut stages = Vec::new();
/// let mut told = |progress: offline::Progress| stages.push(progress.stage);
/// let watch: offline::Watch<'_> = &mut told;
/// offline::stats(&disk, SystemClock.now(), watch)?;
/// assert!(stages.contains(&"reading"));
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub type Watch<'a> = &'a mut dyn FnMut(Progress);

type Files = BTreeMap<u64, Arc<dyn DiskFile>>;

/// The segments of a store that is there.
fn segments_of(disk: &dyn Disk) -> eric_sse::Result<Files> {
    let files = list_segments(disk)?;
    if files.is_empty() {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "there is no store in the directory: it has no segment",
        ));
    }
    Ok(files)
}

/// How many bytes were read of segments that are read several times.
struct Reading<'a> {
    stage: &'static str,
    sizes: BTreeMap<u64, u64>,
    passes: u64,
    done_bytes: u64,
    watch: Watch<'a>,
}

impl<'a> Reading<'a> {
    fn new(stage: &'static str, files: &Files, passes: u64, watch: Watch<'a>) -> Self {
        // A size that is not told matters only to who watches.
        let sizes = files.iter().map(|(number, file)| (*number, file.size().unwrap_or(0))).collect();
        Self { stage, sizes, passes, done_bytes: 0, watch }
    }

    /// All segments up to this one were read, this time and so often before; or from the last one down to it.
    fn has_read(&mut self, pass: u64, segment: u64) {
        let all: u64 = self.sizes.values().sum();
        let now: u64 = self.sizes.range(..=segment).map(|(_, size)| size).sum();
        self.done_bytes = self.done_bytes.max(all * pass + now);
        (self.watch)(Progress {
            stage: self.stage,
            done_bytes: self.done_bytes,
            total_bytes: Some(all * self.passes),
        });
    }
}

/// Opens the log without changing anything, as opening the store does.
fn recovered(
    files: &Files,
    now_ms: u64,
    stage: &'static str,
    watch: Watch<'_>,
) -> crate::damage::Found<Recovered> {
    let mut reading = Reading::new(stage, files, PASSES_MAX, watch);
    recover_watched(files.clone(), now_ms, None, &mut |pass, segment| reading.has_read(pass, segment))
}
