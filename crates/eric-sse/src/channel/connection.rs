//! A listener bound to its queue: what its owner does with it, and what the queue holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Channel;
use super::delivery::Delivery;
use super::members::Member;
use super::publish::Publish;
use crate::cursor::Cursor;
use crate::entry::{Offset, Position};
use crate::error::Result;
use crate::id::ListenerId;
use crate::listener::Listener;
use crate::log::Taken;

/// A listener bound to its queue on one channel. Cloning shares it.
///
/// A new one is not running: its queue fills, nothing is delivered. The doors start it when a stream is opened.
///
/// ```
/// use eric_sse::{ChannelSettings, Hub, Message};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let channel = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// let bob = channel.add_listener().await?;
/// channel.broadcast(Message::of("t", &1)?).await?;
/// assert!(!bob.is_running() && channel.deliver_next(bob.id()).await?.is_none());
/// bob.start();
/// assert!(channel.deliver_next(bob.id()).await?.is_some());
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Connection {
    pub(crate) channel: Channel,
    pub(crate) member: Arc<Member>,
}

/// What a listener's queue holds at one moment.
///
/// ```
/// # use eric_sse::Message;
/// # eric_testkit::example(async |_hub, news, bob| {
/// let taken = news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// let info = bob.info().await?;
/// assert_eq!((info.backlog, info.is_connected), (1, false));
/// assert!(info.cursor.offset < taken.position.offset, "bob is behind");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerInfo {
    /// Its id.
    pub id: ListenerId,
    /// How far it got.
    pub cursor: Position,
    /// Kept entries that it has not finished.
    pub backlog: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// Whether a live subscription reads for it.
    pub is_connected: bool,
}

impl Connection {
    /// The listener's id.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, _news, bob| {
    /// assert_eq!(bob.id().as_str(), "bob");
    /// # Ok(())
    /// # });
    /// ```
    pub fn id(&self) -> &ListenerId {
        &self.member.id
    }

    /// The channel it listens on.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// assert_eq!(bob.channel().id(), news.id());
    /// # Ok(())
    /// # });
    /// ```
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The user's own part of it, where there is one.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let carol = news.register_listener(Arc::new(FnListener::new("carol".parse()?, |_| Ok(())))).await?;
    /// assert!(carol.listener().is_some());
    /// assert!(bob.listener().is_none(), "who is added by an id alone has no callback");
    /// # Ok(())
    /// # });
    /// ```
    pub fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.member.object()
    }

    /// Takes note, for the next restart, of what its listener and its queue say of how they are made again.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind) where it was removed, and what the store says.
    ///
    /// # Cancel safety
    /// If dropped, it is remembered as it was or as it is.
    ///
    /// ```
    /// # use eric_sse::{ChannelSettings, Hub, SystemClock, engine::memory::MemoryEngine};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use eric_sse::persist::{ListenerRepository, MemoryKv, Recipe};
    /// use eric_sse::{Listener, ListenerId};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// /// Knows how many it has counted, and is to know it after a restart.
    /// struct Tally(ListenerId, AtomicU64);
    ///
    /// impl Listener for Tally {
    ///     fn id(&self) -> &ListenerId {
    ///         &self.0
    ///     }
    ///     fn recipe(&self) -> Option<Recipe> {
    ///         Some(Recipe { values: self.1.load(Ordering::Relaxed).into(), ..Recipe::of("tally") })
    ///     }
    /// }
    ///
    /// # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
    /// # let records = Arc::new(MemoryKv::default());
    /// # let hub = Hub::builder(engine).restore(records.clone()).await?;
    /// # let votes = hub.channels().create("votes".parse()?, ChannelSettings::default()).await?;
    /// let tally = Arc::new(Tally("tally".parse()?, AtomicU64::new(0)));
    /// let connection = votes.register_listener(tally.clone()).await?;
    /// tally.1.store(12, Ordering::Relaxed);
    /// connection.remember().await?;
    ///
    /// let mut recipe = None;
    /// ListenerRepository::new(records).load_all(|record| recipe = record.recipe).await?;
    /// assert_eq!(recipe.unwrap().values, 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn remember(&self) -> Result<()> {
        let _turn = self.channel.0.turns.take(self.id()).await;
        self.channel.member(self.id())?;
        self.record().await
    }

    /// Takes note of it; it is its turn.
    pub(super) async fn record(&self) -> Result<()> {
        let record = self.member.connection(self.channel.lane());
        self.channel.core().records.connections.persist(&record).await
    }

    /// Lets messages be delivered.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let (alice, _) = news.ensure_listener("alice".parse()?).await?;
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// alice.start();
    /// assert!(news.deliver_next(alice.id()).await?.is_some(), "what came before is delivered too");
    /// # Ok(())
    /// # });
    /// ```
    pub fn start(&self) {
        self.member.start();
    }

    /// Ends delivery: its streams end, its queue goes on filling.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut stream = news.message_stream(&bob).await?;
    /// bob.stop();
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// assert!(stream.next().await.is_none());
    /// assert_eq!(bob.info().await?.backlog, 1, "it waits until bob is started again");
    /// # Ok(())
    /// # });
    /// ```
    pub fn stop(&self) {
        self.member.is_running.store(false, Ordering::Release);
        if let Some(signal) = self.member.present() {
            signal.stop();
        }
    }

    /// Whether messages are delivered.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// assert!(bob.is_running());
    /// let alice = news.add_listener().await?;
    /// assert!(!alice.is_running(), "nobody started her");
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_running(&self) -> bool {
        self.member.is_running()
    }

    /// [`Channel::dispatch`] to this listener, which need not be looked up.
    ///
    /// # Errors
    /// As [`Channel::dispatch`].
    ///
    /// # Cancel safety
    /// As [`Channel::dispatch`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, _news, bob| {
    /// bob.dispatch(Message::of("note", "for bob")?).await?;
    /// assert_eq!(bob.info().await?.backlog, 1);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn dispatch(&self, message: impl Into<Publish>) -> Result<Taken> {
        let ticket = self.channel.submit_one(self.member.lane, message.into());
        match ticket.answer() {
            Ok(answer) => self.channel.taken(answer, Some(self.id())),
            Err(ticket) => self.channel.taken(ticket.await, Some(self.id())),
        }
    }

    /// [`Channel::deliver_next`] to this listener, which need not be looked up.
    ///
    /// # Errors
    /// As [`Channel::deliver_next`].
    ///
    /// # Cancel safety
    /// As [`Channel::deliver_next`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let delivery = bob.deliver_next().await?.expect("one waits");
    /// assert_eq!(delivery.message().kind().as_str(), "headline");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn deliver_next(&self) -> Result<Option<Delivery>> {
        if !self.is_running() {
            // Also of one that was stopped, and is gone.
            return self.channel.member(self.id()).map(|_| None);
        }
        self.channel.pull(&self.member).await.map_err(|error| self.channel.explain_listener(error, self.id()))
    }

    /// What its queue holds.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind) where it was removed, and what the engine says.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// news.dispatch(bob.id(), Message::of("note", "for bob")?).await?;
    /// assert_eq!(bob.info().await?.backlog, 2);
    /// news.deliver_next(bob.id()).await?;
    /// assert_eq!(bob.info().await?.backlog, 1);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn info(&self) -> Result<ListenerInfo> {
        self.read_info().await.map_err(|error| self.channel.explain_listener(error, self.id()))
    }

    async fn read_info(&self) -> Result<ListenerInfo> {
        let engine = &self.channel.core().engine;
        let Cursor { position, floor, leased } = engine.load(self.member.lane).await?;
        let is_present = position.epoch == engine.tail().epoch;
        let at = if is_present { position.offset.max(floor) } else { floor };
        let (mut backlog, mut backlog_bytes) = (0, 0);
        for lane in [self.channel.0.lane, self.member.lane] {
            let kept_after = at.max(engine.lane(lane).await?.trimmed_to);
            let span = engine.span(lane, kept_after, Offset::MAX).await?;
            backlog += span.entries.unwrap_or(0);
            backlog_bytes += span.bytes;
        }
        Ok(ListenerInfo {
            id: self.member.id.clone(),
            cursor: position,
            backlog,
            backlog_bytes,
            is_connected: leased,
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("channel", self.channel.id()).field("listener", self.id()).finish()
    }
}
