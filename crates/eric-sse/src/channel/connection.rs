//! A listener bound to its queue: what its owner does with it, and what the queue holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Channel;
use super::members::Member;
use crate::cursor::Cursor;
use crate::entry::{Offset, Position};
use crate::error::Result;
use crate::id::ListenerId;
use crate::listener::Listener;

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
    pub(crate) channel: Channel,
    pub(crate) member: Arc<Member>,
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

impl Connection {
    /// The listener's id.
    pub fn id(&self) -> &ListenerId {
        &self.member.id
    }

    /// The channel it listens on.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The user's own part of it, where there is one.
    pub fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.member.object()
    }

    /// Takes note, for the next restart, of what its listener and its queue say of how they are made again.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind) where it was removed, and what the store says.
    ///
    /// # Cancel safety
    /// If dropped, it is remembered as it was or as it is.
    pub async fn remember(&self) -> Result<()> {
        let _turn = self.channel.0.turns.take(self.id()).await;
        self.channel.member(self.id())?;
        self.record().await
    }

    /// Takes note of it; it is its turn.
    pub(super) async fn record(&self) -> Result<()> {
        let record = self.member.connection(self.channel.lane());
        self.channel.core().records.connections.persist(&record).await
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
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind) where it was removed, and what the engine says.
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
