//! Who may come and go: listeners are added, removed, and expire.
//!
//! What is asked of one id happens in the order of asking; different ids wait for nobody, so that an engine and its
//! records can make many changes durable at once. Adding is log before record before anybody sees it; removing is the
//! other way round.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::Channel;
use super::connection::Connection;
use super::members::{Member, breathe};
use crate::claim::Claim;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ListenerId;
use crate::lane::Lane;
use crate::listener::Listener;
use crate::log::BoxFuture;
use crate::persist::Seat;
use crate::persist::kinds::Made;
use crate::queue::Queue;
use crate::registry::Place;

/// Listeners whose records are written, or that are removed, at once.
const SLICE: usize = 1_024;

impl Channel {
    /// Adds a listener with a generated id.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`], [`ErrorKind::UnknownChannel`] where the channel was removed, and what the engine
    /// says.
    ///
    /// # Cancel safety
    /// If dropped, no listener is added.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let somebody = news.add_listener().await?;
    /// assert_eq!(news.listener_ids(), [bob.id().clone(), somebody.id().clone()]);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn add_listener(&self) -> Result<Connection> {
        // Nobody else can ask for an id that was just generated.
        self.admit(ListenerId::generate(), Made::default(), true).await
    }

    /// Adds the user's own listener, or gives it to the listener with its id that came back from a restart without
    /// one: that keeps its queue.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where its id is taken; else as [`Channel::add_listener`].
    ///
    /// # Cancel safety
    /// If dropped, no listener is added.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::{Arc, mpsc};
    /// use eric_sse::listener::FnListener;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let (sender, heard) = mpsc::channel();
    /// let tell = move |message: &Message| Ok(sender.send(message.kind().to_string())?);
    /// let carol = news.register_listener(Arc::new(FnListener::new("carol".parse()?, tell))).await?;
    ///
    /// carol.start();
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// news.deliver_next(carol.id()).await?;
    /// assert_eq!(heard.recv()?, "headline");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn register_listener(&self, listener: Arc<dyn Listener>) -> Result<Connection> {
        let id = listener.id().clone();
        self.register(id, Made { listener: Some(listener), queue: None }).await
    }

    /// [`Channel::register_listener`] of one whose messages are to go on to `queue`.
    pub(crate) async fn register_connection(
        &self,
        listener: Arc<dyn Listener>,
        queue: Arc<dyn Queue>,
    ) -> Result<Connection> {
        let id = listener.id().clone();
        self.register(id, Made { listener: Some(listener), queue: Some(queue) }).await
    }

    async fn register(&self, id: ListenerId, made: Made) -> Result<Connection> {
        let _turn = self.0.turns.take(&id).await;
        let present = self.0.members.read().get(&id);
        match present {
            None => self.admit(id, made, false).await,
            Some(member) if member.adopt(made) => {
                let connection = Connection { channel: self.clone(), member };
                connection.record().await?;
                Ok(connection)
            }
            Some(_) => Err(Error::new(ErrorKind::AlreadyExists, format!("listener id={id} exists already"))),
        }
    }

    /// The listener with this id, added if it is not there; an existing one keeps its queue. Tells whether it was
    /// added.
    ///
    /// # Errors
    /// As [`Channel::add_listener`].
    ///
    /// # Cancel safety
    /// If dropped, no listener is added.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let (alice, is_new) = news.ensure_listener("alice".parse()?).await?;
    /// let (same, is_new_again) = news.ensure_listener("alice".parse()?).await?;
    /// assert_eq!((same.id(), is_new, is_new_again), (alice.id(), true, false));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn ensure_listener(&self, id: ListenerId) -> Result<(Connection, bool)> {
        let present = || {
            let member = self.0.members.read().get(&id)?;
            Some(Connection { channel: self.clone(), member })
        };
        if let Some(connection) = present() {
            return Ok((connection, false));
        }
        let _turn = self.0.turns.take(&id).await;
        match present() {
            Some(connection) => Ok((connection, false)),
            None => Ok((self.admit(id.clone(), Made::default(), false).await?, true)),
        }
    }

    /// Adds a listener whose id is free, and whose turn it is.
    async fn admit(&self, id: ListenerId, made: Made, is_generated: bool) -> Result<Connection> {
        let core = self.core();
        let listeners_max = core.limits.listeners_per_channel;
        let place = Place::keep(&self.0.members, listeners_max).ok_or_else(|| {
            let text = format!("channel id={} has listeners_per_channel={listeners_max} already", self.0.id);
            Error::limit_exceeded("listeners_per_channel", text)
        })?;
        let mut claim = Claim::join(core, self.0.lane);
        let lane = claim.lane().await.map_err(|error| self.explain(error))?;
        let seen_ms = core.clock.now().as_ms();
        let member = Arc::new(Member::new(id.clone(), lane, is_generated, seen_ms, made));
        core.records.connections.persist(&member.connection(self.0.lane)).await?;
        if !place.fill(id, lane, member.clone()) {
            return Err(self.unknown());
        }
        claim.keep();
        Ok(Connection { channel: self.clone(), member })
    }

    /// Removes a listener with its queue; its streams end.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`], and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, the listener is gone, but perhaps not yet durably.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::ErrorKind;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.remove_listener(bob.id()).await?;
    /// let late = news.dispatch(bob.id(), Message::of("note", "for bob")?).await;
    /// assert_eq!(late.unwrap_err().kind(), ErrorKind::UnknownListener);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn remove_listener(&self, id: &ListenerId) -> Result<()> {
        self.remove_listener_if(id, |_| true).await
    }

    async fn remove_listener_if(
        &self,
        id: &ListenerId,
        may: impl FnOnce(&Arc<Member>) -> bool,
    ) -> Result<()> {
        let _turn = self.0.turns.take(id).await;
        let vacated = Place::vacate(&self.0.members, id, may);
        let (place, member) = vacated.ok_or_else(|| self.missing(id))?;
        let claim = Claim::of_listener(self.core(), self.0.lane, member.lane);
        let seat = Seat { channel: self.0.lane, lane: member.lane };
        if let Err(error) = self.core().records.connections.delete(seat).await {
            claim.keep();
            place.fill(id.clone(), member.lane, member);
            return Err(error);
        }
        claim.release().await
    }

    /// Removes those who have been away for longer than the settings allow.
    pub(crate) async fn expire_listeners(&self, now: Timestamp) -> usize {
        let settings = self.settings();
        let is_expired = |member: &Arc<Member>| {
            let expires_s = match member.is_generated {
                true => settings.generated_listener_expires_s,
                false => settings.listener_expires_s,
            };
            let away_ms = now.as_ms().saturating_sub(member.seen_ms());
            !member.is_live() && expires_s.is_some_and(|s| away_ms > s.saturating_mul(1_000))
        };
        let expired: Vec<ListenerId> = {
            let members = self.0.members.read();
            members.values().filter(|member| is_expired(member)).map(|member| member.id.clone()).collect()
        };
        let mut removed = 0;
        for ids in expired.chunks(SLICE) {
            let removals = ids
                .iter()
                .map(|id| -> BoxFuture<'_, Result<()>> { Box::pin(self.remove_listener_if(id, is_expired)) });
            let gone = count_ok(removals.collect()).await;
            self.core().stats.listeners_expired.add(gone as u64);
            removed += gone;
        }
        removed
    }

    /// Has the engine let go of what has grown too old in lanes that nobody touches: it does so wherever it looks.
    pub(crate) async fn expire_entries(&self) {
        let engine = &self.core().engine;
        // A lane that is gone meanwhile has nothing that could be too old.
        let _ = engine.lane(self.0.lane).await;
        let mut after = None;
        loop {
            let lanes: Vec<Lane> =
                self.0.members.read().after(after).take(SLICE).map(|(lane, _)| lane).collect();
            for lane in &lanes {
                let _ = engine.lane(*lane).await;
            }
            if lanes.len() < SLICE {
                return;
            }
            after = lanes.last().copied();
            breathe().await;
        }
    }

    /// Takes note of when listeners were last seen, where their records lag behind.
    pub(crate) async fn record_seen(&self, now: Timestamp) {
        let mut after = None;
        loop {
            let mut written = Vec::new();
            let is_last = {
                // Under the lock, so that nobody's record is written after it was removed.
                let members = self.0.members.read();
                let mut looked_at = 0;
                for (lane, member) in members.after(after).take(SLICE) {
                    (after, looked_at) = (Some(lane), looked_at + 1);
                    if member.is_live() {
                        member.see(now.as_ms());
                    }
                    if member.is_record_due() {
                        let record = member.record(self.0.lane);
                        let ticket = self.core().records.connections.listeners.persist(&record);
                        written.push((ticket, record.seen_ms, member.clone()));
                    }
                }
                looked_at < SLICE
            };
            for (ticket, seen_ms, member) in written {
                // One that fails is due the next time.
                if ticket.await.is_ok() {
                    member.recorded(seen_ms);
                }
            }
            if is_last {
                return;
            }
        }
    }
}

/// Runs all of them at once; how many went well.
async fn count_ok(mut futures: Vec<BoxFuture<'_, Result<()>>>) -> usize {
    let mut count = 0;
    poll_fn(|context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                count += usize::from(result.is_ok());
                false
            }
        });
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    count
}
