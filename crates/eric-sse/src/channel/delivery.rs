//! What a stream yields: deliveries, and gaps where something was missed.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::entry::Position;
use crate::follow::Gap;
use crate::framed::Framed;
use crate::message::Message;

/// A message that was delivered to a listener.
///
/// ```
/// # use eric_sse::Message;
/// # eric_testkit::example(async |_hub, news, bob| {
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// let delivery = news.deliver_next(bob.id()).await?.expect("one waits");
/// assert_eq!(delivery.message().payload().as_json(), "\"Eric runs\"");
/// assert!(delivery.failure().is_none() && delivery.missed().is_none());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) framed: Framed,
    pub(super) attempt: u32,
    /// Rare, and large, as is what was missed.
    pub(super) failure: Option<Box<Failure>>,
    pub(super) missed: Option<Box<Gap>>,
}

/// Why a delivery failed.
///
/// ```
/// # use eric_sse::Message;
/// use std::sync::Arc;
/// use eric_sse::listener::FnListener;
/// use eric_sse::{Ack, Subscribe};
/// use futures_util::{StreamExt as _, TryStreamExt as _};
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let picky = FnListener::new("picky".parse()?, |_| Err("not today".into()));
/// let picky = news.register_listener(Arc::new(picky)).await?;
/// picky.start();
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
///
/// let manual = Subscribe { ack: Ack::Manual, ..Subscribe::default() };
/// let stream = news.message_stream_with(picky.id(), manual).await?;
/// let tried: Vec<_> = stream.take(5).try_collect().await?;
/// let failures = tried.into_iter().map(|event| event.message().unwrap().failure().unwrap().clone());
/// assert!(failures.map(|failure| failure.is_dead).eq([false, false, false, false, true]));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Failure {
    /// What the callback said.
    pub reason: Arc<str>,
    /// Whether it will not be tried again although nobody acknowledged it.
    pub is_dead: bool,
}

impl Delivery {
    /// The first delivery of an entry.
    pub(crate) fn first(framed: Framed, missed: Option<Box<Gap>>) -> Self {
        Self { framed, attempt: 1, failure: None, missed }
    }

    /// What was published.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("one waits");
    /// assert_eq!(delivery.message().kind().as_str(), "headline");
    /// # Ok(())
    /// # });
    /// ```
    pub fn message(&self) -> &Message {
        self.framed.entry().message()
    }

    /// Where it stands in the log.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::{ReadFrom, Subscribe};
    ///
    /// # eric_testkit::example(async |hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("one waits");
    ///
    /// // All that is needed to go on right after it.
    /// let from = ReadFrom::After(delivery.position());
    /// let stream = news.message_stream_with(bob.id(), Subscribe { from, ..Subscribe::default() }).await?;
    /// assert_eq!(stream.subscription().position(), hub.tail());
    /// # Ok(())
    /// # });
    /// ```
    pub fn position(&self) -> Position {
        self.framed.entry().position()
    }

    /// When the log took it.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("one waits");
    /// assert!(delivery.taken_at().to_string().ends_with('Z'), "RFC 3339, in UTC");
    /// # Ok(())
    /// # });
    /// ```
    pub fn taken_at(&self) -> Timestamp {
        self.framed.entry().taken_at()
    }

    /// How many times it was delivered by this stream; 1 at first.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::{Ack, Subscribe};
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let picky = FnListener::new("picky".parse()?, |_| Err("not yet".into()));
    /// let picky = news.register_listener(Arc::new(picky)).await?;
    /// picky.start();
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    ///
    /// let manual = Subscribe { ack: Ack::Manual, ..Subscribe::default() };
    /// let mut stream = news.message_stream_with(picky.id(), manual).await?;
    /// let first = stream.next().await.unwrap()?.message().unwrap();
    /// let second = stream.next().await.unwrap()?.message().unwrap();
    /// assert_eq!(first.position(), second.position());
    /// assert_eq!((first.attempt(), second.attempt()), (1, 2));
    /// # Ok(())
    /// # });
    /// ```
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Why its callback failed, if it did.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let parse = |message: &Message| Ok(message.payload().as_json().parse::<u64>().map(drop)?);
    /// let numbers = news.register_listener(Arc::new(FnListener::new("numbers".parse()?, parse))).await?;
    /// numbers.start();
    /// news.broadcast(Message::of("number", "twelve")?).await?;
    /// let delivery = news.deliver_next(numbers.id()).await?.expect("one waits");
    /// assert_eq!(&*delivery.failure().unwrap().reason, "invalid digit found in string");
    /// # Ok(())
    /// # });
    /// ```
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_deref()
    }

    /// What was missed right before it; told here by
    /// [`Channel::deliver_next`](super::Channel::deliver_next) and
    /// [`Processed`](crate::prefab::processing::Processed) only.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::SettingsPatch;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.change_settings(&SettingsPatch { max_messages: Some(1), ..SettingsPatch::default() }).await?;
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("number", &n)?).await?;
    /// }
    /// let delivery = news.deliver_next(bob.id()).await?.expect("the last is kept");
    /// assert_eq!(delivery.missed().and_then(|gap| gap.missed), Some(2));
    /// # Ok(())
    /// # });
    /// ```
    pub fn missed(&self) -> Option<&Gap> {
        self.missed.as_deref()
    }

    /// The entry with the frames it was encoded to.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::sse::encode::Format;
    ///
    /// # eric_testkit::example(async |hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("one waits");
    /// let frame = delivery.framed().frame(Format::Payload, news.settings().retry(), hub.stats());
    /// assert!(frame.ends_with(b"event: headline\ndata: \"Eric runs\"\n\n"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn framed(&self) -> &Framed {
        &self.framed
    }
}

/// What a stream yields.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::{Event, SettingsPatch};
/// use futures_util::{StreamExt as _, TryStreamExt as _};
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// news.change_settings(&SettingsPatch { max_messages: Some(1), ..SettingsPatch::default() }).await?;
/// for n in 0..3 {
///     news.broadcast(Message::of("number", &n)?).await?;
/// }
/// let events: Vec<Event> = news.message_stream(&bob).await?.take(2).try_collect().await?;
/// let [Event::Gap(gap), Event::Message(last)] = &events[..] else { panic!("{events:?}") };
/// assert_eq!((gap.missed, last.message().payload().as_json()), (Some(2), "2"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub enum Event {
    /// A message.
    Message(Delivery),
    /// Something was missed right before what follows.
    Gap(Box<Gap>),
}

impl Event {
    /// The delivery, if it is one.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// // For those who do not mind gaps.
    /// let stream = news.message_stream(&bob).await?;
    /// let mut deliveries = stream.filter_map(async |event| event.ok()?.message()).boxed_local();
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// assert_eq!(deliveries.next().await.unwrap().message().kind().as_str(), "headline");
    /// # Ok(())
    /// # });
    /// ```
    pub fn message(self) -> Option<Delivery> {
        match self {
            Self::Message(delivery) => Some(delivery),
            Self::Gap(_) => None,
        }
    }
}
