//! The seam to what an engine remembers of listeners: how far each got, where it joined, who reads for it.
//!
//! A listener is known to the engine by its lane. As in [`Log`](crate::log::Log), changes are ordered when called
//! and durable when their ticket resolves.

use crate::clock::Timestamp;
use crate::entry::{Entry, Offset, Position};
use crate::error::Result;
use crate::lane::Lane;
use crate::log::{BoxFuture, Ticket};

/// The cursors of one hub's listeners. All methods may be called concurrently and from any thread.
///
/// ```
/// # use eric_sse::log::Log as _;
/// use eric_sse::cursor::{Authority, Commit, Cursors as _};
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// let bob = engine.join(news).await?.lane;
/// let taken = engine.submit(vec![headline]).await?;
/// let ack = Commit { listener: bob, to: taken[0].position, by: Authority::Ack };
/// engine.commit(vec![ack]).await?;
/// assert_eq!(engine.load(bob).await?.position, taken[0].position);
/// # Ok(())
/// # });
/// ```
pub trait Cursors {
    /// Adds a listener to the channel with this lane. Its floor is the tail at this moment: what was
    /// acknowledged before the call is not its, what begins after the ticket resolved is.
    ///
    /// ```
    /// # use eric_sse::{cursor::Cursors as _, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// engine.submit(vec![headline]).await?;
    /// let bob = engine.join(news).await?;
    /// assert_eq!(bob.floor, engine.tail().offset);
    /// # Ok(())
    /// # });
    /// ```
    fn join(&self, channel: Lane) -> Ticket<Joined>;

    /// Removes a listener, its cursor and its lane; its readers are told by
    /// [`FeedEvent::Removed`](crate::engine::FeedEvent). Removing what is gone changes nothing.
    ///
    /// ```
    /// # use eric_sse::{ErrorKind, cursor::Cursors as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let bob = engine.join(news).await?.lane;
    /// engine.leave(bob).await?;
    /// assert_eq!(engine.load(bob).await.unwrap_err().kind(), ErrorKind::UnknownListener);
    /// # Ok(())
    /// # });
    /// ```
    fn leave(&self, listener: Lane) -> Ticket<()>;

    /// Makes the caller the one live reader of the listener.
    ///
    /// Fences grow. The one who held the lease is told by [`FeedEvent::LeaseTaken`](crate::engine::FeedEvent) and its
    /// later commits are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind) where another holds it and `conflict` is [`Conflict::Refuse`].
    ///
    /// ```
    /// # use eric_sse::{ErrorKind, cursor::Cursors as _};
    /// # use eric_sse::Conflict;
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// # let bob = engine.join(news).await?.lane;
    /// let first = engine.lease(bob, Conflict::Refuse).await?;
    /// let refused = engine.lease(bob, Conflict::Refuse).await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Conflict);
    /// assert!(engine.lease(bob, Conflict::Replace).await?.fence > first.fence);
    /// # Ok(())
    /// # });
    /// ```
    fn lease(&self, listener: Lane, conflict: Conflict) -> Ticket<Lease>;

    /// Gives the lease back. A lease that was taken over, or given back before, changes nothing.
    ///
    /// ```
    /// # use eric_sse::{Conflict, cursor::Cursors as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// # let bob = engine.join(news).await?.lane;
    /// let lease = engine.lease(bob, Conflict::Refuse).await?;
    /// engine.release(bob, lease.fence).await?;
    /// assert!(!engine.load(bob).await?.leased);
    /// # Ok(())
    /// # });
    /// ```
    fn release(&self, listener: Lane, fence: Fence) -> Ticket<()>;

    /// Moves cursors, in order; one answer each.
    ///
    /// # Errors
    /// Of a single commit: [`ErrorKind::Conflict`](crate::ErrorKind) beyond the tail or of another epoch,
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind) where it is gone. The others happen.
    ///
    /// ```
    /// # use eric_sse::{Conflict, log::Log as _};
    /// # use eric_sse::cursor::{Authority, Commit, Committed, Cursors as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// # let bob = engine.join(news).await?.lane;
    /// # engine.submit(vec![headline]).await?;
    /// let replaced = engine.lease(bob, Conflict::Replace).await?;
    /// let live = engine.lease(bob, Conflict::Replace).await?;
    /// let by = |fence| Commit { listener: bob, to: engine.tail(), by: Authority::Reader(fence) };
    /// let answers = engine.commit(vec![by(replaced.fence), by(live.fence)]).await?;
    /// assert!(matches!(answers[..], [Ok(Committed::Stale), Ok(Committed::Moved)]));
    /// # Ok(())
    /// # });
    /// ```
    fn commit(&self, commits: Vec<Commit>) -> Ticket<Vec<Result<Committed>>>;

    /// What is remembered of a listener.
    ///
    /// ```
    /// # use eric_sse::cursor::Cursors as _;
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let bob = engine.join(news).await?;
    /// let cursor = engine.load(bob.lane).await?;
    /// assert_eq!((cursor.position.offset, cursor.leased), (bob.floor, false));
    /// # Ok(())
    /// # });
    /// ```
    fn load(&self, listener: Lane) -> BoxFuture<'_, Result<Cursor>>;

    /// Takes the next entry of a listener that nobody reads live, and moves its cursor there, in one step; `now` is the
    /// time. An engine that has no such step answers [`Next::InSteps`], as this does.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind) while somebody holds its lease,
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind) where it was removed. Then nothing was taken.
    ///
    /// ```
    /// # use eric_sse::{Clock as _, Conflict, SystemClock, cursor::Cursors as _, log::Log as _};
    /// use eric_sse::cursor::Next;
    ///
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let bob = engine.join(news).await?.lane;
    /// let taken = engine.submit_one(headline).await?;
    /// let Next::Entry(entry) = engine.take_next(bob, SystemClock.now())? else { panic!("one waits") };
    /// assert_eq!((entry.position(), engine.load(bob).await?.position), (taken.position, taken.position));
    /// assert!(matches!(engine.take_next(bob, SystemClock.now())?, Next::Nothing));
    ///
    /// engine.lease(bob, Conflict::Replace).await?;
    /// assert!(engine.take_next(bob, SystemClock.now()).is_err());
    /// # Ok(())
    /// # });
    /// ```
    fn take_next(&self, _listener: Lane, _now: Timestamp) -> Result<Next> {
        Ok(Next::InSteps)
    }
}

/// What [`Cursors::take_next`] found.
///
/// ```
/// # use eric_sse::{Clock as _, SystemClock, cursor::Cursors as _, lane::Retention, log::Log as _};
/// use eric_sse::cursor::Next;
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # let retention = eric_testkit::retention();
/// let bob = engine.join(news).await?.lane;
/// engine.submit(vec![headline; 3]).await?;
/// engine.retain(news, Retention { max_messages: 1, ..retention }).await?;
/// // What was missed has to be told first.
/// assert!(matches!(engine.take_next(bob, SystemClock.now())?, Next::InSteps));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub enum Next {
    /// This one, and it is consumed.
    Entry(Entry),
    /// It has read everything.
    Nothing,
    /// Lease, read, commit and release instead: here it takes more than one step. Nothing was taken.
    InSteps,
}

/// What proves that a reader is the latest: fences grow with each lease.
///
/// ```
/// use eric_sse::cursor::Fence;
///
/// // Whoever shows the smaller one was replaced.
/// assert!(Fence(7) < Fence(8));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// A listener that has just joined.
///
/// ```
/// # use eric_sse::{cursor::Cursors as _, log::Log as _};
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// let bob = engine.join(news).await?;
/// engine.submit(vec![headline]).await?;
/// let alice = engine.join(news).await?;
/// assert!(bob.floor < alice.floor, "the headline is bob's, and not hers");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Its own lane.
    pub lane: Lane,
    /// Where it joined: nothing up to here is its.
    pub floor: Offset,
}

/// What to do about another live reader.
///
/// ```
/// use eric_sse::{Conflict, ErrorKind, Subscribe};
///
/// # eric_testkit::example(async |hub, news, bob| {
/// let live = news.subscribe(bob.id(), Subscribe::default()).await?;
/// let refuse = Subscribe { conflict: Conflict::Refuse, ..Subscribe::default() };
/// let refused = news.subscribe(bob.id(), refuse).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Conflict);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Conflict {
    /// Take over; the other is told `replaced`.
    #[default]
    Replace,
    /// Fail.
    Refuse,
}

/// The right to be a listener's one live reader.
///
/// ```
/// # use eric_sse::{Conflict, cursor::Cursors as _, log::{Budget, Log as _}};
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # let bob = engine.join(news).await?.lane;
/// # engine.submit(vec![headline]).await?;
/// // It says where to begin to read, too.
/// let lease = engine.lease(bob, Conflict::Replace).await?;
/// let page = engine.read(news, lease.cursor.position.offset, Budget::default()).await?;
/// assert_eq!(page.entries.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// What proves it.
    pub fence: Fence,
    /// How far the listener had got.
    pub cursor: Cursor,
}

/// How far a listener got.
///
/// ```
/// # use eric_sse::{cursor::Cursors as _, log::Log as _};
/// # use eric_sse::cursor::{Authority, Commit};
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # let bob = engine.join(news).await?.lane;
/// engine.submit(vec![headline]).await?;
/// engine.commit(vec![Commit { listener: bob, to: engine.tail(), by: Authority::Ack }]).await?;
/// let cursor = engine.load(bob).await?;
/// assert!(cursor.floor < cursor.position.offset);
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # use eric_sse::{ErrorKind, Position, cursor::Cursors as _, log::Log as _};
/// use eric_sse::cursor::{Authority, Commit};
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// let bob = engine.join(news).await?.lane;
/// let beyond = Position { offset: engine.tail().offset.next(), ..engine.tail() };
/// let commit = Commit { listener: bob, to: beyond, by: Authority::Ack };
/// let answers = engine.commit(vec![commit]).await?;
/// assert_eq!(answers[0].as_ref().unwrap_err().kind(), ErrorKind::Conflict);
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # use eric_sse::{Conflict, cursor::Cursors as _, log::Log as _};
/// # use eric_sse::cursor::{Commit, Committed};
/// use eric_sse::cursor::Authority;
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # let bob = engine.join(news).await?.lane;
/// # let start = engine.tail();
/// # engine.submit(vec![headline]).await?;
/// # engine.commit(vec![Commit { listener: bob, to: engine.tail(), by: Authority::Ack }]).await?;
/// let lease = engine.lease(bob, Conflict::Replace).await?;
/// let back = |by| Commit { listener: bob, to: start, by };
/// let answers = engine.commit(vec![back(Authority::Ack), back(Authority::Reader(lease.fence))]).await?;
/// assert!(matches!(answers[..], [Ok(Committed::Unchanged), Ok(Committed::Moved)]));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// The live reader: forward or back, ignored once another has taken its lease.
    Reader(Fence),
    /// An explicit acknowledgement: forward only.
    Ack,
}

/// What became of a commit.
///
/// ```
/// # use eric_sse::{cursor::Cursors as _, log::Log as _};
/// # use eric_sse::cursor::{Authority, Commit};
/// use eric_sse::cursor::Committed;
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # let bob = engine.join(news).await?.lane;
/// # engine.submit(vec![headline]).await?;
/// let ack = Commit { listener: bob, to: engine.tail(), by: Authority::Ack };
/// let answers = engine.commit(vec![ack, ack]).await?;
/// assert!(matches!(answers[..], [Ok(Committed::Moved), Ok(Committed::Unchanged)]));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The cursor moved.
    Moved,
    /// The cursor was there, or beyond.
    Unchanged,
    /// The reader was replaced; its commit was ignored.
    Stale,
}
