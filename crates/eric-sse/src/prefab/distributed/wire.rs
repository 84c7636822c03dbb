//! How an application reaches its hub.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::channel::Channel;
use crate::channel::delivery::Event;
use crate::channel::stream::MessageStream;
use crate::channel::subscribe::{Ack, Subscribe};
use crate::cursor::Conflict;
use crate::entry::Position;
use crate::error::Result;
use crate::follow::Gap;
use crate::id::{ChannelId, ListenerId};
use crate::log::BoxFuture;
use crate::message::Message;

/// What comes over a wire.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::distributed::Incoming;
/// use futures_util::TryStreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let alice = news.wire("alice".parse()?).await?;
/// let taken = news.dispatch(alice.listener(), Message::of("greet", &())?).await?;
/// match alice.receive().await?.try_next().await? {
///     Some(Incoming::Message(position, message)) => {
///         assert_eq!((position, message.kind().as_str()), (taken.position, "greet"));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A message, and where it stands.
    Message(Position, Message),
    /// Messages are gone right before what follows.
    Missed(Missed),
}

/// Messages that are gone.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::SettingsPatch;
/// use eric_sse::prefab::distributed::Incoming;
/// use futures_util::TryStreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let one = SettingsPatch { max_unread_per_listener: Some(1), ..SettingsPatch::default() };
/// news.change_settings(&one).await?;
/// let alice = news.wire("alice".parse()?).await?;
/// for n in 0..3 {
///     news.dispatch(alice.listener(), Message::of("number", &n)?).await?;
/// }
/// let Some(Incoming::Missed(missed)) = alice.receive().await?.try_next().await? else { panic!() };
/// assert_eq!((&*missed.reason, missed.messages), ("trimmed", Some(2)));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Why, in the word that event streams have for it.
    pub reason: Box<str>,
    /// The last that is gone; none where it is not known.
    pub to: Option<Position>,
    /// How many there were; none where it is not known.
    pub messages: Option<u64>,
}

/// What comes over a wire, in order. It ends where the listener is stopped or removed, or read by another.
///
/// ```
/// use eric_sse::prefab::distributed::Messages;
/// use futures_util::StreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let alice = news.wire("alice".parse()?).await?;
/// let mut messages: Messages = alice.receive().await?;
/// news.listener(alice.listener())?.stop();
/// assert!(messages.next().await.is_none());
/// # Ok(())
/// # });
/// ```
pub type Messages = Pin<Box<dyn Stream<Item = Result<Incoming>> + Send>>;

/// How one listener reaches its hub. The seam between applications and doors.
///
/// ```
/// # use eric_sse::Message;
/// use std::sync::Arc;
/// use eric_sse::log::BoxFuture;
/// use eric_sse::prefab::distributed::{Application, Messages, Wire};
/// use eric_sse::{ChannelId, ListenerId, Position, Result};
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// /// A wire that shows what is sent.
/// struct Shown(Arc<dyn Wire>);
///
/// impl Wire for Shown {
///     fn channel(&self) -> &ChannelId {
///         self.0.channel()
///     }
///     fn listener(&self) -> &ListenerId {
///         self.0.listener()
///     }
///     fn receive(&self) -> BoxFuture<'_, Result<Messages>> {
///         self.0.receive()
///     }
///     fn dispatch<'a>(&'a self, receiver: &'a ListenerId, message: Message) -> BoxFuture<'a, Result<()>> {
///         println!("to {receiver}: {message:?}");
///         self.0.dispatch(receiver, message)
///     }
///     fn acknowledge(&self, position: Position) -> BoxFuture<'_, Result<()>> {
///         self.0.acknowledge(position)
///     }
/// }
///
/// let alice = Application::new(Arc::new(Shown(news.wire("alice".parse()?).await?)));
/// alice.dispatch_to(bob.id(), Message::of("greeting", "hello")?).await?;
/// assert_eq!(bob.info().await?.backlog, 1);
/// # Ok(())
/// # });
/// ```
pub trait Wire: Send + Sync {
    /// Its channel.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let alice = news.wire("alice".parse()?).await?;
    /// assert_eq!(alice.channel(), news.id());
    /// # Ok(())
    /// # });
    /// ```
    fn channel(&self) -> &ChannelId;

    /// The listener.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let alice = news.wire("alice".parse()?).await?;
    /// assert_eq!(alice.listener().as_str(), "alice");
    /// # Ok(())
    /// # });
    /// ```
    fn listener(&self) -> &ListenerId;

    /// Its messages from the first that is not acknowledged on. A wire that is cut goes on by itself where it was, or
    /// ends with an error. It may keep the next message back until the last is acknowledged, and a stream may end when
    /// another begins.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use futures_util::TryStreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let alice = news.wire("alice".parse()?).await?;
    /// news.dispatch(alice.listener(), Message::of("greet", &())?).await?;
    /// alice.receive().await?.try_next().await?.expect("one waits");
    /// assert!(alice.receive().await?.try_next().await?.is_some(), "it was not acknowledged");
    /// # Ok(())
    /// # });
    /// ```
    fn receive(&self) -> BoxFuture<'_, Result<Messages>>;

    /// Sends a message to another listener of the channel. One with an id that was sent already is taken once.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let alice = news.wire("alice".parse()?).await?;
    /// let answer = Message::of("greeting", "hello")?.with_id("re:1".parse()?);
    /// alice.dispatch(bob.id(), answer.clone()).await?;
    /// alice.dispatch(bob.id(), answer).await?;
    /// assert_eq!(bob.info().await?.backlog, 1, "it was taken once");
    /// # Ok(())
    /// # });
    /// ```
    fn dispatch<'a>(&'a self, receiver: &'a ListenerId, message: Message) -> BoxFuture<'a, Result<()>>;

    /// Acknowledges everything up to `position`. Where the process or the hub dies right after, it may come again.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let alice = news.wire("alice".parse()?).await?;
    /// let taken = news.dispatch(alice.listener(), Message::of("greet", &())?).await?;
    /// alice.acknowledge(taken.position).await?;
    /// assert_eq!(news.listener(alice.listener())?.info().await?.backlog, 0);
    /// # Ok(())
    /// # });
    /// ```
    fn acknowledge(&self, position: Position) -> BoxFuture<'_, Result<()>>;
}

/// A channel in this process.
#[derive(Debug)]
pub(super) struct Local {
    channel: Channel,
    listener: ListenerId,
}

impl Local {
    pub(super) fn new(channel: Channel, listener: ListenerId) -> Self {
        Self { channel, listener }
    }
}

impl Wire for Local {
    fn channel(&self) -> &ChannelId {
        self.channel.id()
    }

    fn listener(&self) -> &ListenerId {
        &self.listener
    }

    fn receive(&self) -> BoxFuture<'_, Result<Messages>> {
        let options = Subscribe { ack: Ack::Manual, conflict: Conflict::Replace, ..Subscribe::default() };
        Box::pin(async move {
            let stream = self.channel.message_stream_with(&self.listener, options).await?;
            let messages: Messages = Box::pin(LocalMessages(stream));
            Ok(messages)
        })
    }

    fn dispatch<'a>(&'a self, receiver: &'a ListenerId, message: Message) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.channel.dispatch(receiver, message).await.map(drop) })
    }

    fn acknowledge(&self, position: Position) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.channel.ack(&self.listener, position).await.map(drop) })
    }
}

struct LocalMessages(MessageStream);

impl Stream for LocalMessages {
    type Item = Result<Incoming>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(Pin::new(&mut self.0).poll_next(context));
        Poll::Ready(event.map(|event| {
            Ok(match event? {
                Event::Message(delivery) => {
                    Incoming::Message(delivery.position(), delivery.message().clone())
                }
                Event::Gap(gap) => {
                    let Gap { reason, to, missed, .. } = *gap;
                    Incoming::Missed(Missed { reason: reason.to_string().into(), to, messages: missed })
                }
            })
        }))
    }
}
