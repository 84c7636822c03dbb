//! A channel: a named place that messages are published to and listeners join.
//!
//! This file holds the channel itself; what can be done with it is in `publish`, `admission`, `members`,
//! `connection`, `subscribe`, `subscription` and `stream`. Doors call these and decide nothing about delivery
//! themselves.

pub(crate) mod adapter;
pub(crate) mod admission;
pub(crate) mod audience;
pub(crate) mod connection;
pub(crate) mod delivery;
mod event_stream;
mod inbox;
pub(crate) mod members;
pub(crate) mod publish;
pub(crate) mod settings;
mod signal;
pub(crate) mod stream;
pub(crate) mod subscribe;
pub(crate) mod subscription;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

pub use self::adapter::{Adapted, Adapter};
pub use self::audience::{Audience, Heard, Hearing};
pub use self::connection::{Connection, ListenerInfo};
pub use self::delivery::{Delivery, Event, Failure};
pub use self::event_stream::EventStream;
pub use self::members::ListenerOrder;
pub use self::publish::Publish;
pub use self::settings::{ChannelSettings, SettingsPatch};
pub use self::stream::MessageStream;
pub use self::subscribe::{Ack, Subscribe};
pub use self::subscription::{Item, Subscription};
use crate::claim::gone;
use crate::entry::{Entry, Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::HubCore;
use crate::id::{ChannelId, ListenerId};
use crate::lane::Lane;
use crate::limits::READ_BYTES_MAX;
use crate::log::{Budget, Ticket};
use crate::persist::kinds::Made;
use crate::persist::{ChannelRecord, ListenerRecord, Seat};
use crate::turns::Turns;
use members::{Member, Members};

/// A channel of a hub. Cloning shares it.
///
/// ```
/// use eric_sse::{ChannelSettings, Hub, Message};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let channel = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// let bob = channel.add_listener().await?;
/// bob.start();
/// channel.dispatch(bob.id(), Message::of("hello", "bob")?).await?;
/// let delivery = channel.deliver_next(bob.id()).await?.expect("one message waits");
/// assert_eq!(delivery.message().payload().as_json(), "\"bob\"");
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Channel(Arc<Shared>);

struct Shared {
    core: Arc<HubCore>,
    id: ChannelId,
    lane: Lane,
    settings: Mutex<Arc<ChannelSettings>>,
    /// [`ChannelSettings::stream_delay_ms`], which every delivery asks for.
    stream_delay_ms: AtomicU64,
    /// Held while the settings change, and while the channel is removed.
    settings_turn: tokio::sync::Mutex<()>,
    members: RwLock<Members>,
    turns: Turns<ListenerId>,
    /// Listeners with a live subscription.
    connected: AtomicUsize,
    is_removed: AtomicBool,
}

/// What a channel holds at one moment.
///
/// ```
/// # use eric_sse::Message;
/// # eric_testkit::example(async |hub, news, _bob| {
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// let info = news.info().await?;
/// assert_eq!((info.messages, info.listeners, info.connected), (1, 1, 0));
/// assert_eq!(info.tail, Some(hub.tail()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelInfo {
    /// The last broadcast; none where there never was one.
    pub tail: Option<Position>,
    /// Broadcasts that are kept.
    pub messages: u64,
    /// Bytes of the broadcasts that are kept.
    pub bytes: u64,
    /// Its listeners.
    pub listeners: usize,
    /// Listeners with a live subscription.
    pub connected: usize,
}

/// Broadcasts that a channel keeps.
///
/// ```
/// # use eric_sse::Message;
/// # eric_testkit::example(async |_hub, news, _bob| {
/// for n in 0..5 {
///     news.broadcast(Message::of("number", &n)?).await?;
/// }
/// let (mut read, mut after) = (0, None);
/// loop {
///     let page = news.history(after, 2).await?;
///     read += page.entries.len();
///     after = page.next;
///     if after.is_none() {
///         break;
///     }
/// }
/// assert_eq!(read, 5);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct History {
    /// In log order.
    pub entries: Vec<Entry>,
    /// Where to go on; none at the end.
    pub next: Option<Position>,
}

impl Channel {
    /// The channel of this record, with the listeners of these.
    pub(crate) fn new(
        core: Arc<HubCore>,
        record: ChannelRecord,
        listeners: Vec<(ListenerRecord, Made)>,
    ) -> Self {
        let ChannelRecord { id, lane, settings } = record;
        let mut members = Members::default();
        let now_ms = core.clock.now().as_ms();
        for (listener, made) in listeners {
            let (id, lane) = (listener.id.clone(), listener.seat.lane);
            members.insert(id, lane, Arc::new(Member::restored(listener, made, now_ms)));
        }
        Self(Arc::new(Shared {
            core,
            id,
            lane,
            stream_delay_ms: AtomicU64::new(settings.stream_delay_ms),
            settings: Mutex::new(Arc::new(settings)),
            settings_turn: tokio::sync::Mutex::default(),
            members: RwLock::new(members),
            turns: Turns::default(),
            connected: AtomicUsize::new(0),
            is_removed: AtomicBool::new(false),
        }))
    }

    pub(crate) fn stream_delay_ms(&self) -> u64 {
        self.0.stream_delay_ms.load(Ordering::Relaxed)
    }

    fn put_settings(&self, settings: Arc<ChannelSettings>) {
        self.0.stream_delay_ms.store(settings.stream_delay_ms, Ordering::Relaxed);
        *self.0.settings.lock() = settings;
    }

    pub(crate) fn core(&self) -> &Arc<HubCore> {
        &self.0.core
    }

    fn epoch_position(&self, offset: Offset) -> Position {
        Position { epoch: self.0.core.engine.tail().epoch, offset }
    }

    /// Its id.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// assert_eq!(news.id().as_str(), "news");
    /// # Ok(())
    /// # });
    /// ```
    pub fn id(&self) -> &ChannelId {
        &self.0.id
    }

    pub(crate) fn lane(&self) -> Lane {
        self.0.lane
    }

    /// Its settings at this moment.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let settings = news.settings();
    /// assert_eq!((settings.max_messages, settings.listener_expires_s), (1_000_000, None));
    /// # Ok(())
    /// # });
    /// ```
    pub fn settings(&self) -> Arc<ChannelSettings> {
        self.0.settings.lock().clone()
    }

    /// Changes the settings that `patch` gives; they are in force at once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] where one is out of range: then none is changed. [`ErrorKind::UnknownChannel`] where
    /// the channel was removed, and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, the settings may or may not have changed.
    ///
    /// ```
    /// use eric_sse::SettingsPatch;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// news.change_settings(&SettingsPatch { history: Some(10), ..SettingsPatch::default() }).await?;
    ///
    /// let wrong = SettingsPatch { history: Some(20), retry_ms: Some(0), ..SettingsPatch::default() };
    /// assert!(news.change_settings(&wrong).await.is_err());
    /// assert_eq!(news.settings().history, 10, "all that a patch gives is changed, or nothing");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn change_settings(&self, patch: &SettingsPatch) -> Result<()> {
        let _turn = self.settings_turn().await;
        if self.0.is_removed.load(Ordering::SeqCst) {
            return Err(self.unknown());
        }
        let before = self.settings();
        let after = patch.apply((*before).clone())?;
        if after == *before {
            return Ok(());
        }
        let undo = Undo { channel: self, before: Some(before.clone()) };
        self.record_settings(&after).await?;
        undo.keep();
        // The record comes first, for what a narrower retention lets go does not come back.
        let retention = after.retention();
        let retained = match retention == before.retention() {
            true => Ticket::ready(Ok(())),
            false => self.core().engine.retain(self.0.lane, retention),
        };
        self.put_settings(Arc::new(after));
        retained.await.map_err(|error| {
            drop(self.record_settings(&before));
            self.put_settings(before);
            self.explain(error)
        })
    }

    /// Waits until nobody else changes the settings.
    pub(crate) async fn settings_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.settings_turn.lock().await
    }

    fn record_settings(&self, settings: &ChannelSettings) -> Ticket<()> {
        let (id, lane, settings) = (self.0.id.clone(), self.0.lane, settings.clone());
        self.core().records.channels.persist(&ChannelRecord { id, lane, settings })
    }

    /// What it holds.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`] where it was removed, and what the engine says.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.dispatch(bob.id(), Message::of("note", "for bob")?).await?;
    /// assert_eq!(news.info().await?.messages, 0, "a dispatch is in bob's lane, not in the channel's");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn info(&self) -> Result<ChannelInfo> {
        let lane = self.core().engine.lane(self.0.lane).await.map_err(|error| self.explain(error))?;
        Ok(ChannelInfo {
            tail: lane.last.map(|last| self.epoch_position(last)),
            messages: lane.messages,
            bytes: lane.bytes,
            listeners: self.0.members.read().len(),
            connected: self.0.connected.load(Ordering::Relaxed),
        })
    }

    /// At most `limit` kept broadcasts after `after`, or from the earliest.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where `after` is of another epoch, and what the engine says.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let read = news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// news.broadcast(Message::of("headline", "Eric rests")?).await?;
    ///
    /// let unread = news.history(Some(read.position), 100).await?;
    /// assert_eq!(unread.entries[0].message().payload().as_json(), "\"Eric rests\"");
    /// assert!(unread.entries.len() == 1 && unread.next.is_none());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn history(&self, after: Option<Position>, limit: usize) -> Result<History> {
        let tail = self.core().engine.tail();
        if let Some(after) = after.filter(|after| after.epoch != tail.epoch) {
            let text = format!("position {after} is of another epoch than {}", tail.epoch);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let mut at = after.map_or(Offset::ZERO, |after| after.offset);
        let mut entries: Vec<Entry> = Vec::new();
        while entries.len() < limit && at < tail.offset {
            let budget = Budget { entries: limit - entries.len(), bytes: READ_BYTES_MAX };
            let page = self
                .core()
                .engine
                .read(self.0.lane, at, budget)
                .await
                .map_err(|error| self.explain(error))?;
            at = page.searched_to;
            entries.extend(page.entries);
            if entries.iter().map(Entry::bytes).sum::<usize>() >= READ_BYTES_MAX {
                break;
            }
        }
        let next = entries.last().map(Entry::position).filter(|last| at < tail.offset && at == last.offset);
        Ok(History { entries, next })
    }

    /// The end of the channel, whose record is gone already, and of whatever is under way in it.
    pub(crate) fn end(&self) -> Ending<'_> {
        self.0.is_removed.store(true, Ordering::SeqCst);
        let listeners = self.0.members.write().close();
        Ending { channel: self, closed: Some(self.core().engine.close(self.0.lane)), listeners }
    }

    /// What the engine says of lanes, said of the channel and its listeners.
    fn explain(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Closed => self.unknown(),
            ErrorKind::LimitExceeded => {
                match error.holder().and_then(|lane| self.0.members.read().id_of(lane)) {
                    Some(holder) => error.with_note(&format!(", held by listener id={holder}")),
                    None => error,
                }
            }
            _ => error,
        }
    }

    fn unknown(&self) -> Error {
        Error::new(ErrorKind::UnknownChannel, format!("unknown channel id={}", self.0.id))
    }
}

/// Writes the record of a channel as it was before, unless the change is kept.
struct Undo<'a> {
    channel: &'a Channel,
    before: Option<Arc<ChannelSettings>>,
}

impl Undo<'_> {
    fn keep(mut self) {
        self.before = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            drop(self.channel.record_settings(before));
        }
    }
}

/// A channel that has ended, and whose listeners are to be forgotten; at the latest when this is dropped.
pub(crate) struct Ending<'a> {
    channel: &'a Channel,
    closed: Option<Ticket<()>>,
    listeners: Vec<Lane>,
}

/// Listeners that are forgotten at once.
const FORGET_SLICE: usize = 1_024;

impl Ending<'_> {
    /// Waits until it is durable. A listener's record that stays goes at the next start.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let closed = self.closed.take().expect("an ending finishes once");
        let closed = gone(self.channel.core(), None, self.channel.lane(), closed).await;
        while !self.listeners.is_empty() {
            for ticket in self.forget() {
                let _ = ticket.await;
            }
        }
        closed
    }

    fn forget(&mut self) -> Vec<Ticket<()>> {
        let rest = self.listeners.len().saturating_sub(FORGET_SLICE);
        let (connections, channel) = (&self.channel.core().records.connections, self.channel.0.lane);
        self.listeners.drain(rest..).map(|lane| connections.delete(Seat { channel, lane })).collect()
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        while !self.listeners.is_empty() {
            drop(self.forget());
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.0.id).field("lane", &self.0.lane).finish_non_exhaustive()
    }
}
