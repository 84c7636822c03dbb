//! `eric store check --repair`: what is whole of a damaged store, in another directory.

use std::collections::BTreeMap;

use eric_sse::engine::lanes::{Lanes, ListenerState};
use eric_sse::lane::Lane;
use eric_sse::{Epoch, Offset, Result, Timestamp};
use rustc_hash::FxHashSet;

use super::image::{Content, Image};
use super::survey::Survey;
use super::{Damage, Files, Reading, Watch, segments_of};
use crate::damage::Found;
use crate::disk::Disk;
use crate::format::change::{Change, UsedKey, kind};
use crate::format::codec::{Decoded, Reader};
use crate::format::entry::{PREFIX_BYTES, RawEntry};
use crate::places::Places;
use crate::recover::{Mark, Replay, is_remembered};
use crate::scan::Piece;
use crate::settings::StoreSettings;

/// Lane numbers that are passed over, because the log may have lost lanes whose numbers something still names.
const LANES_SKIPPED: u64 = 1 << 20;

/// What was saved of a damaged store, and what was not.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// # let (empty, settings) = (eric_testkit::FaultDisk::new(), StoreSettings::default());
/// let repaired = offline::repair(&disk, &empty, &settings, SystemClock.now(), &mut |_| ())?;
/// assert!(repaired.damages.is_empty() && repaired.missing.is_empty());
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The epoch that began.
    pub epoch: Epoch,
    /// Every place that is damaged.
    pub damages: Vec<Damage>,
    /// Values that were saved.
    pub values: u64,
    /// Channels' lanes that were saved.
    pub channels: u64,
    /// Listeners' lanes that were saved.
    pub listeners: u64,
    /// Entries that were saved.
    pub entries: u64,
    /// Stretches of offsets that were given to entries which cannot be read, the first and the last of each. Some
    /// may have been let go before.
    pub missing: Vec<(Offset, Offset)>,
    /// Whether more is missing than `missing` says: entries or changes of which nothing tells.
    pub may_miss_more: bool,
    /// Lanes that cannot be told any more: of their channel or listener nothing is saved.
    pub lost_lanes: Vec<LostLane>,
}

/// A lane of which only entries can be read, or not even they.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// # let (empty, settings) = (eric_testkit::FaultDisk::new(), StoreSettings::default());
/// let repaired = offline::repair(&disk, &empty, &settings, SystemClock.now(), &mut |_| ())?;
/// let lost: u64 = repaired.lost_lanes.iter().map(|lost| lost.entries).sum();
/// assert_eq!(lost, 0, "every lane still has its channel or listener");
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostLane {
    /// Its number.
    pub lane: Lane,
    /// Its entries that can be read and were not saved.
    pub entries: u64,
}

/// Writes what is whole of the store that `from` holds to `into`, an empty directory. Lanes and offsets stay as they
/// were, with holes where entries cannot be read; a new epoch begins, in which every listener starts again at its floor.
/// Nothing is changed in `from`.
///
/// A batch is saved whole or not at all.
///
/// # Errors
/// [`ErrorKind::Unavailable`](eric_sse::ErrorKind) where there is no store or a disk does not answer;
/// [`ErrorKind::AlreadyExists`](eric_sse::ErrorKind) where the directory is not empty;
/// [`ErrorKind::NoSpace`](eric_sse::ErrorKind) where there is no room. Then `into` is empty.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// # let settings = StoreSettings::default();
/// let empty = eric_testkit::FaultDisk::new();
/// offline::repair(&disk, &empty, &settings, SystemClock.now(), &mut |_| ())?;
/// let repaired = Store::open_on(Arc::new(empty), settings, Arc::new(SystemClock))?;
/// assert!(!repaired.opening().is_new);
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub fn repair(
    from: &dyn Disk,
    into: &dyn Disk,
    settings: &StoreSettings,
    now: Timestamp,
    watch: Watch<'_>,
) -> Result<Repaired> {
    let image = Image::begin(into, settings)?;
    let files = segments_of(from)?;
    let survey = Survey::of(&files, watch);
    let state = State::of(&survey, &files, watch)?;
    let mut saving = Saving {
        image,
        state,
        survey: &survey,
        now_ms: now.as_ms(),
        at: Offset::ZERO,
        holes: Holes::default(),
        before: None,
        keys: FxHashSet::default(),
        passed_over: BTreeMap::new(),
        entries: 0,
    };
    let reading = Reading::new("saving", &files, 1, watch);
    survey.revisit(&files, 0, reading, |scan, piece| {
        saving.enter(scan.head.number, scan.head.is_rewritten);
        saving.take(scan.head.is_rewritten, piece)
    })?;
    saving.finish(watch)
}

/// How many entries were ever in a channel's lane up to a listener's floor, as the lane itself tells; where it has
/// forgotten, as the listener remembers, as far as that can be.
pub(super) fn floor_rank(lanes: &Lanes<Places>, listener: &ListenerState) -> u64 {
    let told = lanes.span(listener.channel, Offset::ZERO, listener.floor).ok().and_then(|span| span.entries);
    let rank = told.unwrap_or(listener.floor_rank);
    match lanes.channel_state(listener.channel) {
        Some(channel) if listener.floor < channel.trimmed.to => rank.min(channel.trimmed.total),
        _ => rank,
    }
}

/// Everything but the entries, as far as the log tells it.
struct State {
    lanes: Lanes<Places>,
    values: BTreeMap<String, bytes::Bytes>,
    opening: u64,
    /// Lanes of which it is known that they were there, whether they still are or not.
    told: FxHashSet<Lane>,
    /// Listeners whose channel is not known.
    lost: FxHashSet<Lane>,
    /// The largest number of a lane that anything names.
    last_lane: u64,
}

impl State {
    fn of(survey: &Survey, files: &Files, watch: Watch<'_>) -> Found<Self> {
        let mark = survey.checkpoint.map_or(Mark { segment: 0, at: 0 }, |(mark, _)| mark);
        let mut replay = Replay::new();
        let (mut told, mut lost) = (FxHashSet::default(), FxHashSet::default());
        let reading = Reading::new("understanding", files, 1, watch);
        survey.revisit(files, mark.segment, reading, |scan, piece| {
            let segment = scan.head.number;
            let Piece::Record(record) = piece else { return Ok(()) };
            if (Mark { segment, at: record.at }) < mark {
                return Ok(());
            }
            let Ok(change) = Change::decode(record.kind, record.body) else { return Ok(()) };
            let joined = match &change {
                Change::Joined { joined, .. } => vec![joined.lane],
                Change::Listeners(states) => states.iter().map(|state| state.lane).collect(),
                _ => Vec::new(),
            };
            match &change {
                Change::LaneOpened(lane, _) | Change::LaneClosed(lane) | Change::Left(lane) => {
                    told.insert(*lane);
                }
                Change::Channels(states) => told.extend(states.iter().map(|state| state.lane)),
                _ => {}
            }
            replay.apply_damaged(change);
            for lane in joined {
                let is_known = replay.lanes.cursor(lane).is_ok();
                if is_known {
                    told.insert(lane)
                } else {
                    lost.insert(lane)
                };
            }
            Ok(())
        })?;
        let Replay { lanes, values, opening, .. } = replay;
        let last_lane = survey.checkpoint.map_or(0, |(_, lanes_opened)| lanes_opened).max(lanes.counters().0);
        Ok(Self { lanes, values, opening, told, lost, last_lane })
    }
}

/// What is saved, and what is not.
struct Saving<'a> {
    image: Image<'a>,
    state: State,
    survey: &'a Survey,
    now_ms: u64,
    /// The last entry that was saved.
    at: Offset,
    holes: Holes,
    /// The segment that was read last.
    before: Option<u64>,
    /// Keys that were saved without their entries.
    keys: FxHashSet<(Lane, Offset)>,
    /// Entries of lanes that are not known.
    passed_over: BTreeMap<Lane, u64>,
    entries: u64,
}

impl Saving<'_> {
    /// Takes note that a segment begins.
    fn enter(&mut self, number: u64, is_rewritten: bool) {
        let before = self.before.replace(number);
        if before == Some(number) {
            return;
        }
        let is_damaged = |number: u64| self.survey.damages.iter().any(|damage| damage.segment == number);
        let skipped = before.map_or(1, |before| before + 1)..number;
        self.holes.is_bad |= skipped.clone().any(is_damaged);
        // What was released, or stands in a rewritten segment, has holes of its own.
        if is_rewritten || !skipped.clone().all(is_damaged) {
            self.holes.lose_track();
        }
        if number == 1 && !is_rewritten {
            self.holes.expected = Some(Offset::ZERO.next());
        }
    }

    fn take(&mut self, is_rewritten: bool, piece: Piece<'_>) -> Found<()> {
        let record = match piece {
            Piece::Record(record) => record,
            Piece::Bad(bad) => {
                self.holes.is_bad = true;
                if is_rewritten {
                    self.holes.lose_track();
                }
                // What is together in a rewritten segment was not published together.
                return match bad.rest {
                    Some((kind::KEPT, body)) => {
                        salvage(body).try_for_each(|(raw, bytes)| self.entry(&raw, bytes))
                    }
                    _ => Ok(()),
                };
            }
        };
        match Change::decode(record.kind, record.body) {
            Ok(Change::Batch(body)) => self.entries(body, true),
            Ok(Change::Kept(body)) => self.entries(body, false),
            Ok(Change::Keys(keys)) => keys.into_iter().try_for_each(|used| self.key(used)),
            Ok(Change::CheckpointBegun { counters, .. }) => {
                self.holes.tail_was(counters.tail);
                Ok(())
            }
            Ok(Change::Joined { joined, .. }) => {
                self.holes.tail_was(joined.floor);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(_) => {
                self.holes.is_bad = true;
                Ok(())
            }
        }
    }

    /// Saves the entries of a record, or none of them.
    fn entries(&mut self, body: &[u8], is_batch: bool) -> Found<()> {
        let Ok(entries) = all(body) else {
            self.holes.is_bad = true;
            return Ok(());
        };
        for (raw, bytes) in entries {
            if is_batch {
                self.holes.was_taken(raw.offset);
            }
            self.entry(&raw, bytes)?;
        }
        Ok(())
    }

    fn entry(&mut self, raw: &RawEntry<'_>, bytes: &[u8]) -> Found<()> {
        let State { lanes, last_lane, .. } = &mut self.state;
        *last_lane = raw.lane.get().max(*last_lane);
        lanes.restore_tail(raw.offset);
        let Ok(trimmed_to) = lanes.shelf(raw.lane).map(|(_, trimmed_to)| trimmed_to) else {
            *self.passed_over.entry(raw.lane).or_default() += 1;
            return Ok(());
        };
        if raw.offset <= trimmed_to {
            let (Ok(Some(key)), Ok(digest)) = (raw.key(), raw.digest()) else { return Ok(()) };
            let RawEntry { lane, offset, taken_ms, .. } = *raw;
            return self.key(UsedKey { lane, offset, used_ms: taken_ms, digest, key });
        }
        // Whatever is not beyond everything before is there already, or was left out of a rewritten segment.
        let is_message = raw.digest().is_ok() && raw.key().is_ok();
        if raw.offset > self.at && is_message {
            let place = self.image.entry(bytes)?;
            let is_kept = self.state.lanes.restore_entry(raw.lane, raw.kept(), place);
            assert!(is_kept, "its lane is there, and it is beyond everything in it");
            self.at = raw.offset;
            self.entries += 1;
        }
        Ok(())
    }

    fn key(&mut self, used: UsedKey) -> Found<()> {
        let is_open = self.state.lanes.shelf(used.lane).is_ok();
        if is_open && is_remembered(used.used_ms, self.now_ms) && self.keys.insert((used.lane, used.offset)) {
            self.image.key(used)?;
        }
        Ok(())
    }

    fn finish(mut self, watch: Watch<'_>) -> Result<Repaired> {
        self.holes.lose_track();
        let State { mut lanes, values, opening, told, lost, last_lane } = self.state;
        let list = lanes.list();
        let listeners = || list.iter().filter(|open| open.channel.is_some()).map(|open| open.lane);
        for state in listeners().filter_map(|lane| lanes.listener_state(lane)).collect::<Vec<_>>() {
            lanes.restore_tail(state.floor.max(state.cursor));
        }
        let epoch = Epoch::generate();
        lanes.begin_epoch(epoch);
        for lane in listeners() {
            let Some(state) = lanes.listener_state(lane) else { continue };
            let rank = floor_rank(&lanes, &state);
            lanes.restore_listener(&ListenerState { floor_rank: rank, channel_finished: rank, ..state });
        }
        let closed_to = self.survey.checkpoint.map_or(0, |(_, lanes_opened)| lanes_opened);
        let is_lost = |lane: Lane| lane.get() > closed_to && !told.contains(&lane);
        let mut lost_lanes = self.passed_over;
        for lane in lost {
            lost_lanes.entry(lane).or_default();
        }
        lost_lanes.retain(|lane, _| is_lost(*lane));
        let lost_lanes = lost_lanes.into_iter().map(|(lane, entries)| LostLane { lane, entries }).collect();
        let repaired = Repaired {
            epoch,
            damages: self.survey.damages.clone(),
            values: values.len() as u64,
            channels: (list.len() - listeners().count()) as u64,
            listeners: listeners().count() as u64,
            entries: self.entries,
            missing: self.holes.missing,
            may_miss_more: self.holes.may_miss_more,
            lost_lanes,
        };
        let lanes_opened = last_lane.max(lanes.counters().0) + LANES_SKIPPED;
        self.image.finish(Content { lanes, values, lanes_opened, opening }, self.now_ms, watch)?;
        Ok(repaired)
    }
}

/// Which offsets were given to entries that cannot be read.
#[derive(Default)]
struct Holes {
    /// The next offset, where the log told every one before.
    expected: Option<Offset>,
    /// Whether something could not be read since then.
    is_bad: bool,
    missing: Vec<(Offset, Offset)>,
    may_miss_more: bool,
}

impl Holes {
    /// The last offset that had been given at this place of the log.
    fn tail_was(&mut self, tail: Offset) {
        match self.expected {
            Some(expected) if expected <= tail => self.missing.push((expected, tail)),
            Some(_) => {}
            None => self.may_miss_more |= self.is_bad,
        }
        self.is_bad = false;
        self.expected = Some(tail.next());
    }

    fn was_taken(&mut self, offset: Offset) {
        if offset > Offset::ZERO && offset < Offset::MAX {
            self.tail_was(Offset::new(offset.get() - 1));
            self.expected = Some(offset.next());
        }
    }

    /// What comes next need not follow.
    fn lose_track(&mut self) {
        self.may_miss_more |= self.is_bad;
        (self.expected, self.is_bad) = (None, false);
    }
}

/// The entries of a body, each with its bytes.
fn all(body: &[u8]) -> Decoded<Vec<(RawEntry<'_>, &[u8])>> {
    let mut reader = Reader::new(body);
    let mut entries = Vec::new();
    while !reader.is_empty() {
        let begin = body.len() - reader.left();
        let raw = RawEntry::read(&mut reader)?;
        entries.push((raw, &body[begin..body.len() - reader.left()]));
    }
    Ok(entries)
}

/// The entries that are whole of a body that is not.
fn salvage(body: &[u8]) -> impl Iterator<Item = (RawEntry<'_>, &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        loop {
            let len = rest.first_chunk().map(|len| u32::from_le_bytes(*len) as usize)?;
            let (bytes, after) = rest.split_at_checked(PREFIX_BYTES + len)?;
            rest = after;
            if let Ok(raw) = RawEntry::read(&mut Reader::new(bytes)) {
                return Some((raw, bytes));
            }
        }
    })
}
