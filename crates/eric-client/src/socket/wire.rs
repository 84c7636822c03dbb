//! How an application reaches its hub over the Unix socket: it acknowledges by reading.
//!
//! The socket has no verb for acknowledging; the hub counts as consumed what the client's process has read. So a message
//! is handed out while its line break is unread (`line`), and acknowledging it is reading that.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use eric_protocol::Code;
use eric_sse::log::BoxFuture;
use eric_sse::prefab::distributed::{Incoming, Messages, Wire};
use eric_sse::{ChannelId, ListenerId, Message, Position};
use futures_core::Stream;
use tokio::net::UnixStream;
use tokio::time::{Sleep, sleep};
use uuid::Uuid;

use super::SocketClient;
use super::frames::frame;
use super::line::{Line, LineEnd, take_break};
use crate::application::{message, to_library};
use crate::back_off::{BackOff, RetryPolicy};
use crate::error::Error;
use crate::limits::{RETRY_MS_MAX, SOCKET_RETRY_MS};

/// A listener's way to its hub over the Unix socket, for
/// [`Application`](eric_sse::prefab::distributed::Application); see [`SocketClient::wire`].
///
/// One message is under way at a time: the next comes when the last is acknowledged. Acknowledging takes effect at the
/// hub within a second or when the connection ends, and for the few small messages that were written together (4 KiB)
/// once the last of them is acknowledged; a process that is killed before gets these again. Within the process nothing
/// that was acknowledged comes again. Gaps are not told on the socket.
///
/// The hub closes a connection on which more is waiting and nothing was taken for
/// [`WRITE_STALL_S`](eric_sse::limits::WRITE_STALL_S): a message that takes longer costs a reconnect, and nothing else.
///
/// The hub ends a stream without a reason, so a reader that was replaced comes back and replaces the other: a listener
/// is for one process.
#[derive(Debug)]
pub struct SocketWire {
    client: SocketClient,
    channel: ChannelId,
    listener: ListenerId,
    retry: RetryPolicy,
    desk: Arc<Desk>,
}

/// What a wire shares with its stream.
#[derive(Debug, Default)]
struct Desk(Mutex<Reading>);

#[derive(Debug, Default)]
struct Reading {
    /// Which stream reads; those before it are over.
    stream: u64,
    /// Up to here everything was acknowledged.
    acknowledged: Option<Position>,
    /// What was handed out and not acknowledged, and where its line break is.
    held: Option<(Position, Arc<UnixStream>)>,
    /// The stream that waits for that.
    waiting: Option<Waker>,
}

impl SocketClient {
    /// How an application reads the queue of a listener, which must be there: the socket has no verb to add one with an
    /// id of one's own. Nothing is sent yet.
    ///
    /// It survives cuts, and restarts of the hub: it goes on after the last message that was acknowledged. It tries for
    /// as long as it is read; what it sends is tried again by [`RetryPolicy::default`], under an id that it gives to
    /// messages that have none.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_client::Message;
    /// # use eric_sse::prefab::distributed::{Application, Over};
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// let bob = Application::new(Arc::new(hub.wire(news.clone(), bob)));
    /// bob.set_action("hello", |_| Ok(vec![Message::of("hello_ack", &())?]))?;
    ///
    /// let alice = hub.register(&news).await?;
    /// let alice = Application::new(Arc::new(hub.wire(news, alice)));
    /// alice.dispatch_to(bob.id(), Message::of("hello", &())?).await?;
    /// alice.dispatch_to(bob.id(), Message::of("stop", &())?).await?;
    /// assert_eq!(bob.run(|_| ()).await?, Over::Stopped, "and alice has her answer");
    /// # Ok(())
    /// # });
    /// ```
    pub fn wire(&self, channel: ChannelId, listener: ListenerId) -> SocketWire {
        let (client, desk) = (self.clone(), Arc::default());
        SocketWire { client, channel, listener, retry: RetryPolicy::default(), desk }
    }
}

impl SocketWire {
    /// The same wire, with another way of trying again what it sends.
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }
}

impl Wire for SocketWire {
    fn channel(&self) -> &ChannelId {
        &self.channel
    }

    fn listener(&self) -> &ListenerId {
        &self.listener
    }

    /// Its messages. A channel or listener that is unknown from the start is an error; one that is unknown later was
    /// removed, and the stream ends.
    fn receive(&self) -> BoxFuture<'_, eric_sse::Result<Messages>> {
        let messages = SocketMessages {
            client: self.client.clone(),
            channel: self.channel.clone(),
            listener: self.listener.clone(),
            number: self.desk.begin(),
            desk: self.desk.clone(),
            state: State::Idle,
            line: Line::default(),
            back_off: back_off(Duration::from_millis(SOCKET_RETRY_MS)),
            has_begun: false,
        };
        Box::pin(std::future::ready(Ok(Box::pin(messages) as Messages)))
    }

    fn dispatch<'a>(
        &'a self,
        receiver: &'a ListenerId,
        message: Message,
    ) -> BoxFuture<'a, eric_sse::Result<()>> {
        Box::pin(async move {
            let message = match message.id() {
                Some(_) => message,
                None => message.with_id(Uuid::new_v4().to_string().parse().expect("a uuid is an id")),
            };
            let mut attempts = self.retry.begin();
            while let Err(error) = self.client.dispatch(&self.channel, receiver, &message).await {
                attempts.again(error).await.map_err(to_library)?;
            }
            Ok(())
        })
    }

    fn acknowledge(&self, position: Position) -> BoxFuture<'_, eric_sse::Result<()>> {
        let taken = self.desk.acknowledge(position).map_err(|error| {
            let text = format!("socket path={} broke the connection", self.client.path().display());
            to_library(Error::unreachable(text).caused_by(error))
        });
        Box::pin(std::future::ready(taken))
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins another stream, which ends the one that is there.
    fn begin(&self) -> u64 {
        let mut reading = self.lock();
        reading.stream += 1;
        reading.held = None;
        if let Some(waiting) = reading.waiting.take() {
            waiting.wake();
        }
        reading.stream
    }

    /// The stream `number` is over.
    fn end(&self, number: u64) {
        let mut reading = self.lock();
        if reading.stream == number {
            // Whoever holds the socket keeps it open, and the hub waiting.
            (reading.held, reading.waiting) = (None, None);
        }
    }

    fn acknowledge(&self, position: Position) -> io::Result<()> {
        let mut reading = self.lock();
        if let Some((held, socket)) = &reading.held
            && covers(position, *held)
        {
            take_break(socket)?;
            reading.held = None;
            if let Some(waiting) = reading.waiting.take() {
                waiting.wake();
            }
        }
        reading.note(position);
        Ok(())
    }

    /// Ready when the stream `number` may read on: false where another has begun.
    fn poll_turn(&self, number: u64, context: &mut Context<'_>) -> Poll<bool> {
        let mut reading = self.lock();
        if reading.stream != number {
            return Poll::Ready(false);
        }
        if reading.held.is_some() {
            reading.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(true)
    }

    /// Holds a message that the stream `number` hands out; false where it was acknowledged already.
    fn hold(&self, number: u64, position: Position, socket: &Arc<UnixStream>) -> bool {
        let mut reading = self.lock();
        let is_new = !reading.acknowledged.is_some_and(|acknowledged| covers(acknowledged, position));
        if is_new && reading.stream == number {
            reading.held = Some((position, socket.clone()));
        }
        is_new
    }
}

impl Reading {
    fn note(&mut self, position: Position) {
        if !self.acknowledged.is_some_and(|acknowledged| covers(acknowledged, position)) {
            self.acknowledged = Some(position);
        }
    }
}

/// Whether everything up to `upto` has `position` in it.
fn covers(upto: Position, position: Position) -> bool {
    upto.epoch == position.epoch && position.offset <= upto.offset
}

fn back_off(retry: Duration) -> BackOff {
    BackOff::new(retry, Duration::from_millis(RETRY_MS_MAX))
}

/// A stream that reconnects by itself.
struct SocketMessages {
    client: SocketClient,
    channel: ChannelId,
    listener: ListenerId,
    number: u64,
    desk: Arc<Desk>,
    state: State,
    line: Line,
    back_off: BackOff,
    /// A connection was there on which the hub refused nothing.
    has_begun: bool,
}

enum State {
    /// To be opened at the next poll.
    Idle,
    Opening(Pin<Box<dyn Future<Output = Result<UnixStream, Error>> + Send>>),
    Open(Arc<UnixStream>),
    Waiting(Pin<Box<Sleep>>),
    Over,
}

impl SocketMessages {
    /// There is no connection, or none any more.
    fn lost(&mut self) {
        self.state = State::Waiting(Box::pin(sleep(self.back_off.pause(None))));
    }

    fn fail(&mut self, error: Error) -> Option<eric_sse::Result<Incoming>> {
        self.state = State::Over;
        Some(Err(to_library(error)))
    }

    /// The hub, or the system, refused the stream.
    fn refused(&mut self, error: Error) -> Option<eric_sse::Result<Incoming>> {
        let is_unknown = matches!(error.code(), Some(Code::UnknownChannel | Code::UnknownListener));
        if is_unknown && self.has_begun {
            self.state = State::Over;
        } else if error.is_temporary() {
            self.lost();
        } else {
            return self.fail(error);
        }
        None
    }

    /// Hands out a line that is whole but for its line break.
    fn hand_out(&mut self, socket: &Arc<UnixStream>) -> Option<eric_sse::Result<Incoming>> {
        let told = frame(self.line.bytes());
        self.line.clear();
        let told = match told {
            Ok(told) => told,
            Err(error) => return self.fail(error),
        };
        let Some(position) = told.id else {
            return self.fail(Error::malformed("the stream tells no ids: it is not a hub's"));
        };
        self.has_begun = true;
        self.back_off = back_off(told.retry);
        if self.desk.hold(self.number, position, socket) {
            let message = message(&told.event, &told.data, told.message_id, told.sender_id);
            return Some(message.map(|message| Incoming::Message(position, message)));
        }
        // The hub was cut off before it took note of it.
        if take_break(socket).is_err() {
            self.lost();
        }
        None
    }

    /// Goes on by one step; ready with something once there is something to hand out.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<eric_sse::Result<Incoming>>> {
        Poll::Ready(match &mut self.state {
            State::Idle => {
                let (client, channel, listener) =
                    (self.client.clone(), self.channel.clone(), self.listener.clone());
                let opening = async move { client.open(&channel, &listener).await };
                self.state = State::Opening(Box::pin(opening));
                None
            }
            State::Opening(opening) => match ready!(opening.as_mut().poll(context)) {
                Ok(socket) => {
                    self.line.clear();
                    self.state = State::Open(Arc::new(socket));
                    None
                }
                Err(error) => self.refused(error),
            },
            State::Open(socket) => {
                let socket = socket.clone();
                match ready!(self.line.poll(&socket, context)) {
                    Ok(LineEnd::Break) => self.hand_out(&socket),
                    Ok(LineEnd::Cut) => self.ended(),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        self.fail(Error::malformed(error.to_string()))
                    }
                    Err(_) => {
                        self.lost();
                        None
                    }
                }
            }
            State::Waiting(wait) => {
                ready!(wait.as_mut().poll(context));
                self.state = State::Idle;
                None
            }
            State::Over => None,
        })
    }

    /// The stream ended, perhaps in the middle of a line, or with an exception instead of any.
    fn ended(&mut self) -> Option<eric_sse::Result<Incoming>> {
        match std::str::from_utf8(self.line.bytes()).ok().and_then(Error::from_reply) {
            Some(error) => self.refused(error),
            None => {
                self.has_begun = true;
                self.lost();
                None
            }
        }
    }
}

impl Stream for SocketMessages {
    type Item = eric_sse::Result<Incoming>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let messages = self.get_mut();
        loop {
            if !ready!(messages.desk.poll_turn(messages.number, context)) {
                messages.state = State::Over;
            }
            if matches!(messages.state, State::Over) {
                return Poll::Ready(None);
            }
            if let Some(told) = ready!(messages.poll_step(context)) {
                return Poll::Ready(Some(told));
            }
        }
    }
}

impl Drop for SocketMessages {
    fn drop(&mut self) {
        self.desk.end(self.number);
    }
}

impl fmt::Debug for SocketMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketMessages").field("listener", &self.listener).finish_non_exhaustive()
    }
}
