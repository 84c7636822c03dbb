//! The cursors of the memory engine, and what they hold of a channel's lane.

use std::collections::BTreeMap;

use super::{ListenerLane, MemoryEngine, State, gone};
use crate::cursor::{Authority, Commit, Committed, Conflict, Cursor, Cursors, Fence, Joined, Lease};
use crate::engine::{Feed, FeedEvent};
use crate::entry::{Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::lane::Lane;
use crate::log::{BoxFuture, Ticket};

/// Where the listeners of a channel stand, the one who holds the channel's lane first; and how many entries of that
/// lane there ever were up to there.
#[derive(Debug, Default)]
pub(super) struct Readers(BTreeMap<(Offset, Lane), u64>);

impl Readers {
    fn arrive(&mut self, listener: Lane, at: Offset, rank: u64) {
        self.0.insert((at, listener), rank);
    }

    fn depart(&mut self, listener: Lane, from: Offset) {
        let stood = self.0.remove(&(from, listener));
        assert!(stood.is_some(), "a listener departs from where it stands");
    }

    /// How many entries of the channel's lane everybody has finished; none where there is nobody.
    pub(super) fn finished(&self) -> Option<u64> {
        self.0.values().next().copied()
    }

    /// The listener that got least far.
    pub(super) fn holder(&self) -> Option<Lane> {
        self.0.keys().next().map(|(_, listener)| *listener)
    }

    /// The rank of `offset`, where somebody stands there.
    pub(super) fn mark(&self, offset: Offset) -> Option<u64> {
        let there = (offset, Lane::new(0))..=(offset, Lane::new(u64::MAX));
        self.0.range(there).next().map(|(_, rank)| *rank)
    }
}

impl Cursors for MemoryEngine {
    fn join(&self, channel: Lane) -> Ticket<Joined> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let (lane, floor) = (state.number_lane(), state.tail);
        let Some(joined) = state.channels.get_mut(&channel) else { return Ticket::ready(Err(gone(channel))) };
        joined.listeners.insert(lane);
        joined.readers.arrive(lane, floor, joined.keep.total());
        let listener = ListenerLane {
            keep: Default::default(),
            channel,
            floor,
            cursor: floor,
            finished: 0,
            lease: None,
        };
        state.listeners.insert(lane, listener);
        Ticket::ready(Ok(Joined { lane, floor }))
    }

    fn leave(&self, listener: Lane) -> Ticket<()> {
        let now_ms = self.clock.now().as_ms();
        Ticket::ready(self.change(|state, feed| {
            let Some(left) = state.listeners.remove(&listener) else { return Ok(()) };
            if let Some(channel) = state.channels.get_mut(&left.channel) {
                channel.listeners.remove(&listener);
                channel.readers.depart(listener, left.cursor);
            }
            feed.event(FeedEvent::Removed { lane: listener });
            state.enforce(left.channel, now_ms, feed);
            Ok(())
        }))
    }

    fn lease(&self, listener: Lane, conflict: Conflict) -> Ticket<Lease> {
        Ticket::ready(self.change(|state, feed| {
            let cursor = state.cursor(listener)?;
            if cursor.leased && conflict == Conflict::Refuse {
                return Err(Error::new(ErrorKind::Conflict, "the listener has a live subscription"));
            }
            state.fences_issued += 1;
            let fence = Fence(state.fences_issued);
            state.listener_mut(listener)?.lease = Some(fence);
            feed.event(FeedEvent::LeaseTaken { listener, fence });
            Ok(Lease { fence, cursor })
        }))
    }

    fn release(&self, listener: Lane, fence: Fence) -> Ticket<()> {
        let mut state = self.state.lock();
        if let Ok(listener) = state.listener_mut(listener)
            && listener.lease == Some(fence)
        {
            listener.lease = None;
        }
        Ticket::ready(Ok(()))
    }

    fn commit(&self, commits: Vec<Commit>) -> Ticket<Vec<Result<Committed>>> {
        let now_ms = self.clock.now().as_ms();
        Ticket::ready(Ok(self.change(|state, feed| {
            commits.into_iter().map(|commit| state.commit(&commit, now_ms, feed)).collect()
        })))
    }

    fn load(&self, listener: Lane) -> BoxFuture<'_, Result<Cursor>> {
        Box::pin(std::future::ready(self.state.lock().cursor(listener)))
    }
}

impl State {
    fn listener_mut(&mut self, listener: Lane) -> Result<&mut ListenerLane> {
        self.listeners.get_mut(&listener).ok_or_else(|| unknown(listener))
    }

    fn cursor(&self, lane: Lane) -> Result<Cursor> {
        let listener = self.listeners.get(&lane).ok_or_else(|| unknown(lane))?;
        let position = Position { epoch: self.epoch, offset: listener.cursor };
        Ok(Cursor { position, floor: listener.floor, leased: listener.lease.is_some() })
    }

    fn commit(&mut self, commit: &Commit, now_ms: u64, feed: &dyn Feed) -> Result<Committed> {
        let conflict = |text: String| Err(Error::new(ErrorKind::Conflict, text));
        let Commit { listener: lane, to, by } = *commit;
        let listener = self.listeners.get(&lane).ok_or_else(|| unknown(lane))?;
        match by {
            Authority::Reader(fence) if listener.lease != Some(fence) => return Ok(Committed::Stale),
            _ if to.epoch != self.epoch => {
                return conflict(format!("position {to} is of another epoch than {}", self.epoch));
            }
            _ if to.offset > self.tail => {
                return conflict(format!("position {to} is beyond the tail {}", self.tail));
            }
            Authority::Ack if to.offset <= listener.cursor => return Ok(Committed::Unchanged),
            _ => {}
        }
        let to = to.offset.max(listener.floor);
        if to == listener.cursor {
            return Ok(Committed::Unchanged);
        }
        self.move_cursor(lane, to);
        let channel = self.listeners[&lane].channel;
        self.enforce(channel, now_ms, feed);
        self.enforce(lane, now_ms, feed);
        Ok(Committed::Moved)
    }

    /// Moves a cursor and what it holds. Where the rank of the new place was forgotten, the nearest one that is
    /// known counts, from above: nothing is kept that was not.
    fn move_cursor(&mut self, lane: Lane, to: Offset) {
        let channel = self.listeners[&lane].channel;
        let rank = |state: &Self, lane| {
            let keep = state.keep(lane).expect("a listener's lanes exist while it does");
            let span = keep.span(Offset::ZERO, to, |offset| state.mark(lane, offset));
            span.entries.unwrap_or(keep.total() - keep.info().messages)
        };
        let (channel_rank, own_rank) = (rank(self, channel), rank(self, lane));
        let listener = self.listeners.get_mut(&lane).expect("the caller has found it");
        let from = std::mem::replace(&mut listener.cursor, to);
        listener.finished = own_rank;
        let readers = &mut self.channels.get_mut(&channel).expect("a listener's channel exists").readers;
        readers.depart(lane, from);
        readers.arrive(lane, to, channel_rank);
    }
}

fn unknown(listener: Lane) -> Error {
    Error::new(ErrorKind::UnknownListener, format!("listener of lane={listener} was removed"))
}
