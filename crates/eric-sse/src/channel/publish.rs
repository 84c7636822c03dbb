//! Publishing: a broadcast is one entry in the channel's lane, a dispatch one in the listener's.

use super::Channel;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{IdempotencyKey, ListenerId};
use crate::lane::Lane;
use crate::limits::BATCH_MESSAGES_MAX;
use crate::log::{NewEntry, Taken, Ticket};
use crate::message::Message;

/// A message to publish, and what makes its repetition recognisable: the message's own id, unless a key is given.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::Publish;
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let order = Publish { message: Message::of("order", "a bicycle")?, key: Some("order-7".parse()?) };
/// let taken = news.broadcast(order.clone()).await?;
///
/// // Its publisher did not see the answer, and asks again.
/// let again = news.broadcast(order).await?;
/// assert_eq!((again.position, again.first), (taken.position, false));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Publish {
    /// The message.
    pub message: Message,
    /// Its idempotency key.
    pub key: Option<IdempotencyKey>,
}

impl From<Message> for Publish {
    fn from(message: Message) -> Self {
        let key = message.id().cloned().map(IdempotencyKey::from);
        Self { message, key }
    }
}

impl Channel {
    /// Publishes to all listeners and watchers: one entry, however many there are.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`] where the channel was removed, [`ErrorKind::KeyReused`],
    /// [`ErrorKind::LimitExceeded`], and what the engine says; then nothing was published.
    ///
    /// # Cancel safety
    /// If dropped, the message may or may not have been published.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let taken = news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// assert_eq!(taken.position, hub.tail());
    /// assert_eq!(bob.info().await?.backlog, 1);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn broadcast(&self, message: impl Into<Publish>) -> Result<Taken> {
        match self.submit_one(self.0.lane, message.into()).answer() {
            Ok(answer) => self.taken(answer, None),
            Err(ticket) => self.taken(ticket.await, None),
        }
    }

    /// Publishes a batch to all listeners and watchers: contiguous, all or nothing.
    ///
    /// # Errors
    /// As [`Channel::broadcast`]; [`ErrorKind::TooLarge`] beyond
    /// [`BATCH_MESSAGES_MAX`].
    ///
    /// # Cancel safety
    /// If dropped, the batch may or may not have been published.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::Publish;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let batch: Result<Vec<Publish>, _> = (0..3).map(|n| Message::of("number", &n).map(Publish::from)).collect();
    /// let taken = news.broadcast_batch(batch?).await?;
    /// assert_eq!(taken[1].position.offset, taken[0].position.offset.next());
    /// assert_eq!(taken[2].position, hub.tail());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn broadcast_batch(&self, batch: Vec<Publish>) -> Result<Vec<Taken>> {
        self.submit(self.0.lane, batch).await.map_err(|error| self.explain(error))
    }

    /// Publishes to one listener, whether it is there to read or not.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`]; else as [`Channel::broadcast`].
    ///
    /// # Cancel safety
    /// If dropped, the message may or may not have been published.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let alice = news.add_listener().await?;
    /// news.dispatch(bob.id(), Message::of("note", "for bob")?).await?;
    /// assert_eq!((bob.info().await?.backlog, alice.info().await?.backlog), (1, 0));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn dispatch(&self, listener: &ListenerId, message: impl Into<Publish>) -> Result<Taken> {
        match self.submit_one(self.lane_of(listener)?, message.into()).answer() {
            Ok(answer) => self.taken(answer, Some(listener)),
            Err(ticket) => self.taken(ticket.await, Some(listener)),
        }
    }

    /// Publishes a batch to one listener: contiguous, all or nothing.
    ///
    /// # Errors
    /// As [`Channel::dispatch`]; [`ErrorKind::TooLarge`] beyond [`BATCH_MESSAGES_MAX`].
    ///
    /// # Cancel safety
    /// If dropped, the batch may or may not have been published.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let steps = vec![Message::of("pick", &7)?.into(), Message::of("pack", &7)?.into()];
    /// news.dispatch_batch(bob.id(), steps).await?;
    /// let first = news.deliver_next(bob.id()).await?.expect("two wait");
    /// assert_eq!(first.message().kind().as_str(), "pick");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn dispatch_batch(&self, listener: &ListenerId, batch: Vec<Publish>) -> Result<Vec<Taken>> {
        let (lane, messages) = (self.lane_of(listener)?, batch.len() as u64);
        self.submit(lane, batch).await.map_err(|error| self.explain_dispatch(error, listener, messages))
    }

    fn lane_of(&self, listener: &ListenerId) -> Result<Lane> {
        self.0.members.read().lane_of(listener).ok_or_else(|| self.missing(listener))
    }

    fn explain_dispatch(&self, error: Error, listener: &ListenerId, messages: u64) -> Error {
        match error.kind() {
            ErrorKind::Closed => {
                self.core().stats.entries_dead.add(messages);
                self.missing(listener)
            }
            _ => self.explain(error),
        }
    }

    async fn submit(&self, lane: Lane, batch: Vec<Publish>) -> Result<Vec<Taken>> {
        let batch = match <[Publish; 1]>::try_from(batch) {
            Ok([message]) => {
                let taken = self.submit_one(lane, message).await?;
                self.count(u64::from(taken.first), u64::from(!taken.first));
                return Ok(vec![taken]);
            }
            Err(batch) => batch,
        };
        let messages = batch.len();
        if messages > BATCH_MESSAGES_MAX {
            let text =
                format!("batch has {messages} messages, more than batch_messages_max={BATCH_MESSAGES_MAX}");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let taken_at = self.core().clock.now();
        let new = |Publish { message, key }| NewEntry { lane, message, key, taken_at };
        let taken = self.core().engine.submit(batch.into_iter().map(new).collect()).await?;
        let published = taken.iter().filter(|taken| taken.first).count() as u64;
        self.count(published, taken.len() as u64 - published);
        Ok(taken)
    }

    pub(super) fn submit_one(&self, lane: Lane, Publish { message, key }: Publish) -> Ticket<Taken> {
        let taken_at = self.core().clock.now();
        self.core().engine.submit_one(NewEntry { lane, message, key, taken_at })
    }

    /// Counts what was taken, or explains why not: a broadcast, or a dispatch to a listener.
    pub(super) fn taken(&self, answer: Result<Taken>, listener: Option<&ListenerId>) -> Result<Taken> {
        match (answer, listener) {
            (Ok(Taken { position, first }), _) => {
                self.count(u64::from(first), u64::from(!first));
                Ok(Taken { position, first })
            }
            (Err(error), Some(listener)) => Err(self.explain_dispatch(error, listener, 1)),
            (Err(error), None) => Err(self.explain(error)),
        }
    }

    fn count(&self, published: u64, repeated: u64) {
        self.core().stats.entries_published.add(published);
        self.core().stats.entries_repeated.add(repeated);
    }
}
