//! The window's part for one lane that is followed: its recent entries, and who looks for them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use slab::Slab;

use super::{Follower, Wake};
use crate::entry::Offset;
use crate::framed::Framed;

/// Followers that are woken before the lane's lock is let go.
const WAKE_SLICE: usize = 256;

/// One lane in the window.
pub(super) struct Slot {
    /// Whether it is a listener's lane, and not a channel's.
    pub(super) is_own: bool,
    /// For whoever has read up to here there is nothing to find.
    pub(super) upto: AtomicU64,
    pub(super) state: Mutex<SlotState>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

pub(super) struct SlotState {
    /// Every entry of the lane after this one is in `recent`.
    pub(super) complete_from: Offset,
    pub(super) trimmed_to: Offset,
    pub(super) recent: VecDeque<(Offset, Framed)>,
    pub(super) followers: Slab<Arc<dyn Follower>>,
    /// A reader that has a seat, beside those who look.
    pub(super) seat: Option<Arc<dyn Follower>>,
    pub(super) is_dirty: bool,
}

impl Slot {
    pub(super) fn new(complete_from: Offset, is_own: bool) -> Arc<Self> {
        Arc::new(Self {
            is_own,
            upto: AtomicU64::new(complete_from.get()),
            state: Mutex::new(SlotState {
                complete_from,
                trimmed_to: Offset::ZERO,
                recent: VecDeque::new(),
                followers: Slab::new(),
                seat: None,
                is_dirty: false,
            }),
        })
    }

    /// The window gives up the entry at `offset`; whoever has not read it reads it from the engine.
    pub(super) fn forget_to(&self, offset: Offset) {
        let mut state = self.state.lock();
        while state.recent.front().is_some_and(|(at, _)| *at <= offset) {
            state.recent.pop_front();
        }
        state.complete_from = state.complete_from.max(offset);
        self.upto.fetch_max(offset.get(), Ordering::Release);
    }

    /// The log gave up the lane's entries up to `to`; whoever has not read them is told so by the engine.
    pub(super) fn trim_to(&self, to: Offset) {
        let mut state = self.state.lock();
        while state.recent.front().is_some_and(|(at, _)| *at <= to) {
            state.recent.pop_front();
        }
        state.trimmed_to = state.trimmed_to.max(to);
        self.upto.fetch_max(to.get(), Ordering::Release);
    }

    pub(super) fn wake(&self, wake: Wake) {
        let mut from = 0;
        loop {
            let mut state = self.state.lock();
            if let (Wake::Moved, 0) = (wake, from) {
                state.is_dirty = false;
            }
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

    /// The recent entries after `after`, oldest first; none where the lane does not reach back.
    pub(super) fn after(&self, after: Offset) -> Option<impl Iterator<Item = &(Offset, Framed)>> {
        let reaches_back = after >= self.complete_from && after >= self.trimmed_to;
        reaches_back.then(|| self.recent.range(self.first_after(after)..))
    }
}
