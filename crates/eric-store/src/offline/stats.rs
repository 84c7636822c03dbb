//! `eric store stats`: what is in a store, counted.

use eric_sse::engine::lanes::Shelf as _;
use eric_sse::{Position, Result, Timestamp};

use super::{Watch, recovered, segments_of};
use crate::disk::Disk;
use crate::settings::Sync;

/// What is in a store.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let stats = offline::stats(&disk, SystemClock.now(), &mut |_| ())?;
/// assert!(stats.is_closed && !stats.may_have_lost);
/// assert_eq!((stats.openings, stats.channels, stats.entries), (1, 0, 0));
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The last entry that was taken.
    pub tail: Position,
    /// How often the store was opened.
    pub openings: u64,
    /// The last opening, as far as the log still tells.
    pub last_opening: Option<LastOpening>,
    /// Whether whoever had it open last has closed it.
    pub is_closed: bool,
    /// Whether acknowledged changes may be missing, so that a new epoch begins when it is opened.
    pub may_have_lost: bool,
    /// The segment in which the last complete checkpoint begins.
    pub checkpoint: Option<u64>,
    /// Bytes at the end of the log that were never acknowledged.
    pub torn_bytes: u64,
    /// Channels' lanes.
    pub channels: u64,
    /// Listeners' lanes.
    pub listeners: u64,
    /// Entries that are alive.
    pub entries: u64,
    /// Types and payloads of these, in bytes.
    pub entry_bytes: u64,
    /// Idempotency keys that are remembered.
    pub keys: u64,
    /// Values that the hub remembers.
    pub values: u64,
    /// Keys and values of these, in bytes.
    pub value_bytes: u64,
    /// Memory that a hub needs to find the entries, in bytes.
    pub index_bytes: u64,
    /// The segments, oldest first.
    pub segments: Vec<SegmentStats>,
}

/// When and how a store was opened last.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let stats = offline::stats(&disk, SystemClock.now(), &mut |_| ())?;
/// let last = stats.last_opening.expect("it was opened a moment ago");
/// assert_eq!(last.sync, eric_store::Sync::Fsync);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastOpening {
    /// When.
    pub at: Timestamp,
    /// What answered changes survived.
    pub sync: Sync,
}

/// What is in a segment.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let stats = offline::stats(&disk, SystemClock.now(), &mut |_| ())?;
/// assert!(stats.segments.iter().all(|segment| segment.live_bytes <= segment.size_bytes));
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentStats {
    /// Its number.
    pub number: u64,
    /// Bytes of its file.
    pub size_bytes: u64,
    /// Bytes of entries that are alive.
    pub live_bytes: u64,
}

/// Counts what is in the store that `disk` holds. Changes nothing.
///
/// # Errors
/// [`ErrorKind::Corrupt`](eric_sse::ErrorKind) where it is damaged; [`ErrorKind::Unavailable`](eric_sse::ErrorKind)
/// where there is none, or the disk does not answer.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let before = offline::stats(&disk, SystemClock.now(), &mut |_| ())?;
/// drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let after = offline::stats(&disk, SystemClock.now(), &mut |_| ())?;
/// assert_eq!(after.openings, before.openings + 1);
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub fn stats(disk: &dyn Disk, now: Timestamp, watch: Watch<'_>) -> Result<Stats> {
    let files = segments_of(disk)?;
    let mut recovered = recovered(&files, now.as_ms(), "reading", watch)?;
    let (remembered, forgotten) = recovered.lanes.keys(now.as_ms());
    let lanes = &recovered.lanes;
    let list = lanes.list();
    let shelves = || list.iter().filter_map(|open| lanes.shelf(open.lane).ok()).map(|(places, _)| places);
    let channels = list.iter().filter(|open| open.channel.is_none()).count();
    let last_opening = recovered.last_opening.map(|opening| LastOpening {
        at: Timestamp::from_ms(opening.at_ms),
        sync: if opening.is_synced { Sync::Fsync } else { Sync::Os },
    });
    let (_, end) = recovered.last;
    let segment = |(number, segment): (u64, &crate::segments::Segment)| SegmentStats {
        number,
        size_bytes: segment.size,
        live_bytes: segment.live_bytes,
    };
    Ok(Stats {
        tail: lanes.shown(),
        openings: recovered.opening,
        last_opening,
        is_closed: recovered.is_closed,
        may_have_lost: recovered.may_have_lost,
        checkpoint: (recovered.checkpoint > 0).then_some(recovered.checkpoint),
        torn_bytes: u64::from(end.torn_to - end.at),
        channels: channels as u64,
        listeners: (list.len() - channels) as u64,
        entries: shelves().map(|places| places.len() as u64).sum(),
        entry_bytes: shelves().map(|places| places.bytes()).sum(),
        keys: remembered - forgotten,
        values: recovered.values.len() as u64,
        value_bytes: recovered.values.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum(),
        index_bytes: shelves().map(|places| places.memory_bytes() as u64).sum(),
        segments: recovered.segments.iter().map(segment).collect(),
    })
}
