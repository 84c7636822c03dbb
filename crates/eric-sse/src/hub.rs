//! A hub: one log with one counter, and the channels, listeners and cursors that live in it.

use std::fmt;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::container::ChannelContainer;
use crate::engine::memory::MemoryEngine;
use crate::engine::{Durability, Engine};
use crate::entry::Position;
use crate::error::Result;
use crate::limits::Limits;
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
}

/// What the channels of a hub share.
#[derive(Debug)]
pub(crate) struct HubCore {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) window: Arc<Window>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) stats: Arc<Stats>,
}

/// How to make a [`Hub`]: an engine, and what is not the default.
#[derive(Debug)]
pub struct HubBuilder {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

impl Hub {
    /// An empty hub that keeps everything in memory.
    pub fn in_memory() -> Self {
        Self::in_memory_with(Limits::default())
    }

    /// An empty hub with these limits that keeps everything in memory.
    pub fn in_memory_with(limits: Limits) -> Self {
        Self::builder(Arc::new(MemoryEngine::new(Arc::new(SystemClock)))).limits(limits).open()
    }

    /// A hub on `engine`.
    pub fn builder(engine: Arc<dyn Engine>) -> HubBuilder {
        HubBuilder { engine, clock: Arc::new(SystemClock), limits: Limits::default() }
    }

    /// Its channels.
    pub fn channels(&self) -> &ChannelContainer {
        &self.channels
    }

    /// The last durable position of its log.
    pub fn tail(&self) -> Position {
        self.core.engine.tail()
    }

    /// What an acknowledged publish survives.
    pub fn durability(&self) -> Durability {
        self.core.engine.durability()
    }

    /// Fails, saying why, while its engine can take nothing, and will not by itself.
    ///
    /// # Errors
    /// What the engine says.
    pub fn health(&self) -> Result<()> {
        self.core.engine.health()
    }

    /// The name of its engine.
    pub fn engine_name(&self) -> &'static str {
        self.core.engine.name()
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.core.limits
    }

    /// What it has counted.
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// Removes the listeners whose channel says that they have been away for too long; returns how many.
    ///
    /// To be called now and then: the hub starts nothing by itself.
    ///
    /// # Cancel safety
    /// Those that were removed stay removed.
    pub async fn expire_listeners(&self) -> usize {
        let mut expired = 0;
        for channel in self.channels.all() {
            expired += channel.expire_listeners().await;
        }
        expired
    }
}

impl HubBuilder {
    /// The clock that stamps entries and counts ages. The engine has one of its own: give both the same.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The limits of the hub.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Opens the hub.
    pub fn open(self) -> Hub {
        let Self { engine, clock, limits } = self;
        let stats = Arc::new(Stats::default());
        let window = Arc::new(Window::new(engine.tail().offset, limits.window_bytes, stats.clone()));
        engine.attach(window.clone());
        let core = Arc::new(HubCore { engine, window, clock, limits, stats });
        Hub { channels: Arc::new(ChannelContainer::new(core.clone())), core }
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hub engine={} tail={}", self.engine_name(), self.tail())
    }
}
