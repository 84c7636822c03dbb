//! Reading a store that may be damaged: every segment to its end, every place that is bad, and from which checkpoint on
//! the state can be told.

use std::collections::{BTreeMap, BTreeSet};

use super::{Files, Reading, Watch};
use crate::damage::{Damage, Fault, Found};
use crate::format::change::{Change, kind};
use crate::format::codec::{Malformed, Reader};
use crate::format::entry::RawEntry;
use crate::recover::Mark;
use crate::scan::{Piece, Record, Scan, SegmentEnd};

/// What was found in a store that may be damaged.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) segments: Vec<SegmentSurvey>,
    /// Every place that is bad, but those in segments that mean nothing any more.
    pub(super) damages: Vec<Damage>,
    /// Where the last checkpoint begins that is whole, and the last lane that had been opened then.
    pub(super) checkpoint: Option<(Mark, u64)>,
    /// Segments that are there and mean nothing any more.
    pub(super) leftovers: BTreeSet<u64>,
    /// The number of the store, if any segment tells it.
    store: Option<u64>,
    last: u64,
}

/// What was found in one segment.
#[derive(Debug)]
pub(super) struct SegmentSurvey {
    pub(super) number: u64,
    pub(super) size: u64,
    /// Records of each kind.
    pub(super) records: BTreeMap<u8, u64>,
    pub(super) entries: u64,
    /// Bytes in which nothing can be read although something was there.
    pub(super) bad_bytes: u64,
    /// Bytes at the end that were never acknowledged.
    pub(super) torn_bytes: u64,
}

/// A checkpoint that was begun and not yet ended.
struct Begun {
    mark: Mark,
    lanes_opened: u64,
    segments: Vec<u64>,
}

/// What is noted on the way through all segments.
#[derive(Default)]
struct Notes {
    damages: Vec<Damage>,
    begun: Option<Begun>,
    whole: Option<Begun>,
    released: BTreeSet<u64>,
}

impl Survey {
    /// Reads everything once.
    pub(super) fn of(files: &Files, watch: Watch<'_>) -> Self {
        let last = *files.keys().next_back().expect("a store has a segment");
        let tell = |number: u64| Scan::read(number, &files[&number]).ok().map(|scan| scan.head.store);
        let store = files.keys().rev().find_map(|number| tell(*number));
        let mut survey = Self {
            segments: Vec::new(),
            damages: Vec::new(),
            checkpoint: None,
            leftovers: BTreeSet::new(),
            store,
            last,
        };
        let mut reading = Reading::new("reading", files, 1, watch);
        let mut notes = Notes::default();
        let mut before = None;
        for (number, file) in files {
            if before.is_some_and(|before| before + 1 != *number) {
                // What is missing between them may be a piece of the checkpoint, if it has begun.
                notes.begun = None;
            }
            before = Some(*number);
            let size = file.size().unwrap_or(0);
            let segment = survey.look_at(*number, size, files, &mut notes);
            survey.segments.push(segment);
            reading.has_read(0, *number);
        }
        survey.conclude(files, notes);
        survey
    }

    fn look_at(&self, number: u64, size: u64, files: &Files, notes: &mut Notes) -> SegmentSurvey {
        let mut segment =
            SegmentSurvey { number, size, records: BTreeMap::new(), entries: 0, bad_bytes: 0, torn_bytes: 0 };
        let (scan, damage) = self.read(number, files);
        notes.damages.extend(damage);
        let Some(scan) = scan else {
            (segment.bad_bytes, notes.begun) = (size, None);
            return segment;
        };
        let end = self.walk(&scan, |piece| match piece {
            Piece::Record(record) => {
                *segment.records.entry(record.kind).or_default() += 1;
                match notes.take(number, record) {
                    Ok(entries) => segment.entries += entries,
                    Err(malformed) => {
                        notes.begun = None;
                        notes.damages.push(Damage::malformed(number, record.at, malformed));
                    }
                }
            }
            Piece::Bad(bad) => {
                segment.bad_bytes += u64::from(bad.to) - bad.damage.at;
                notes.begun = None;
                notes.damages.push(bad.damage);
            }
        });
        segment.torn_bytes = u64::from(end.torn_to - end.at);
        segment
    }

    /// Draws from the notes what is missing and what means nothing.
    fn conclude(&mut self, files: &Files, notes: Notes) {
        let Notes { damages, whole, released, .. } = notes;
        let first = *files.keys().next().expect("a store has a segment");
        self.damages = damages;
        let required: BTreeSet<u64> = match &whole {
            Some(whole) => whole.segments.iter().copied().chain(whole.mark.segment..=self.last).collect(),
            None => (first..=self.last).collect(),
        };
        if whole.is_none() && first != 1 {
            self.damages.push(Damage::new(first, 0_u64, "the segments before it are missing"));
        }
        let is_missing = |number: &&u64| !released.contains(number) && !files.contains_key(number);
        let missing = required.iter().filter(is_missing);
        self.damages.extend(missing.map(|number| Damage::new(*number, 0_u64, "its file is missing")));
        let is_left = |number: &&u64| !required.contains(number) || released.contains(number);
        self.leftovers = files.keys().filter(is_left).copied().collect();
        self.damages.retain(|damage| !self.leftovers.contains(&damage.segment));
        self.damages.sort_by_key(|damage| (damage.segment, damage.at));
        self.checkpoint = whole.map(|whole| (whole.mark, whole.lanes_opened));
    }

    /// Reads a segment, as far as it can be read.
    fn read(&self, number: u64, files: &Files) -> (Option<Scan>, Option<Damage>) {
        match Scan::read_damaged(number, &files[&number], self.store) {
            Ok((scan, damage)) => (Some(scan), damage),
            Err(Fault::Damaged(damage)) => (None, Some(damage)),
            Err(Fault::Disk { what, error }) => {
                (None, Some(Damage::new(number, 0_u64, format!("{what}: {error}"))))
            }
        }
    }

    fn walk(&self, scan: &Scan, mut visit: impl FnMut(Piece<'_>)) -> SegmentEnd {
        let is_last = scan.head.number == self.last;
        let visit = |piece: Piece<'_>| {
            visit(piece);
            Ok(())
        };
        scan.walk_damaged(is_last, visit).expect("nothing fails but the visit, which does not")
    }

    /// Visits the segments that mean something again, from this one on.
    pub(super) fn revisit(
        &self,
        files: &Files,
        from: u64,
        mut reading: Reading<'_>,
        mut visit: impl FnMut(&Scan, Piece<'_>) -> Found<()>,
    ) -> Found<()> {
        let is_last = |number: u64| number == self.last;
        for number in files.range(from..).map(|(number, _)| *number) {
            if self.leftovers.contains(&number) {
                continue;
            }
            if let (Some(scan), _) = self.read(number, files) {
                scan.walk_damaged(is_last(number), |piece| visit(&scan, piece))?;
            }
            reading.has_read(0, number);
        }
        Ok(())
    }
}

impl Notes {
    /// Takes note of a record; returns how many entries it holds.
    fn take(&mut self, segment: u64, record: Record<'_>) -> Result<u64, Malformed> {
        match Change::decode(record.kind, record.body)? {
            Change::Batch(body) | Change::Kept(body) => return count(body),
            Change::CheckpointBegun { counters, segments } => {
                let mark = Mark { segment, at: record.at };
                self.begun = Some(Begun { mark, lanes_opened: counters.lanes_opened, segments });
            }
            Change::CheckpointEnded => {
                if let Some(begun) = self.begun.take() {
                    self.whole = Some(begun);
                }
            }
            Change::Released(segments) => self.released.extend(segments),
            _ => {}
        }
        Ok(0)
    }
}

fn count(body: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(body);
    let mut entries = 0;
    while !reader.is_empty() {
        RawEntry::read(&mut reader)?;
        entries += 1;
    }
    Ok(entries)
}

/// What people call a kind of records.
pub(super) fn name_of(number: u8) -> &'static str {
    match number {
        kind::OPENED => "Opened",
        kind::CLOSED => "Closed",
        kind::SEALED => "Sealed",
        kind::BATCH => "Batch",
        kind::LANE_OPENED => "LaneOpened",
        kind::RETAINED => "Retained",
        kind::LANE_CLOSED => "LaneClosed",
        kind::JOINED => "Joined",
        kind::LEFT => "Left",
        kind::MOVED => "Moved",
        kind::TRIMMED => "Trimmed",
        kind::UPSERTED => "Upserted",
        kind::DELETED => "Deleted",
        kind::CHECKPOINT_BEGUN => "CheckpointBegun",
        kind::CHANNELS => "Channels",
        kind::LISTENERS => "Listeners",
        kind::VALUES => "Values",
        kind::CHECKPOINT_ENDED => "CheckpointEnded",
        kind::KEPT => "Kept",
        kind::KEYS => "Keys",
        kind::RELEASED => "Released",
        _ => "unknown",
    }
}
