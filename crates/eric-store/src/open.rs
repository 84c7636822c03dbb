//! From a directory to a store that runs: what is there is recovered, what a crash left is cleared away, and the log
//! says that it was opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use eric_sse::engine::lanes::Lanes;
use eric_sse::{Clock, Epoch, Offset, Result};

use crate::damage::{Found, Trying as _};
use crate::disk::Disk;
use crate::format::change::Change;
use crate::plan::{Current, End};
use crate::recover::{FENCE_BITS, Recovered, list_segments, recover};
use crate::rewrite::Stage;
use crate::segments::{Segments, name_of};
use crate::settings::{StoreSettings, Sync};
use crate::shared::Shared;
use crate::spare::SPARE_PREFIX;
use crate::state::{Notes, State};
use crate::writer::Writer;

/// What was found when a store was opened.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::SystemClock;
/// # use eric_store::{Store, StoreSettings};
/// # let directory = tempfile::tempdir().unwrap();
/// let open = || Store::open(&directory, StoreSettings::default(), Arc::new(SystemClock));
/// assert!(open()?.opening().is_new);
/// let again = open()?;
/// assert!(!again.opening().is_new && again.opening().segments > 0);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// Whether there was nothing yet.
    pub is_new: bool,
    /// Segments that were read.
    pub segments: usize,
    /// Bytes of changes that were never acknowledged and were cut off: the end of the log as a crash left it.
    pub cut_bytes: u64,
    /// Whether a new epoch began because acknowledged entries may be missing.
    pub has_new_epoch: bool,
}

/// Bytes that must be left in a segment for the store to be opened in it.
const OPENING_BYTES: usize = 256;

/// Opens the store that `disk` holds, or a new one.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    settings: StoreSettings,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<Shared>, Writer, Opening)> {
    let files = list_segments(&*disk)?;
    let opened = if files.is_empty() {
        create(disk, settings, clock)?
    } else {
        let recovered = recover(files, clock.now().as_ms(), settings.sabotage)?;
        reopen(disk, settings, clock, recovered)?
    };
    Ok(opened)
}

type Opened = (Arc<Shared>, Writer, Opening);

fn create(disk: Arc<dyn Disk>, settings: StoreSettings, clock: Arc<dyn Clock>) -> Found<Opened> {
    clear_away(&*disk, &[])?;
    let (number, _) = uuid::Uuid::new_v4().as_u64_pair();
    let lanes = Lanes::new(Epoch::generate(), Offset::ZERO, 0, 1 << FENCE_BITS);
    let end =
        End::new(number, Current { number: 0, size: 0, end: 0, durable: 0 }, 1, settings.sync == Sync::Fsync);
    let state = State::new(lanes, Segments::default(), BTreeMap::new(), 0, end);
    let shared = Arc::new(Shared::new(clock, settings, disk, number, state));
    let spare = shared.take_spare(0).trying("the first segment cannot be made")?;
    shared.begin_segment(spare, 1).trying("the first segment cannot be made")?;
    let mut writer = Writer::new(shared.clone());
    writer.say_opened()?;
    Ok((shared, writer, Opening { is_new: true, ..Opening::default() }))
}

fn reopen(
    disk: Arc<dyn Disk>,
    settings: StoreSettings,
    clock: Arc<dyn Clock>,
    recovered: Recovered,
) -> Found<Opened> {
    let Recovered {
        store,
        mut lanes,
        values,
        segments,
        checkpoint,
        opening,
        last,
        may_have_lost,
        leftovers,
        ..
    } = recovered;
    let (number, end) = last;
    let mut report = Opening {
        is_new: false,
        segments: segments.numbers().len(),
        cut_bytes: u64::from(end.torn_to - end.at),
        has_new_epoch: may_have_lost,
    };
    if may_have_lost {
        lanes.begin_epoch(Epoch::generate());
    }
    let file = segments.file(number).clone();
    // What was written and not synced is on the disk from here on, and what was torn is not. It is written again
    // first: where a sync failed before, the machine shows what its disk does not hold, and would not sync it.
    let suspect_from = end.durable.min(end.at);
    let mut suspect = vec![0; (end.at - suspect_from) as usize];
    file.read(&mut suspect, u64::from(suspect_from)).trying("the end of the log cannot be read")?;
    file.write(&suspect, u64::from(suspect_from)).trying("the end of the log cannot be written")?;
    if report.cut_bytes > 0 {
        let zeros = vec![0; (end.torn_to - end.at) as usize];
        file.write(&zeros, u64::from(end.at)).trying("the torn end of the log cannot be cleared")?;
    }
    file.sync().trying("the log cannot be synced")?;
    clear_away(&*disk, &leftovers)?;
    let size = u32::try_from(segments.get(number).size).expect("it was read");
    let current = Current { number, size, end: end.at, durable: end.at };
    let end_of_log = End::new(store, current, opening + 1, settings.sync == Sync::Fsync);
    let state = State::new(lanes, segments, values, checkpoint, end_of_log);
    let shared = Arc::new(Shared::new(clock, settings, disk, store, state));
    if end.is_sealed {
        report.cut_bytes = 0;
        let spare = shared.take_spare(0).trying("a segment cannot be made")?;
        shared.begin_segment(spare, number + 1).trying("a segment cannot be made")?;
    }
    let mut writer = Writer::new(shared.clone());
    writer.say_opened()?;
    Ok((shared, writer, report))
}

/// Removes what a crash left: files that never became anything, and segments that are released. All names are durable
/// then.
fn clear_away(disk: &dyn Disk, leftovers: &[u64]) -> Found<()> {
    let names = disk.list().trying("the directory cannot be listed")?;
    let is_left = |name: &&String| name.ends_with(".tmp") || name.starts_with(SPARE_PREFIX);
    let left: Vec<String> = names
        .iter()
        .filter(is_left)
        .cloned()
        .chain(leftovers.iter().map(|number| name_of(*number)))
        .collect();
    for name in &left {
        disk.remove(name).trying("a leftover file cannot be removed")?;
    }
    // Even where nothing was removed: an earlier process may have died before it synced the name of a segment.
    disk.sync_names().trying("the directory cannot be synced")
}

impl Writer {
    /// The first record of an opening; durable before anything else happens.
    fn say_opened(&mut self) -> Found<()> {
        let room = self.shared.state.lock().end.room(false);
        if room < OPENING_BYTES {
            self.roll(OPENING_BYTES).trying("a segment cannot be made")?;
        }
        {
            let state = &mut *self.shared.state.lock();
            state.end.group.put(&Change::Opened {
                epoch: state.lanes.epoch(),
                opening: state.end.opening,
                is_synced: self.shared.syncs(),
                at_ms: self.shared.clock.now().as_ms(),
            });
        }
        self.write_planned().trying("the log cannot be written")
    }
}

impl State {
    fn new(
        lanes: Lanes<crate::places::Places>,
        segments: Segments,
        values: BTreeMap<String, bytes::Bytes>,
        checkpoint: u64,
        end: End,
    ) -> Self {
        Self {
            lanes,
            segments,
            values,
            notes: Notes::default(),
            feed: None,
            stopped: None,
            checkpoint,
            rewriting: Vec::new(),
            rewrite: Stage::None,
            releasing: Vec::new(),
            end,
            is_closing: false,
            is_writer_waiting: false,
            is_nudged: false,
            recycles_early: false,
        }
    }
}
