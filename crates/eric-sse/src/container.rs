//! The channels of a hub, by id.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::channel::{Channel, ChannelSettings, SettingsPatch};
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::hub::HubCore;
use crate::id::ChannelId;
use crate::registry::Registry;

/// The channels of a hub. All methods may be called concurrently.
///
/// ```
/// use eric_sse::{ChannelSettings, ErrorKind, Hub};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let news: eric_sse::ChannelId = "news".parse()?;
/// hub.channels().create(news.clone(), ChannelSettings::default()).await?;
/// assert_eq!(hub.channels().ids(), [news.clone()]);
/// hub.channels().remove(&news).await?;
/// assert_eq!(hub.channels().get(&news).unwrap_err().kind(), ErrorKind::UnknownChannel);
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct ChannelContainer {
    core: Arc<HubCore>,
    channels: RwLock<Registry<ChannelId, Channel>>,
    /// Held while a channel is made or removed, so that nobody sees half of it.
    change: tokio::sync::Mutex<()>,
}

impl ChannelContainer {
    pub(crate) fn new(core: Arc<HubCore>) -> Self {
        Self { core, channels: RwLock::default(), change: tokio::sync::Mutex::default() }
    }

    /// The settings of a channel that is made without any: they depend on the engine.
    pub fn default_settings(&self) -> ChannelSettings {
        match self.core.engine.durability() {
            Durability::Memory => ChannelSettings::in_memory(),
            Durability::Os | Durability::Fsync => ChannelSettings::default(),
        }
    }

    /// Makes a channel.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::LimitExceeded`], and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, the channel may or may not have been made.
    pub async fn create(&self, id: ChannelId, settings: ChannelSettings) -> Result<Channel> {
        let _change = self.change.lock().await;
        if self.channels.read().get(&id).is_some() {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("channel id={id} exists already")));
        }
        self.make(id, settings).await
    }

    /// The channel with this id, made if it is not there; with the settings that `patch` gives, and the others as they
    /// are. Tells whether it was made.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] for a setting out of range, [`ErrorKind::LimitExceeded`], and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, the change may or may not have happened.
    pub async fn ensure(&self, id: ChannelId, patch: &SettingsPatch) -> Result<(Channel, bool)> {
        let _change = self.change.lock().await;
        let present = self.channels.read().get(&id);
        match present {
            Some(channel) => {
                channel.change_settings(patch).await?;
                Ok((channel, false))
            }
            None => Ok((self.make(id, patch.apply(self.default_settings())?).await?, true)),
        }
    }

    async fn make(&self, id: ChannelId, settings: ChannelSettings) -> Result<Channel> {
        settings.check()?;
        let channels_max = self.core.limits.channels;
        if self.channels.read().len() >= channels_max {
            let text = format!("the hub has channels_max={channels_max} channels already");
            return Err(Error::limit_exceeded("channels", text));
        }
        let lane = self.core.engine.open(settings.retention()).await?;
        let channel = Channel::new(self.core.clone(), id.clone(), lane, settings);
        self.channels.write().insert(id, channel.clone());
        Ok(channel)
    }

    /// The channel with this id.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`].
    pub fn get(&self, id: &ChannelId) -> Result<Channel> {
        self.channels.read().get(id).ok_or_else(|| unknown(id))
    }

    /// Removes a channel with its listeners and all that is kept for them; their streams end.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`], and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, the channel is gone, but perhaps not yet durably.
    pub async fn remove(&self, id: &ChannelId) -> Result<()> {
        let _change = self.change.lock().await;
        let channel = self.channels.write().remove(id).ok_or_else(|| unknown(id))?;
        channel.close().await
    }

    /// The ids of all channels, oldest first.
    pub fn ids(&self) -> Vec<ChannelId> {
        self.channels.read().values().map(|channel| channel.id().clone()).collect()
    }

    /// At most `limit` channels made after the one with id `after`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`] where `after` is not there.
    pub fn page(&self, after: Option<&ChannelId>, limit: usize) -> Result<Vec<Channel>> {
        let page = self.channels.read().page(after, limit);
        page.ok_or_else(|| after.map_or_else(|| unknown(&"?"), |after| unknown(after)))
    }

    pub(crate) fn all(&self) -> Vec<Channel> {
        self.channels.read().values().cloned().collect()
    }
}

fn unknown(id: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::UnknownChannel, format!("unknown channel id={id}"))
}
