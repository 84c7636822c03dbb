//! What is asked of lanes: how much each keeps and where, which are open, which keys are remembered.

use super::{Lanes, ListenerLane, Shelf};
use crate::entry::Offset;
use crate::error::Result;
use crate::id::IdempotencyKey;
use crate::lane::{Lane, LaneInfo, OpenLane, Span};

impl<S: Shelf> Lanes<S> {
    /// What is kept of `lane`, and the last entry of it that was trimmed.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind) where it was removed.
    pub fn shelf(&self, lane: Lane) -> Result<(&S, Offset)> {
        self.keep_of(lane).map(|keep| (&keep.shelf, keep.trimmed.to()))
    }

    /// The same, to find entries elsewhere from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind) where it was removed.
    pub fn shelf_mut(&mut self, lane: Lane) -> Result<&mut S> {
        self.keep_mut(lane).map(|keep| &mut keep.shelf)
    }

    /// What the stretch of `lane` after `after` up to `to` holds.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind) where it was removed.
    pub fn span(&self, lane: Lane, after: Offset, to: Offset) -> Result<Span> {
        Ok(self.keep_of(lane)?.span(after, to.min(self.shown), |offset| self.mark(lane, offset)))
    }

    /// What is kept of `lane`.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind) where it was removed.
    pub fn info(&self, lane: Lane) -> Result<LaneInfo> {
        self.keep_of(lane).map(|keep| keep.info(self.shown))
    }

    /// The lanes that are open, in the order of their numbers.
    pub fn list(&self) -> Vec<OpenLane> {
        let channels = self.channels.keys().map(|lane| OpenLane { lane: *lane, channel: None });
        let of_listener = |(lane, listener): (&Lane, &ListenerLane<S>)| OpenLane {
            lane: *lane,
            channel: Some(listener.channel),
        };
        let mut lanes: Vec<OpenLane> = channels.chain(self.listeners.iter().map(of_listener)).collect();
        lanes.sort_unstable_by_key(|open| open.lane);
        lanes
    }

    /// How many idempotency keys were ever remembered, and how many of these, the oldest, are forgotten at `now_ms`.
    pub fn keys(&mut self, now_ms: u64) -> (u64, u64) {
        self.dedup.forget_old(now_ms);
        self.dedup.counts()
    }

    /// Where and for what a key was used, while that is remembered.
    pub fn recall(&self, lane: Lane, key: &IdempotencyKey) -> Option<(Offset, u128)> {
        self.dedup.recall(lane, key).map(|known| (known.offset, known.digest))
    }
}
