//! Checkpoints: the state of all lanes, cursors and values in the log, so that what is older need not be read.
//!
//! Written piece by piece between other records, so that nobody waits for it. A piece holds the state at its place.

use std::collections::VecDeque;
use std::ops::Bound;

use eric_sse::lane::OpenLane;

use crate::format::change::{Change, Counters};
use crate::segments::Segment;
use crate::state::State;

/// Bytes of pieces that one group carries, about.
const PIECE_BYTES: usize = 64 * 1024;
/// Lanes whose state is looked at for one piece.
const PIECE_LANES: usize = 256;
/// Bytes that must be left in a segment for a piece.
const PIECE_ROOM: usize = 4096;

/// Who has the store open: a checkpoint says it again, for the segment that said it first may be let go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    pub(crate) is_synced: bool,
    /// When it is said again.
    pub(crate) at_ms: u64,
}

/// A checkpoint under way.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The segment that it begins in.
    segment: u64,
    who: Opened,
    has_begun: bool,
    lanes: VecDeque<OpenLane>,
    /// The last key whose value is written; none once all are.
    values: Option<Bound<String>>,
    bytes: u64,
}

impl State {
    /// Begins a checkpoint where enough was written since the last one. Called when a segment begins.
    pub(crate) fn consider_checkpoint(&mut self, who: Opened) {
        let end = &mut self.end;
        if end.checkpoint.is_none() && end.since_checkpoint >= 2 * end.checkpoint_bytes {
            end.since_checkpoint = 0;
            end.checkpoint = Some(Checkpoint {
                segment: end.current.number,
                who,
                has_begun: false,
                lanes: VecDeque::new(),
                values: Some(Bound::Unbounded),
                bytes: 0,
            });
        }
    }

    /// Plans the next pieces of the checkpoint that is under way.
    pub(crate) fn plan_checkpoint(&mut self) {
        let Some(mut checkpoint) = self.end.checkpoint.take() else { return };
        let before = self.end.group.bytes.len();
        let is_done = self.plan_pieces(&mut checkpoint, before + PIECE_BYTES);
        checkpoint.bytes += (self.end.group.bytes.len() - before) as u64;
        if is_done {
            self.end.group.checkpoint = Some(checkpoint.segment);
            self.end.checkpoint_bytes = checkpoint.bytes;
        } else {
            self.end.checkpoint = Some(checkpoint);
        }
    }

    /// Plans pieces until the group has this many bytes. Whether that was the last one.
    fn plan_pieces(&mut self, checkpoint: &mut Checkpoint, bytes: usize) -> bool {
        if !checkpoint.has_begun {
            let mut segments = self.segments.numbers();
            if self.end.room(false) < PIECE_ROOM + 10 * segments.len() {
                return false;
            }
            checkpoint.has_begun = true;
            checkpoint.segment = self.end.current.number;
            // What is opened from here on stands after the beginning.
            checkpoint.lanes = self.lanes.list().into();
            segments.retain(|number| *number < checkpoint.segment);
            let counters = Counters {
                epoch: self.lanes.epoch(),
                tail: self.lanes.tail(),
                lanes_opened: self.lanes.counters().0,
                opening: self.end.opening,
            };
            let (epoch, opening) = (counters.epoch, counters.opening);
            self.end.group.put(&Change::CheckpointBegun { counters, segments });
            let Opened { is_synced, at_ms } = checkpoint.who;
            self.end.group.put(&Change::Opened { epoch, opening, is_synced, at_ms });
        }
        while self.end.group.bytes.len() < bytes && self.end.room(false) >= PIECE_ROOM {
            if self.put_lanes(checkpoint) || self.put_values(checkpoint) {
                continue;
            }
            if checkpoint.values.is_none() {
                self.end.group.put(&Change::CheckpointEnded);
                return true;
            }
            return false;
        }
        false
    }

    /// Plans to release the segments in which nothing is alive.
    pub(crate) fn plan_release(&mut self, now_ms: u64) {
        // Notes come first: what is released is dead on the ground of records that are in the log.
        if !self.notes.is_empty() {
            return;
        }
        let (_, forgotten) = self.lanes.keys(now_ms);
        let before = if self.recycles_early { self.end.current.number } else { self.checkpoint };
        let is_dead = |number: u64, segment: &Segment| {
            number < before
                && segment.live_bytes == 0
                && segment.last_key <= forgotten
                && !self.rewriting.contains(&number)
                && !self.releasing.contains(&number)
        };
        let dead = self.segments.iter().filter(|(number, segment)| is_dead(*number, segment));
        let dead: Vec<u64> = dead.map(|(number, _)| number).take(PIECE_LANES).collect();
        if !dead.is_empty() && self.end.room(false) >= dead.len() * 10 {
            self.end.group.put(&Change::Released(dead.clone()));
            self.releasing.extend(&dead);
            self.end.group.released = dead;
        }
    }

    /// Puts the state of some lanes; false where there are no more.
    fn put_lanes(&mut self, checkpoint: &mut Checkpoint) -> bool {
        let (mut channels, mut listeners) = (Vec::new(), Vec::new());
        let most = PIECE_LANES.min(self.end.room(false) / LANE_BYTES_MAX).min(checkpoint.lanes.len());
        for open in checkpoint.lanes.drain(..most) {
            match open.channel {
                None => channels.extend(self.lanes.channel_state(open.lane)),
                Some(_) => listeners.extend(self.lanes.listener_state(open.lane)),
            }
        }
        if !channels.is_empty() {
            self.end.group.put(&Change::Channels(channels));
        }
        if !listeners.is_empty() {
            self.end.group.put(&Change::Listeners(listeners));
        }
        most > 0
    }

    /// Puts some values; false where there are no more, or no room for the next.
    fn put_values(&mut self, checkpoint: &mut Checkpoint) -> bool {
        let Some(after) = checkpoint.values.take() else { return false };
        let (mut values, mut bytes) = (Vec::new(), 0);
        let mut last = None;
        for (key, value) in self.values.range((after.clone(), Bound::Unbounded)) {
            bytes += key.len() + value.len() + 20;
            if bytes > self.end.room(false) || values.len() >= PIECE_LANES {
                break;
            }
            last = Some(key.clone());
            values.push((key.as_str().into(), value.as_ref().into()));
        }
        if let Some(last) = last {
            self.end.group.put(&Change::Values(values));
            checkpoint.values = Some(Bound::Excluded(last));
            return true;
        }
        // Nothing was put: either there is none after this, or it does not fit here.
        checkpoint.values = (bytes > 0).then_some(after);
        false
    }
}

impl Checkpoint {
    /// A listener joined meanwhile: whoever reads the log may not know its channel yet, so its state is to come.
    pub(crate) fn add(&mut self, open: OpenLane) {
        if self.has_begun {
            self.lanes.push_back(open);
        }
    }
}

/// Bytes that the state of one lane takes at most: its numbers, and the stretches that it remembers.
const LANE_BYTES_MAX: usize = 200 + 20 * eric_sse::limits::TRIMMED_RUNS_MAX;
