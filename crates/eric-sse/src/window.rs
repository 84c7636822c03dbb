//! The window: recent entries that the live readers of a hub share, and who is woken by what.
//!
//! The engine reports what it has committed ([`Feed`]); the window keeps it for the lanes that somebody follows,
//! bounded by bytes, and wakes exactly the followers of those lanes. A reader that falls out of the window reads
//! from the engine. It decides nothing about delivery: that is `follow.rs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::cursor::Fence;
use crate::engine::{Feed, FeedEvent};
use crate::entry::{Entry, Offset};
use crate::framed::Framed;
use crate::lane::Lane;
use crate::log::Budget;
use crate::stats::Stats;

/// Bytes that an entry costs in the window beside its message and its frames.
const ENTRY_OVERHEAD_BYTES: usize = 384;
/// Followers that are woken before the lane's lock is let go.
const WAKE_SLICE: usize = 256;

/// The seam from the window to a stream (one reader) or a shard (many): called when a followed lane moved.
/// Never blocks, never calls back.
pub(crate) trait Follower: Send + Sync {
    /// Something new is in a lane that it follows.
    fn moved(&self);
    /// The listener's lease was taken with `fence`.
    fn lease_taken(&self, fence: Fence);
    /// A followed lane is gone.
    fn removed(&self);
}

/// What a read of the window found.
#[derive(Debug)]
pub(crate) enum WindowRead {
    /// The window no longer reaches back to where the reader is, or something of its lanes was trimmed there.
    Behind,
    /// Entries were handed over; everything of the reader's lanes up to here was.
    Upto(Offset),
}

#[derive(Debug)]
pub(crate) struct Window {
    stats: Arc<Stats>,
    bytes_max: usize,
    /// Everything up to here is in the slots of the lanes that are followed.
    tail: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: FxHashMap<Lane, Arc<Slot>>,
    /// What the window holds, oldest first; entries of lanes that nobody follows any more linger here as a cost.
    order: VecDeque<Held>,
    bytes: usize,
    /// Lanes whose followers are to be woken.
    dirty: VecDeque<(Arc<Slot>, Wake)>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    lane: Lane,
    offset: Offset,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum Wake {
    Moved,
    LeaseTaken(Fence),
    Removed,
}

/// The window's part for one lane that is followed.
struct Slot {
    /// Whether it is a listener's lane, and not a channel's.
    is_own: bool,
    /// For whoever has read up to here there is nothing to find.
    upto: AtomicU64,
    state: Mutex<SlotState>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

struct SlotState {
    /// Every entry of the lane after this one is in `recent`.
    complete_from: Offset,
    trimmed_to: Offset,
    recent: VecDeque<(Offset, Framed)>,
    followers: Slab<Arc<dyn Follower>>,
    is_dirty: bool,
}

/// One follower's place in the window; leaves it when dropped.
pub(crate) struct Following {
    window: Arc<Window>,
    places: [Option<(Lane, Arc<Slot>, usize)>; 2],
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").finish_non_exhaustive()
    }
}

impl Window {
    pub(crate) fn new(tail: Offset, bytes_max: usize, stats: Arc<Stats>) -> Self {
        let tail = AtomicU64::new(tail.get());
        Self { stats, bytes_max, tail, state: Mutex::default() }
    }

    /// Makes `follower` one of the followers of `lanes`: a channel's, and perhaps a listener's.
    pub(crate) fn follow(self: &Arc<Self>, lanes: &[Lane], follower: &Arc<dyn Follower>) -> Following {
        let mut places = [const { None }; 2];
        let mut state = self.state.lock();
        let tail = Offset::new(self.tail.load(Ordering::Acquire));
        for (index, (place, lane)) in places.iter_mut().zip(lanes).enumerate() {
            let slot = state.slots.entry(*lane).or_insert_with(|| Slot::new(tail, index > 0));
            let key = slot.state.lock().followers.insert(follower.clone());
            *place = Some((*lane, slot.clone(), key));
        }
        Following { window: self.clone(), places }
    }

    fn append(&self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        // An entry counts for itself and, where many read it, for each format that it will be encoded to.
        let formats = self.stats.formats_used.load(Ordering::Relaxed).count_ones().max(1) as usize;
        let mut state = self.state.lock();
        for of_lane in entries.chunk_by(|one, next| one.lane() == next.lane()) {
            let State { slots, order, bytes, dirty } = &mut *state;
            let Some(slot) = slots.get(&of_lane[0].lane()) else { continue };
            let mut lane = slot.state.lock();
            for entry in of_lane {
                let (copies, framed) = match slot.is_own {
                    true => (1, Framed::of_one(entry.clone())),
                    false => (1 + formats, Framed::of_many(entry.clone())),
                };
                let held = ENTRY_OVERHEAD_BYTES + copies * entry.bytes();
                order.push_back(Held { lane: entry.lane(), offset: entry.offset(), bytes: held });
                *bytes += held;
                lane.recent.push_back((entry.offset(), framed));
            }
            slot.upto.store(of_lane[of_lane.len() - 1].offset().get(), Ordering::Release);
            if !std::mem::replace(&mut lane.is_dirty, true) {
                dirty.push_back((slot.clone(), Wake::Moved));
            }
        }
        while state.bytes + self.stats.window_excess.load(Ordering::Relaxed) > self.bytes_max
            && let Some(held) = state.order.pop_front()
        {
            state.bytes -= held.bytes;
            if let Some(slot) = state.slots.get(&held.lane) {
                slot.forget_to(held.offset);
            }
        }
        self.tail.store(last.offset().get(), Ordering::Release);
    }

    fn mark(&self, lane: Lane, wake: Wake) {
        let mut state = self.state.lock();
        if let Some(slot) = state.slots.get(&lane).cloned() {
            state.dirty.push_back((slot, wake));
        }
    }
}

impl Feed for Window {
    fn event(&self, event: FeedEvent<'_>) {
        match event {
            FeedEvent::Appended(entries) => self.append(entries),
            FeedEvent::Trimmed { lane, to, unread } => {
                let is_finished = unread.sum() == 0;
                if !is_finished {
                    self.stats.entries_evicted.add(unread);
                }
                let state = self.state.lock();
                match state.slots.get(&lane) {
                    Some(slot) if !is_finished => slot.trim_to(to),
                    // Nobody else will ask for what its only reader has finished.
                    Some(slot) if slot.is_own => slot.forget_to(to),
                    // What every listener had finished is no loss to them: a watcher may still find it here.
                    _ => {}
                }
            }
            FeedEvent::LeaseTaken { listener, fence } => self.mark(listener, Wake::LeaseTaken(fence)),
            FeedEvent::Removed { lane } => self.mark(lane, Wake::Removed),
        }
    }

    fn settle(&self) {
        // What others mark from here on is theirs to settle.
        let mut left = usize::MAX;
        while left > 0 {
            let mut state = self.state.lock();
            let Some((slot, wake)) = state.dirty.pop_front() else { return };
            left = (left - 1).min(state.dirty.len());
            drop(state);
            slot.wake(wake);
        }
    }
}

impl Slot {
    fn new(complete_from: Offset, is_own: bool) -> Arc<Self> {
        Arc::new(Self {
            is_own,
            upto: AtomicU64::new(complete_from.get()),
            state: Mutex::new(SlotState {
                complete_from,
                trimmed_to: Offset::ZERO,
                recent: VecDeque::new(),
                followers: Slab::new(),
                is_dirty: false,
            }),
        })
    }

    /// The window gives up the entry at `offset`; whoever has not read it reads it from the engine.
    fn forget_to(&self, offset: Offset) {
        let mut state = self.state.lock();
        while state.recent.front().is_some_and(|(at, _)| *at <= offset) {
            state.recent.pop_front();
        }
        state.complete_from = state.complete_from.max(offset);
        self.upto.fetch_max(offset.get(), Ordering::Release);
    }

    /// The log gave up the lane's entries up to `to`; whoever has not read them is told so by the engine.
    fn trim_to(&self, to: Offset) {
        let mut state = self.state.lock();
        while state.recent.front().is_some_and(|(at, _)| *at <= to) {
            state.recent.pop_front();
        }
        state.trimmed_to = state.trimmed_to.max(to);
        self.upto.fetch_max(to.get(), Ordering::Release);
    }

    fn wake(&self, wake: Wake) {
        let mut from = 0;
        loop {
            let mut state = self.state.lock();
            if let (Wake::Moved, 0) = (wake, from) {
                state.is_dirty = false;
            }
            let to = (from + WAKE_SLICE).min(state.followers.capacity());
            for key in from..to {
                if let Some(follower) = state.followers.get(key) {
                    match wake {
                        Wake::Moved => follower.moved(),
                        Wake::LeaseTaken(fence) => follower.lease_taken(fence),
                        Wake::Removed => follower.removed(),
                    }
                }
            }
            if to == state.followers.capacity() {
                return;
            }
            from = to;
        }
    }
}

impl SlotState {
    /// Where the first entry after `after` is among the recent ones. Looked for from the end, where readers are.
    fn first_after(&self, after: Offset) -> usize {
        let (recent, count) = (&self.recent, self.recent.len());
        let mut step = 1;
        while step <= count && recent[count - step].0 > after {
            step *= 2;
        }
        let (mut low, mut high) = (count.saturating_sub(step), count - step / 2);
        while low < high {
            let middle = low.midpoint(high);
            match recent[middle].0 > after {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        high
    }
}

impl Following {
    /// Hands the entries of the followed lanes after `after` to `out`, merged in log order, within `budget`.
    pub(crate) fn read(&self, after: Offset, budget: Budget, out: &mut Vec<Framed>) -> WindowRead {
        // Everything up to the tail was in the slots before the tail was moved, so it is loaded first.
        let tail = Offset::new(self.window.tail.load(Ordering::Acquire));
        let start = out.len();
        let mut lanes_found = 0;
        for (_, slot, _) in self.places.iter().flatten() {
            // So is what the slot says of itself, before the tail was moved.
            if slot.upto.load(Ordering::Acquire) <= after.get() {
                continue;
            }
            lanes_found += 1;
            let lane = slot.state.lock();
            if after < lane.complete_from || after < lane.trimmed_to {
                out.truncate(start);
                return WindowRead::Behind;
            }
            let within = lane.recent.range(lane.first_after(after)..).take_while(|(at, _)| *at <= tail);
            out.extend(within.take(budget.entries).map(|(_, framed)| framed.clone()));
        }
        if lanes_found > 1 {
            out[start..].sort_unstable_by_key(|framed| framed.entry().offset());
        }
        let (mut bytes, mut kept) = (0, start);
        while kept < out.len() && kept - start < budget.entries && (kept == start || bytes < budget.bytes) {
            bytes += out[kept].entry().bytes();
            kept += 1;
        }
        let all = kept == out.len() && kept - start < budget.entries;
        out.truncate(kept);
        match out.last() {
            Some(last) if !all && kept > start => WindowRead::Upto(last.entry().offset()),
            _ => WindowRead::Upto(tail.max(after)),
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut state = self.window.state.lock();
        for (lane, slot, key) in self.places.iter().flatten() {
            let mut followed = slot.state.lock();
            followed.followers.remove(*key);
            let is_last = followed.followers.is_empty();
            drop(followed);
            if is_last && state.slots.get(lane).is_some_and(|present| Arc::ptr_eq(present, slot)) {
                state.slots.remove(lane);
            }
        }
    }
}
