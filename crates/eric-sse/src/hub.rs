//! A hub: one log with one counter, and the channels, listeners and cursors that live in it.

use std::fmt;
use std::sync::Arc;

use crate::claim::{Strays, look_after_strays};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::container::ChannelContainer;
use crate::engine::memory::MemoryEngine;
use crate::engine::{Durability, Engine};
use crate::entry::Position;
use crate::error::Result;
use crate::limits::{Limits, RETURN_S};
use crate::persist::kv::Forgetful;
use crate::persist::{Kinds, KvStore, Records, Restored, restore};
use crate::stats::Stats;
use crate::window::Window;

/// A hub. Cloning shares it.
///
/// ```
/// use eric_sse::{ChannelSettings, Hub, Message};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// let taken = news.broadcast(Message::of("greeting", "hello")?).await?;
/// assert_eq!(hub.tail(), taken.position);
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Hub {
    channels: Arc<ChannelContainer>,
    core: Arc<HubCore>,
    restored: Restored,
    /// When it was restored; none where it remembers nothing.
    restored_at: Option<Timestamp>,
}

/// What the channels of a hub share.
#[derive(Debug)]
pub(crate) struct HubCore {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) window: Arc<Window>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) stats: Arc<Stats>,
    pub(crate) records: Records,
    pub(crate) strays: Strays,
}

/// How to make a [`Hub`]: an engine, and what is not the default.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::engine::memory::MemoryEngine;
/// use eric_sse::{Hub, Limits, SystemClock};
///
/// let clock = Arc::new(SystemClock);
/// let engine = Arc::new(MemoryEngine::new(clock.clone()));
/// let limits = Limits { channels: 10, ..Limits::default() };
/// let hub = Hub::builder(engine).clock(clock).limits(limits).open();
/// assert_eq!((hub.engine_name(), hub.limits().channels), ("memory", 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HubBuilder {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    kinds: Kinds,
}

impl Hub {
    /// An empty hub that keeps everything in memory.
    ///
    /// ```
    /// let hub = eric_sse::Hub::in_memory();
    /// assert!(hub.channels().ids().is_empty());
    /// ```
    pub fn in_memory() -> Self {
        Self::in_memory_with(Limits::default())
    }

    /// An empty hub with these limits that keeps everything in memory.
    ///
    /// ```
    /// use eric_sse::{ChannelSettings, Hub, Limits};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let hub = Hub::in_memory_with(Limits { channels: 1, ..Limits::default() });
    /// hub.channels().create("first".parse()?, ChannelSettings::in_memory()).await?;
    /// let second = hub.channels().create("second".parse()?, ChannelSettings::in_memory()).await;
    /// assert_eq!(second.unwrap_err().limit(), Some("channels"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn in_memory_with(limits: Limits) -> Self {
        Self::builder(Arc::new(MemoryEngine::new(Arc::new(SystemClock)))).limits(limits).open()
    }

    /// A hub on `engine`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::engine::memory::MemoryEngine;
    /// use eric_sse::{Hub, SystemClock};
    ///
    /// let hub = Hub::builder(Arc::new(MemoryEngine::new(Arc::new(SystemClock)))).open();
    /// assert_eq!(hub.engine_name(), "memory");
    /// ```
    pub fn builder(engine: Arc<dyn Engine>) -> HubBuilder {
        HubBuilder {
            engine,
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
            kinds: Kinds::default(),
        }
    }

    /// Its channels.
    ///
    /// ```
    /// use eric_sse::ChannelSettings;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let prices = hub.channels().create("prices".parse()?, ChannelSettings::default()).await?;
    /// assert_eq!(hub.channels().ids(), [news.id().clone(), prices.id().clone()]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn channels(&self) -> &ChannelContainer {
        &self.channels
    }

    /// The last durable position of its log.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let before = hub.tail();
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// news.dispatch(bob.id(), Message::of("note", "for bob")?).await?;
    /// assert_eq!(hub.tail().offset, before.offset.next().next(), "all lanes count together");
    /// # Ok(())
    /// # });
    /// ```
    pub fn tail(&self) -> Position {
        self.core.engine.tail()
    }

    /// What an acknowledged publish survives.
    ///
    /// ```
    /// use eric_sse::engine::Durability;
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// assert_eq!(hub.durability(), Durability::Memory, "it is gone when the process is");
    /// # Ok(())
    /// # });
    /// ```
    pub fn durability(&self) -> Durability {
        self.core.engine.durability()
    }

    /// Fails, saying why, while its engine can take nothing, and will not by itself.
    ///
    /// # Errors
    /// What the engine says.
    ///
    /// ```
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// assert!(hub.health().is_ok(), "memory does not break");
    /// # Ok(())
    /// # });
    /// ```
    pub fn health(&self) -> Result<()> {
        self.core.engine.health()
    }

    /// The name of its engine.
    ///
    /// ```
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// assert_eq!(hub.engine_name(), "memory");
    /// # Ok(())
    /// # });
    /// ```
    pub fn engine_name(&self) -> &'static str {
        self.core.engine.name()
    }

    /// Its limits.
    ///
    /// ```
    /// use eric_sse::limits::LISTENERS_PER_CHANNEL_MAX;
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// assert_eq!(hub.limits().listeners_per_channel, LISTENERS_PER_CHANNEL_MAX);
    /// # Ok(())
    /// # });
    /// ```
    pub fn limits(&self) -> &Limits {
        &self.core.limits
    }

    /// What it has counted.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let order = Message::of("order", "a bicycle")?.with_id("order-7".parse()?);
    /// news.broadcast(order.clone()).await?;
    /// news.broadcast(order).await?;
    /// let stats = hub.stats();
    /// assert_eq!((stats.entries_published.count(), stats.entries_repeated.count()), (1, 1));
    /// # Ok(())
    /// # });
    /// ```
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// What it came back with; nothing where it was opened without records.
    ///
    /// ```
    /// # use eric_sse::{ChannelSettings, Hub, SystemClock, engine::memory::MemoryEngine};
    /// use std::sync::Arc;
    /// use eric_sse::persist::MemoryKv;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
    /// let records = Arc::new(MemoryKv::default());
    /// let hub = Hub::builder(engine.clone()).restore(records.clone()).await?;
    /// hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
    /// drop(hub);
    ///
    /// let hub = Hub::builder(engine).restore(records).await?;
    /// let restored = hub.restored();
    /// assert_eq!((restored.channels, restored.swept_lanes, restored.swept_records), (1, 0, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn restored(&self) -> Restored {
        self.restored
    }

    /// Removes the listeners whose channel says that they have been away for too long; returns how many. Takes note,
    /// in the records, of when the others were seen, and lets go of entries that have grown too old where nobody
    /// publishes or reads, and of what dropped calls have left in the engine.
    ///
    /// To be called now and then: the hub starts nothing by itself. Nobody is removed in the first
    /// [`RETURN_S`] seconds after a hub was restored: its listeners could not come while it was away.
    ///
    /// # Cancel safety
    /// Those that were removed stay removed.
    ///
    /// ```
    /// # use eric_sse::engine::memory::MemoryEngine;
    /// # use eric_testkit::ManualClock;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use eric_sse::{ChannelSettings, Hub};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let clock = Arc::new(ManualClock::new());
    /// # let engine = Arc::new(MemoryEngine::new(clock.clone()));
    /// # let hub = Hub::builder(engine).clock(clock.clone()).open();
    /// let settings = ChannelSettings { listener_expires_s: Some(3_600), ..ChannelSettings::default() };
    /// let news = hub.channels().create("news".parse()?, settings).await?;
    /// news.ensure_listener("bob".parse()?).await?;
    ///
    /// // Now and then, a timer of the program's own asks.
    /// assert_eq!(hub.expire_listeners().await, 0);
    /// clock.advance(Duration::from_secs(3_601));
    /// assert_eq!(hub.expire_listeners().await, 1);
    /// assert!(news.listener_ids().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn expire_listeners(&self) -> usize {
        look_after_strays(&self.core);
        let now = self.core.clock.now();
        let is_waiting = self.restored_at.is_some_and(|then| now.ms_since(then) <= RETURN_S * 1_000);
        let mut expired = 0;
        for channel in self.channels.all() {
            channel.record_seen(now).await;
            if !is_waiting {
                expired += channel.expire_listeners(now).await;
            }
            channel.expire_entries().await;
        }
        expired
    }
}

impl HubBuilder {
    /// The clock that stamps entries and counts ages. The engine has one of its own: give both the same.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::engine::memory::MemoryEngine;
    /// use eric_sse::{ChannelSettings, Clock as _, Hub, Message};
    /// use eric_testkit::ManualClock;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let clock = Arc::new(ManualClock::new());
    /// let engine = Arc::new(MemoryEngine::new(clock.clone()));
    /// let hub = Hub::builder(engine).clock(clock.clone()).open();
    /// let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// assert_eq!(news.history(None, 1).await?.entries[0].taken_at(), clock.now());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The limits of the hub.
    ///
    /// ```
    /// # use eric_sse::{SystemClock, engine::memory::MemoryEngine};
    /// use std::sync::Arc;
    /// use eric_sse::{Hub, Limits};
    ///
    /// # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
    /// let few = Limits { listeners_per_channel: 100, ..Limits::default() };
    /// let hub = Hub::builder(engine).limits(few).open();
    /// assert_eq!(hub.limits().listeners_per_channel, 100);
    /// ```
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Who can make listeners and queues of the user's own again, for [`HubBuilder::restore`].
    ///
    /// ```
    /// # use eric_sse::{SystemClock, engine::memory::MemoryEngine};
    /// use std::sync::Arc;
    /// use eric_sse::Hub;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::persist::{Kinds, MemoryKv};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
    /// let kinds = Kinds::default().listener("silent", |id, _| {
    ///     Ok(Arc::new(FnListener::new(id.clone(), |_| Ok(()))))
    /// });
    /// let hub = Hub::builder(engine).kinds(kinds).restore(Arc::new(MemoryKv::default())).await?;
    /// assert_eq!(hub.restored().listeners, 0, "there were none yet");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn kinds(self, kinds: Kinds) -> Self {
        Self { kinds, ..self }
    }

    /// Opens an empty hub that remembers no channels and listeners beyond its own life.
    ///
    /// ```
    /// # use eric_sse::{SystemClock, engine::memory::MemoryEngine};
    /// use std::sync::Arc;
    /// use eric_sse::{Hub, Restored};
    ///
    /// # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
    /// let hub = Hub::builder(engine).open();
    /// assert_eq!(hub.restored(), Restored::default());
    /// ```
    pub fn open(self) -> Hub {
        let core = self.core(Records::new(Arc::new(Forgetful)));
        let channels = Arc::new(ChannelContainer::new(core.clone()));
        Hub { channels, core, restored: Restored::default(), restored_at: None }
    }

    /// Opens a hub with the channels and listeners that are in `records`, and keeps them there from now on.
    ///
    /// Their settings, queues and cursors are as they were, and so is their order; listeners are not running. Those with
    /// a recipe are made again by their kind ([`HubBuilder::kinds`]); others have no callback until
    /// [`Channel::register_listener`](crate::Channel::register_listener) gives them one. `records` belong to this
    /// engine: what is only in one of the two was left by a crash, and goes ([`Hub::restored`]).
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind) where a record cannot be read or its kind is not known, and what the
    /// engine and `records` say.
    ///
    /// # Cancel safety
    /// If dropped, or failed, nothing is lost: restore again.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::engine::memory::MemoryEngine;
    /// use eric_sse::persist::MemoryKv;
    /// use eric_sse::{ChannelSettings, Hub, Message, SystemClock};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
    /// let records = Arc::new(MemoryKv::default());
    ///
    /// let hub = Hub::builder(engine.clone()).restore(records.clone()).await?;
    /// let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
    /// let bob = news.ensure_listener("bob".parse()?).await?.0;
    /// news.broadcast(Message::of("headline", "Eric restarts")?).await?;
    /// drop((hub, news, bob));
    ///
    /// let hub = Hub::builder(engine).restore(records).await?;
    /// let news = hub.channels().get(&"news".parse()?)?;
    /// let bob = news.listener(&"bob".parse()?)?;
    /// assert_eq!(bob.info().await?.backlog, 1);
    /// assert_eq!(hub.restored().listeners, 1);
    /// # Ok::<(), eric_sse::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn restore(self, records: Arc<dyn KvStore>) -> Result<Hub> {
        let records = Records::new(records);
        let found = restore::find(&*self.engine, &records, &self.kinds).await?;
        let core = self.core(records);
        let hub = Hub {
            channels: Arc::new(ChannelContainer::new(core.clone())),
            restored: found.restored,
            restored_at: Some(core.clock.now()),
            core,
        };
        hub.channels.restore(found.channels);
        Ok(hub)
    }

    fn core(self, records: Records) -> Arc<HubCore> {
        let Self { engine, clock, limits, .. } = self;
        let stats = Arc::new(Stats::default());
        let window = Arc::new(Window::new(engine.tail().offset, limits.window_bytes, stats.clone()));
        engine.attach(window.clone());
        Arc::new(HubCore { engine, window, clock, limits, stats, records, strays: Strays::default() })
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hub engine={} tail={}", self.engine_name(), self.tail())
    }
}
