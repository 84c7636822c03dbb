//! The seam to what an engine remembers of listeners: how far each got, where it joined, who reads for it.
//!
//! A listener is known to the engine by its lane. As in [`Log`](crate::log::Log), changes are ordered when called
//! and durable when their ticket resolves.

use crate::entry::{Offset, Position};
use crate::error::Result;
use crate::lane::Lane;
use crate::log::{BoxFuture, Ticket};

/// The cursors of one hub's listeners. All methods may be called concurrently and from any thread.
pub trait Cursors {
    /// Adds a listener to the channel with this lane. Its floor is the tail at this moment: what was
    /// acknowledged before the call is not its, what begins after the ticket resolved is.
    fn join(&self, channel: Lane) -> Ticket<Joined>;

    /// Removes a listener, its cursor and its lane; its readers are told by
    /// [`FeedEvent::Removed`](crate::engine::FeedEvent). Removing what is gone changes nothing.
    fn leave(&self, listener: Lane) -> Ticket<()>;

    /// Makes the caller the one live reader of the listener.
    ///
    /// Fences grow. The one who held the lease is told by [`FeedEvent::LeaseTaken`](crate::engine::FeedEvent) and its
    /// later commits are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind) where another holds it and `conflict` is [`Conflict::Refuse`].
    fn lease(&self, listener: Lane, conflict: Conflict) -> Ticket<Lease>;

    /// Gives the lease back. A lease that was taken over, or given back before, changes nothing.
    fn release(&self, listener: Lane, fence: Fence) -> Ticket<()>;

    /// Moves cursors, in order; one answer each.
    ///
    /// # Errors
    /// Of a single commit: [`ErrorKind::Conflict`](crate::ErrorKind) beyond the tail or of another epoch,
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind) where it is gone. The others happen.
    fn commit(&self, commits: Vec<Commit>) -> Ticket<Vec<Result<Committed>>>;

    /// What is remembered of a listener.
    fn load(&self, listener: Lane) -> BoxFuture<'_, Result<Cursor>>;
}

/// What proves that a reader is the latest: fences grow with each lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// A listener that has just joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Its own lane.
    pub lane: Lane,
    /// Where it joined: nothing up to here is its.
    pub floor: Offset,
}

/// What to do about another live reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Conflict {
    /// Take over; the other is told `replaced`.
    #[default]
    Replace,
    /// Fail.
    Refuse,
}

/// The right to be a listener's one live reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// What proves it.
    pub fence: Fence,
    /// How far the listener had got.
    pub cursor: Cursor,
}

/// How far a listener got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// It has finished everything up to here. Its epoch may be an older one.
    pub position: Position,
    /// Where it joined, in the present epoch.
    pub floor: Offset,
    /// Whether a live reader holds its lease.
    pub leased: bool,
}

/// A cursor to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Whose.
    pub listener: Lane,
    /// Where to.
    pub to: Position,
    /// On whose authority.
    pub by: Authority,
}

/// On whose authority a cursor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// The live reader: forward or back, ignored once another has taken its lease.
    Reader(Fence),
    /// An explicit acknowledgement: forward only.
    Ack,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The cursor moved.
    Moved,
    /// The cursor was there, or beyond.
    Unchanged,
    /// The reader was replaced; its commit was ignored.
    Stale,
}
