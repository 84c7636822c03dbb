//! The window: recent entries that the live readers of a hub share, and who is woken by what.
//!
//! The engine reports what it has committed ([`Feed`]); the window keeps it for the lanes that somebody follows,
//! bounded by bytes, and wakes exactly the followers of those lanes. A reader that falls out of the window reads
//! from the engine. It decides nothing about delivery: that is `follow.rs`.

mod slot;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use self::slot::Slot;
use crate::cursor::Fence;
use crate::engine::{Feed, FeedEvent};
use crate::entry::{Entry, Offset};
use crate::framed::Framed;
use crate::lane::Lane;
use crate::log::Budget;
use crate::stats::Stats;

/// Bytes that an entry costs in the window beside its message and its frames.
const ENTRY_OVERHEAD_BYTES: usize = 384;

/// The seam from the window to a stream (one reader) or an audience (many): called when a followed lane moved.
/// Never blocks, never calls back.
pub(crate) trait Follower: Send + Sync {
    /// What is new in the lane of a reader with a seat. Comes before the tail moves, and [`Follower::moved`] after it.
    fn hand(&self, _: Framed) {}
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
    followed: FxHashMap<Lane, Followed>,
    /// What the window holds, oldest first; entries of lanes that nobody follows any more linger here as a cost.
    order: VecDeque<Held>,
    bytes: usize,
    /// Who is to be woken.
    dirty: VecDeque<(Followed, Wake)>,
}

/// How a lane is followed.
#[derive(Clone)]
enum Followed {
    /// Its recent entries are kept, for readers that look for them.
    Slot(Arc<Slot>),
    /// Nothing is kept: a listener's lane, whose only reader has a seat and is handed what comes.
    Seat(Arc<dyn Follower>),
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").finish_non_exhaustive()
    }
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

impl Wake {
    fn tell(self, follower: &dyn Follower) {
        match self {
            Self::Moved => follower.moved(),
            Self::LeaseTaken(fence) => follower.lease_taken(fence),
            Self::Removed => follower.removed(),
        }
    }
}

impl Followed {
    fn wake(&self, wake: Wake) {
        match self {
            Self::Slot(slot) => slot.wake(wake),
            Self::Seat(seated) => wake.tell(&**seated),
        }
    }
}

/// One follower's place in the window; leaves it when dropped.
pub(crate) struct Following {
    window: Arc<Window>,
    places: [Option<(Lane, Arc<Slot>, usize)>; 2],
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").finish_non_exhaustive()
    }
}

impl Window {
    pub(crate) fn new(tail: Offset, bytes_max: usize, stats: Arc<Stats>) -> Self {
        let tail = AtomicU64::new(tail.get());
        Self { stats, bytes_max, tail, state: Mutex::default() }
    }

    /// Everything up to here is in the window, for those who follow.
    pub(crate) fn tail(&self) -> Offset {
        Offset::new(self.tail.load(Ordering::Acquire))
    }

    /// Makes `follower` one of the followers of `lanes`: a channel's, and perhaps a listener's.
    pub(crate) fn follow(self: &Arc<Self>, lanes: &[Lane], follower: &Arc<dyn Follower>) -> Following {
        let mut places = [const { None }; 2];
        let mut state = self.state.lock();
        let tail = self.tail();
        for (index, (place, lane)) in places.iter_mut().zip(lanes).enumerate() {
            let slot = state.slot(*lane, tail, index > 0);
            let key = slot.state.lock().followers.insert(follower.clone());
            *place = Some((*lane, slot, key));
        }
        Following { window: self.clone(), places }
    }

    fn append(&self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        // An entry counts for itself and, where many read it, for each format that it will be encoded to.
        let formats = self.stats.formats_used.load(Ordering::Relaxed).count_ones().max(1) as usize;
        let mut state = self.state.lock();
        for of_lane in entries.chunk_by(|one, next| one.lane() == next.lane()) {
            let State { followed, order, bytes, dirty } = &mut *state;
            let slot = match followed.get(&of_lane[0].lane()) {
                None => continue,
                Some(Followed::Seat(seated)) => {
                    of_lane.iter().for_each(|entry| seated.hand(Framed::of_one(entry.clone())));
                    dirty.push_back((Followed::Seat(seated.clone()), Wake::Moved));
                    continue;
                }
                Some(Followed::Slot(slot)) => slot,
            };
            let mut lane = slot.state.lock();
            for entry in of_lane {
                let (copies, framed) = match slot.is_own {
                    true => (1, Framed::of_one(entry.clone())),
                    false => (1 + formats, Framed::of_many(entry.clone())),
                };
                if let Some(seated) = &lane.seat {
                    seated.hand(framed.clone());
                }
                let held = ENTRY_OVERHEAD_BYTES + copies * entry.bytes();
                order.push_back(Held { lane: entry.lane(), offset: entry.offset(), bytes: held });
                *bytes += held;
                lane.recent.push_back((entry.offset(), framed));
            }
            slot.upto.store(of_lane[of_lane.len() - 1].offset().get(), Ordering::Release);
            if !std::mem::replace(&mut lane.is_dirty, true) {
                dirty.push_back((Followed::Slot(slot.clone()), Wake::Moved));
            }
        }
        while state.bytes + self.stats.window_excess.load(Ordering::Relaxed) > self.bytes_max
            && let Some(held) = state.order.pop_front()
        {
            state.bytes -= held.bytes;
            if let Some(Followed::Slot(slot)) = state.followed.get(&held.lane) {
                slot.forget_to(held.offset);
            }
        }
        self.tail.store(last.offset().get(), Ordering::Release);
    }

    fn mark(&self, lane: Lane, wake: Wake) {
        let mut state = self.state.lock();
        if let Some(followed) = state.followed.get(&lane).cloned() {
            state.dirty.push_back((followed, wake));
        }
    }
}

impl State {
    fn is_followed_by(&self, lane: Lane, slot: &Arc<Slot>) -> bool {
        matches!(self.followed.get(&lane), Some(Followed::Slot(present)) if Arc::ptr_eq(present, slot))
    }

    /// The slot of `lane`, which begins at `tail` if there is none yet.
    fn slot(&mut self, lane: Lane, tail: Offset, is_own: bool) -> Arc<Slot> {
        let seated = match self.followed.get(&lane) {
            Some(Followed::Slot(slot)) => return slot.clone(),
            Some(Followed::Seat(seated)) => Some(seated.clone()),
            None => None,
        };
        let slot = Slot::new(tail, is_own);
        slot.state.lock().seat = seated;
        self.followed.insert(lane, Followed::Slot(slot.clone()));
        slot
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
                match state.followed.get(&lane) {
                    Some(Followed::Slot(slot)) if !is_finished => slot.trim_to(to),
                    // Nobody else will ask for what its only reader has finished.
                    Some(Followed::Slot(slot)) if slot.is_own => slot.forget_to(to),
                    // What every listener had finished is no loss to them: a watcher may still find it here. And what
                    // was handed to a seat is its own.
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
            let Some((followed, wake)) = state.dirty.pop_front() else { return };
            left = (left - 1).min(state.dirty.len());
            drop(state);
            followed.wake(wake);
        }
    }
}

impl Following {
    /// Hands the entries of the followed lanes after `after` to `out`, merged in log order, within `budget`.
    pub(crate) fn read(&self, after: Offset, budget: Budget, out: &mut Vec<Framed>) -> WindowRead {
        // Everything up to the tail was in the slots before the tail was moved, so it is loaded first.
        let tail = self.window.tail();
        let start = out.len();
        let mut lanes_found = 0;
        for (_, slot, _) in self.places.iter().flatten() {
            // So is what the slot says of itself, before the tail was moved.
            if slot.upto.load(Ordering::Acquire) <= after.get() {
                continue;
            }
            lanes_found += 1;
            let lane = slot.state.lock();
            let Some(recent) = lane.after(after) else {
                out.truncate(start);
                return WindowRead::Behind;
            };
            let within = recent.take_while(|(at, _)| *at <= tail);
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

impl Following {
    /// Gives the reader, which has read up to `after`, a seat: from here on `seated` is handed what is new in its own
    /// lane, the first followed lane is its audience's to look at, and this place is empty. What it has not read up to
    /// `upto` is added to `out`, what is new in its own lane after that is handed to the seat. False, and nothing
    /// happened, where the window does not reach back.
    pub(crate) fn seat(
        &mut self,
        seated: &Arc<dyn Follower>,
        after: Offset,
        upto: Offset,
        out: &mut Vec<Framed>,
    ) -> bool {
        let window = self.window.clone();
        let mut state = window.state.lock();
        let start = out.len();
        let mut later = Vec::new();
        for (index, (_, slot, _)) in self.places.iter().flatten().enumerate() {
            let lane = slot.state.lock();
            let Some(recent) = lane.after(after) else {
                out.truncate(start);
                return false;
            };
            for (at, framed) in recent {
                match *at <= upto {
                    true => out.push(framed.clone()),
                    false if index > 0 => later.push(framed.clone()),
                    false => break,
                }
            }
        }
        out[start..].sort_unstable_by_key(|framed| framed.entry().offset());
        later.into_iter().for_each(|framed| seated.hand(framed));
        if let Some((lane, slot, _)) = &self.places[1] {
            slot.state.lock().seat = Some(seated.clone());
            debug_assert!(state.is_followed_by(*lane, slot));
        }
        self.leave(&mut state);
        true
    }

    /// Leaves all places.
    fn leave(&mut self, state: &mut State) {
        for (lane, slot, key) in self.places.iter_mut().filter_map(Option::take) {
            let mut followed = slot.state.lock();
            followed.followers.remove(key);
            let is_last = followed.followers.is_empty();
            let seat = followed.seat.clone();
            drop(followed);
            if is_last && state.is_followed_by(lane, &slot) {
                match seat {
                    Some(seated) => state.followed.insert(lane, Followed::Seat(seated)),
                    None => state.followed.remove(&lane),
                };
            }
        }
    }
}

impl Window {
    /// Takes the seat of `seated` in `lane` away, if it is still the one that has it.
    pub(crate) fn unseat(&self, lane: Lane, seated: &Arc<dyn Follower>) {
        let mut state = self.state.lock();
        match state.followed.get(&lane) {
            Some(Followed::Seat(present)) if Arc::ptr_eq(present, seated) => {
                state.followed.remove(&lane);
            }
            Some(Followed::Slot(slot)) => {
                slot.state.lock().seat.take_if(|present| Arc::ptr_eq(present, seated));
            }
            _ => {}
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let window = self.window.clone();
        self.leave(&mut window.state.lock());
    }
}
