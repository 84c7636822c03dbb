//! The window: recent entries that the live readers of a hub share, and who is woken by what.
//!
//! The engine reports what it has committed ([`Feed`]); the window keeps it for the lanes that somebody follows,
//! bounded by bytes, and wakes exactly the followers of those lanes, if one of them waits. A reader that falls out of the
//! window reads from the engine; so does whoever comes for what a listener's only reader took out of it. It decides
//! nothing about delivery: that is `follow.rs`.

mod slot;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

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

/// The window lets go of stretches of a lane: each is about one of so many parts of what it may hold.
const RUNS: usize = 64;

/// The seam from the window to a stream (one reader) or an audience (many): called when a followed lane moved.
/// Never blocks, never calls back.
pub(crate) trait Follower: Send + Sync {
    /// What is new in the lane of a reader with a seat. Comes before the tail moves, and [`Follower::moved`] after it.
    fn hand(&self, _: Framed) {}
    /// Something new is in a lane that it follows. All who follow the lane are told, once after one of them said that it
    /// waits ([`Following::wait`]); who has a seat each time.
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
    /// One entry, as nearly always; it is all of the reader's lanes up to here.
    One(Framed, Offset),
    /// Entries were handed over; everything of the reader's lanes up to here was.
    Upto(Offset),
}

#[derive(Debug)]
pub(crate) struct Window {
    stats: Arc<Stats>,
    bytes_max: usize,
    /// Everything up to here is in the slots of the lanes that are followed.
    tail: AtomicU64,
    lanes_followed: AtomicUsize,
    /// Somebody is to be woken.
    is_dirty: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    followed: FxHashMap<Lane, Followed>,
    kept: Kept,
    /// Who is to be woken.
    dirty: VecDeque<(Followed, Wake)>,
}

/// What the window holds.
#[derive(Debug, Default)]
struct Kept {
    /// Oldest first, with what has gone since.
    runs: VecDeque<Run>,
    bytes: usize,
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

/// Entries of one lane that came one after another.
#[derive(Debug)]
struct Run {
    lane: Lane,
    /// The last of them.
    to: Offset,
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
    /// Whether somebody is to be told what is new; nobody is told twice before it waits again.
    fn is_waited_for(&self) -> bool {
        match self {
            Self::Slot(slot) => {
                slot.is_waited_for.load(Ordering::SeqCst) && slot.is_waited_for.swap(false, Ordering::SeqCst)
            }
            Self::Seat(_) => true,
        }
    }

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
        Self {
            stats,
            bytes_max,
            tail,
            lanes_followed: AtomicUsize::new(0),
            is_dirty: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Everything up to here is in the window, for those who follow.
    pub(crate) fn tail(&self) -> Offset {
        Offset::new(self.tail.load(Ordering::SeqCst))
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
        self.count(&state);
        Following { window: self.clone(), places }
    }

    fn count(&self, state: &State) {
        self.lanes_followed.store(state.followed.len(), Ordering::Relaxed);
    }

    fn append(&self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        let by_lane = || entries.chunk_by(|one, next| one.lane() == next.lane());
        let mut state = self.state.lock();
        let State { followed, kept, dirty } = &mut *state;
        for of_lane in by_lane() {
            match followed.get(&of_lane[0].lane()) {
                None => {}
                Some(Followed::Slot(slot)) => kept.put(slot, of_lane, &self.stats, self.bytes_max / RUNS),
                Some(Followed::Seat(seated)) => {
                    of_lane.iter().for_each(|entry| seated.hand(Framed::of_one(entry.clone())));
                }
            }
        }
        let excess = self.stats.window_excess.load(Ordering::Relaxed);
        kept.make_room(followed, self.bytes_max.saturating_sub(excess));
        self.tail.store(last.offset().get(), Ordering::SeqCst);
        // Who looks after saying that it waits finds what is there; who looked before is found waiting here.
        for of_lane in by_lane() {
            if let Some(followed) =
                followed.get(&of_lane[0].lane()).filter(|followed| followed.is_waited_for())
            {
                dirty.push_back((followed.clone(), Wake::Moved));
                self.is_dirty.store(true, Ordering::Relaxed);
            }
        }
    }

    fn mark(&self, lane: Lane, wake: Wake) {
        let mut state = self.state.lock();
        if let Some(followed) = state.followed.get(&lane).cloned() {
            state.dirty.push_back((followed, wake));
            self.is_dirty.store(true, Ordering::Relaxed);
        }
    }
}

impl Kept {
    /// Puts new entries of one lane into its slot.
    fn put(&mut self, slot: &Slot, entries: &[Entry], stats: &Stats, run_bytes: usize) {
        let [.., last] = entries else { return };
        // An entry counts for itself and, where many read it, for each format that it will be encoded to.
        let formats = || stats.formats_used.load(Ordering::Relaxed).count_ones().max(1) as usize;
        let copies = if slot.is_own { 1 } else { 1 + formats() };
        slot.put(entries, last.offset());
        for entry in entries {
            let (lane, to) = (entry.lane(), entry.offset());
            let bytes = ENTRY_OVERHEAD_BYTES + copies * entry.bytes();
            self.bytes += bytes;
            match self.runs.back_mut() {
                Some(run) if run.lane == lane && run.bytes < run_bytes => {
                    (run.to, run.bytes) = (to, run.bytes + bytes);
                }
                _ => self.runs.push_back(Run { lane, to, bytes }),
            }
        }
    }

    /// Lets go of the oldest until `bytes_max` are kept, and of what nobody can find any more.
    fn make_room(&mut self, followed: &FxHashMap<Lane, Followed>, bytes_max: usize) {
        while let Some(oldest) = self.runs.front() {
            let is_over = self.bytes > bytes_max;
            // The newest is looked at when it is no longer that.
            if !is_over && self.runs.len() == 1 {
                return;
            }
            if let Some(Followed::Slot(slot)) = followed.get(&oldest.lane)
                && !slot.is_gone(oldest.to)
            {
                if !is_over {
                    return;
                }
                slot.let_go(oldest.to);
            }
            self.bytes -= oldest.bytes;
            self.runs.pop_front();
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
                // Those who come meanwhile begin behind what is gone.
                if self.lanes_followed.load(Ordering::Relaxed) == 0 {
                    return;
                }
                let state = self.state.lock();
                match state.followed.get(&lane) {
                    Some(Followed::Slot(slot)) if !is_finished => slot.let_go(to),
                    // Nobody else will ask for what its only reader has finished.
                    Some(Followed::Slot(slot)) if slot.is_own => slot.let_go(to),
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
            self.is_dirty.store(!state.dirty.is_empty(), Ordering::Relaxed);
            left = (left - 1).min(state.dirty.len());
            drop(state);
            followed.wake(wake);
        }
    }

    fn is_settled(&self) -> bool {
        !self.is_dirty.load(Ordering::Relaxed)
    }
}

impl Following {
    /// Has the follower told of what comes from here on. Who looks afterwards, and finds nothing, may wait.
    pub(crate) fn wait(&self) {
        for (_, slot, _) in self.places.iter().flatten() {
            slot.is_waited_for.store(true, Ordering::SeqCst);
        }
    }

    /// Hands the entries of the followed lanes after `after` to `out`, merged in log order, within `budget`.
    pub(crate) fn read(&self, after: Offset, budget: Budget, out: &mut Vec<Framed>) -> WindowRead {
        // Everything up to the tail was in the slots before the tail was moved, so it is loaded first.
        let tail = self.window.tail();
        if let Some(read) = self.take(after, tail, budget, out) {
            return read;
        }
        let start = out.len();
        let mut lanes_found = 0;
        for (_, slot, _) in self.places.iter().flatten().filter(|(_, slot, _)| slot.has_more(after)) {
            lanes_found += 1;
            let lane = slot.state.lock();
            let Some(recent) = slot.after(&lane, after) else {
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

    /// Takes what is new after `after` out of the window, where it is all in a listener's lane that nobody else reads.
    /// None, and nothing was taken, where all has to be looked at.
    fn take(&self, after: Offset, tail: Offset, budget: Budget, out: &mut Vec<Framed>) -> Option<WindowRead> {
        match &self.places {
            [Some((_, shared, _)), Some((_, own, _))] if own.has_more(after) && !shared.has_more(after) => {
                own.take(after, tail, budget, out)
            }
            _ => None,
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
            let Some(recent) = slot.after(&lane, after) else {
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
        self.window.count(state);
    }
}

impl Window {
    /// Takes the seat of `seated` in `lane` away, if it is still the one that has it.
    pub(crate) fn unseat(&self, lane: Lane, seated: &Arc<dyn Follower>) {
        let mut state = self.state.lock();
        match state.followed.get(&lane) {
            Some(Followed::Seat(present)) if Arc::ptr_eq(present, seated) => {
                state.followed.remove(&lane);
                self.count(&state);
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
