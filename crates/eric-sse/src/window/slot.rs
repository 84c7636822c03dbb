//! The window's part for one lane that is followed: its recent entries, and who looks for them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use slab::Slab;

use super::{Follower, Wake, WindowRead};
use crate::entry::{Entry, Offset};
use crate::framed::Framed;
use crate::log::Budget;

/// Followers that are woken before the lane's lock is let go.
const WAKE_SLICE: usize = 256;

/// One lane in the window.
pub(super) struct Slot {
    /// Whether it is a listener's lane, and not a channel's.
    pub(super) is_own: bool,
    /// Every entry of the lane after this one is in `recent`. Written under the lock.
    gone_to: AtomicU64,
    /// For whoever has read up to here there is nothing to find.
    pub(super) upto: AtomicU64,
    /// Whether a follower waits to be told, or may have begun to.
    pub(super) is_waited_for: AtomicBool,
    pub(super) state: Mutex<SlotState>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

pub(super) struct SlotState {
    pub(super) recent: VecDeque<(Offset, Framed)>,
    pub(super) followers: Slab<Arc<dyn Follower>>,
    /// A reader that has a seat, beside those who look.
    pub(super) seat: Option<Arc<dyn Follower>>,
}

impl Slot {
    pub(super) fn new(tail: Offset, is_own: bool) -> Arc<Self> {
        Arc::new(Self {
            is_own,
            gone_to: AtomicU64::new(tail.get()),
            upto: AtomicU64::new(tail.get()),
            is_waited_for: AtomicBool::new(false),
            state: Mutex::new(SlotState { recent: VecDeque::new(), followers: Slab::new(), seat: None }),
        })
    }

    /// Puts the next entries here, the last of which is at `upto`.
    pub(super) fn put(&self, entries: &[Entry], upto: Offset) {
        let mut state = self.state.lock();
        for entry in entries {
            let framed = match self.is_own {
                true => Framed::of_one(entry.clone()),
                false => Framed::of_many(entry.clone()),
            };
            if let Some(seated) = &state.seat {
                seated.hand(framed.clone());
            }
            state.recent.push_back((entry.offset(), framed));
        }
        self.upto.store(upto.get(), Ordering::Release);
        if state.seat.is_some() {
            self.is_waited_for.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the entry at `offset` is no longer here.
    pub(super) fn is_gone(&self, offset: Offset) -> bool {
        self.gone_to.load(Ordering::Relaxed) >= offset.get()
    }

    /// Gives up the entries up to `to`: whoever has not read them asks the engine, which tells what was trimmed.
    pub(super) fn let_go(&self, to: Offset) {
        let mut state = self.state.lock();
        while state.recent.front().is_some_and(|(at, _)| *at <= to) {
            state.recent.pop_front();
        }
        self.gone_to.fetch_max(to.get(), Ordering::Relaxed);
        self.upto.fetch_max(to.get(), Ordering::Release);
    }

    /// Whether there is something to find for who has read up to `after`. The window's tail is loaded before: then what
    /// is in the log up to there is found.
    pub(super) fn has_more(&self, after: Offset) -> bool {
        self.upto.load(Ordering::Acquire) > after.get()
    }

    /// Takes what comes after `after`, up to `tail` and within `budget`, out of a lane whose only reader will not ask
    /// for it again. None, and nothing was taken, where there is another reader, or the slot does not reach back.
    pub(super) fn take(
        &self,
        after: Offset,
        tail: Offset,
        budget: Budget,
        out: &mut Vec<Framed>,
    ) -> Option<WindowRead> {
        let mut state = self.state.lock();
        if state.followers.len() > 1 || state.seat.is_some() || !self.reaches_back(after) {
            return None;
        }
        let (mut entries, mut bytes) = (0, 0);
        while state.recent.front().is_some_and(|(at, _)| *at <= tail) {
            if entries > 0 && (entries >= budget.entries || bytes >= budget.bytes) {
                return Some(WindowRead::Upto(Offset::new(self.gone_to.load(Ordering::Relaxed))));
            }
            let (at, framed) = state.recent.pop_front()?;
            self.gone_to.store(at.get(), Ordering::Relaxed);
            if at <= after {
                continue;
            }
            if entries == 0 && state.recent.is_empty() {
                return Some(WindowRead::One(framed, tail));
            }
            (entries, bytes) = (entries + 1, bytes + framed.entry().bytes());
            out.push(framed);
        }
        Some(WindowRead::Upto(tail))
    }

    /// The recent entries after `after`, oldest first; none where the slot does not reach back.
    pub(super) fn after<'a>(
        &self,
        state: &'a SlotState,
        after: Offset,
    ) -> Option<impl Iterator<Item = &'a (Offset, Framed)> + use<'a>> {
        self.reaches_back(after).then(|| state.recent.range(state.first_after(after)..))
    }

    fn reaches_back(&self, after: Offset) -> bool {
        after.get() >= self.gone_to.load(Ordering::Relaxed)
    }

    pub(super) fn wake(&self, wake: Wake) {
        let mut from = 0;
        loop {
            let state = self.state.lock();
            let to = (from + WAKE_SLICE).min(state.followers.capacity());
            for key in from..to {
                if let Some(follower) = state.followers.get(key) {
                    wake.tell(&**follower);
                }
            }
            if to == state.followers.capacity() {
                if let Some(seated) = &state.seat {
                    wake.tell(&**seated);
                }
                return;
            }
            from = to;
        }
    }
}

impl SlotState {
    /// Where the first entry after `after` is among the recent ones. Looked for from the end, where readers are.
    pub(super) fn first_after(&self, after: Offset) -> usize {
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
