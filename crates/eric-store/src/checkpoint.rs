//! Checkpoints: the state of all lanes, cursors and values in the log, so that what is older need not be read.
//!
//! Written piece by piece between other records, so that nobody waits for it. A piece holds the state at its place.

use std::collections::VecDeque;
use std::ops::Bound;

use eric_sse::lane::OpenLane;

use crate::format::change::Change;
use crate::format::frame::RECORD_OVERHEAD_BYTES;
use crate::group::Group;
use crate::settings::Sabotage;
use crate::state::State;
use crate::writer::Writer;

/// Bytes of pieces that one group carries, about.
const PIECE_BYTES: usize = 64 * 1024;
/// Lanes whose state is looked at for one piece.
const PIECE_LANES: usize = 256;
/// Bytes that must be left in a segment for a piece.
const PIECE_ROOM: usize = 4096;

/// A checkpoint under way.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The segment that it begins in.
    segment: u64,
    has_begun: bool,
    lanes: VecDeque<OpenLane>,
    /// The last key whose value is written; none once all are.
    values: Option<Bound<String>>,
    bytes: u64,
}

impl Writer {
    /// Begins a checkpoint where enough was written since the last one. Called when a segment begins.
    pub(crate) fn consider_checkpoint(&mut self) {
        if self.checkpoint.is_none() && self.since_checkpoint >= 2 * self.checkpoint_bytes {
            self.since_checkpoint = 0;
            self.checkpoint = Some(Checkpoint {
                segment: self.current.number,
                has_begun: false,
                lanes: VecDeque::new(),
                values: Some(Bound::Unbounded),
                bytes: 0,
            });
        }
    }

    /// Plans the next pieces of the checkpoint that is under way.
    pub(crate) fn plan_checkpoint(&mut self, group: &mut Group) {
        let Some(mut checkpoint) = self.checkpoint.take() else { return };
        let before = group.bytes.len();
        let shared = self.shared.clone();
        let state = shared.state.lock();
        if !checkpoint.has_begun {
            if self.room_left(group) < PIECE_ROOM + 10 * state.segments.numbers().len() {
                self.checkpoint = Some(checkpoint);
                return;
            }
            checkpoint.has_begun = true;
            checkpoint.segment = self.current.number;
            // What is opened from here on stands after the beginning.
            checkpoint.lanes = state.lanes.list().into();
            let mut segments = state.segments.numbers();
            segments.retain(|number| *number < checkpoint.segment);
            group.put(&Change::CheckpointBegun { counters: self.counters(&state), segments });
        }
        while group.bytes.len() - before < PIECE_BYTES && self.room_left(group) >= PIECE_ROOM {
            if checkpoint.put_lanes(&state, group, self.room_left(group)) {
                continue;
            }
            if checkpoint.put_values(&state, group, self.room_left(group)) {
                continue;
            }
            if checkpoint.values.is_none() {
                group.put(&Change::CheckpointEnded);
                group.checkpoint = Some(checkpoint.segment);
                self.checkpoint_bytes = checkpoint.bytes;
                return;
            }
            break;
        }
        checkpoint.bytes += (group.bytes.len() - before) as u64;
        self.checkpoint = Some(checkpoint);
    }

    /// Bytes that are left for a body.
    pub(crate) fn room_left(&self, group: &Group) -> usize {
        self.current.room(false).saturating_sub(group.bytes.len() + RECORD_OVERHEAD_BYTES)
    }

    /// Plans to release the segments in which nothing is alive.
    pub(crate) fn plan_release(&mut self, group: &mut Group) {
        let now_ms = self.now_ms();
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        // Notes come first: what is released is dead on the ground of records that are in the log.
        if !state.notes.is_empty() {
            return;
        }
        let (_, forgotten) = state.lanes.keys(now_ms);
        let checkpoint = match self.shared.is_planted(Sabotage::RecycleEarly) {
            true => self.current.number,
            false => state.checkpoint,
        };
        let is_dead = |(number, segment): &(u64, &crate::segments::Segment)| {
            *number < checkpoint && segment.live_bytes == 0 && segment.last_key <= forgotten
        };
        let rewriting = state.rewriting.clone();
        let dead: Vec<u64> = state
            .segments
            .iter()
            .filter(is_dead)
            .map(|(number, _)| number)
            .filter(|number| !rewriting.contains(number))
            .take(PIECE_LANES)
            .collect();
        if !dead.is_empty() && self.room_left(group) >= dead.len() * 10 {
            group.put(&Change::Released(dead.clone()));
            group.released = dead;
        }
    }
}

impl Checkpoint {
    /// A listener joined meanwhile: whoever reads the log may not know its channel yet, so its state is to come.
    pub(crate) fn add(&mut self, open: OpenLane) {
        if self.has_begun {
            self.lanes.push_back(open);
        }
    }

    /// Puts the state of some lanes; false where there are no more.
    fn put_lanes(&mut self, state: &State, group: &mut Group, room: usize) -> bool {
        let (mut channels, mut listeners) = (Vec::new(), Vec::new());
        let most = PIECE_LANES.min(room / LANE_BYTES_MAX).min(self.lanes.len());
        for open in self.lanes.drain(..most) {
            match open.channel {
                None => channels.extend(state.lanes.channel_state(open.lane)),
                Some(_) => listeners.extend(state.lanes.listener_state(open.lane)),
            }
        }
        if !channels.is_empty() {
            group.put(&Change::Channels(channels));
        }
        if !listeners.is_empty() {
            group.put(&Change::Listeners(listeners));
        }
        most > 0
    }

    /// Puts some values; false where there are no more, or no room for the next.
    fn put_values(&mut self, state: &State, group: &mut Group, room: usize) -> bool {
        let Some(after) = &self.values else { return false };
        let (mut values, mut bytes) = (Vec::new(), 0);
        let mut last = None;
        for (key, value) in state.values.range((after.clone(), Bound::Unbounded)) {
            bytes += key.len() + value.len() + 20;
            if bytes > room || values.len() >= PIECE_LANES {
                break;
            }
            last = Some(key.clone());
            values.push((key.as_str().into(), value.as_ref().into()));
        }
        match last {
            Some(last) => {
                group.put(&Change::Values(values));
                self.values = Some(Bound::Excluded(last));
                true
            }
            None => {
                if bytes == 0 {
                    self.values = None;
                }
                false
            }
        }
    }
}

/// Bytes that the state of one lane takes at most: its numbers, and the stretches that it remembers.
const LANE_BYTES_MAX: usize = 200 + 20 * eric_sse::limits::TRIMMED_RUNS_MAX;
