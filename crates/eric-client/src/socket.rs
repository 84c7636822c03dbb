//! The client of the Unix socket: the verbs of the Python package's `SocketClient`.
//!
//! One connection a request, and nothing is tried again here. A message with an id may be published again; a stream
//! that goes on over cuts is [`SocketWire`]'s, or [`HttpClient`](crate::HttpClient)'s.

mod frames;
mod line;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eric_sse::{ChannelId, ListenerId, Message};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

pub use frames::{Frame, Frames};
pub use wire::SocketWire;

use crate::error::Error;
use crate::http::put_text;
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_S, CONNECT_S};

/// A client of a hub's Unix socket. Cloning is cheap.
///
/// ```
/// use eric_client::{ErrorKind, SocketClient};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let nobody = SocketClient::new("/nonexistent/eric.sock");
/// let error = nobody.create_channel().await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unreachable);
/// assert!(error.to_string().contains("is the hub running?"));
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct SocketClient {
    path: Arc<Path>,
}

/// A request, put together field by field.
#[derive(Debug)]
struct Request(Vec<u8>);

impl SocketClient {
    /// A client of the hub whose socket is at `path`. Nothing is sent yet.
    ///
    /// ```
    /// # use eric_client::SocketClient;
    /// let hub = SocketClient::new("/run/eric/eric.sock");
    /// assert!(hub.path().is_absolute());
    /// ```
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into().into() }
    }

    /// Where the socket is.
    ///
    /// ```
    /// # use eric_client::SocketClient;
    /// assert_eq!(SocketClient::new("eric.sock").path().file_name(), Some("eric.sock".as_ref()));
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a channel and returns its id, which the hub chooses.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::Code) where a limit is reached, and whatever a request may end with.
    ///
    /// # Cancel safety
    /// If dropped, a channel may be there of which nobody knows the id.
    ///
    /// ```
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// let talk = hub.create_channel().await?;
    /// assert_eq!(talk.as_str().len(), 36, "a UUID");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn create_channel(&self) -> Result<ChannelId, Error> {
        self.id(Request::new("c")).await
    }

    /// Adds a listener and returns its id, which the hub chooses.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code). Else as [`SocketClient::create_channel`].
    ///
    /// # Cancel safety
    /// If dropped, a listener may be there of which nobody knows the id.
    ///
    /// ```
    /// # use eric_client::Code;
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// let alice = hub.register(&news).await?;
    /// assert_ne!(alice, bob);
    /// let error = hub.register(&"sports".parse()?).await.unwrap_err();
    /// assert_eq!(error.code(), Some(Code::UnknownChannel));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn register(&self, channel: &ChannelId) -> Result<ListenerId, Error> {
        self.id(Request::new("r").text("c", channel.as_str())).await
    }

    /// Publishes to all listeners and watchers. A message with an id is taken once, however often it is published
    /// within [`DEDUP_WINDOW_S`](eric_sse::limits::DEDUP_WINDOW_S).
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code); [`Code::BadRequest`](crate::Code) where the message's id was used for
    /// other content. Else as [`SocketClient::create_channel`].
    ///
    /// # Cancel safety
    /// If dropped, the message may or may not have been published.
    ///
    /// ```
    /// # use eric_client::{Code, Message};
    /// # eric_testkit::socket_example(async |hub, news, _bob| {
    /// let order = Message::of("order", &17)?.with_id("order-17".parse()?);
    /// hub.broadcast_message(&news, &order).await?;
    /// hub.broadcast_message(&news, &order).await?; // Nothing is new.
    ///
    /// let another = Message::of("order", &18)?.with_id("order-17".parse()?);
    /// let error = hub.broadcast_message(&news, &another).await.unwrap_err();
    /// assert_eq!(error.code(), Some(Code::BadRequest), "the id is taken");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn broadcast_message(&self, channel: &ChannelId, message: &Message) -> Result<(), Error> {
        self.acknowledged(Request::new("b").text("c", channel.as_str()).message(message)).await
    }

    /// Publishes to one listener, as [`SocketClient::broadcast_message`] does to all.
    ///
    /// # Errors
    /// As [`SocketClient::broadcast_message`], and [`Code::UnknownListener`](crate::Code).
    ///
    /// # Cancel safety
    /// If dropped, the message may or may not have been published.
    ///
    /// ```
    /// # use eric_client::Message;
    /// # use futures_util::StreamExt as _;
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// hub.dispatch(&news, &bob, &Message::of("note", "for bob")?).await?;
    /// let frame = hub.stream(&news, &bob).await?.next().await.expect("it waits there")?;
    /// assert_eq!(frame.data, r#""for bob""#);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn dispatch(
        &self,
        channel: &ChannelId,
        listener: &ListenerId,
        message: &Message,
    ) -> Result<(), Error> {
        let request = Request::new("d").text("c", channel.as_str()).text("r", listener.as_str());
        self.acknowledged(request.message(message)).await
    }

    /// Removes a listener with its queue; its stream ends.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code), [`Code::UnknownListener`](crate::Code). Else as
    /// [`SocketClient::create_channel`].
    ///
    /// # Cancel safety
    /// If dropped, the listener may or may not have been removed.
    ///
    /// ```
    /// # use eric_client::{Code, Message};
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// hub.remove_listener(&news, &bob).await?;
    /// let error = hub.dispatch(&news, &bob, &Message::of("note", &())?).await.unwrap_err();
    /// assert_eq!(error.code(), Some(Code::UnknownListener));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn remove_listener(&self, channel: &ChannelId, listener: &ListenerId) -> Result<(), Error> {
        self.acknowledged(Request::new("rl").text("c", channel.as_str()).text("r", listener.as_str())).await
    }

    /// Removes a channel with its listeners; their streams end.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code). Else as [`SocketClient::create_channel`].
    ///
    /// # Cancel safety
    /// If dropped, the channel may or may not have been removed.
    ///
    /// ```
    /// # use eric_client::Code;
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// hub.remove_channel(&news).await?;
    /// assert_eq!(hub.register(&news).await.unwrap_err().code(), Some(Code::UnknownChannel));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn remove_channel(&self, channel: &ChannelId) -> Result<(), Error> {
        self.acknowledged(Request::new("rc").text("c", channel.as_str())).await
    }

    /// Opens a listener's stream. That channel or listener is unknown is told as the stream's first item.
    ///
    /// What was read counts as consumed, up to a few small messages more than were handed out.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](crate::ErrorKind).
    ///
    /// # Cancel safety
    /// If dropped, the hub may have sent what nobody received; it counts as consumed only if it was read.
    ///
    /// ```
    /// # use eric_client::Message;
    /// # use futures_util::StreamExt as _;
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// hub.broadcast_message(&news, &Message::of("tick", &7)?).await?;
    /// let mut frames = hub.stream(&news, &bob).await?;
    /// let frame = frames.next().await.expect("it waits there")?;
    /// assert_eq!((frame.event.as_str(), frame.id), ("tick", None));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn stream(&self, channel: &ChannelId, listener: &ListenerId) -> Result<Frames, Error> {
        self.frames(Request::new("l").text("c", channel.as_str()).text("r", listener.as_str())).await
    }

    /// Opens a listener's stream whose frames have ids; else as [`SocketClient::stream`].
    ///
    /// # Errors
    /// As [`SocketClient::stream`].
    ///
    /// # Cancel safety
    /// As [`SocketClient::stream`].
    ///
    /// ```
    /// # use eric_client::Message;
    /// # use futures_util::StreamExt as _;
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// hub.broadcast_message(&news, &Message::of("tick", &7)?).await?;
    /// let mut frames = hub.stream_with_ids(&news, &bob).await?;
    /// assert!(frames.next().await.expect("it waits there")?.id.is_some());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn stream_with_ids(&self, channel: &ChannelId, listener: &ListenerId) -> Result<Frames, Error> {
        self.open(channel, listener).await.map(Frames::new)
    }

    /// Opens a stream of what is broadcast from now on. That the channel is unknown is told as its first item.
    ///
    /// The hub does not say when it has begun; what is published right after may or may not be seen.
    ///
    /// # Errors
    /// As [`SocketClient::stream`].
    ///
    /// # Cancel safety
    /// Nothing is changed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use eric_client::Message;
    /// # use futures_util::StreamExt as _;
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// let mut frames = hub.watch(&news).await?;
    /// // It is said again until the hub has begun, and it is seen.
    /// let frame = loop {
    ///     hub.broadcast_message(&news, &Message::of("tick", &7)?).await?;
    ///     if let Ok(seen) = tokio::time::timeout(Duration::from_millis(50), frames.next()).await {
    ///         break seen.expect("the stream goes on")?;
    ///     }
    /// };
    /// assert_eq!((frame.data.as_str(), frame.id), ("7", None));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn watch(&self, channel: &ChannelId) -> Result<Frames, Error> {
        self.frames(Request::new("w").text("c", channel.as_str())).await
    }

    /// Opens a stream of what is broadcast from now on, whose frames have ids; else as [`SocketClient::watch`].
    ///
    /// # Errors
    /// As [`SocketClient::stream`].
    ///
    /// # Cancel safety
    /// Nothing is changed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use eric_client::Message;
    /// # use futures_util::StreamExt as _;
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// let mut frames = hub.watch_with_ids(&news).await?;
    /// # let frame = loop {
    /// #     hub.broadcast_message(&news, &Message::of("tick", &7)?).await?;
    /// #     if let Ok(seen) = tokio::time::timeout(Duration::from_millis(50), frames.next()).await {
    /// #         break seen.expect("the stream goes on")?;
    /// #     }
    /// # };
    /// // As with `watch`, and then:
    /// assert!(frame.id.is_some());
    /// # Ok(())
    /// # });
    /// ```
    pub async fn watch_with_ids(&self, channel: &ChannelId) -> Result<Frames, Error> {
        self.frames(Request::new("w").text("c", channel.as_str()).with_ids()).await
    }

    /// Sends any JSON value as a request and returns the whole answer.
    ///
    /// # Errors
    /// What the hub says, where its answer is the text of an exception; [`Code::BadRequest`](crate::Code) where
    /// `payload` cannot be JSON; [`ErrorKind::Unreachable`](crate::ErrorKind).
    ///
    /// # Cancel safety
    /// If dropped, what was asked for may or may not have happened.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// # eric_testkit::socket_example(async |hub, news, bob| {
    /// // The verbs of eric-sse's `SocketClient`, as they go over the wire.
    /// let answer = hub.send_payload(&BTreeMap::from([("v", "rc"), ("c", news.as_str())])).await?;
    /// assert_eq!(answer, "ack");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn send_payload(&self, payload: &(impl Serialize + ?Sized)) -> Result<String, Error> {
        let request = serde_json::to_vec(payload)
            .map_err(|error| Error::bad_request("request cannot be JSON").caused_by(error))?;
        self.ask(&request).await
    }

    async fn ask(&self, request: &[u8]) -> Result<String, Error> {
        let due = Duration::from_secs(ANSWER_S);
        match timeout(due, self.answer(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.unreachable(format!("did not answer within {ANSWER_S} s"))),
        }
    }

    async fn answer(&self, request: &[u8]) -> Result<String, Error> {
        let socket = self.send(request).await?;
        let mut answer = Vec::new();
        let most = ANSWER_BYTES_MAX as u64 + 1;
        let outcome = socket.take(most).read_to_end(&mut answer).await;
        let answer = match (outcome, String::from_utf8(answer)) {
            (Ok(read), _) if read > ANSWER_BYTES_MAX => {
                let text = format!("answered more than answer_bytes_max={ANSWER_BYTES_MAX}");
                return Err(Error::malformed(format!("socket path={} {text}", self.path.display())));
            }
            (_, Err(error)) => {
                let text = format!("socket path={} answered what is not UTF-8", self.path.display());
                return Err(Error::malformed(text).caused_by(error));
            }
            (Ok(_), Ok(answer)) if !answer.is_empty() => answer,
            (Ok(_), Ok(_)) => return Err(self.unreachable("closed without an answer")),
            (Err(error), _) => return Err(self.unreachable("broke the connection").caused_by(error)),
        };
        match Error::from_reply(&answer) {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }

    /// Connects, writes `request`, and closes the writing side.
    async fn send(&self, request: &[u8]) -> Result<UnixStream, Error> {
        let due = Duration::from_secs(CONNECT_S);
        let mut socket = match timeout(due, UnixStream::connect(&*self.path)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                let text = format!("cannot be reached: {error}: is the hub running?");
                return Err(self.unreachable(text).caused_by(error));
            }
            Err(_) => {
                let text = format!("took no connection within {CONNECT_S} s: is the hub running?");
                return Err(self.unreachable(text));
            }
        };
        // A hub that refuses early closes its reading side; what it says is there to read all the same.
        if socket.write_all(request).await.is_ok() {
            let _ = socket.shutdown().await;
        }
        Ok(socket)
    }

    async fn frames(&self, request: Request) -> Result<Frames, Error> {
        self.begin(request).await.map(Frames::new)
    }

    /// A listener's stream with ids, of which nothing is read yet.
    async fn open(&self, channel: &ChannelId, listener: &ListenerId) -> Result<UnixStream, Error> {
        let request = Request::new("l").text("c", channel.as_str()).text("r", listener.as_str());
        self.begin(request.with_ids()).await
    }

    /// Sends a request that is answered with a stream.
    async fn begin(&self, request: Request) -> Result<UnixStream, Error> {
        let due = Duration::from_secs(ANSWER_S);
        match timeout(due, self.send(&request.end())).await {
            Ok(socket) => socket,
            Err(_) => Err(self.unreachable(format!("did not take the request within {ANSWER_S} s"))),
        }
    }

    async fn id<T: std::str::FromStr<Err = eric_sse::Error>>(&self, request: Request) -> Result<T, Error> {
        let answer = self.ask(&request.end()).await?;
        answer.parse().map_err(|error| {
            let text = format!("socket path={} answered what is no id", self.path.display());
            Error::malformed(text).caused_by(error)
        })
    }

    async fn acknowledged(&self, request: Request) -> Result<(), Error> {
        match self.ask(&request.end()).await?.as_str() {
            "ack" => Ok(()),
            _ => {
                let text = format!("socket path={} answered something else than ack", self.path.display());
                Err(Error::malformed(text))
            }
        }
    }

    fn unreachable(&self, what: impl std::fmt::Display) -> Error {
        Error::unreachable(format!("socket path={} {what}", self.path.display()))
    }
}

impl Request {
    fn new(verb: &str) -> Self {
        Self(format!(r#"{{"v":"{verb}""#).into_bytes())
    }

    fn text(mut self, field: &str, value: &str) -> Self {
        self.0.extend_from_slice(format!(r#","{field}":"#).as_bytes());
        put_text(&mut self.0, value);
        self
    }

    fn message(self, message: &Message) -> Self {
        let mut request = self.text("t", message.kind().as_str());
        request.0.extend_from_slice(br#","p":"#);
        request.0.extend_from_slice(message.payload().bytes());
        // Hubs know these two only beside the switch.
        if message.id().is_some() || message.sender().is_some() {
            request = request.with_ids();
        }
        if let Some(id) = message.id() {
            request = request.text("message_id", id.as_str());
        }
        if let Some(sender) = message.sender() {
            request = request.text("sender_id", sender.as_str());
        }
        request
    }

    fn with_ids(mut self) -> Self {
        self.0.extend_from_slice(br#","e":1"#);
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}
