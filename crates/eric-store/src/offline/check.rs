//! `eric store check`: reads everything and tells every place that is damaged.

use std::collections::BTreeMap;

use eric_sse::{Result, Timestamp};

use super::survey::{Survey, name_of};
use super::{Damage, Watch, recovered, segments_of};
use crate::damage::Fault;
use crate::disk::Disk;

/// What was found in a store.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let checked = offline::check(&disk, SystemClock.now(), &mut |_| ())?;
/// assert_eq!((checked.damages.len(), checked.torn_bytes), (0, 0));
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The segments, oldest first.
    pub segments: Vec<CheckedSegment>,
    /// Every place that is damaged; none where the store opens.
    pub damages: Vec<Damage>,
    /// Bytes at the end of the log that were never acknowledged: what a crash tore. That is no damage.
    pub torn_bytes: u64,
}

/// What was found in one segment.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let checked = offline::check(&disk, SystemClock.now(), &mut |_| ())?;
/// let segment = &checked.segments[0];
/// assert!(!segment.records.is_empty() && segment.bad_bytes == 0);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSegment {
    /// Its number.
    pub number: u64,
    /// Bytes of its file.
    pub size_bytes: u64,
    /// Records that are whole, by the name of their kind.
    pub records: BTreeMap<&'static str, u64>,
    /// Entries in them, alive or not.
    pub entries: u64,
    /// Bytes of entries that are alive; none where the store does not open, which alone would tell.
    pub live_bytes: Option<u64>,
    /// Bytes in which nothing can be read although something was there.
    pub bad_bytes: u64,
    /// Whether nothing in it counts any more: it goes when the store is opened.
    pub is_leftover: bool,
}

impl Checked {
    /// Whether the store opens.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::{Clock as _, SystemClock};
    /// # use eric_store::{Store, StoreSettings, offline};
    /// # let disk = eric_testkit::FaultDisk::new();
    /// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
    /// # use eric_store::Disk as _;
    /// # let name = disk.list().unwrap().into_iter().min().unwrap();
    /// // Somebody has written over the beginning of a segment.
    /// disk.open(&name).unwrap().write(&[0xff; 64], 0).unwrap();
    /// assert!(!offline::check(&disk, SystemClock.now(), &mut |_| ())?.is_whole());
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn is_whole(&self) -> bool {
        self.damages.is_empty()
    }
}

/// Reads every segment of the store that `disk` holds, to its end, and tells every place that is damaged. Changes
/// nothing.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::{Clock, SystemClock};
/// use eric_store::{RealDisk, Store, StoreSettings, offline};
///
/// let directory = tempfile::tempdir()?;
/// drop(Store::open(directory.path(), StoreSettings::default(), Arc::new(SystemClock))?);
/// let disk = RealDisk::open_to_read(directory.path())?;
/// let checked = offline::check(&disk, SystemClock.now(), &mut |_| ())?;
/// assert!(checked.is_whole());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Unavailable`](eric_sse::ErrorKind) where there is no store, or the disk does not answer. Damage is no
/// error: it is what is told.
pub fn check(disk: &dyn Disk, now: Timestamp, watch: Watch<'_>) -> Result<Checked> {
    let files = segments_of(disk)?;
    let Survey { segments, mut damages, leftovers, .. } = Survey::of(&files, watch);
    let mut live = None;
    // Opening looks at how records go together as well; where some cannot be read, it would only tell the first.
    if damages.is_empty() {
        match recovered(&files, now.as_ms(), "comparing", watch) {
            Ok(recovered) => live = Some(recovered.segments),
            Err(Fault::Damaged(damage)) => damages.push(damage),
            Err(fault) => return Err(fault.into()),
        }
    }
    let torn_bytes = segments.iter().map(|segment| segment.torn_bytes).sum();
    let live_bytes = |number| {
        let live = live.as_ref()?;
        Some(live.iter().find(|(of, _)| *of == number).map_or(0, |(_, segment)| segment.live_bytes))
    };
    let checked = |segment: super::survey::SegmentSurvey| CheckedSegment {
        number: segment.number,
        size_bytes: segment.size,
        records: segment.records.iter().map(|(kind, count)| (name_of(*kind), *count)).collect(),
        entries: segment.entries,
        live_bytes: live_bytes(segment.number),
        bad_bytes: segment.bad_bytes,
        is_leftover: leftovers.contains(&segment.number),
    };
    Ok(Checked { segments: segments.into_iter().map(checked).collect(), damages, torn_bytes })
}
