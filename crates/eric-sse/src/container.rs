//! The channels of a hub, by id.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::channel::{Channel, ChannelSettings, SettingsPatch};
use crate::claim::Claim;
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::hub::HubCore;
use crate::id::ChannelId;
use crate::persist::kinds::Made;
use crate::persist::{ChannelRecord, ListenerRecord};
use crate::registry::{Place, Registry};
use crate::turns::Turns;

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
    turns: Turns<ChannelId>,
}

impl ChannelContainer {
    pub(crate) fn new(core: Arc<HubCore>) -> Self {
        Self { core, channels: RwLock::default(), turns: Turns::default() }
    }

    /// Takes in what a restart has found; the limits are for those who come later.
    pub(crate) fn restore(&self, found: Vec<(ChannelRecord, Vec<(ListenerRecord, Made)>)>) {
        let mut channels = self.channels.write();
        for (record, listeners) in found {
            let (id, lane) = (record.id.clone(), record.lane);
            channels.insert(id, lane, Channel::new(self.core.clone(), record, listeners));
        }
    }

    /// The settings of a channel that is made without any: they depend on the engine.
    ///
    /// ```
    /// use eric_sse::ChannelSettings;
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// let settings = hub.channels().default_settings();
    /// assert_eq!(settings, ChannelSettings::in_memory(), "this hub keeps everything in memory");
    /// # Ok(())
    /// # });
    /// ```
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
    /// If dropped, there is no new channel.
    ///
    /// ```
    /// use eric_sse::{ChannelSettings, ErrorKind};
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// let short = ChannelSettings { max_age_s: 60, ..hub.channels().default_settings() };
    /// let prices = hub.channels().create("prices".parse()?, short.clone()).await?;
    /// assert_eq!(*prices.settings(), short);
    ///
    /// let again = hub.channels().create("prices".parse()?, short).await;
    /// assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn create(&self, id: ChannelId, settings: ChannelSettings) -> Result<Channel> {
        let _turn = self.turns.take(&id).await;
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
    /// If dropped, there is no new channel; the change of an existing one may or may not have happened.
    ///
    /// ```
    /// use eric_sse::SettingsPatch;
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// let short = SettingsPatch { max_age_s: Some(60), ..SettingsPatch::default() };
    /// let (prices, is_new) = hub.channels().ensure("prices".parse()?, &short).await?;
    /// assert!(is_new && prices.settings().max_age_s == 60);
    ///
    /// let (same, is_new) = hub.channels().ensure("prices".parse()?, &SettingsPatch::default()).await?;
    /// assert!(!is_new && same.settings().max_age_s == 60);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn ensure(&self, id: ChannelId, patch: &SettingsPatch) -> Result<(Channel, bool)> {
        let _turn = self.turns.take(&id).await;
        let present = self.channels.read().get(&id);
        match present {
            Some(channel) => {
                channel.change_settings(patch).await?;
                Ok((channel, false))
            }
            None => Ok((self.make(id, patch.apply(self.default_settings())?).await?, true)),
        }
    }

    /// Makes a channel whose id is free, and whose turn it is: log before record, record before anybody sees it.
    async fn make(&self, id: ChannelId, settings: ChannelSettings) -> Result<Channel> {
        settings.check()?;
        let channels_max = self.core.limits.channels;
        let place = Place::keep(&self.channels, channels_max).ok_or_else(|| {
            let text = format!("the hub has channels_max={channels_max} channels already");
            Error::limit_exceeded("channels", text)
        })?;
        let mut claim = Claim::open(&self.core, settings.retention());
        let record = ChannelRecord { id, lane: claim.lane().await?, settings };
        self.core.records.channels.persist(&record).await?;
        claim.keep();
        let (id, lane) = (record.id.clone(), record.lane);
        let channel = Channel::new(self.core.clone(), record, Vec::new());
        let is_there = place.fill(id, lane, channel.clone());
        assert!(is_there, "a hub's channels are never closed");
        Ok(channel)
    }

    /// The channel with this id.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`].
    ///
    /// ```
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let same = hub.channels().get(&"news".parse()?)?;
    /// assert_eq!(same.listener_ids(), [bob.id().clone()]);
    /// # Ok(())
    /// # });
    /// ```
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
    ///
    /// ```
    /// use eric_sse::End;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let mut stream = news.message_stream(&bob).await?;
    /// hub.channels().remove(news.id()).await?;
    /// assert!(stream.next().await.is_none());
    /// assert_eq!(stream.end(), Some(End::Removed));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn remove(&self, id: &ChannelId) -> Result<()> {
        let _turn = self.turns.take(id).await;
        let channel = self.get(id)?;
        let _settings = channel.settings_turn().await;
        let (place, channel) = Place::vacate(&self.channels, id, |_| true).ok_or_else(|| unknown(id))?;
        let going = Going(Some(&channel));
        if let Err(error) = self.core.records.channels.delete(channel.lane()).await {
            going.stay();
            place.fill(id.clone(), channel.lane(), channel.clone());
            return Err(error);
        }
        going.end().await
    }

    /// The ids of all channels, oldest first.
    ///
    /// ```
    /// use eric_sse::ChannelSettings;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// hub.channels().create("art".parse()?, ChannelSettings::default()).await?;
    /// assert_eq!(hub.channels().ids(), ["news".parse()?, "art".parse()?]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn ids(&self) -> Vec<ChannelId> {
        self.channels.read().values().map(|channel| channel.id().clone()).collect()
    }

    /// At most `limit` channels made after the one with id `after`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`] where `after` is not there.
    ///
    /// ```
    /// use eric_sse::ChannelSettings;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// for id in ["art", "film", "music"] {
    ///     hub.channels().create(id.parse()?, ChannelSettings::default()).await?;
    /// }
    /// let page = hub.channels().page(Some(news.id()), 2)?;
    /// assert_eq!((page.len(), page[1].id().as_str()), (2, "film"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn page(&self, after: Option<&ChannelId>, limit: usize) -> Result<Vec<Channel>> {
        let page = self.channels.read().page(after, limit);
        page.ok_or_else(|| after.map_or_else(|| unknown(&"?"), |after| unknown(after)))
    }

    pub(crate) fn all(&self) -> Vec<Channel> {
        self.channels.read().values().cloned().collect()
    }
}

/// A channel whose record goes: it ends, unless it stays.
struct Going<'a>(Option<&'a Channel>);

impl Going<'_> {
    fn stay(mut self) {
        self.0 = None;
    }

    async fn end(mut self) -> Result<()> {
        self.0.take().expect("a channel ends once").end().finish().await
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        if let Some(channel) = self.0 {
            drop(channel.end());
        }
    }
}

fn unknown(id: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::UnknownChannel, format!("unknown channel id={id}"))
}
