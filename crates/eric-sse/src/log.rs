//! The seam to what keeps a hub's entries.
//!
//! What changes something is *ordered when it is called* and *durable when its [`Ticket`] resolves*. Reads are
//! futures of their own. The contract of every method is checked by `eric-testkit`'s conformance suite.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::entry::{Entry, Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::id::IdempotencyKey;
use crate::lane::{Lane, LaneInfo, OpenLane, Retention, Span};
use crate::limits::{READ_BYTES_MAX, READ_ENTRIES_MAX};
use crate::message::Message;

/// A boxed future, as the seams return it.
///
/// ```
/// use eric_sse::log::BoxFuture;
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// fn next(number: u64) -> BoxFuture<'static, u64> {
///     Box::pin(async move { number + 1 })
/// }
///
/// assert_eq!(next(6).await, 7);
/// # Ok(())
/// # });
/// ```
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The log of one hub: lanes of entries under one counter.
///
/// All methods may be called concurrently and from any thread. None blocks on I/O.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::Offset;
/// use eric_sse::log::{Budget, Log};
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// let log: Arc<dyn Log> = engine;
/// let taken = log.submit(vec![headline]).await?;
/// let page = log.read(news, Offset::ZERO, Budget::default()).await?;
/// assert_eq!(page.entries[0].position(), taken[0].position);
/// # Ok(())
/// # });
/// ```
pub trait Log {
    /// The last durable position.
    ///
    /// ```
    /// # use eric_sse::{Offset, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// assert_eq!(engine.tail().offset, Offset::ZERO);
    /// let taken = engine.submit(vec![headline]).await?;
    /// assert_eq!(engine.tail(), taken[0].position);
    /// # Ok(())
    /// # });
    /// ```
    fn tail(&self) -> Position;

    /// Opens a lane for a channel that is kept by `retention`.
    ///
    /// ```
    /// # use eric_sse::log::Log as _;
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// # let retention = eric_testkit::retention();
    /// let sports = engine.open(retention).await?;
    /// assert!(sports > news, "numbers grow");
    /// # Ok(())
    /// # });
    /// ```
    fn open(&self, retention: Retention) -> Ticket<Lane>;

    /// Keeps the lanes of a channel by `retention` from now on; what it no longer allows goes at once.
    ///
    /// ```
    /// # use eric_sse::log::Log as _;
    /// # use eric_sse::lane::Retention;
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// # let retention = eric_testkit::retention();
    /// engine.submit(vec![headline; 3]).await?;
    /// engine.retain(news, Retention { max_messages: 1, ..retention }).await?;
    /// assert_eq!(engine.lane(news).await?.messages, 1);
    /// # Ok(())
    /// # });
    /// ```
    fn retain(&self, channel: Lane, retention: Retention) -> Ticket<()>;

    /// Removes the lane of a channel and those of its listeners. Their readers are told by
    /// [`FeedEvent::Removed`](crate::engine::FeedEvent); a later submit to them is refused.
    ///
    /// ```
    /// # use eric_sse::{ErrorKind, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// engine.close(news).await?;
    /// let refused = engine.submit(vec![headline]).await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Closed);
    /// # Ok(())
    /// # });
    /// ```
    fn close(&self, channel: Lane) -> Ticket<()>;

    /// Takes a batch: the order of calls is the order of offsets, a batch is contiguous, all or nothing.
    ///
    /// A message whose key its lane remembers is not taken again and answers with the first one's position; while
    /// that one is still in flight, the ticket waits for it. The window of keys is bounded by
    /// [`DEDUP_WINDOW_S`](crate::limits::DEDUP_WINDOW_S) and [`DEDUP_KEYS_MAX`](crate::limits::DEDUP_KEYS_MAX).
    ///
    /// # Errors
    /// Nothing was taken where the ticket resolves to an error: [`ErrorKind::KeyReused`] (same key, other content),
    /// [`ErrorKind::LimitExceeded`] (overflow `reject`, or a message that no limit lets in), [`ErrorKind::Closed`]
    /// (the lane was removed), [`ErrorKind::Unavailable`], [`ErrorKind::NoSpace`].
    ///
    /// ```
    /// # use eric_sse::log::{Log as _, NewEntry};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let order = NewEntry { key: Some("order-17".parse()?), ..headline };
    /// let taken = engine.submit(vec![order.clone()]).await?;
    /// let again = engine.submit(vec![order]).await?;
    /// assert!(taken[0].first && !again[0].first);
    /// assert_eq!(again[0].position, taken[0].position);
    /// # Ok(())
    /// # });
    /// ```
    fn submit(&self, batch: Vec<NewEntry>) -> Ticket<Vec<Taken>>;

    /// Takes one message: [`Log::submit`] of a batch of one, for which an engine may need less. It may take
    /// [`NewEntry::taken_at`] for the present.
    ///
    /// # Errors
    /// As [`Log::submit`].
    ///
    /// ```
    /// # use eric_sse::log::Log as _;
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let taken = engine.submit_one(headline).await?;
    /// assert_eq!(taken.position, engine.tail());
    /// # Ok(())
    /// # });
    /// ```
    fn submit_one(&self, new: NewEntry) -> Ticket<Taken> {
        self.submit(vec![new]).map(|taken| taken[0])
    }

    /// Kept entries of `lane` after `after`, in order, within `budget` (the first is returned whatever its size).
    /// Shows only what is durable, and all of what the feed has reported.
    ///
    /// ```
    /// # use eric_sse::{Offset, log::{Budget, Log as _}};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// engine.submit(vec![headline; 3]).await?;
    /// let one = Budget { entries: 1, ..Budget::default() };
    /// let page = engine.read(news, Offset::new(1), one).await?;
    /// assert_eq!(page.entries[0].offset(), Offset::new(2));
    /// # Ok(())
    /// # });
    /// ```
    fn read(&self, lane: Lane, after: Offset, budget: Budget) -> BoxFuture<'_, Result<Page>>;

    /// What the stretch after `after` up to and including `to` holds, trimmed entries counted where known.
    ///
    /// ```
    /// # use eric_sse::{Offset, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// engine.submit(vec![headline; 3]).await?;
    /// let span = engine.span(news, Offset::new(1), Offset::new(3)).await?;
    /// assert_eq!((span.entries, span.last), (Some(2), Some(Offset::new(3))));
    /// # Ok(())
    /// # });
    /// ```
    fn span(&self, lane: Lane, after: Offset, to: Offset) -> BoxFuture<'_, Result<Span>>;

    /// What is kept of `lane`. What is too old goes first: a hub asks now and then of lanes that nobody touches.
    ///
    /// ```
    /// # use eric_sse::{Offset, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// engine.submit(vec![headline; 3]).await?;
    /// let info = engine.lane(news).await?;
    /// assert_eq!((info.messages, info.last), (3, Some(Offset::new(3))));
    /// # Ok(())
    /// # });
    /// ```
    fn lane(&self, lane: Lane) -> BoxFuture<'_, Result<LaneInfo>>;

    /// The lanes that are open, in the order of their numbers. A hub asks once, when it starts, to find what a crash
    /// left between the log and its own records.
    ///
    /// ```
    /// # use eric_sse::{cursor::Cursors as _, lane::OpenLane, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let bob = engine.join(news).await?.lane;
    /// let open = [OpenLane { lane: news, channel: None }, OpenLane { lane: bob, channel: Some(news) }];
    /// assert_eq!(engine.lanes(), open);
    /// # Ok(())
    /// # });
    /// ```
    fn lanes(&self) -> Vec<OpenLane>;
}

/// A message on its way into the log.
///
/// ```
/// # use eric_sse::{Clock as _, Message, SystemClock, log::Log as _};
/// use eric_sse::log::NewEntry;
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// let message = Message::of("tick", &7)?;
/// let tick = NewEntry { lane: news, message, key: None, taken_at: SystemClock.now() };
/// assert!(engine.submit(vec![tick]).await?[0].first);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Where it goes.
    pub lane: Lane,
    /// What is published.
    pub message: Message,
    /// What makes a repetition recognisable.
    pub key: Option<IdempotencyKey>,
    /// When it was taken.
    pub taken_at: Timestamp,
}

/// Where a message of a batch ended up.
///
/// ```
/// # use eric_sse::log::{Log as _, NewEntry};
/// use eric_sse::log::Taken;
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// // A repetition within one batch is recognised too.
/// let order = NewEntry { key: Some("order-17".parse()?), ..headline };
/// let taken = engine.submit(vec![order.clone(), order]).await?;
/// assert_eq!(taken[1], Taken { first: false, ..taken[0] });
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its position: this one's, or that of the first with the same key.
    pub position: Position,
    /// Whether it was taken now, and not before.
    pub first: bool,
}

/// How much one read returns.
///
/// ```
/// use eric_sse::{limits::READ_BYTES_MAX, log::Budget};
///
/// let few = Budget { entries: 10, ..Budget::default() };
/// assert_eq!(few.bytes, READ_BYTES_MAX);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Entries at most.
    pub entries: usize,
    /// Bytes at most; the first entry is returned whatever its size.
    pub bytes: usize,
}

impl Default for Budget {
    /// As much as a subscription takes at once.
    fn default() -> Self {
        Self { entries: READ_ENTRIES_MAX, bytes: READ_BYTES_MAX }
    }
}

/// What one read returns.
///
/// ```
/// # use eric_sse::{Offset, log::{Budget, Log as _}};
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// engine.submit(vec![headline; 3]).await?;
/// // Where one page ends, the next begins.
/// let (mut after, mut pages) = (Offset::ZERO, 0);
/// while after < engine.tail().offset {
///     let two = Budget { entries: 2, ..Budget::default() };
///     let page = engine.read(news, after, two).await?;
///     (after, pages) = (page.searched_to, pages + 1);
/// }
/// assert_eq!(pages, 2);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Page {
    /// Entries of the lane in log order.
    pub entries: Vec<Entry>,
    /// Every kept entry of the lane up to here and after the offset asked for is in `entries`.
    pub searched_to: Offset,
    /// The last entry of the lane that was trimmed; [`Offset::ZERO`] where none was.
    pub trimmed_to: Offset,
}

/// The answer to a change: ordered already, durable once it resolves.
///
/// # Cancel safety
/// Dropping a ticket does not undo the change; it only forgets to look.
///
/// ```
/// # use eric_sse::log::Log as _;
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// // Both are ordered by now; that they are durable is what the tickets tell, in any order.
/// let (first, second) = (engine.submit(vec![headline.clone()]), engine.submit(vec![headline]));
/// let (second, first) = (second.await?, first.await?);
/// assert!(first[0].position.offset < second[0].position.offset);
/// # Ok(())
/// # });
/// ```
#[must_use = "a change is durable only once its ticket resolves"]
pub struct Ticket<T>(State<T>);

enum State<T> {
    Ready(Option<Result<T>>),
    Waiting(oneshot::Receiver<Result<T>>),
    Future(BoxFuture<'static, Result<T>>),
}

impl<T> Ticket<T> {
    /// A ticket that is resolved already.
    ///
    /// ```
    /// use eric_sse::log::Ticket;
    ///
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// // An engine in memory has nothing to wait for.
    /// assert_eq!(Ticket::ready(Ok(7)).await?, 7);
    /// # Ok(())
    /// # });
    /// ```
    pub fn ready(result: Result<T>) -> Self {
        Self(State::Ready(Some(result)))
    }

    /// A ticket and what resolves it. A resolver that is dropped resolves to [`ErrorKind::Unavailable`].
    ///
    /// ```
    /// use eric_sse::log::Ticket;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (resolver, ticket) = Ticket::pending();
    /// resolver.resolve(Ok(7));
    /// assert_eq!(ticket.await.unwrap(), 7);
    /// # });
    /// ```
    pub fn pending() -> (Resolver<T>, Self) {
        let (sender, receiver) = oneshot::channel();
        (Resolver(sender), Self(State::Waiting(receiver)))
    }

    /// A ticket that resolves as `future` does; the change must be ordered already.
    ///
    /// ```
    /// use eric_sse::log::Ticket;
    ///
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let (resolver, written) = Ticket::pending();
    /// let counted = Ticket::from_future(async { written.await.map(|bytes: Vec<u8>| bytes.len()) });
    /// resolver.resolve(Ok(vec![1, 2, 3]));
    /// assert_eq!(counted.await?, 3);
    /// # Ok(())
    /// # });
    /// ```
    pub fn from_future(future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(State::Future(Box::pin(future)))
    }

    /// The answer of an engine that had it at once; else the ticket, to wait for.
    ///
    /// ```
    /// use eric_sse::log::Ticket;
    ///
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// assert_eq!(Ticket::ready(Ok(7)).answer().unwrap()?, 7);
    ///
    /// let (resolver, written) = Ticket::pending();
    /// let written = written.answer().unwrap_err();
    /// resolver.resolve(Ok(3));
    /// assert_eq!(written.await?, 3);
    /// # Ok(())
    /// # });
    /// ```
    #[inline]
    pub fn answer(self) -> std::result::Result<Result<T>, Self> {
        match self.0 {
            State::Ready(Some(answer)) => Ok(answer),
            waits => Err(Self(waits)),
        }
    }

    /// A ticket that resolves to what `map` makes of the answer; at once where this one does.
    ///
    /// ```
    /// use eric_sse::log::Ticket;
    ///
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let written = Ticket::ready(Ok(vec![1, 2, 3]));
    /// assert_eq!(written.map(|bytes| bytes.len()).await?, 3);
    /// # Ok(())
    /// # });
    /// ```
    pub fn map<U>(self, map: impl FnOnce(T) -> U + Send + 'static) -> Ticket<U>
    where
        T: Unpin + Send + 'static,
    {
        match self.0 {
            State::Ready(result) => Ticket(State::Ready(result.map(|result| result.map(map)))),
            waits => Ticket::from_future(async move { Ticket(waits).await.map(map) }),
        }
    }
}

impl<T: Unpin> Future for Ticket<T> {
    type Output = Result<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(result) => {
                Poll::Ready(result.take().expect("a ticket is not polled after it resolved"))
            }
            State::Future(future) => future.as_mut().poll(context),
            State::Waiting(receiver) => Pin::new(receiver).poll(context).map(|answer| {
                answer.unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Unavailable, "the engine stopped before it answered"))
                })
            }),
        }
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

/// What resolves a [`Ticket`].
///
/// ```
/// # use eric_sse::ErrorKind;
/// use eric_sse::log::Ticket;
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// // A writer that is gone answers nobody, and nobody waits for it.
/// let (resolver, ticket) = Ticket::<u64>::pending();
/// drop(resolver);
/// assert_eq!(ticket.await.unwrap_err().kind(), ErrorKind::Unavailable);
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Resolver<T>(oneshot::Sender<Result<T>>);

impl<T> Resolver<T> {
    /// Answers whoever holds the ticket, if anybody still does.
    ///
    /// ```
    /// # use eric_sse::{Error, ErrorKind};
    /// use eric_sse::log::Ticket;
    ///
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// let (resolver, ticket) = Ticket::<u64>::pending();
    /// resolver.resolve(Err(Error::new(ErrorKind::NoSpace, "the disk is full")));
    /// assert_eq!(ticket.await.unwrap_err().kind(), ErrorKind::NoSpace);
    /// # Ok(())
    /// # });
    /// ```
    pub fn resolve(self, result: Result<T>) {
        let _ = self.0.send(result);
    }
}
