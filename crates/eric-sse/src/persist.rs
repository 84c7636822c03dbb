//! What a hub remembers over a restart, beside what its engine does: which ids the engine's lanes belong to.
//!
//! A hub that is opened with [`HubBuilder::restore`](crate::HubBuilder::restore) keeps a record of every channel and
//! listener in a [`KvStore`]. The store is the seam: what is next to an engine on a disk or in a database implements
//! it, and `eric-testkit`'s `kv_suite` checks that it does so. `record` says how records look, `channels` and
//! `listeners` where they are, `restore` what becomes of them at the next start.

pub(crate) mod channels;
pub mod kv;
pub(crate) mod listeners;
pub(crate) mod record;
pub(crate) mod restore;

use std::fmt;
use std::sync::Arc;

use self::channels::ChannelRecords;
pub use self::kv::{KvStore, MemoryKv};
use self::listeners::ListenerRecords;
pub use self::restore::Restored;

/// The records of one hub.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) channels: ChannelRecords,
    pub(crate) listeners: ListenerRecords,
}

impl Records {
    pub(crate) fn new(kv: Arc<dyn KvStore>) -> Self {
        Self { channels: ChannelRecords::new(kv.clone()), listeners: ListenerRecords::new(kv) }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}
