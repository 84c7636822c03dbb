//! How far listeners got, and what they hold of a channel's lane.

use std::collections::BTreeMap;

use super::{Keep, Lanes, ListenerLane, Shelf, gone};
use crate::cursor::{Authority, Commit, Committed, Conflict, Cursor, Fence, Joined, Lease};
use crate::entry::{Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::lane::Lane;

/// Stands for a rank that nobody knows any more, as that of a place among entries that were trimmed long ago. It can be
/// told from a rank of nothing: that is before the first entry that was trimmed, which is remembered.
pub(super) const FORGOTTEN: u64 = 0;

/// Where the listeners of a channel stand, the one who holds the channel's lane first; and how many entries of that
/// lane there ever were up to there.
#[derive(Debug, Default)]
pub(super) struct Readers(BTreeMap<(Offset, Lane), u64>);

impl Readers {
    pub(super) fn arrive(&mut self, listener: Lane, at: Offset, rank: u64) {
        self.0.insert((at, listener), rank);
    }

    pub(super) fn depart(&mut self, listener: Lane, from: Offset) -> u64 {
        self.0.remove(&(from, listener)).expect("a listener departs from where it stands")
    }

    pub(super) fn rank(&self, listener: Lane, at: Offset) -> u64 {
        *self.0.get(&(at, listener)).expect("a listener stands where its cursor is")
    }

    /// How many entries of the channel's lane everybody has finished; none where there is nobody.
    pub(super) fn finished(&self) -> Option<u64> {
        self.0.values().next().copied()
    }

    /// The listener that got least far.
    pub(super) fn holder(&self) -> Option<Lane> {
        self.0.keys().next().map(|(_, listener)| *listener)
    }

    /// The rank of `offset`, where somebody stands there; perhaps [`FORGOTTEN`].
    pub(super) fn mark(&self, offset: Offset) -> Option<u64> {
        let there = (offset, Lane::new(0))..=(offset, Lane::new(u64::MAX));
        self.0.range(there).next().map(|(_, rank)| *rank)
    }
}

/// A cursor that moved.
///
/// ```
/// # use eric_sse::cursor::{Authority, Commit};
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// # let bob = lanes.join(news)?.lane;
/// # eric_testkit::take(lanes, vec![headline; 3])?;
/// let ack = Commit { listener: bob, to: lanes.shown(), by: Authority::Ack };
/// let moved = lanes.commit(&ack)?.1.expect("it was at the beginning");
/// // Of both lanes that bob follows it is known how much he has finished.
/// assert_eq!((moved.channel_finished, moved.finished), (3, 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Whose.
    pub listener: Lane,
    /// The lane of its channel.
    pub channel: Lane,
    /// Where it stands.
    pub to: Offset,
    /// Entries that were ever in its own lane up to there.
    pub finished: u64,
    /// Entries that were ever in the channel's lane up to there.
    pub channel_finished: u64,
}

impl<S: Shelf> Lanes<S> {
    /// Adds a listener, at the last entry that was taken.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where the channel was removed.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline])?;
    /// let bob = lanes.join(news)?;
    /// assert_eq!(bob.floor, lanes.tail());
    /// # Ok(())
    /// # });
    /// ```
    pub fn join(&mut self, channel: Lane) -> Result<Joined> {
        if !self.channels.contains_key(&channel) {
            return Err(gone(channel));
        }
        let (lane, floor) = (self.number_lane(), self.tail);
        let joined = self.channels.get_mut(&channel).expect("it was found");
        let floor_rank = joined.keep.total();
        joined.listeners.insert(lane);
        joined.readers.arrive(lane, floor, floor_rank);
        let listener = ListenerLane {
            keep: Keep::default(),
            channel,
            floor,
            floor_rank,
            cursor: floor,
            finished: 0,
            lease: None,
            stale: None,
        };
        self.listeners.insert(lane, listener);
        Ok(Joined { lane, floor })
    }

    /// Removes a listener; returns its channel's lane, for which [`Lanes::enforce`] is due, and what its own kept.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let bob = lanes.join(news)?.lane;
    /// let (channel, _) = lanes.leave(bob).expect("he was there");
    /// assert_eq!(channel, news);
    /// assert!(lanes.leave(bob).is_none());
    /// # Ok(())
    /// # });
    /// ```
    pub fn leave(&mut self, listener: Lane) -> Option<(Lane, S)> {
        let left = self.listeners.remove(&listener)?;
        let channel = self.channels.get_mut(&left.channel).expect("a listener's channel is there");
        channel.listeners.remove(&listener);
        channel.readers.depart(listener, left.cursor);
        Some((left.channel, left.keep.shelf))
    }

    /// Makes the caller the one live reader of the listener.
    ///
    /// # Errors
    /// As [`Cursors::lease`](crate::cursor::Cursors::lease).
    ///
    /// ```
    /// # use eric_sse::Conflict;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let bob = lanes.join(news)?.lane;
    /// let first = lanes.lease(bob, Conflict::Refuse)?;
    /// assert!(lanes.lease(bob, Conflict::Refuse).is_err());
    /// assert!(lanes.lease(bob, Conflict::Replace)?.fence > first.fence);
    /// # Ok(())
    /// # });
    /// ```
    pub fn lease(&mut self, listener: Lane, conflict: Conflict) -> Result<Lease> {
        let cursor = self.cursor(listener)?;
        if cursor.leased && conflict == Conflict::Refuse {
            return Err(live());
        }
        self.fences_issued += 1;
        let fence = Fence(self.fences_issued);
        self.listeners.get_mut(&listener).expect("it was found").lease = Some(fence);
        Ok(Lease { fence, cursor })
    }

    /// Gives a lease back, if it is still the latest.
    ///
    /// ```
    /// # use eric_sse::Conflict;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let bob = lanes.join(news)?.lane;
    /// let replaced = lanes.lease(bob, Conflict::Replace)?;
    /// let live = lanes.lease(bob, Conflict::Replace)?;
    /// lanes.release(bob, replaced.fence);
    /// assert!(lanes.cursor(bob)?.leased, "the lease is another's by now");
    /// lanes.release(bob, live.fence);
    /// assert!(!lanes.cursor(bob)?.leased);
    /// # Ok(())
    /// # });
    /// ```
    pub fn release(&mut self, listener: Lane, fence: Fence) {
        if let Some(listener) = self.listeners.get_mut(&listener)
            && listener.lease == Some(fence)
        {
            listener.lease = None;
        }
    }

    /// What is remembered of a listener.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`] where it was removed.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let bob = lanes.join(news)?;
    /// assert_eq!(lanes.cursor(bob.lane)?.position.offset, bob.floor);
    /// # Ok(())
    /// # });
    /// ```
    pub fn cursor(&self, lane: Lane) -> Result<Cursor> {
        let listener = self.listeners.get(&lane).ok_or_else(|| unknown(lane))?;
        let present = Position { epoch: self.epoch, offset: listener.cursor };
        let position = listener.stale.as_deref().copied().unwrap_or(present);
        Ok(Cursor { position, floor: listener.floor, leased: listener.lease.is_some() })
    }

    /// Moves a cursor; [`Lanes::enforce`] is due for both lanes of the listener where it moved.
    ///
    /// # Errors
    /// As [`Cursors::commit`](crate::cursor::Cursors::commit) says of a single commit.
    ///
    /// ```
    /// # use eric_sse::Conflict;
    /// # use eric_sse::cursor::{Authority, Commit, Committed};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let bob = lanes.join(news)?.lane;
    /// # eric_testkit::take(lanes, vec![headline])?;
    /// let lease = lanes.lease(bob, Conflict::Replace)?;
    /// let consumed = Commit { listener: bob, to: lanes.shown(), by: Authority::Reader(lease.fence) };
    /// assert_eq!(lanes.commit(&consumed)?.0, Committed::Moved);
    /// assert_eq!(lanes.commit(&consumed)?.0, Committed::Unchanged);
    /// # Ok(())
    /// # });
    /// ```
    pub fn commit(&mut self, commit: &Commit) -> Result<(Committed, Option<Moved>)> {
        let conflict = |text: String| Err(Error::new(ErrorKind::Conflict, text));
        let Commit { listener: lane, to, by } = *commit;
        let listener = self.listeners.get(&lane).ok_or_else(|| unknown(lane))?;
        let is_stale = listener.stale.is_some();
        match by {
            Authority::Reader(fence) if listener.lease != Some(fence) => return Ok((Committed::Stale, None)),
            _ if to.epoch != self.epoch => {
                return conflict(format!("position {to} is of another epoch than {}", self.epoch));
            }
            _ if to.offset > self.shown => {
                return conflict(format!("position {to} is beyond the tail {}", self.shown));
            }
            Authority::Ack if to.offset <= listener.cursor && !is_stale => {
                return Ok((Committed::Unchanged, None));
            }
            _ => {}
        }
        let to = to.offset.max(listener.floor);
        if to == listener.cursor && !is_stale {
            return Ok((Committed::Unchanged, None));
        }
        Ok((Committed::Moved, Some(self.move_cursor(lane, to))))
    }

    /// Moves a cursor and what it holds. Where the rank of the new place was [`FORGOTTEN`], everything that is kept is
    /// after it, and so is unread.
    pub(super) fn move_cursor(&mut self, lane: Lane, to: Offset) -> Moved {
        let channel = self.listeners[&lane].channel;
        let rank = |lanes: &Self, lane| {
            let keep = lanes.keep_of(lane).expect("a listener's lanes exist while it does");
            let span = keep.span(Offset::ZERO, to, |offset| lanes.mark(lane, offset));
            span.entries.unwrap_or(FORGOTTEN)
        };
        let (channel_finished, finished) = (rank(self, channel), rank(self, lane));
        let moved = Moved { listener: lane, channel, to, finished, channel_finished };
        self.place_cursor(&moved);
        moved
    }

    pub(super) fn place_cursor(&mut self, moved: &Moved) {
        let listener = self.listeners.get_mut(&moved.listener).expect("the caller has found it");
        let from = std::mem::replace(&mut listener.cursor, moved.to);
        listener.finished = moved.finished;
        listener.stale = None;
        let readers =
            &mut self.channels.get_mut(&moved.channel).expect("a listener's channel exists").readers;
        readers.depart(moved.listener, from);
        readers.arrive(moved.listener, moved.to, moved.channel_finished);
    }
}

pub(super) fn live() -> Error {
    Error::new(ErrorKind::Conflict, "the listener has a live subscription")
}

pub(super) fn unknown(listener: Lane) -> Error {
    Error::new(ErrorKind::UnknownListener, format!("listener of lane={listener} was removed"))
}
