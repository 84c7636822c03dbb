//! What a hub remembers over a restart, beside what its engine does: which ids the engine's lanes belong to.
//!
//! A hub that is opened with [`HubBuilder::restore`](crate::HubBuilder::restore) keeps a record of every channel and
//! connection in a [`KvStore`]. The store is the seam: what is next to an engine on a disk or in a database implements
//! it, and `eric-testkit`'s `kv_suite` checks that it does so. [`ChannelRepository`] and [`ConnectionRepository`] are
//! where records are, `record` says how they look, `restore` what becomes of them at the next start.
//!
//! ```
//! use std::sync::Arc;
//! use eric_sse::persist::{KvStore as _, MemoryKv};
//! use eric_sse::{ChannelSettings, Hub};
//! # use eric_sse::{SystemClock, engine::memory::MemoryEngine};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
//! let records = Arc::new(MemoryKv::default());
//! let hub = Hub::builder(engine).restore(records.clone()).await?;
//! let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
//! news.ensure_listener("bob".parse()?).await?;
//!
//! let (keys, _): (Vec<_>, Vec<_>) = records.fetch_all(None, 100).await?.into_iter().unzip();
//! assert!(keys[0].starts_with("channel/") && keys[1].starts_with("listener/"));
//! # Ok::<(), eric_sse::Error>(())
//! # }).unwrap();
//! ```

pub(crate) mod connections;
pub(crate) mod kinds;
pub mod kv;
pub(crate) mod record;
pub(crate) mod repository;
pub(crate) mod restore;
mod stored;

use std::sync::Arc;

pub use self::connections::{ConnectionRecord, ConnectionRepository};
pub use self::kinds::Kinds;
pub use self::kv::{KvStore, MemoryKv};
pub use self::record::{ChannelRecord, ListenerRecord, QueueRecord, Recipe, Seat};
pub use self::repository::{ChannelRepository, ListenerRepository, QueueRepository, Record, Repository};
pub use self::restore::Restored;

/// The records of one hub.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) channels: ChannelRepository,
    pub(crate) connections: ConnectionRepository,
}

impl Records {
    pub(crate) fn new(kv: Arc<dyn KvStore>) -> Self {
        Self { channels: ChannelRepository::new(kv.clone()), connections: ConnectionRepository::new(kv) }
    }
}
