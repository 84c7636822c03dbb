//! Opening what an earlier process left: the state from the last checkpoint on, then the entries.
//!
//! Everything is read and every checksum is checked, so what opens is whole. Nothing is changed before all of it
//! was understood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use eric_sse::engine::lanes::Lanes;
use eric_sse::limits::DEDUP_WINDOW_S;
use eric_sse::{Epoch, Offset};

use crate::damage::{Damage, Found, Trying as _};
use crate::disk::{Disk, DiskFile};
use crate::format::change::{Change, Counters, kind};
use crate::format::codec::Reader;
use crate::format::entry::RawEntry;
use crate::places::{Place, Places};
use crate::scan::{Record, Scan, SegmentEnd};
use crate::segments::{Segments, number_of};
use crate::settings::Sabotage;

/// Fences of one opening of the store, as a power of two.
pub(crate) const FENCE_BITS: u32 = 32;

/// The log as an earlier process left it.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The number of the store.
    pub(crate) store: u64,
    pub(crate) lanes: Lanes<Places>,
    pub(crate) values: BTreeMap<String, Bytes>,
    pub(crate) segments: Segments,
    /// The segment in which the last complete checkpoint begins; 0 where there is none.
    pub(crate) checkpoint: u64,
    /// How often the store was opened.
    pub(crate) opening: u64,
    /// The last segment, and where it ends.
    pub(crate) last: (u64, SegmentEnd),
    /// Whether something may be missing that was acknowledged: it was not synced, and not closed.
    pub(crate) may_have_lost: bool,
    /// Segments that are there and mean nothing any more.
    pub(crate) leftovers: Vec<u64>,
    /// The last opening of which the log still tells.
    pub(crate) last_opening: Option<LastOpening>,
    /// Whether the last thing in the log is that it was closed.
    pub(crate) is_closed: bool,
    /// Entries of the record that was read last.
    taken: u64,
    forgets_keys: bool,
}

/// When and how a store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastOpening {
    pub(crate) is_synced: bool,
    pub(crate) at_ms: u64,
}

/// Where a checkpoint begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) segment: u64,
    pub(crate) at: u32,
}

/// Times that everything is read at most.
pub(crate) const PASSES_MAX: u64 = 3;

/// The files of all segments.
pub(crate) fn list_segments(disk: &dyn Disk) -> Found<BTreeMap<u64, Arc<dyn DiskFile>>> {
    let names = disk.list().trying("the directory cannot be listed")?;
    let open = |number: u64, name: &str| Ok((number, disk.open(name).trying("a segment cannot be opened")?));
    names
        .iter()
        .filter_map(|name| Some((number_of(name)?, name)))
        .map(|(number, name)| open(number, name))
        .collect()
}

/// Reads all segments, of which there is at least one.
pub(crate) fn recover(
    files: BTreeMap<u64, Arc<dyn DiskFile>>,
    now_ms: u64,
    sabotage: Option<Sabotage>,
) -> Found<Recovered> {
    recover_watched(files, now_ms, sabotage, &mut |_, _| ())
}

/// The same; `watch` is told whenever a segment was read: which time everything is read, of [`PASSES_MAX`], and which
/// segment it was.
pub(crate) fn recover_watched(
    files: BTreeMap<u64, Arc<dyn DiskFile>>,
    now_ms: u64,
    sabotage: Option<Sabotage>,
    watch: &mut dyn FnMut(u64, u64),
) -> Found<Recovered> {
    let (first, last) =
        (*files.keys().next().expect("there is one"), *files.keys().next_back().expect("there is one"));
    let mark = match last_checkpoint(&files, last, watch)? {
        Some(mark) => mark,
        None if first == 1 => Mark { segment: 1, at: 0 },
        None => return Err(Damage::new(first, 0_u64, "the segments before it are missing").into()),
    };
    let mut replay = Replay::new();
    let mut found = None;
    let until = cut_too_far(&files[&last], last, sabotage)?;
    for (number, file) in files.range(mark.segment..) {
        let scan = Scan::read(*number, file)?;
        let from = if *number == mark.segment { mark.at } else { 0 };
        let to = if *number == last { until } else { u32::MAX };
        let visit = |record: Record<'_>| match record.at < from || record.at >= to {
            true => Ok(()),
            false => replay.take(*number, record),
        };
        found = Some((scan.head.store, scan.walk(*number == last, visit)?));
        watch(1, *number);
    }
    let (store, mut end) = found.expect("the last segment is not before the checkpoint");
    end.at = end.at.min(until);
    let leftovers = replay.leftovers(&files, &mark)?;
    let mut recovered = Recovered {
        store,
        lanes: replay.lanes,
        values: replay.values,
        segments: Segments::default(),
        checkpoint: if mark.at == 0 { 0 } else { mark.segment },
        opening: replay.opening,
        last: (last, end),
        may_have_lost: !replay.is_synced && !replay.is_closed,
        leftovers,
        last_opening: None,
        is_closed: replay.is_closed,
        taken: 0,
        forgets_keys: sabotage == Some(Sabotage::ForgetKeys),
    };
    recovered.lanes.restore_fences((recovered.opening + 1) << FENCE_BITS);
    let mut next_offset = replay.begins_at.next();
    for (number, file) in &files {
        let scan = Scan::read(*number, file)?;
        if scan.head.store != store {
            return Err(Damage::new(*number, 24_u64, "it belongs to another store").into());
        }
        if recovered.leftovers.contains(number) {
            continue;
        }
        recovered.segments.insert(*number, file.clone(), file.size().trying("a segment cannot be read")?);
        let is_counted = |at| Mark { segment: *number, at } >= mark;
        let to = if *number == last { until } else { u32::MAX };
        scan.walk(*number == last, |record| {
            if record.at >= to {
                return Ok(());
            }
            let next = is_counted(record.at).then_some(&mut next_offset);
            recovered.take_entries(*number, record, next, now_ms)
        })?;
        watch(2, *number);
    }
    if recovered.lanes.find_impossible().is_some() {
        return Err(Damage::new(last, end.at, "listeners have finished what never was").into());
    }
    Ok(recovered)
}

/// Where the bug that is planted ends the log; nowhere if it is not.
fn cut_too_far(file: &Arc<dyn DiskFile>, last: u64, sabotage: Option<Sabotage>) -> Found<u32> {
    let mut until = u32::MAX;
    if sabotage == Some(Sabotage::CutTooFar) {
        let mut end = Scan::read(last, file)?.walk(true, |record| {
            until = record.at;
            Ok(())
        })?;
        end.is_sealed |= end.torn_to == end.at;
        until = if end.is_sealed { u32::MAX } else { until };
    }
    Ok(until)
}

/// Where the last complete checkpoint begins.
fn last_checkpoint(
    files: &BTreeMap<u64, Arc<dyn DiskFile>>,
    last: u64,
    watch: &mut dyn FnMut(u64, u64),
) -> Found<Option<Mark>> {
    let mut has_end = false;
    for (number, file) in files.iter().rev() {
        let scan = Scan::read(*number, file)?;
        let mut marks = Vec::new();
        scan.walk(*number == last, |record| {
            if matches!(record.kind, kind::CHECKPOINT_BEGUN | kind::CHECKPOINT_ENDED) {
                marks.push((record.at, record.kind));
            }
            Ok(())
        })?;
        watch(0, *number);
        for (at, kind) in marks.into_iter().rev() {
            has_end |= kind == kind::CHECKPOINT_ENDED;
            if has_end && kind == kind::CHECKPOINT_BEGUN {
                return Ok(Some(Mark { segment: *number, at }));
            }
        }
    }
    Ok(None)
}

/// The state as the log tells it.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) lanes: Lanes<Places>,
    pub(crate) values: BTreeMap<String, Bytes>,
    pub(crate) opening: u64,
    is_synced: bool,
    is_closed: bool,
    /// Whether every lane is known, or pieces of the checkpoint are still to come.
    is_complete: bool,
    has_begun: bool,
    /// The last offset that was given before.
    pub(crate) begins_at: Offset,
    /// Segments that must be there.
    required: BTreeSet<u64>,
    released: BTreeSet<u64>,
}

impl Replay {
    pub(crate) fn new() -> Self {
        Self {
            lanes: Lanes::new(Epoch::generate(), Offset::ZERO, 0, 0),
            values: BTreeMap::new(),
            opening: 0,
            is_synced: true,
            is_closed: false,
            is_complete: true,
            has_begun: false,
            begins_at: Offset::ZERO,
            required: BTreeSet::new(),
            released: BTreeSet::new(),
        }
    }

    /// Takes the next record of the log.
    fn take(&mut self, segment: u64, record: Record<'_>) -> Found<()> {
        let change = Change::decode(record.kind, record.body)
            .map_err(|malformed| Damage::malformed(segment, record.at, malformed))?;
        let is_known = self.apply(change);
        if !is_known && self.is_complete {
            let what = "it changes a lane that is not there";
            return Err(Damage::new(segment, record.at, what).into());
        }
        self.has_begun = true;
        Ok(())
    }

    /// Applies a change of a log that has holes: what a checkpoint says is taken although it was known once, because
    /// what came before it may be missing. False where it is of a lane that is not known.
    pub(crate) fn apply_damaged(&mut self, change: Change<'_>) -> bool {
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        match change {
            Change::CheckpointBegun { counters, .. } if has_begun => {
                self.lanes.restore_tail(counters.tail);
                self.opening = self.opening.max(counters.opening);
                true
            }
            Change::CheckpointEnded => true,
            change => {
                self.is_complete = false;
                self.has_begun = has_begun;
                let is_known = self.apply(change);
                self.has_begun = true;
                is_known
            }
        }
    }

    /// Applies a change; false where it is of a lane that is not known.
    fn apply(&mut self, change: Change<'_>) -> bool {
        self.is_closed = matches!(change, Change::Closed);
        match change {
            Change::Opened { epoch, opening, is_synced, .. } => {
                (self.opening, self.is_synced) = (opening, is_synced);
                if self.lanes.epoch() != epoch {
                    self.lanes.begin_epoch(epoch);
                }
            }
            Change::CheckpointBegun { counters, segments } if !self.has_begun => {
                let Counters { epoch, tail, lanes_opened, opening } = counters;
                self.lanes = Lanes::new(epoch, tail, lanes_opened, 0);
                (self.opening, self.begins_at, self.is_complete) = (opening, tail, false);
                self.required.extend(segments);
            }
            // A later checkpoint says what is known already.
            Change::CheckpointBegun { .. }
            | Change::Channels(_)
            | Change::Listeners(_)
            | Change::Values(_)
                if self.is_complete => {}
            Change::CheckpointBegun { .. } => return false,
            Change::CheckpointEnded => self.is_complete = true,
            Change::Channels(states) => states.iter().for_each(|state| self.lanes.restore_channel(state)),
            Change::Listeners(states) => {
                return states.iter().all(|state| self.lanes.restore_listener(state));
            }
            Change::Values(values) => {
                for (key, value) in values {
                    self.values.insert(key.into_owned(), Bytes::copy_from_slice(&value));
                }
            }
            Change::LaneOpened(lane, retention) => self.lanes.restore_open(lane, retention),
            Change::Retained(lane, retention) => return self.lanes.retain(lane, retention).is_ok(),
            Change::LaneClosed(lane) => return !self.lanes.close(lane).is_empty(),
            Change::Joined { channel, joined, channel_finished } => {
                return self.lanes.restore_join(channel, joined, channel_finished);
            }
            Change::Left(lane) => return self.lanes.leave(lane).is_some(),
            Change::Moved(cursors) => {
                let mut is_known = true;
                for moved in &cursors {
                    is_known &= self.lanes.restore_moved(moved);
                }
                return is_known;
            }
            Change::Trimmed(trims) => {
                let mut is_known = true;
                for trim in &trims {
                    is_known &= self.lanes.restore_trimmed(trim.lane, &trim.runs);
                }
                return is_known;
            }
            Change::Upserted(key, value) => {
                self.values.insert(key.to_owned(), Bytes::copy_from_slice(value));
            }
            Change::Deleted(key) => {
                self.values.remove(key);
            }
            Change::Released(segments) => self.released.extend(segments),
            Change::Closed | Change::Sealed | Change::Batch(_) | Change::Kept(_) | Change::Keys(_) => {}
        }
        true
    }

    /// The segments that mean nothing any more; damage where one is missing that does.
    fn leftovers(&self, files: &BTreeMap<u64, Arc<dyn DiskFile>>, mark: &Mark) -> Found<Vec<u64>> {
        let last = *files.keys().next_back().expect("there is one");
        let required: BTreeSet<u64> = self.required.iter().copied().chain(mark.segment..=last).collect();
        if let Some(missing) =
            required.iter().find(|number| !self.released.contains(number) && !files.contains_key(number))
        {
            return Err(Damage::new(*missing, 0_u64, "its file is missing").into());
        }
        let is_left = |number: &&u64| !required.contains(number) || self.released.contains(number);
        Ok(files.keys().filter(is_left).copied().collect())
    }
}

impl Recovered {
    /// Puts the entries and keys of a record back that are alive. `next` is the offset that a batch must begin with.
    fn take_entries(
        &mut self,
        segment: u64,
        record: Record<'_>,
        next: Option<&mut Offset>,
        now_ms: u64,
    ) -> Found<()> {
        let damaged = |malformed| Damage::malformed(segment, record.at, malformed);
        match Change::decode(record.kind, record.body).map_err(damaged)? {
            Change::Batch(body) => {
                let (first, last) = self.take_all(segment, record, body, now_ms)?;
                let count = last.get() - first.get() + 1;
                let follows = next.as_ref().is_none_or(|next| **next == first);
                if !follows || count != self.taken {
                    return Err(
                        Damage::new(segment, record.at, "the offsets do not follow each other").into()
                    );
                }
                if let Some(next) = next {
                    *next = last.next();
                }
                Ok(())
            }
            Change::Kept(body) => self.take_all(segment, record, body, now_ms).map(|_| ()),
            Change::Opened { is_synced, at_ms, .. } => {
                self.last_opening = Some(LastOpening { is_synced, at_ms });
                Ok(())
            }
            Change::Keys(keys) => {
                self.segments.get_mut(segment).key_bytes += record.body.len() as u64;
                for used in keys {
                    if is_remembered(used.used_ms, now_ms) {
                        self.lanes.restore_key(used.lane, &used.key, used.digest, used.offset, used.used_ms);
                        self.segments.get_mut(segment).last_key = self.lanes.keys(now_ms).0;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Puts the entries of a body back; returns the first and the last offset, and notes how many there were.
    fn take_all(
        &mut self,
        segment: u64,
        record: Record<'_>,
        body: &[u8],
        now_ms: u64,
    ) -> Found<(Offset, Offset)> {
        let damaged = |malformed| Damage::malformed(segment, record.at, malformed);
        let mut reader = Reader::new(body);
        let within = |left: usize| u32::try_from(body.len() - left).expect("records are bounded");
        let mut range = None;
        self.taken = 0;
        while !reader.is_empty() {
            let begin = within(reader.left());
            let raw = RawEntry::read(&mut reader).map_err(damaged)?;
            let len = within(reader.left()) - begin;
            let (first, last) = range.unwrap_or((raw.offset, Offset::ZERO));
            if raw.offset <= last {
                return Err(Damage::new(segment, record.at, "the offsets do not grow").into());
            }
            range = Some((first, raw.offset));
            self.taken += 1;
            if is_remembered(raw.taken_ms, now_ms)
                && !self.forgets_keys
                && let Some(key) = raw.key().map_err(damaged)?
            {
                let digest = raw.digest().map_err(damaged)?;
                self.lanes.restore_key(raw.lane, &key, digest, raw.offset, raw.taken_ms);
                self.segments.get_mut(segment).last_key = self.lanes.keys(now_ms).0;
            }
            let place = Place { segment, at: record.body_at() + begin, len };
            if self.lanes.restore_entry(raw.lane, raw.kept(), place) {
                self.segments.add_live(segment, u64::from(len));
            }
        }
        range.ok_or_else(|| Damage::new(segment, record.at, "it holds no entry").into())
    }
}

/// Whether a key that was used then may still be remembered.
pub(crate) fn is_remembered(used_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(used_ms) <= DEDUP_WINDOW_S * 1000
}
