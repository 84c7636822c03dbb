//! The listeners of a channel: who they are, and who may come and go.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;

use parking_lot::Mutex;

use super::Channel;
use super::subscribe::Signal;
use crate::cursor::{Authority, Commit, Cursor};
use crate::entry::{Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ListenerId;
use crate::lane::Lane;
use crate::listener::Listener;
use crate::registry::Registry;

/// Listeners that are looked at before others may run.
const LISTING_SLICE: usize = 256;

/// The listeners of one channel, by id and by lane.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by_id: Registry<ListenerId, Arc<Member>>,
    by_lane: HashMap<Lane, ListenerId>,
}

/// What the hub knows of one listener.
pub(crate) struct Member {
    pub(crate) id: ListenerId,
    pub(crate) lane: Lane,
    is_generated: bool,
    is_running: AtomicBool,
    /// When it was last read for or acknowledged.
    seen_ms: AtomicU64,
    /// Subscriptions that live; more than one while one replaces another.
    live: AtomicUsize,
    /// The latest of them.
    signal: Mutex<Weak<Signal>>,
    pub(crate) listener: Option<Arc<dyn Listener>>,
}

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
    channel: Channel,
    member: Arc<Member>,
}

/// What a listener's queue holds at one moment.
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

/// How a listing of listeners is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListenerOrder {
    /// By registration.
    #[default]
    Age,
    /// The largest backlog first.
    Backlog,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn id_of(&self, lane: Lane) -> Option<ListenerId> {
        self.by_lane.get(&lane).cloned()
    }
}

impl Member {
    /// A subscription begins; whether it is the only one.
    pub(crate) fn arrive(&self, signal: &Arc<Signal>) -> bool {
        *self.signal.lock() = Arc::downgrade(signal);
        self.live.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// The live subscription, if there is one.
    pub(crate) fn present(&self) -> Option<Arc<Signal>> {
        self.signal.lock().upgrade()
    }

    /// A subscription ends; whether it was the last one.
    pub(crate) fn depart(&self) -> bool {
        self.live.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(crate) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    pub(crate) fn start(&self) {
        self.is_running.store(true, Ordering::Release);
    }

    pub(crate) fn see(&self, now_ms: u64) {
        self.seen_ms.fetch_max(now_ms, Ordering::Relaxed);
    }
}

impl Channel {
    /// Adds a listener with a generated id.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`], [`ErrorKind::UnknownChannel`] where the channel was removed, and what the engine
    /// says.
    ///
    /// # Cancel safety
    /// If dropped, the listener may or may not have been added.
    pub async fn add_listener(&self) -> Result<Connection> {
        let _change = self.0.change.lock().await;
        self.admit(ListenerId::generate(), None, true).await
    }

    /// Adds the user's own listener.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where its id is taken; else as [`Channel::add_listener`].
    ///
    /// # Cancel safety
    /// If dropped, the listener may or may not have been added.
    pub async fn register_listener(&self, listener: Arc<dyn Listener>) -> Result<Connection> {
        let _change = self.0.change.lock().await;
        let id = listener.id().clone();
        if self.0.members.read().by_id.get(&id).is_some() {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("listener id={id} exists already")));
        }
        self.admit(id, Some(listener), false).await
    }

    /// The listener with this id, added if it is not there; an existing one keeps its queue. Tells whether it was
    /// added.
    ///
    /// # Errors
    /// As [`Channel::add_listener`].
    ///
    /// # Cancel safety
    /// If dropped, the listener may or may not have been added.
    pub async fn ensure_listener(&self, id: ListenerId) -> Result<(Connection, bool)> {
        let _change = self.0.change.lock().await;
        let present = self.0.members.read().by_id.get(&id);
        match present {
            Some(member) => Ok((Connection { channel: self.clone(), member }, false)),
            None => Ok((self.admit(id, None, false).await?, true)),
        }
    }

    /// Adds a listener whose id is free; the caller holds `change`.
    async fn admit(
        &self,
        id: ListenerId,
        listener: Option<Arc<dyn Listener>>,
        is_generated: bool,
    ) -> Result<Connection> {
        let listeners_max = self.core().limits.listeners_per_channel;
        if self.0.members.read().len() >= listeners_max {
            let text = format!("channel id={} has listeners_per_channel={listeners_max} already", self.0.id);
            return Err(Error::limit_exceeded("listeners_per_channel", text));
        }
        let joined = self.core().engine.join(self.0.lane).await.map_err(|error| self.explain(error))?;
        let member = Arc::new(Member {
            id: id.clone(),
            lane: joined.lane,
            is_generated,
            is_running: AtomicBool::new(false),
            seen_ms: AtomicU64::new(self.core().clock.now().as_ms()),
            live: AtomicUsize::new(0),
            signal: Mutex::new(Weak::new()),
            listener,
        });
        let mut members = self.0.members.write();
        members.by_lane.insert(joined.lane, id.clone());
        members.by_id.insert(id, member.clone());
        Ok(Connection { channel: self.clone(), member })
    }

    /// Removes a listener with its queue; its streams end.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`], and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, the listener is gone, but perhaps not yet durably.
    pub async fn remove_listener(&self, id: &ListenerId) -> Result<()> {
        let _change = self.0.change.lock().await;
        let member = {
            let mut members = self.0.members.write();
            let member = members.by_id.remove(id).ok_or_else(|| self.unknown_listener(id))?;
            members.by_lane.remove(&member.lane);
            member
        };
        self.core().engine.leave(member.lane).await
    }

    /// The listener with this id.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`].
    pub fn listener(&self, id: &ListenerId) -> Result<Connection> {
        Ok(Connection { channel: self.clone(), member: self.member(id)? })
    }

    /// The ids of all listeners, by registration.
    pub fn listener_ids(&self) -> Vec<ListenerId> {
        self.0.members.read().by_id.values().map(|member| member.id.clone()).collect()
    }

    /// At most `limit` listeners after the one with id `after`, in `order`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`] where `after` is not there, and what the engine says.
    ///
    /// # Cancel safety
    /// Reads only.
    pub async fn listeners(
        &self,
        after: Option<&ListenerId>,
        limit: usize,
        order: ListenerOrder,
    ) -> Result<Vec<ListenerInfo>> {
        let read = match order {
            ListenerOrder::Age => self.0.members.read().by_id.page(after, limit),
            ListenerOrder::Backlog => self.0.members.read().by_id.page(None, usize::MAX),
        };
        let unknown = || after.map_or_else(|| self.unknown(), |after| self.unknown_listener(after));
        let mut infos = Vec::new();
        for (index, member) in read.ok_or_else(unknown)?.into_iter().enumerate() {
            if index % LISTING_SLICE == LISTING_SLICE - 1 {
                breathe().await;
            }
            match (Connection { channel: self.clone(), member }).info().await {
                Ok(info) => infos.push(info),
                Err(error) if error.kind() == ErrorKind::UnknownListener => {}
                Err(error) => return Err(error),
            }
        }
        if order == ListenerOrder::Backlog {
            infos.sort_by_key(|info| std::cmp::Reverse(info.backlog));
            if let Some(after) = after {
                let index = infos.iter().position(|info| info.id == *after).ok_or_else(unknown)?;
                infos.drain(..=index);
            }
            infos.truncate(limit);
        }
        Ok(infos)
    }

    /// Acknowledges everything up to `position` for a listener.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`]; [`ErrorKind::Conflict`] beyond the tail or of another epoch; and what the
    /// engine says. At or below the cursor nothing changes and nothing is wrong.
    ///
    /// # Cancel safety
    /// If dropped, the cursor may or may not have moved.
    pub async fn ack(&self, id: &ListenerId, position: Position) -> Result<()> {
        let member = self.member(id)?;
        member.see(self.core().clock.now().as_ms());
        let commit = Commit { listener: member.lane, to: position, by: Authority::Ack };
        let answers = self.core().engine.commit(vec![commit]).await?;
        for answer in answers {
            answer.map_err(|error| self.explain_listener(error, id))?;
        }
        Ok(())
    }

    pub(crate) async fn expire_listeners(&self) -> usize {
        let settings = self.settings();
        let now_ms = self.core().clock.now().as_ms();
        let is_expired = |member: &&Arc<Member>| {
            let expires_s = if member.is_generated {
                settings.generated_listener_expires_s
            } else {
                settings.listener_expires_s
            };
            let seen_ms = member.seen_ms.load(Ordering::Relaxed);
            let is_away = member.live.load(Ordering::Acquire) == 0;
            is_away && expires_s.is_some_and(|s| now_ms.saturating_sub(seen_ms) > s.saturating_mul(1000))
        };
        let expired: Vec<ListenerId> =
            self.0.members.read().by_id.values().filter(is_expired).map(|member| member.id.clone()).collect();
        let mut removed = 0;
        for id in &expired {
            removed += usize::from(self.remove_listener(id).await.is_ok());
        }
        removed
    }

    pub(crate) fn member(&self, id: &ListenerId) -> Result<Arc<Member>> {
        if self.0.is_removed.load(Ordering::SeqCst) {
            return Err(self.unknown());
        }
        self.0.members.read().by_id.get(id).ok_or_else(|| self.unknown_listener(id))
    }

    pub(crate) fn unknown_listener(&self, id: &ListenerId) -> Error {
        let text = format!("unknown listener id={id} on channel id={}", self.0.id);
        Error::new(ErrorKind::UnknownListener, text)
    }

    /// What the engine says of a listener's lane, said of the listener.
    pub(crate) fn explain_listener(&self, error: Error, id: &ListenerId) -> Error {
        match error.kind() {
            ErrorKind::Closed | ErrorKind::UnknownListener => self.unknown_listener(id),
            _ => error,
        }
    }
}

/// Lets others run before going on.
async fn breathe() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Connection {
    /// The listener's id.
    pub fn id(&self) -> &ListenerId {
        &self.member.id
    }

    /// The channel it listens on.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Lets messages be delivered.
    pub fn start(&self) {
        self.member.start();
    }

    /// Ends delivery: its streams end, its queue goes on filling.
    pub fn stop(&self) {
        self.member.is_running.store(false, Ordering::Release);
        if let Some(signal) = self.member.present() {
            signal.stop();
        }
    }

    /// Whether messages are delivered.
    pub fn is_running(&self) -> bool {
        self.member.is_running()
    }

    /// What its queue holds.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`] where it was removed, and what the engine says.
    ///
    /// # Cancel safety
    /// Reads only.
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

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id).field("lane", &self.lane).finish_non_exhaustive()
    }
}
