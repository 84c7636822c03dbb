//! The records of a hub's channels.

use std::sync::Arc;

use super::kv::KvStore;
use super::record::{self, ChannelRecord};
use crate::error::Result;
use crate::lane::Lane;
use crate::log::Ticket;

/// The records of channels in a store, by lane.
#[derive(Clone)]
pub(crate) struct ChannelRecords(Arc<dyn KvStore>);

impl ChannelRecords {
    pub(crate) fn new(kv: Arc<dyn KvStore>) -> Self {
        Self(kv)
    }

    /// Remembers a channel as it is in `channel`.
    pub(crate) fn put(&self, channel: &ChannelRecord) -> Ticket<()> {
        let (key, value) = channel.encode();
        self.0.upsert(&key, value)
    }

    pub(crate) fn forget(&self, lane: Lane) -> Ticket<()> {
        self.0.delete(&record::channel_key(lane))
    }

    /// Hands every record to `take`, in the order of lanes.
    pub(crate) async fn each(&self, mut take: impl FnMut(ChannelRecord)) -> Result<()> {
        super::kv::each(&*self.0, record::CHANNELS, |key, value| {
            ChannelRecord::decode(key, value).map(&mut take)
        })
        .await
    }
}
