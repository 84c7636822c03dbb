//! Streams for readers in this process: a subscription whose entries pass through the listener's callback.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use super::Channel;
use super::adapter::{Adapted, Adapter, Frames};
use super::connection::Connection;
use super::delivery::{Delivery, Event, Failure};
use super::members::Member;
use super::subscribe::Subscribe;
use super::subscription::{Item, Subscription};
use crate::clock::Timestamp;
use crate::cursor::{Conflict, Next};
use crate::error::Result;
use crate::follow::{End, ReadFrom};
use crate::framed::Framed;
use crate::id::ListenerId;
use crate::limits::{COMMIT_LAG_MS_MAX, DELIVERY_ATTEMPTS_MAX, STREAM_LAG_ENTRIES_MAX};
use crate::listener::{CallbackError, Listener, panicked};
use crate::log::{BoxFuture, Budget};
use crate::message::Message;
use crate::sse::encode::Format;

/// A stream of what a listener receives, or a watcher. It ends when the listener is stopped or removed, or another
/// stream takes over; an error of the engine ends it too.
///
/// An event is consumed when it is yielded; dropping the stream loses nothing.
///
/// ```
/// # use eric_sse::Message;
/// use futures_util::StreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let mut stream = news.message_stream(&bob).await?;
/// for n in 0..2 {
///     news.broadcast(Message::of("number", &n)?).await?;
/// }
/// let first = stream.next().await.unwrap()?.message().unwrap();
/// drop(stream);
///
/// // Another one goes on where it was.
/// let second = news.message_stream(&bob).await?.next().await.unwrap()?.message().unwrap();
/// assert_eq!((first.message().payload().as_json(), second.message().payload().as_json()), ("0", "1"));
/// # Ok(())
/// # });
/// ```
pub struct MessageStream {
    subscription: Subscription,
    /// What was read, and is not delivered yet.
    waiting: VecDeque<Item>,
    /// A failed delivery that is to be tried again, and how often it was.
    retry: Option<(Framed, u32)>,
    delay: Option<BoxFuture<'static, ()>>,
    /// Deliveries that the cursor lags behind.
    uncommitted: usize,
    committed_at: Timestamp,
    end: Option<End>,
    is_over: bool,
}

impl Channel {
    /// Streams what `connection`'s listener receives, from its cursor; empty where the listener is not running.
    ///
    /// # Errors
    /// As [`Channel::subscribe`].
    ///
    /// # Cancel safety
    /// As [`Channel::subscribe`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut stream = news.message_stream(&bob).await?;
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let delivery = stream.next().await.unwrap()?.message().unwrap();
    /// assert_eq!(delivery.message().payload().as_json(), "\"Eric runs\"");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn message_stream(&self, connection: &Connection) -> Result<MessageStream> {
        self.message_stream_with(connection.id(), Subscribe::default()).await
    }

    /// [`Channel::message_stream`] that begins, acknowledges and meets others as `options` say.
    ///
    /// # Errors
    /// As [`Channel::subscribe`].
    ///
    /// # Cancel safety
    /// As [`Channel::subscribe`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::{ReadFrom, Subscribe};
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// news.deliver_next(bob.id()).await?;
    ///
    /// // Bob wants to see again what is kept of what he has seen.
    /// let again = Subscribe { from: ReadFrom::Earliest, ..Subscribe::default() };
    /// let mut stream = news.message_stream_with(bob.id(), again).await?;
    /// let delivery = stream.next().await.unwrap()?.message().unwrap();
    /// assert_eq!(delivery.message().kind().as_str(), "headline");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn message_stream_with(&self, id: &ListenerId, options: Subscribe) -> Result<MessageStream> {
        let subscription = self.read(self.member(id)?, options).await;
        Ok(MessageStream::new(subscription.map_err(|error| self.explain_listener(error, id))?))
    }

    /// Streams the channel's broadcasts from now on.
    ///
    /// # Errors
    /// As [`Channel::watch`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut stream = news.watch_stream()?;
    /// news.dispatch(bob.id(), Message::of("note", "for bob alone")?).await?;
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let delivery = stream.next().await.unwrap()?.message().unwrap();
    /// assert_eq!(delivery.message().kind().as_str(), "headline");
    /// # Ok(())
    /// # });
    /// ```
    pub fn watch_stream(&self) -> Result<MessageStream> {
        Ok(MessageStream::new(self.watch(ReadFrom::Latest)?))
    }

    /// Delivers the next message to a listener; none where there is none, or where it is not running. To take many, read a
    /// stream: each of these may take the lease for its one message, does so while a callback runs, and gives it back.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind); [`ErrorKind::Conflict`](crate::ErrorKind) while a subscription
    /// lives; and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, nothing was consumed.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("number", &n)?).await?;
    /// }
    /// let mut sum = 0;
    /// while let Some(delivery) = news.deliver_next(bob.id()).await? {
    ///     sum += delivery.message().payload().as_json().parse::<u64>()?;
    /// }
    /// assert_eq!(sum, 3);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn deliver_next(&self, id: &ListenerId) -> Result<Option<Delivery>> {
        self.pull(&self.member(id)?).await.map_err(|error| self.explain_listener(error, id))
    }

    /// The next message of a listener's queue, delivered; in one step where the engine has one, and nobody is called back.
    pub(super) async fn pull(&self, member: &Arc<Member>) -> Result<Option<Delivery>> {
        if !member.is_running() {
            return Ok(None);
        }
        if member.object().is_none() {
            let now = self.core().clock.recent();
            let next = self.core().engine.take_next(member.lane, now)?;
            if !matches!(next, Next::InSteps) {
                member.see(now.as_ms());
            }
            match next {
                Next::Entry(entry) => return Ok(Some(Delivery::first(Framed::of_one(entry), None))),
                Next::Nothing => return Ok(None),
                Next::InSteps => {}
            }
        }
        let options = Subscribe { conflict: Conflict::Refuse, ..Subscribe::default() };
        MessageStream::new(self.read_queued(member.clone(), options).await?).next_ready().await
    }
}

impl MessageStream {
    fn new(subscription: Subscription) -> Self {
        Self {
            committed_at: subscription.channel().core().clock.recent(),
            uncommitted: 0,
            subscription,
            waiting: VecDeque::new(),
            retry: None,
            delay: None,
            end: None,
            is_over: false,
        }
    }

    /// Why it ended, once it has.
    ///
    /// ```
    /// use eric_sse::End;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut older = news.message_stream(&bob).await?;
    /// let newer = news.message_stream(&bob).await?;
    /// assert!(older.next().await.is_none());
    /// assert_eq!((older.end(), newer.end()), (Some(End::Replaced), None));
    /// # Ok(())
    /// # });
    /// ```
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The subscription behind it.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let stream = news.message_stream(&bob).await?;
    /// assert_eq!(stream.subscription().listener(), Some(bob.id()));
    /// # Ok(())
    /// # });
    /// ```
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// The same stream with every event passed through `adapter`.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::{Adapter, Delivery};
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// struct Json;
    ///
    /// impl Adapter for Json {
    ///     type Out = String;
    ///     fn adapt(&self, delivery: &Delivery) -> String {
    ///         delivery.message().payload().as_json().to_owned()
    ///     }
    /// }
    ///
    /// let mut payloads = news.message_stream(&bob).await?.adapt(Json);
    /// news.broadcast(Message::of("number", &12)?).await?;
    /// assert_eq!(payloads.next().await.unwrap()?, "12");
    /// # Ok(())
    /// # });
    /// ```
    pub fn adapt<A: Adapter>(self, adapter: A) -> Adapted<A> {
        Adapted { stream: self, adapter }
    }

    /// The same stream as it goes to a client, encoded once for all who read the same entry. Gaps are told where
    /// `format` has control events.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::sse::encode::Format;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut frames = news.message_stream(&bob).await?.frames(Format::Payload);
    /// let taken = news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let frame = format!("id: {}\nevent: headline\ndata: \"Eric runs\"\n\n", taken.position);
    /// assert_eq!(frames.next().await.unwrap()?, frame);
    /// # Ok(())
    /// # });
    /// ```
    pub fn frames(self, format: Format) -> Adapted<impl Adapter<Out = bytes::Bytes>> {
        let channel = self.subscription.channel().clone();
        self.adapt(Frames { format, channel })
    }

    /// One delivery, if one is ready.
    async fn next_ready(&mut self) -> Result<Option<Delivery>> {
        let mut missed = None;
        loop {
            let budget = Budget { entries: 1, bytes: 0 };
            let step =
                poll_fn(|context| match self.subscription.poll_items(context, budget, &mut self.waiting) {
                    Poll::Pending if self.subscription.is_caught_up() => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(answer) => Poll::Ready(Some(answer)),
                });
            match step.await {
                None => return Ok(None),
                Some(Err(error)) => return Err(error),
                Some(Ok(Some(end))) => {
                    self.end = Some(end);
                    return Ok(None);
                }
                Some(Ok(None)) => {}
            }
            while let Some(item) = self.waiting.pop_front() {
                match item {
                    Item::Gap(gap) => missed = Some(gap),
                    Item::Entry(framed) => {
                        let delivery = self.deliver(framed, 1);
                        return Ok(Some(Delivery { missed, ..delivery }));
                    }
                }
            }
        }
    }

    /// Runs the callback, and takes note of what was consumed.
    #[inline]
    fn deliver(&mut self, framed: Framed, attempt: u32) -> Delivery {
        let listener = self.subscription.member().and_then(|member| member.object());
        let outcome = listener.map_or(Ok(()), |listener| run(&*listener, framed.entry().message()));
        let is_auto = self.subscription.is_auto();
        let failure = outcome.err().map(|error| {
            self.subscription.stats().deliveries_failed.add(1);
            let is_dead = !is_auto && attempt >= DELIVERY_ATTEMPTS_MAX;
            Box::new(Failure { reason: error.to_string().into(), is_dead })
        });
        if !is_auto && failure.as_ref().is_some_and(|failure| !failure.is_dead) {
            self.retry = Some((framed.clone(), attempt + 1));
        }
        self.subscription.consumed(framed.entry().offset());
        self.uncommitted += 1;
        Delivery { framed, attempt, failure, missed: None }
    }

    /// Moves the cursor, now and then: lazily, but never later than promised.
    fn commit_when_due(&mut self) {
        if self.uncommitted == 0 {
            return;
        }
        let now = self.subscription.channel().core().clock.recent();
        if self.uncommitted >= STREAM_LAG_ENTRIES_MAX || now.ms_since(self.committed_at) >= COMMIT_LAG_MS_MAX
        {
            self.committed_at = now;
            self.commit();
        }
    }

    fn commit(&mut self) {
        self.subscription.commit();
        self.uncommitted = 0;
    }

    fn end_with<T>(&mut self, end: End) -> Poll<Option<T>> {
        self.is_over = true;
        self.end = Some(end);
        Poll::Ready(None)
    }

    /// The pause after a message, where the channel asks for one.
    fn pause(&mut self) {
        let delay_ms = self.subscription.channel().stream_delay_ms();
        if delay_ms > 0 {
            let clock = &self.subscription.channel().core().clock;
            self.delay = Some(clock.sleep(Duration::from_millis(delay_ms)));
        }
    }
}

/// Runs a callback; a panic is a failure.
fn run(listener: &dyn Listener, message: &Message) -> Result<(), CallbackError> {
    catch_unwind(AssertUnwindSafe(|| listener.on_message(message)))
        .unwrap_or_else(|panic| Err(panicked(&*panic)))
}

impl Stream for MessageStream {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        // What was read and not delivered yet stays in the queue when the stream ends.
        if let Some(end) = this.subscription.end() {
            return this.end_with(end);
        }
        this.commit_when_due();
        if let Some(delay) = &mut this.delay {
            if delay.as_mut().poll(context).is_pending() {
                this.commit();
                // An end does not wait until it is over.
                let end = this.subscription.poll_end(context);
                return end.map_or(Poll::Pending, |end| this.end_with(end));
            }
            this.delay = None;
        }
        if let Some((framed, attempt)) = this.retry.take() {
            let delivery = this.deliver(framed, attempt);
            return Poll::Ready(Some(Ok(Event::Message(delivery))));
        }
        if this.waiting.is_empty() {
            let read = this.subscription.poll_items(context, Budget::default(), &mut this.waiting);
            let Poll::Ready(read) = read else {
                this.commit();
                return Poll::Pending;
            };
            match read {
                Ok(None) => {}
                Ok(Some(end)) => return this.end_with(end),
                Err(error) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let event = match this.waiting.pop_front().expect("a poll that is ready brought items") {
            Item::Gap(gap) => Event::Gap(gap),
            Item::Entry(framed) => {
                let delivery = this.deliver(framed, 1);
                this.pause();
                Event::Message(delivery)
            }
        };
        Poll::Ready(Some(Ok(event)))
    }
}

impl fmt::Debug for MessageStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStream").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}
