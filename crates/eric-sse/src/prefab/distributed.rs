//! Distributed applications: listeners that answer each other, in one process or in many.
//!
//! An [`Application`] has named actions; a message runs the action of its type, and what that returns goes back to the
//! sender. How it reaches its hub is its [`Wire`]'s: a channel in this process ([`Channel::wire`]), or a client in
//! another one.
//!
//! # What holds over crashes
//!
//! With a [`KvStore`] that survives the process, a message is handled in this order: its action runs; how far the
//! application got and what it answers is recorded; the answers are sent; the message is acknowledged. So, whatever the
//! wire, and whoever is killed:
//!
//! - A crash before the record means that the action runs again: a crash repeats at most one effect. One that ends
//!   [`Application::run`] with an error is no other.
//! - A crash after the record means that the recorded answers are sent again, under the ids that they had; the hub takes
//!   each once within its window of [`DEDUP_WINDOW_S`](crate::limits::DEDUP_WINDOW_S).
//! - What was recorded is not handled again, however often it comes. How often that is depends on the wire: a channel in
//!   this process and `HttpWire` (`eric-client`) are told when the hub has taken note, so one message comes again at most;
//!   over the Unix socket (`SocketWire`) the hub takes note of a few small messages at once, within a second or when the
//!   connection ends, and these may come again.
//! - A crash of the hub repeats and loses nothing where its engine is durable; with the memory engine everything is gone.
//!   What is sent meanwhile is tried again under the same id, for as long as the client's retry policy says; then
//!   [`Application::run`] ends with an error, and goes on where it was when it is run again.
//! - An action that fails or panics counts as handled. One that must not be passed over ends the process.
//! - Positions say what was handled: where an epoch ends, what is kept may be handled again.
//!
//! Without such a store, what was not acknowledged is handled again.
//!
//! Who asks: [`Application::request`] waits in memory, and does not survive the process that waits. The answer comes all
//! the same and is handled as any message, by the action of its type, if there is one. Asked again under another id, the
//! receiver's action runs again; asked again under the same id, the hub takes the request once, and an answer that was
//! handled before the crash does not come a second time. A requester that is to survive therefore
//!
//! - asks with [`Application::dispatch_to`], each question under an id of its own that is the same after a restart;
//! - takes answers in an action of their type, which records them durably before it returns: an answer that is not
//!   recorded is not acknowledged, and comes again;
//! - asks again, after a restart, what has no recorded answer: what the hub had taken it takes once within its window,
//!   and the answer is in the queue or still to come. After the window the question is answered a second time.
//!
//! The example `conversation` is such a pair, and its test kills both, and the hub, in the middle of it.

mod handled;
mod told;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::handled::Handled;
pub use self::told::{Happening, Outcome, Over, Told};
pub use self::wire::{Incoming, Messages, Missed, Wire};
use super::processing::Guarded;
use crate::channel::Channel;
use crate::clock::{Clock, SystemClock};
use crate::entry::Position;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChannelId, ListenerId, MessageId};
use crate::limits::REQUESTS_MAX;
use crate::listener::{CallbackError, panicked};
use crate::log::BoxFuture;
use crate::message::Message;
use crate::persist::{KvStore, MemoryKv, Repository};

/// The type of message that starts an application, which runs already when it comes.
pub const START: &str = "start";
/// The type of message that stops an application: what comes after it stays in the queue.
pub const STOP: &str = "stop";

/// What the ids of answers begin with.
const ANSWER: &str = "re:";
/// The longest id of a request that the ids of its answers hold.
const REQUEST_ID_BYTES_MAX: usize = 200;

/// What an action returns: answers to whoever sent the message.
///
/// ```
/// use eric_sse::Message;
/// use eric_sse::prefab::distributed::Answers;
///
/// let double = |message: &Message| -> Answers {
///     let number: u64 = message.payload().as_json().parse()?;
///     Ok(vec![Message::of("doubled", &(2 * number))?])
/// };
/// assert_eq!(double(&Message::of("double", &21)?).unwrap()[0].payload().as_json(), "42");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Answers = std::result::Result<Vec<Message>, CallbackError>;

type Action = Arc<dyn Fn(Message) -> BoxFuture<'static, Answers> + Send + Sync>;

/// A listener with named actions. Cloning shares it.
///
/// ```
/// use std::time::Duration;
/// use eric_sse::prefab::distributed::{Application, Over};
/// use eric_sse::{ChannelSettings, Hub, Message};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let channel = hub.channels().create("talk".parse()?, ChannelSettings::default()).await?;
///
/// let alice = Application::new(channel.wire("alice".parse()?).await?);
/// alice.set_action("double", |message| {
///     let number: u64 = message.payload().parse()?;
///     Ok(vec![Message::of("doubled", &(number * 2))?])
/// })?;
/// let bob = Application::new(channel.wire("bob".parse()?).await?);
///
/// let talk = async {
///     let answer = bob.request(alice.id(), Message::of("double", &21)?, Duration::from_secs(5)).await?;
///     assert_eq!(answer.payload().as_json(), "42");
///     bob.dispatch_to(alice.id(), Message::of("stop", &())?).await?;
///     bob.dispatch_to(bob.id(), Message::of("stop", &())?).await
/// };
/// let (talk, alice, bob) = tokio::join!(talk, alice.run(|_| ()), bob.run(|_| ()));
/// assert_eq!((talk?, alice?, bob?), ((), Over::Stopped, Over::Stopped));
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Application(Arc<Shared>);

struct Shared {
    wire: Arc<dyn Wire>,
    clock: Arc<dyn Clock>,
    handled: Repository<Handled>,
    actions: Mutex<HashMap<Box<str>, Action>>,
    /// Who waits for the answer to a request, by its id.
    requests: Mutex<HashMap<MessageId, oneshot::Sender<Message>>>,
}

impl Application {
    /// The application whose listener `wire` reads for. What it handled is recorded in memory: after a restart, what
    /// was not acknowledged is handled again.
    ///
    /// ```
    /// use eric_sse::prefab::distributed::Application;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let alice = Application::new(news.wire("alice".parse()?).await?);
    /// assert_eq!(news.listener_ids(), [bob.id().clone(), alice.id().clone()]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn new(wire: Arc<dyn Wire>) -> Self {
        Self::with(wire, Arc::new(MemoryKv::default()), Arc::new(SystemClock))
    }

    /// The same with a store for what it handled, and a clock for deadlines. Several applications may share a store.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::SystemClock;
    /// use eric_sse::persist::{KvStore as _, MemoryKv};
    /// use eric_sse::prefab::distributed::Application;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// // In earnest one that is on a disk.
    /// let handled = Arc::new(MemoryKv::default());
    /// let wire = news.wire("alice".parse()?).await?;
    /// let alice = Application::with(wire, handled.clone(), Arc::new(SystemClock));
    /// news.dispatch(alice.id(), Message::of("stop", &())?).await?;
    /// alice.run(|_| ()).await?;
    /// assert_eq!(handled.fetch_all(None, 10).await?.len(), 1, "how far alice got");
    /// # Ok(())
    /// # });
    /// ```
    pub fn with(wire: Arc<dyn Wire>, handled: Arc<dyn KvStore>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            wire,
            clock,
            handled: Repository::new(handled),
            actions: Mutex::default(),
            requests: Mutex::default(),
        }))
    }

    /// The id of its listener.
    ///
    /// ```
    /// use eric_sse::prefab::distributed::Application;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let alice = Application::new(news.wire("alice".parse()?).await?);
    /// assert_eq!(alice.id().as_str(), "alice");
    /// # Ok(())
    /// # });
    /// ```
    pub fn id(&self) -> &ListenerId {
        self.0.wire.listener()
    }

    /// Runs `action` for messages of the type `name` from now on, on the task that runs the application.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] for [`START`] and [`STOP`], which are reserved.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::prefab::distributed::Application;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let alice = Application::new(news.wire("alice".parse()?).await?);
    /// alice.set_action("greet", |message| {
    ///     let name: String = serde_json::from_str(message.payload().as_json())?;
    ///     Ok(vec![Message::of("greeting", &format!("hello, {name}"))?])
    /// })?;
    /// news.dispatch(alice.id(), Message::of("greet", "Bob")?.with_sender("bob".parse()?)).await?;
    /// news.dispatch(alice.id(), Message::of("stop", &())?).await?;
    /// alice.run(|_| ()).await?;
    ///
    /// let answer = news.deliver_next(bob.id()).await?.expect("alice has answered");
    /// assert_eq!(answer.message().payload().as_json(), "\"hello, Bob\"");
    /// # Ok(())
    /// # });
    /// ```
    pub fn set_action(
        &self,
        name: &str,
        action: impl Fn(&Message) -> Answers + Send + Sync + 'static,
    ) -> Result<()> {
        self.set_async_action(name, move |message| std::future::ready(action(&message)))
    }

    /// [`Application::set_action`] with an action that waits for something.
    ///
    /// # Errors
    /// As [`Application::set_action`].
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::prefab::distributed::Application;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let alice = Application::new(news.wire("alice".parse()?).await?);
    /// let channel = news.clone();
    /// alice.set_async_action("count", move |_| {
    ///     let channel = channel.clone();
    ///     async move { Ok(vec![Message::of("messages", &channel.info().await?.messages)?]) }
    /// })?;
    /// news.broadcast(Message::of("count", &())?.with_sender("bob".parse()?)).await?;
    /// news.dispatch(alice.id(), Message::of("stop", &())?).await?;
    /// alice.run(|_| ()).await?;
    ///
    /// news.deliver_next(bob.id()).await?.expect("bob hears the question as well");
    /// let answer = news.deliver_next(bob.id()).await?.expect("alice has answered");
    /// assert_eq!(answer.message().payload().as_json(), "1");
    /// # Ok(())
    /// # });
    /// ```
    pub fn set_async_action<F: Future<Output = Answers> + Send + 'static>(
        &self,
        name: &str,
        action: impl Fn(Message) -> F + Send + Sync + 'static,
    ) -> Result<()> {
        if [START, STOP].contains(&name) {
            return Err(Error::new(ErrorKind::InvalidValue, format!("action name={name} is reserved")));
        }
        let action: Action = Arc::new(move |message| Box::pin(action(message)));
        self.0.actions.lock().insert(name.into(), action);
        Ok(())
    }

    /// Sends a message to another listener of the channel, signed.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`], and what the wire says.
    ///
    /// # Cancel safety
    /// If dropped, it may or may not have been sent.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::prefab::distributed::Application;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let alice = Application::new(news.wire("alice".parse()?).await?);
    /// alice.dispatch_to(bob.id(), Message::of("greeting", "hello")?).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("one waits");
    /// assert_eq!(delivery.message().sender().unwrap().as_str(), "alice");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn dispatch_to(&self, receiver: &ListenerId, message: Message) -> Result<()> {
        self.0.wire.dispatch(receiver, message.with_sender(self.id().clone().into())).await
    }

    /// Sends a message, and waits for the first answer to it. The application must be running meanwhile. A requester
    /// that is to survive its own crash [does otherwise](self#what-holds-over-crashes).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where none came within `deadline`: the receiver may have handled it all the same.
    /// [`ErrorKind::LimitExceeded`] where [`REQUESTS_MAX`] wait; else as [`Application::dispatch_to`].
    ///
    /// # Cancel safety
    /// If dropped, it may or may not have been sent; an answer that comes is handled as any message.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::time::Duration;
    /// use eric_sse::ErrorKind;
    /// use eric_sse::prefab::distributed::Application;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let alice = Application::new(news.wire("alice".parse()?).await?);
    /// alice.set_action("greet", |_| Ok(vec![Message::of("greeting", "hello")?]))?;
    /// let carol = Application::new(news.wire("carol".parse()?).await?);
    ///
    /// let greet = Message::of("greet", &())?;
    /// let answer = tokio::select! {
    ///     answer = carol.request(alice.id(), greet.clone(), Duration::from_secs(5)) => answer?,
    ///     _ = alice.run(|_| ()) => unreachable!("nobody stops her"),
    ///     _ = carol.run(|_| ()) => unreachable!("nobody stops her either"),
    /// };
    /// assert_eq!(answer.payload().as_json(), "\"hello\"");
    ///
    /// // Nobody runs any more.
    /// let late = carol.request(alice.id(), greet, Duration::ZERO).await;
    /// assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn request(
        &self,
        receiver: &ListenerId,
        message: Message,
        deadline: Duration,
    ) -> Result<Message> {
        let id = match message.id() {
            Some(id) if id.as_str().len() <= REQUEST_ID_BYTES_MAX => id.clone(),
            _ => ListenerId::generate().as_str().parse().expect("a uuid is an id"),
        };
        let (sender, mut answer) = oneshot::channel();
        let waiting = Waiting { shared: &self.0, id: &id };
        {
            let mut requests = self.0.requests.lock();
            if requests.len() >= REQUESTS_MAX {
                let text = format!("requests_max={REQUESTS_MAX} wait for their answers");
                return Err(Error::limit_exceeded("requests_max", text));
            }
            requests.insert(id.clone(), sender);
        }
        let mut late = self.0.clock.sleep(deadline);
        self.dispatch_to(receiver, message.with_id(id.clone())).await?;
        let answer = poll_fn(|context| {
            let mut answer = pin!(&mut answer);
            match answer.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(answer.ok()),
                Poll::Pending => late.as_mut().poll(context).map(|()| None),
            }
        });
        let answer = answer.await;
        drop(waiting);
        answer.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, format!("no answer from id={receiver} within {deadline:?}"))
        })
    }

    /// Handles messages until one stops the application, or its listener is stopped or removed or read by another;
    /// `tell` hears of each.
    ///
    /// # Errors
    /// What the wire and the store say: run it again, it goes on where it was.
    ///
    /// # Cancel safety
    /// What was not acknowledged is handled when it runs again.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::prefab::distributed::{Application, Over};
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let alice = Application::new(news.wire("alice".parse()?).await?);
    /// for kind in ["greet", "stop", "greet"] {
    ///     news.dispatch(alice.id(), Message::of(kind, &())?).await?;
    /// }
    /// let mut told = 0;
    /// assert_eq!(alice.run(|_| told += 1).await?, Over::Stopped);
    /// assert_eq!(told, 2, "what comes after the stop waits for the next run");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn run(&self, mut tell: impl FnMut(&Told)) -> Result<Over> {
        let mut handled = self.0.handled.load_one(self.place()).await?;
        let mut messages = self.0.wire.receive().await?;
        while let Some(incoming) = poll_fn(|context| messages.as_mut().poll_next(context)).await {
            let told = match incoming? {
                Incoming::Missed(missed) => Told::Missed(missed),
                Incoming::Message(position, message) => {
                    Told::Handled(self.handle(&mut handled, position, message).await?)
                }
            };
            tell(&told);
            if matches!(&told, Told::Handled(Happening { outcome: Outcome::Stopped, .. })) {
                return Ok(Over::Stopped);
            }
        }
        Ok(Over::Left)
    }

    fn place(&self) -> (ChannelId, ListenerId) {
        (self.0.wire.channel().clone(), self.id().clone())
    }

    async fn handle(
        &self,
        handled: &mut Option<Handled>,
        position: Position,
        message: Message,
    ) -> Result<Happening> {
        let is_repeated = handled.as_ref().is_some_and(|handled| handled.covers(position));
        let outcome = if is_repeated {
            Outcome::Repeated(handled.as_ref().map_or(0, |handled| handled.answers_at(position).len()))
        } else {
            let (outcome, answers) = self.act(position, &message).await;
            let (channel, listener) = self.place();
            let record = Handled { channel, listener, position, answers };
            self.0.handled.persist(&record).await?;
            *handled = Some(record);
            outcome
        };
        let answers = handled.as_ref().map_or(&[][..], |handled| handled.answers_at(position));
        let mut undelivered = Vec::new();
        for answer in answers {
            match self.answer(&message, answer).await {
                Ok(()) => {}
                // Nobody will ever take it; everything else is tried again.
                Err(error) if is_final(error.kind()) => undelivered.push(error),
                Err(error) => return Err(error),
            }
        }
        self.0.wire.acknowledge(position).await?;
        Ok(Happening { position, message, outcome, undelivered })
    }

    /// Runs the action of a message; answers have their ids and are signed.
    async fn act(&self, position: Position, message: &Message) -> (Outcome, Vec<Message>) {
        let nothing = |outcome| (outcome, Vec::new());
        match message.kind().as_str() {
            START => return nothing(Outcome::Started),
            STOP => return nothing(Outcome::Stopped),
            _ => {}
        }
        if let Some(waiting) = self.take_request(message) {
            // Who waited may be gone by now.
            let _ = waiting.send(message.clone());
            return nothing(Outcome::Response);
        }
        let action = self.0.actions.lock().get(message.kind().as_str()).cloned();
        let Some(action) = action else { return nothing(Outcome::Unknown) };
        let answers = match catch_unwind(AssertUnwindSafe(|| action(message.clone()))) {
            Ok(answers) => Guarded(answers).await,
            Err(panic) => Err(panicked(&*panic)),
        };
        match answers {
            Err(error) => nothing(Outcome::Failed(error)),
            Ok(answers) => {
                let sign = |(n, answer): (usize, Message)| {
                    answer.with_id(answer_id(position, message, n)).with_sender(self.id().clone().into())
                };
                let answers: Vec<Message> = answers.into_iter().enumerate().map(sign).collect();
                (Outcome::Answered(answers.len()), answers)
            }
        }
    }

    async fn answer(&self, message: &Message, answer: &Message) -> Result<()> {
        let Some(sender) = message.sender() else {
            return Err(Error::new(ErrorKind::InvalidMessage, "the message has no sender to answer"));
        };
        self.0.wire.dispatch(&sender.as_str().parse()?, answer.clone()).await
    }

    /// Who waits for this answer, if it is one and somebody does.
    fn take_request(&self, message: &Message) -> Option<oneshot::Sender<Message>> {
        let (request, _) = message.id()?.as_str().strip_prefix(ANSWER)?.rsplit_once(':')?;
        self.0.requests.lock().remove(request)
    }
}

impl Channel {
    /// How an application in this process reads the queue of the listener `id`, which is added if it is not there.
    ///
    /// # Errors
    /// As [`Channel::ensure_listener`].
    ///
    /// # Cancel safety
    /// If dropped, the listener may have been added.
    ///
    /// ```
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let alice = news.wire("alice".parse()?).await?;
    /// assert_eq!((alice.channel(), alice.listener().as_str()), (news.id(), "alice"));
    /// assert!(news.listener(alice.listener())?.is_running());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn wire(&self, id: ListenerId) -> Result<Arc<dyn Wire>> {
        let (connection, _) = self.ensure_listener(id).await?;
        connection.start();
        Ok(Arc::new(wire::Local::new(self.clone(), connection.id().clone())))
    }
}

/// Whether trying again would not help.
fn is_final(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Unavailable | ErrorKind::NoSpace | ErrorKind::Closed | ErrorKind::LimitExceeded
    )
}

/// The id of the answer `n` to a message: always the same, so that one that is sent again is taken once.
fn answer_id(position: Position, message: &Message, n: usize) -> MessageId {
    let id = match message.id() {
        Some(id) if id.as_str().len() <= REQUEST_ID_BYTES_MAX => format!("{ANSWER}{id}:{n}"),
        _ => format!("{ANSWER}{position}:{n}"),
    };
    id.parse().expect("it is made of ids, and short")
}

/// A request that waits.
struct Waiting<'a> {
    shared: &'a Shared,
    id: &'a MessageId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.requests.lock().remove(self.id);
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").field("id", self.id()).finish_non_exhaustive()
    }
}
