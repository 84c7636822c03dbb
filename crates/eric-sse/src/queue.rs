//! Queues of the user's own, fed from a listener's.
//!
//! The log is the truth: a message is taken when the log has it, whatever becomes of the queue. A [`Pump`] reads what
//! waits for the listener from its cursor on, pushes each message, and moves the cursor over what was pushed. A push that
//! fails is tried again and holds up this listener only.

mod memory;

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;

pub use self::memory::MemoryQueue;
use crate::channel::subscribe::{Ack, Subscribe};
use crate::channel::subscription::{Item, Subscription};
use crate::channel::{Channel, Connection};
use crate::cursor::Conflict;
use crate::entry::Position;
use crate::error::{Error, ErrorKind, Result};
use crate::follow::End;
use crate::id::ListenerId;
use crate::limits::PUMP_RETRY_MS;
use crate::listener::{CallbackError, Listener, panicked};
use crate::log::{BoxFuture, Budget};
use crate::message::Message;
use crate::persist::Recipe;

/// What a queue answers.
///
/// ```
/// use eric_sse::queue::QueueResult;
///
/// // Whatever the broker says is kept as it is.
/// let push = || -> QueueResult<()> { Err("the broker is away".into()) };
/// assert_eq!(push().unwrap_err().to_string(), "the broker is away");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type QueueResult<T> = std::result::Result<T, CallbackError>;

/// A queue of the user's own, first in, first out. The seam to users' brokers, tables and files.
///
/// ```
/// use std::sync::Mutex;
/// use eric_sse::log::BoxFuture;
/// use eric_sse::queue::{Queue, QueueResult};
/// use eric_sse::{Message, Position};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// /// A stack of papers, whose bottom one is next.
/// #[derive(Default)]
/// struct Papers(Mutex<Vec<Message>>);
///
/// impl Queue for Papers {
///     fn id(&self) -> &str {
///         "papers"
///     }
///     fn push(&self, _: Position, message: Message) -> BoxFuture<'_, QueueResult<()>> {
///         self.0.lock().unwrap().push(message);
///         Box::pin(std::future::ready(Ok(())))
///     }
///     fn pop(&self) -> BoxFuture<'_, QueueResult<Option<Message>>> {
///         let mut papers = self.0.lock().unwrap();
///         let next = (!papers.is_empty()).then(|| papers.remove(0));
///         Box::pin(std::future::ready(Ok(next)))
///     }
/// }
///
/// let papers = Papers::default();
/// papers.push(eric_sse::Hub::in_memory().tail(), Message::of("paper", "A4")?).await.unwrap();
/// assert_eq!(papers.pop().await.unwrap().unwrap().kind().as_str(), "paper");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait Queue: Send + Sync {
    /// Its id; always the same.
    ///
    /// ```
    /// use eric_sse::queue::{MemoryQueue, Queue as _};
    ///
    /// assert_eq!(MemoryQueue::new("inbox", 100).id(), "inbox");
    /// ```
    fn id(&self) -> &str;

    /// How it is made again after a restart, if it can be; as [`Listener::recipe`].
    ///
    /// ```
    /// # use eric_sse::{Message, Position, log::BoxFuture, queue::QueueResult};
    /// use eric_sse::persist::Recipe;
    /// use eric_sse::queue::Queue;
    ///
    /// /// A table of a database; its name is all that is needed to find it again.
    /// struct Table(String);
    ///
    /// impl Queue for Table {
    ///     fn id(&self) -> &str {
    ///         &self.0
    ///     }
    ///     fn recipe(&self) -> Option<Recipe> {
    ///         Some(Recipe { parameters: self.0.as_str().into(), ..Recipe::of("table") })
    ///     }
    ///     // …
    /// #     fn push(&self, _: Position, _: Message) -> BoxFuture<'_, QueueResult<()>> {
    /// #         unreachable!()
    /// #     }
    /// #     fn pop(&self) -> BoxFuture<'_, QueueResult<Option<Message>>> {
    /// #         unreachable!()
    /// #     }
    /// }
    ///
    /// assert_eq!(Table("inbox".into()).recipe().unwrap().kind, "table");
    /// ```
    fn recipe(&self) -> Option<Recipe> {
        None
    }

    /// Appends a message. After a crash the last ones may come again, at the same positions: a queue that remembers
    /// the last position it has can leave out what it has already.
    ///
    /// # Errors
    /// Nothing was appended; the same message comes again.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::queue::{MemoryQueue, Queue as _};
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// let queue = MemoryQueue::new("inbox", 1);
    /// let message = Message::of("headline", "Eric runs")?;
    /// assert!(queue.push(hub.tail(), message.clone()).await.is_ok());
    /// assert!(queue.push(hub.tail(), message).await.is_err(), "it is full");
    /// assert_eq!(queue.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    fn push(&self, position: Position, message: Message) -> BoxFuture<'_, QueueResult<()>>;

    /// Takes the first message; none where there is none.
    ///
    /// # Errors
    /// Nothing was taken.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::queue::{MemoryQueue, Queue as _};
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// let queue = MemoryQueue::new("inbox", 100);
    /// for n in 0..2 {
    ///     queue.push(hub.tail(), Message::of("number", &n)?).await.unwrap();
    /// }
    /// assert_eq!(queue.pop().await.unwrap().unwrap().payload().as_json(), "0");
    /// assert_eq!(queue.pop().await.unwrap().unwrap().payload().as_json(), "1");
    /// assert!(queue.pop().await.unwrap().is_none());
    /// # Ok(())
    /// # });
    /// ```
    fn pop(&self) -> BoxFuture<'_, QueueResult<Option<Message>>>;
}

/// What feeds a queue of the user's own from a listener's, while it runs.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::listener::FnListener;
/// use eric_sse::queue::{MemoryQueue, Pump};
/// use eric_sse::{ChannelSettings, Hub, Message};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// let bob = Arc::new(FnListener::new("bob".parse()?, |message| Ok(println!("{message:?}"))));
/// let pump = Pump::connect(&news, bob, Arc::new(MemoryQueue::new("inbox", 100))).await?;
/// news.broadcast(Message::of("t", &1)?).await?;
///
/// // Runs beside the rest of the program, until the listener is stopped.
/// let feeding = pump.run();
/// let reading = async {
///     loop {
///         match pump.deliver_next().await.unwrap() {
///             Some(delivered) => break delivered,
///             None => tokio::task::yield_now().await,
///         }
///     }
/// };
/// tokio::select! {
///     delivered = reading => assert_eq!(delivered.0.payload().as_json(), "1"),
///     end = feeding => panic!("{end:?}"),
/// }
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
pub struct Pump {
    connection: Connection,
    listener: Arc<dyn Listener>,
    queue: Arc<dyn Queue>,
    status: Mutex<PumpStatus>,
}

/// What became of a pump's messages.
///
/// ```
/// # use eric_sse::Message;
/// use std::sync::Arc;
/// use eric_sse::listener::FnListener;
/// use eric_sse::queue::{MemoryQueue, Pump};
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// // There is no room for anything.
/// let full = Arc::new(MemoryQueue::new("inbox", 0));
/// let pump = Pump::connect(&news, Arc::new(FnListener::new("carol".parse()?, |_| Ok(()))), full).await?;
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
///
/// let stalled = async {
///     while pump.status().stalled.is_none() {
///         tokio::task::yield_now().await;
///     }
///     pump.status()
/// };
/// let status = tokio::select!(status = stalled => status, _ = pump.run() => unreachable!());
/// assert_eq!((status.pushed, status.failed), (0, 1));
/// assert_eq!(status.stalled.as_deref(), Some("queue id=inbox is full: it has room for 0"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PumpStatus {
    /// Messages that were pushed.
    pub pushed: u64,
    /// Pushes that failed.
    pub failed: u64,
    /// Messages that retention dropped before they were pushed, as far as that is known.
    pub missed: u64,
    /// Why the listener is stalled, if it is: its queue refuses the message that is next.
    pub stalled: Option<Box<str>>,
}

impl Pump {
    /// Registers `listener` on `channel`, whose messages are to go on to `queue`. Where both have recipes the
    /// connection comes back with the hub after a restart, for [`Pump::resume`].
    ///
    /// # Errors
    /// As [`Channel::register_listener`].
    ///
    /// # Cancel safety
    /// If dropped, no listener is added.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::queue::{MemoryQueue, Pump};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let carol = Arc::new(FnListener::new("carol".parse()?, |_| Ok(())));
    /// let pump = Pump::connect(&news, carol, Arc::new(MemoryQueue::new("inbox", 100))).await?;
    /// assert_eq!(news.listener_ids(), [bob.id().clone(), pump.connection().id().clone()]);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn connect(
        channel: &Channel,
        listener: Arc<dyn Listener>,
        queue: Arc<dyn Queue>,
    ) -> Result<Self> {
        let connection = channel.register_connection(listener.clone(), queue.clone()).await?;
        Ok(Self { connection, listener, queue, status: Mutex::default() })
    }

    /// The pump of a listener that came back with its queue after a restart.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`]; [`ErrorKind::Conflict`] where it has no callback or no queue of its own.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::ErrorKind;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::queue::{MemoryQueue, Pump};
    ///
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let carol = Arc::new(FnListener::new("carol".parse()?, |_| Ok(())));
    /// drop(Pump::connect(&news, carol, Arc::new(MemoryQueue::new("inbox", 100))).await?);
    ///
    /// // After a restart just the same: the kinds of both have made them again.
    /// let pump = Pump::resume(&news, &"carol".parse()?)?;
    /// assert_eq!(pump.queue().id(), "inbox");
    ///
    /// let error = Pump::resume(&news, bob.id()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Conflict, "bob's queue is the hub's alone");
    /// # Ok(())
    /// # });
    /// ```
    pub fn resume(channel: &Channel, id: &ListenerId) -> Result<Self> {
        let connection = channel.listener(id)?;
        let (Some(listener), Some(queue)) = (connection.listener(), connection.member.queue()) else {
            let text = format!("listener id={id} has no callback, or no queue of its own");
            return Err(Error::new(ErrorKind::Conflict, text));
        };
        Ok(Self { connection, listener, queue, status: Mutex::default() })
    }

    /// The listener on its channel.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # use std::sync::Arc;
    /// # use eric_sse::listener::FnListener;
    /// # use eric_sse::queue::{MemoryQueue, Pump};
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// # let carol = Arc::new(FnListener::new("carol".parse()?, |_| Ok(())));
    /// # let pump = Pump::connect(&news, carol, Arc::new(MemoryQueue::new("inbox", 100))).await?;
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// assert_eq!(pump.connection().info().await?.backlog, 1, "it was not pushed yet");
    /// # Ok(())
    /// # });
    /// ```
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Its queue.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::listener::FnListener;
    /// # use eric_sse::queue::{MemoryQueue, Pump};
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// # let carol = Arc::new(FnListener::new("carol".parse()?, |_| Ok(())));
    /// # let pump = Pump::connect(&news, carol, Arc::new(MemoryQueue::new("inbox", 100))).await?;
    /// assert_eq!(pump.queue().id(), "inbox");
    /// assert!(pump.queue().pop().await.unwrap().is_none());
    /// # Ok(())
    /// # });
    /// ```
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.queue
    }

    /// What became of its messages so far.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::listener::FnListener;
    /// # use eric_sse::queue::{MemoryQueue, Pump, PumpStatus};
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// # let carol = Arc::new(FnListener::new("carol".parse()?, |_| Ok(())));
    /// # let pump = Pump::connect(&news, carol, Arc::new(MemoryQueue::new("inbox", 100))).await?;
    /// assert_eq!(pump.status(), PumpStatus::default(), "nothing happened yet");
    /// # Ok(())
    /// # });
    /// ```
    pub fn status(&self) -> PumpStatus {
        self.status.lock().clone()
    }

    /// Feeds the queue until the listener is stopped or removed, or another reader takes over. A push that fails is
    /// tried again after a while, longer each time ([`PUMP_RETRY_MS`]).
    ///
    /// # Errors
    /// As [`Channel::subscribe`], and what the engine says: run it again.
    ///
    /// # Cancel safety
    /// A message whose push was under way comes again when it runs again.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::End;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::queue::{MemoryQueue, Pump};
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let inbox = Arc::new(MemoryQueue::new("inbox", 100));
    /// let carol = Arc::new(FnListener::new("carol".parse()?, |_| Ok(())));
    /// let pump = Pump::connect(&news, carol, inbox.clone()).await?;
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    ///
    /// let stop = async {
    ///     while inbox.is_empty() {
    ///         tokio::task::yield_now().await;
    ///     }
    ///     pump.connection().stop();
    /// };
    /// let (end, ()) = tokio::join!(pump.run(), stop);
    /// assert_eq!((end?, pump.status().pushed), (End::Stopped, 1));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn run(&self) -> Result<End> {
        let options = Subscribe { ack: Ack::Auto, conflict: Conflict::Replace, ..Subscribe::default() };
        let mut subscription = self.connection.channel.subscribe(self.connection.id(), options).await?;
        let mut items = Vec::new();
        loop {
            let budget = Budget::default();
            let read = poll_fn(|context| {
                let read = subscription.poll_items(context, budget, &mut items);
                if read.is_pending() {
                    // Nothing is left to do: what was pushed is made durable meanwhile.
                    subscription.commit();
                }
                read
            });
            if let Some(end) = read.await? {
                return Ok(end);
            }
            for item in items.drain(..) {
                match item {
                    Item::Gap(gap) => self.status.lock().missed += gap.missed.unwrap_or(0),
                    Item::Entry(framed) => {
                        let entry = framed.entry();
                        let (position, message) = (entry.position(), entry.message());
                        if let Some(end) = self.push(&mut subscription, position, message).await {
                            return Ok(end);
                        }
                        subscription.consumed(position.offset);
                    }
                }
            }
            subscription.commit();
        }
    }

    /// Pushes until it is done, or the subscription is over.
    async fn push(
        &self,
        subscription: &mut Subscription,
        position: Position,
        message: &Message,
    ) -> Option<End> {
        let (mut wait_ms, wait_ms_max) = PUMP_RETRY_MS;
        loop {
            let Err(error) = self.queue.push(position, message.clone()).await else {
                let mut status = self.status.lock();
                status.pushed += 1;
                status.stalled = None;
                return None;
            };
            {
                let mut status = self.status.lock();
                status.failed += 1;
                status.stalled = Some(error.to_string().into());
            }
            let clock = &self.connection.channel.core().clock;
            let mut waited = clock.sleep(Duration::from_millis(wait_ms));
            // It can go from thread to thread, but is not shared.
            let subscription = &mut *subscription;
            let end = poll_fn(move |context| match subscription.poll_end(context) {
                Some(end) => Poll::Ready(Some(end)),
                None => waited.as_mut().poll(context).map(|()| None),
            });
            if let Some(end) = end.await {
                return Some(end);
            }
            wait_ms = (wait_ms * 2).min(wait_ms_max);
        }
    }

    /// Takes the next message from the queue and runs the listener's callback; none where there is none. Tells the
    /// message, and what its callback said, whose panic is an error; either way the message is out of the queue.
    ///
    /// # Errors
    /// What the queue says.
    ///
    /// # Cancel safety
    /// As [`Queue::pop`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::queue::{MemoryQueue, Pump};
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let picky = Arc::new(FnListener::new("picky".parse()?, |_| Err("not today".into())));
    /// let pump = Pump::connect(&news, picky, Arc::new(MemoryQueue::new("inbox", 100))).await?;
    /// pump.queue().push(hub.tail(), Message::of("headline", "Eric runs")?).await.unwrap();
    ///
    /// let (message, result) = pump.deliver_next().await.unwrap().expect("one is in the queue");
    /// assert_eq!((message.kind().as_str(), result.unwrap_err().to_string()), ("headline", "not today".into()));
    /// assert!(pump.deliver_next().await.unwrap().is_none(), "what failed does not come again");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn deliver_next(&self) -> QueueResult<Option<(Message, QueueResult<()>)>> {
        let Some(message) = self.queue.pop().await? else { return Ok(None) };
        let run = AssertUnwindSafe(|| self.listener.on_message(&message));
        let result = catch_unwind(run).unwrap_or_else(|panic| Err(panicked(&*panic)));
        Ok(Some((message, result)))
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump")
            .field("listener", self.connection.id())
            .field("queue", &self.queue.id())
            .field("status", &self.status())
            .finish()
    }
}
