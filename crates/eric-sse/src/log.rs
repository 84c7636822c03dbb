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
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The log of one hub: lanes of entries under one counter.
///
/// All methods may be called concurrently and from any thread. None blocks on I/O.
pub trait Log {
    /// The last durable position.
    fn tail(&self) -> Position;

    /// Opens a lane for a channel that is kept by `retention`.
    fn open(&self, retention: Retention) -> Ticket<Lane>;

    /// Keeps the lanes of a channel by `retention` from now on; what it no longer allows goes at once.
    fn retain(&self, channel: Lane, retention: Retention) -> Ticket<()>;

    /// Removes the lane of a channel and those of its listeners. Their readers are told by
    /// [`FeedEvent::Removed`](crate::engine::FeedEvent); a later submit to them is refused.
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
    fn submit(&self, batch: Vec<NewEntry>) -> Ticket<Vec<Taken>>;

    /// Kept entries of `lane` after `after`, in order, within `budget` (the first is returned whatever its size).
    /// Shows only what is durable, and all of what the feed has reported.
    fn read(&self, lane: Lane, after: Offset, budget: Budget) -> BoxFuture<'_, Result<Page>>;

    /// What the stretch after `after` up to and including `to` holds, trimmed entries counted where known.
    fn span(&self, lane: Lane, after: Offset, to: Offset) -> BoxFuture<'_, Result<Span>>;

    /// What is kept of `lane`. What is too old goes first: a hub asks now and then of lanes that nobody touches.
    fn lane(&self, lane: Lane) -> BoxFuture<'_, Result<LaneInfo>>;

    /// The lanes that are open, in the order of their numbers. A hub asks once, when it starts, to find what a crash
    /// left between the log and its own records.
    fn lanes(&self) -> Vec<OpenLane>;
}

/// A message on its way into the log.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its position: this one's, or that of the first with the same key.
    pub position: Position,
    /// Whether it was taken now, and not before.
    pub first: bool,
}

/// How much one read returns.
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
#[must_use = "a change is durable only once its ticket resolves"]
pub struct Ticket<T>(State<T>);

enum State<T> {
    Ready(Option<Result<T>>),
    Waiting(oneshot::Receiver<Result<T>>),
    Future(BoxFuture<'static, Result<T>>),
}

impl<T> Ticket<T> {
    /// A ticket that is resolved already.
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
    pub fn from_future(future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(State::Future(Box::pin(future)))
    }
}

impl<T: Unpin> Future for Ticket<T> {
    type Output = Result<T>;

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
#[derive(Debug)]
pub struct Resolver<T>(oneshot::Sender<Result<T>>);

impl<T> Resolver<T> {
    /// Answers whoever holds the ticket, if anybody still does.
    pub fn resolve(self, result: Result<T>) {
        let _ = self.0.send(result);
    }
}
