//! The listeners of a channel: who they are, and how far they got.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;

use parking_lot::Mutex;

use super::Channel;
use super::connection::{Connection, ListenerInfo};
use super::signal::Signal;
use crate::cursor::{Authority, Commit};
use crate::entry::Position;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ListenerId;
use crate::lane::Lane;
use crate::limits::SEEN_LAG_MS_MAX;
use crate::listener::Listener;
use crate::persist::kinds::Made;
use crate::persist::{ConnectionRecord, ListenerRecord, QueueRecord, Seat};
use crate::queue::Queue;
use crate::registry::Registry;

/// Listeners that are looked at before others may run.
const LISTING_SLICE: usize = 256;

/// The listeners of one channel.
pub(crate) type Members = Registry<ListenerId, Arc<Member>>;

/// What the hub knows of one listener.
pub(crate) struct Member {
    pub(crate) id: ListenerId,
    pub(crate) lane: Lane,
    pub(crate) is_generated: bool,
    pub(super) is_running: AtomicBool,
    /// When it was last read for or acknowledged.
    seen_ms: AtomicU64,
    /// The same, as its record has it.
    recorded_ms: AtomicU64,
    /// Subscriptions that live; more than one while one replaces another.
    live: AtomicUsize,
    /// The latest of them.
    signal: Mutex<Weak<Signal>>,
    /// What is the user's own; open where it came back without, and nothing was registered yet.
    made: OnceLock<Made>,
}

/// How a listing of listeners is ordered.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::ListenerOrder;
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let alice = news.add_listener().await?;
/// news.dispatch(alice.id(), Message::of("note", "for alice")?).await?;
/// let slowest = news.listeners(None, 1, ListenerOrder::Backlog).await?;
/// assert_eq!(slowest[0].id, *alice.id());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListenerOrder {
    /// By registration.
    #[default]
    Age,
    /// The largest backlog first.
    Backlog,
}

impl Member {
    /// A listener that was just made.
    pub(crate) fn new(id: ListenerId, lane: Lane, is_generated: bool, seen_ms: u64, made: Made) -> Self {
        Self {
            id,
            lane,
            is_generated,
            is_running: AtomicBool::new(false),
            seen_ms: AtomicU64::new(seen_ms),
            recorded_ms: AtomicU64::new(seen_ms),
            live: AtomicUsize::new(0),
            signal: Mutex::new(Weak::new()),
            made: OnceLock::from(made),
        }
    }

    /// The listener of `record`, which comes back at `now_ms`, made again or to be adopted. It may have been seen later
    /// than the record says, by as much as that may lag behind.
    pub(crate) fn restored(record: ListenerRecord, made: Made, now_ms: u64) -> Self {
        let seen_ms = record.seen_ms.saturating_add(SEEN_LAG_MS_MAX).min(now_ms);
        let made = if made.listener.is_some() { OnceLock::from(made) } else { OnceLock::new() };
        Self {
            recorded_ms: AtomicU64::new(record.seen_ms),
            made,
            ..Self::new(record.id, record.seat.lane, record.is_generated, seen_ms, Made::default())
        }
    }

    /// The user's object, where there is one.
    pub(crate) fn object(&self) -> Option<Arc<dyn Listener>> {
        self.made.get()?.listener.clone()
    }

    /// The user's queue, where there is one.
    pub(crate) fn queue(&self) -> Option<Arc<dyn Queue>> {
        self.made.get()?.queue.clone()
    }

    /// Makes this its own, if it came back without; whether it did.
    pub(crate) fn adopt(&self, made: Made) -> bool {
        self.made.set(made).is_ok()
    }

    /// All that is to be remembered of it on the channel with this lane.
    pub(crate) fn connection(&self, channel: Lane) -> ConnectionRecord {
        let listener = self.record(channel);
        let recipe = self.queue().and_then(|queue| queue.recipe());
        let queue = recipe.map(|recipe| QueueRecord { seat: listener.seat, recipe });
        ConnectionRecord { listener, queue }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire) > 0
    }

    /// When it was last read for or acknowledged.
    pub(crate) fn seen_ms(&self) -> u64 {
        self.seen_ms.load(Ordering::Relaxed)
    }

    /// Whether its record lags behind by more than it may.
    pub(crate) fn is_record_due(&self) -> bool {
        self.seen_ms().saturating_sub(self.recorded_ms.load(Ordering::Relaxed)) > SEEN_LAG_MS_MAX
    }

    /// What is to be remembered of it on the channel with this lane.
    pub(crate) fn record(&self, channel: Lane) -> ListenerRecord {
        ListenerRecord {
            id: self.id.clone(),
            seat: Seat { channel, lane: self.lane },
            is_generated: self.is_generated,
            seen_ms: self.seen_ms(),
            recipe: self.object().and_then(|listener| listener.recipe()),
        }
    }

    pub(crate) fn recorded(&self, seen_ms: u64) {
        self.recorded_ms.fetch_max(seen_ms, Ordering::Relaxed);
    }

    /// A subscription begins; whether it is the only one.
    pub(crate) fn arrive(&self, signal: &Arc<Signal>) -> bool {
        *self.signal.lock() = Arc::downgrade(signal);
        self.live.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// The live subscription, if there is one.
    pub(crate) fn present(&self) -> Option<Arc<Signal>> {
        self.signal.lock().upgrade()
    }

    /// A subscription ends; whether it was the last one.
    pub(crate) fn depart(&self) -> bool {
        self.live.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(crate) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    pub(crate) fn start(&self) {
        self.is_running.store(true, Ordering::Release);
    }

    pub(crate) fn see(&self, now_ms: u64) {
        // Nearly always it was seen in this millisecond already, and a look is cheaper.
        if self.seen_ms() < now_ms {
            self.seen_ms.fetch_max(now_ms, Ordering::Relaxed);
        }
    }
}

impl Channel {
    /// The listener with this id.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`].
    ///
    /// ```
    /// use eric_sse::ErrorKind;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// assert!(news.listener(bob.id())?.is_running());
    /// assert_eq!(news.listener(&"nobody".parse()?).unwrap_err().kind(), ErrorKind::UnknownListener);
    /// # Ok(())
    /// # });
    /// ```
    pub fn listener(&self, id: &ListenerId) -> Result<Connection> {
        Ok(Connection { channel: self.clone(), member: self.member(id)? })
    }

    /// The ids of all listeners, by registration.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.ensure_listener("alice".parse()?).await?;
    /// assert_eq!(news.listener_ids(), ["bob".parse()?, "alice".parse()?]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn listener_ids(&self) -> Vec<ListenerId> {
        self.0.members.read().values().map(|member| member.id.clone()).collect()
    }

    /// At most `limit` listeners after the one with id `after`, in `order`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`] where `after` is not there, and what the engine says.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// ```
    /// use eric_sse::ListenerOrder;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// for n in 0..10 {
    ///     news.ensure_listener(format!("reader-{n}").parse()?).await?;
    /// }
    /// let page = news.listeners(Some(bob.id()), 4, ListenerOrder::Age).await?;
    /// let last = &page[3].id;
    /// let next = news.listeners(Some(last), 4, ListenerOrder::Age).await?;
    /// assert_eq!((last.as_str(), next[0].id.as_str()), ("reader-3", "reader-4"));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn listeners(
        &self,
        after: Option<&ListenerId>,
        limit: usize,
        order: ListenerOrder,
    ) -> Result<Vec<ListenerInfo>> {
        let read = match order {
            ListenerOrder::Age => self.0.members.read().page(after, limit),
            ListenerOrder::Backlog => self.0.members.read().page(None, usize::MAX),
        };
        let unknown = || after.map_or_else(|| self.unknown(), |after| self.unknown_listener(after));
        let mut infos = Vec::new();
        for (index, member) in read.ok_or_else(unknown)?.into_iter().enumerate() {
            if index % LISTING_SLICE == LISTING_SLICE - 1 {
                breathe().await;
            }
            match (Connection { channel: self.clone(), member }).info().await {
                Ok(info) => infos.push(info),
                Err(error) if error.kind() == ErrorKind::UnknownListener => {}
                Err(error) => return Err(error),
            }
        }
        if order == ListenerOrder::Backlog {
            infos.sort_by_key(|info| std::cmp::Reverse(info.backlog));
            if let Some(after) = after {
                let index = infos.iter().position(|info| info.id == *after).ok_or_else(unknown)?;
                infos.drain(..=index);
            }
            infos.truncate(limit);
        }
        Ok(infos)
    }

    /// Acknowledges everything up to `position` for a listener.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`]; [`ErrorKind::Conflict`] beyond the tail or of another epoch; and what the
    /// engine says. At or below the cursor nothing changes and nothing is wrong.
    ///
    /// # Cancel safety
    /// If dropped, the cursor may or may not have moved.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let first = news.broadcast(Message::of("job", &1)?).await?;
    /// let second = news.broadcast(Message::of("job", &2)?).await?;
    ///
    /// news.ack(bob.id(), first.position).await?;
    /// assert_eq!(bob.info().await?.backlog, 1, "the second waits");
    /// news.ack(bob.id(), second.position).await?;
    /// assert_eq!(bob.info().await?.cursor, second.position);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn ack(&self, id: &ListenerId, position: Position) -> Result<()> {
        let member = self.member(id)?;
        member.see(self.core().clock.now().as_ms());
        let commit = Commit { listener: member.lane, to: position, by: Authority::Ack };
        let answers = self.core().engine.commit(vec![commit]).await?;
        for answer in answers {
            answer.map_err(|error| self.explain_listener(error, id))?;
        }
        Ok(())
    }

    pub(crate) fn member(&self, id: &ListenerId) -> Result<Arc<Member>> {
        self.0.members.read().get(id).ok_or_else(|| self.missing(id))
    }

    /// Why there is no listener with this id.
    pub(crate) fn missing(&self, id: &ListenerId) -> Error {
        if self.0.is_removed.load(Ordering::SeqCst) { self.unknown() } else { self.unknown_listener(id) }
    }

    pub(crate) fn unknown_listener(&self, id: &ListenerId) -> Error {
        let text = format!("unknown listener id={id} on channel id={}", self.0.id);
        Error::new(ErrorKind::UnknownListener, text)
    }

    /// What the engine says of a listener's lane, said of the listener.
    pub(crate) fn explain_listener(&self, error: Error, id: &ListenerId) -> Error {
        match error.kind() {
            ErrorKind::Closed | ErrorKind::UnknownListener => self.missing(id),
            _ => error,
        }
    }
}

/// Lets others run before going on.
pub(super) async fn breathe() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id).field("lane", &self.lane).finish_non_exhaustive()
    }
}
