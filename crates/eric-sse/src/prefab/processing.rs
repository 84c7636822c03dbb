//! Processing a listener's queue with several workers at once: results as they complete.
//!
//! A message is acknowledged once its result, and those of all before it, were handed out: what was unfinished when a
//! process ends is delivered again, and so is what had run ahead of it.
//!
//! ```
//! # use eric_sse::Message;
//! use eric_sse::prefab::processing::Processing;
//! use futures_util::TryStreamExt as _;
//!
//! # eric_testkit::example(async |_hub, news, bob| {
//! for n in 1..=3 {
//!     news.broadcast(Message::of("square", &n)?).await?;
//! }
//! let square = |message: Message| async move { Ok(message.payload().as_json().parse::<u64>()?.pow(2)) };
//! let mut results = news.process_async(&bob, Processing::with(2), square).await?;
//! let mut sum = 0;
//! while let Some(processed) = results.try_next().await? {
//!     sum += processed.result.unwrap();
//! }
//! assert_eq!(sum, 14);
//! # Ok(())
//! # });
//! ```

mod tasks;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use self::tasks::Tasks;
use super::executor::Executor;
use crate::channel::delivery::Delivery;
use crate::channel::subscribe::Subscribe;
use crate::channel::subscription::{Item, Subscription};
use crate::channel::{Channel, Connection};
use crate::clock::Timestamp;
use crate::cursor::Conflict;
use crate::error::{Error, ErrorKind, Result};
use crate::follow::{End, Gap};
use crate::limits::{COMMIT_LAG_MS_MAX, PROCESSED_AHEAD_MAX};
use crate::listener::{CallbackError, Listener, panicked};
use crate::log::{BoxFuture, Budget};
use crate::message::Message;

/// The type of message that ends a processing: it is processed after everything before it, and nothing after it is.
pub const CLOSED: &str = "_eric_channel_closed";

/// How a queue is processed.
///
/// ```
/// use eric_sse::prefab::processing::{Order, Processing};
///
/// let in_order = Processing { order: Order::Queue, ..Processing::with(6) };
/// assert_eq!(in_order.workers_max, 6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processing {
    /// Messages that are processed at the same time, at most.
    pub workers_max: usize,
    /// In which order results are handed out.
    pub order: Order,
    /// When it is over.
    pub until: Until,
    /// The least time between two results.
    pub pause: Duration,
    /// What to do about another live reader of the queue.
    pub conflict: Conflict,
}

/// In which order results are handed out.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::processing::{Order, Processing};
/// use futures_util::TryStreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// for n in 0..2 {
///     news.broadcast(Message::of("job", &n)?).await?;
/// }
/// // The first takes longer.
/// let work = |message: Message| async move {
///     let number: u64 = message.payload().as_json().parse()?;
///     if number == 0 {
///         tokio::task::yield_now().await;
///     }
///     Ok(number)
/// };
/// let in_order = Processing { order: Order::Queue, ..Processing::with(2) };
/// let results: Vec<_> = news.process_async(&bob, in_order, work).await?.try_collect().await?;
/// let numbers = results.into_iter().map(|processed| processed.result.unwrap());
/// assert!(numbers.eq([0, 1]), "as they complete it is the other way round");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// As they complete.
    #[default]
    Completion,
    /// As their messages were published.
    Queue,
}

/// When a processing is over, beside the message that ends it ([`CLOSED`]).
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::processing::{Processing, Until};
/// use futures_util::{FutureExt as _, StreamExt as _};
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let work = |_: Message| async { Ok(()) };
/// let drained = news.process_async(&bob, Processing::with(2), work).await?.next().await;
/// assert!(drained.is_none(), "nothing is left");
///
/// let until_stopped = Processing { until: Until::Stopped, ..Processing::with(2) };
/// let mut results = news.process_async(&bob, until_stopped, work).await?;
/// assert!(results.next().now_or_never().is_none(), "it waits");
/// bob.stop();
/// assert!(results.next().await.is_none());
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Until {
    /// When nothing is left in the queue.
    #[default]
    Drained,
    /// When the listener is stopped or removed, or another reader takes over.
    Stopped,
}

impl Processing {
    /// With so many workers, and else the defaults: results as they complete, until the queue is drained, no pause,
    /// and an error where somebody else reads it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use eric_sse::prefab::processing::{Order, Processing, Until};
    ///
    /// let options = Processing::with(6);
    /// assert_eq!((options.order, options.until), (Order::Completion, Until::Drained));
    /// assert_eq!((options.workers_max, options.pause), (6, Duration::ZERO));
    /// ```
    pub fn with(workers_max: usize) -> Self {
        Self {
            workers_max,
            order: Order::default(),
            until: Until::default(),
            pause: Duration::ZERO,
            conflict: Conflict::Refuse,
        }
    }
}

/// A message that was processed, and what came of it.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::processing::{Processed, Processing};
/// use futures_util::TryStreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let job = news.broadcast(Message::of("job", "twelve")?).await?;
/// let parse = |message: Message| async move { Ok(message.payload().as_json().parse::<u64>()?) };
/// let mut results = news.process_async(&bob, Processing::with(2), parse).await?;
/// let Processed { delivery, result } = results.try_next().await?.expect("one job waits");
/// assert_eq!(delivery.position(), job.position);
/// assert_eq!(result.unwrap_err().to_string(), "invalid digit found in string");
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Processed<T> {
    /// The message, and where it stands; what was missed right before it is told here.
    pub delivery: Delivery,
    /// What its callback returned; that it failed or panicked concerns no other message.
    pub result: std::result::Result<T, CallbackError>,
}

/// What a callback returns.
type Outcome<T> = std::result::Result<T, CallbackError>;

/// What begins to process one message.
type Begin<T> = Box<dyn FnMut(&Delivery) -> BoxFuture<'static, Outcome<T>> + Send>;

/// A stream of results. Dropping it waits for nobody: what runs goes on, its results go nowhere, and its messages are
/// delivered again to whoever reads the queue next.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::processing::Processing;
/// use futures_util::TryStreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// for n in 0..3 {
///     news.broadcast(Message::of("job", &n)?).await?;
/// }
/// let work = |message: Message| async move { Ok(message.payload().as_json().to_owned()) };
/// let mut results = news.process_async(&bob, Processing::with(1), work).await?;
/// let first = results.try_next().await?.expect("three wait");
/// assert_eq!(first.result.unwrap(), "0");
///
/// // Who drops it early leaves the rest to whoever comes next.
/// drop(results);
/// let rest: Vec<_> = news.process_async(&bob, Processing::with(1), work).await?.try_collect().await?;
/// assert_eq!(rest.len(), 2);
/// # Ok(())
/// # });
/// ```
pub struct ProcessedStream<T> {
    subscription: Subscription,
    options: Processing,
    begin: Begin<T>,
    items: VecDeque<Item>,
    read: Vec<Item>,
    missed: Option<Box<Gap>>,
    running: FuturesUnordered<BoxFuture<'static, (u64, Outcome<T>)>>,
    tasks: Tasks<T>,
    delay: Option<BoxFuture<'static, ()>>,
    committed_at: Timestamp,
    /// Nothing more is begun.
    is_closing: bool,
    end: Option<End>,
    error: Option<Error>,
}

impl Channel {
    /// Processes the queue of `connection`'s listener: runs its callback for each message on `executor`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] without workers; else as [`Channel::subscribe`].
    ///
    /// # Cancel safety
    /// As [`Channel::subscribe`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::prefab::executor::Threads;
    /// use eric_sse::prefab::processing::Processing;
    /// use futures_util::TryStreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let worker = news.register_listener(Arc::new(FnListener::new("worker".parse()?, |_| Ok(())))).await?;
    /// for n in 0..100 {
    ///     news.broadcast(Message::of("job", &n)?).await?;
    /// }
    /// let pool = Arc::new(Threads::new(2)?);
    /// let results: Vec<_> = news.process(&worker, Processing::with(2), pool).await?.try_collect().await?;
    /// assert_eq!(results.len(), 100);
    /// assert!(results.iter().all(|processed| processed.result.is_ok()));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn process(
        &self,
        connection: &Connection,
        options: Processing,
        executor: Arc<dyn Executor>,
    ) -> Result<ProcessedStream<()>> {
        let listener: Option<Arc<dyn Listener>> = self.member(connection.id())?.object();
        let run = move |message: &Message| match &listener {
            Some(listener) => listener.on_message(message),
            None => Ok(()),
        };
        self.process_with(connection, options, executor, run).await
    }

    /// Processes the queue of `connection`'s listener: runs `callback` for each message on `executor`.
    ///
    /// # Errors
    /// As [`Channel::process`].
    ///
    /// # Cancel safety
    /// As [`Channel::subscribe`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::prefab::executor::Threads;
    /// use eric_sse::prefab::processing::{Order, Processing};
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("square", &12)?).await?;
    /// news.broadcast(Message::of("square", "twelve")?).await?;
    ///
    /// let square = |message: &Message| {
    ///     let number: u64 = message.payload().parse()?;
    ///     Ok(number * number)
    /// };
    /// let in_order = Processing { order: Order::Queue, ..Processing::with(2) };
    /// let pool = Arc::new(Threads::new(2)?);
    /// let mut results = news.process_with(&bob, in_order, pool, square).await?;
    /// assert_eq!(results.next().await.unwrap()?.result.unwrap(), 144);
    /// assert!(results.next().await.unwrap()?.result.is_err(), "an error is this message's only");
    /// assert!(results.next().await.is_none());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn process_with<T: Send + 'static>(
        &self,
        connection: &Connection,
        options: Processing,
        executor: Arc<dyn Executor>,
        callback: impl Fn(&Message) -> Outcome<T> + Send + Sync + 'static,
    ) -> Result<ProcessedStream<T>> {
        let callback = Arc::new(callback);
        let begin = move |delivery: &Delivery| -> BoxFuture<'static, Outcome<T>> {
            let (sender, result) = oneshot::channel();
            let (callback, delivery) = (callback.clone(), delivery.clone());
            executor.execute(Box::new(move || {
                // Nobody may be interested any more: then it need not begin.
                if !sender.is_closed() {
                    let run = AssertUnwindSafe(|| callback(delivery.message()));
                    let _ = sender.send(catch_unwind(run).unwrap_or_else(|panic| Err(panicked(&*panic))));
                }
            }));
            Box::pin(async { result.await.unwrap_or_else(|_| Err("the executor dropped it".into())) })
        };
        self.begin_processing(connection, options, Box::new(begin)).await
    }

    /// Processes the queue of `connection`'s listener: runs the future that `callback` makes of each message, on the
    /// task that polls the stream.
    ///
    /// # Errors
    /// As [`Channel::process`].
    ///
    /// # Cancel safety
    /// As [`Channel::subscribe`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::prefab::processing::Processing;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("fetch", "https://example.com")?).await?;
    ///
    /// let fetch = |message: Message| async move { Ok(message.payload().as_json().len()) };
    /// let mut results = news.process_async(&bob, Processing::with(8), fetch).await?;
    /// assert_eq!(results.next().await.unwrap()?.result.unwrap(), 21);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn process_async<T, F>(
        &self,
        connection: &Connection,
        options: Processing,
        callback: impl Fn(Message) -> F + Send + 'static,
    ) -> Result<ProcessedStream<T>>
    where
        T: Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let begin = move |delivery: &Delivery| -> BoxFuture<'static, Outcome<T>> {
            let message = delivery.message().clone();
            match catch_unwind(AssertUnwindSafe(|| callback(message))) {
                Ok(future) => Box::pin(Guarded(Box::pin(future))),
                Err(panic) => Box::pin(std::future::ready(Err(panicked(&*panic)))),
            }
        };
        self.begin_processing(connection, options, Box::new(begin)).await
    }

    async fn begin_processing<T>(
        &self,
        connection: &Connection,
        options: Processing,
        begin: Begin<T>,
    ) -> Result<ProcessedStream<T>> {
        if options.workers_max == 0 {
            return Err(Error::new(ErrorKind::InvalidValue, "workers_max=0, and nobody would work"));
        }
        let subscribe = Subscribe { conflict: options.conflict, ..Subscribe::default() };
        let subscription = self.subscribe(connection.id(), subscribe).await?;
        Ok(ProcessedStream {
            committed_at: subscription.channel().core().clock.recent(),
            subscription,
            options,
            begin,
            items: VecDeque::new(),
            read: Vec::new(),
            missed: None,
            running: FuturesUnordered::new(),
            tasks: Tasks::default(),
            delay: None,
            is_closing: false,
            end: None,
            error: None,
        })
    }
}

/// A future whose panic is its error.
pub(super) struct Guarded<T>(pub(super) BoxFuture<'static, Outcome<T>>);

impl<T> Future for Guarded<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = AssertUnwindSafe(|| self.0.as_mut().poll(context));
        catch_unwind(poll).unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
    }
}

impl<T: Send + 'static> ProcessedStream<T> {
    /// Why it ended, once it has; none where the queue was drained or [`CLOSED`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::End;
    /// use eric_sse::prefab::processing::Processing;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let work = |_: Message| async { Ok(()) };
    /// let mut results = news.process_async(&bob, Processing::with(2), work).await?;
    /// bob.stop();
    /// assert!(results.next().await.is_none());
    /// assert_eq!(results.end(), Some(End::Stopped));
    /// # Ok(())
    /// # });
    /// ```
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Begins what may be begun; whether nothing more can come for now.
    fn begin_more(&mut self, context: &mut Context<'_>) -> bool {
        let ahead_max = self.options.workers_max.max(PROCESSED_AHEAD_MAX);
        while !self.is_closing {
            if let Some(end) = self.subscription.poll_end(context) {
                self.close(Some(end));
                break;
            }
            if self.running.len() >= self.options.workers_max || self.tasks.begun.len() >= ahead_max {
                break;
            }
            let Some(item) = self.items.pop_front() else {
                match self.subscription.poll_items(context, Budget::default(), &mut self.read) {
                    Poll::Pending => return self.subscription.is_caught_up(),
                    Poll::Ready(Ok(None)) => self.items.extend(self.read.drain(..)),
                    Poll::Ready(Ok(Some(end))) => self.close(Some(end)),
                    Poll::Ready(Err(error)) => {
                        self.error = Some(error);
                        self.close(None);
                    }
                }
                continue;
            };
            match item {
                Item::Gap(gap) => self.missed = Some(gap),
                Item::Entry(framed) if framed.entry().message().kind().as_str() == CLOSED => {
                    if !self.tasks.begun.is_empty() {
                        self.items.push_front(Item::Entry(framed));
                        break;
                    }
                    let delivery = Delivery::first(framed, self.missed.take());
                    self.begin_one(delivery);
                    self.close(None);
                }
                Item::Entry(framed) => {
                    let delivery = Delivery::first(framed, self.missed.take());
                    self.begin_one(delivery);
                }
            }
        }
        self.is_closing
    }

    fn begin_one(&mut self, delivery: Delivery) {
        let work = (self.begin)(&delivery);
        let number = self.tasks.begin(delivery);
        self.running.push(Box::pin(async move { (number, work.await) }));
    }

    /// Begins nothing more; what was read and not begun stays in the queue.
    fn close(&mut self, end: Option<End>) {
        self.is_closing = true;
        self.end = self.end.or(end);
        self.items.clear();
    }

    /// Takes note that a result is handed out: moves the cursor, and waits where there is to be a pause.
    fn hand_out(&mut self) {
        if let Some(offset) = self.tasks.settle() {
            self.subscription.consumed(offset);
        }
        let clock = self.subscription.channel().core().clock.clone();
        let now = clock.recent();
        if self.running.is_empty() || now.ms_since(self.committed_at) >= COMMIT_LAG_MS_MAX {
            self.subscription.commit();
            self.committed_at = now;
        }
        if !self.options.pause.is_zero() {
            self.delay = Some(clock.sleep(self.options.pause));
        }
    }
}

/// No result is ever pinned.
impl<T> Unpin for ProcessedStream<T> {}

impl<T: Send + 'static> Stream for ProcessedStream<T> {
    type Item = Result<Processed<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut is_drained;
        loop {
            is_drained = this.begin_more(context);
            // What was begun just now is polled for the first time here; what it makes room for is begun then.
            match Pin::new(&mut this.running).poll_next(context) {
                Poll::Ready(Some((number, outcome))) => this.tasks.complete(number, outcome),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        let is_over = this.is_closing || (is_drained && this.options.until == Until::Drained);
        if this.tasks.begun.is_empty() && is_over {
            this.close(None);
            this.subscription.commit();
            return Poll::Ready(this.error.take().map(Err));
        }
        if let Some(delay) = &mut this.delay {
            ready!(delay.as_mut().poll(context));
            this.delay = None;
        }
        if let Some(processed) = this.tasks.take_done(this.options.order) {
            if processed.result.is_err() {
                this.subscription.stats().deliveries_failed.add(1);
            }
            this.hand_out();
            return Poll::Ready(Some(Ok(processed)));
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for ProcessedStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessedStream")
            .field("subscription", &self.subscription)
            .field("options", &self.options)
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
