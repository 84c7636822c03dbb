//! The records of a hub's listeners.

use std::sync::Arc;

use super::kv::KvStore;
use super::record::{self, ListenerRecord};
use crate::error::Result;
use crate::lane::Lane;
use crate::log::Ticket;

/// The records of listeners in a store, by their channel's lane and their own.
#[derive(Clone)]
pub(crate) struct ListenerRecords(Arc<dyn KvStore>);

impl ListenerRecords {
    pub(crate) fn new(kv: Arc<dyn KvStore>) -> Self {
        Self(kv)
    }

    /// Remembers a listener as it is in `listener`.
    pub(crate) fn put(&self, listener: &ListenerRecord) -> Ticket<()> {
        let (key, value) = listener.encode();
        self.0.upsert(&key, value)
    }

    pub(crate) fn forget(&self, channel: Lane, lane: Lane) -> Ticket<()> {
        self.0.delete(&record::listener_key(channel, lane))
    }

    /// Hands every record to `take`: channel after channel in the order of lanes, each one's in the order of theirs.
    pub(crate) async fn each(&self, mut take: impl FnMut(ListenerRecord)) -> Result<()> {
        super::kv::each(&*self.0, record::LISTENERS, |key, value| {
            ListenerRecord::decode(key, value).map(&mut take)
        })
        .await
    }
}
