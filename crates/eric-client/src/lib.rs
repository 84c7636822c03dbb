//! Clients of Eric, a message hub: what a program needs to publish to it and to listen to it.
//!
//! ```
//! use eric_client::{Event, HttpClient, Message, SubscribeOptions};
//! use futures_util::StreamExt as _;
//!
//! # eric_testkit::http_example(async |hub, _, _| {
//! # let url = hub.url();
//! let hub = HttpClient::new(url)?;
//! let (news, bob) = ("news".parse()?, "bob".parse()?);
//! hub.ensure_channel(&news, &Default::default()).await?;
//! hub.ensure_listener(&news, &bob).await?;
//! hub.broadcast(&news, Message::of("greeting", "hello")?).await?;
//!
//! let mut events = hub.subscribe(&news, &bob, SubscribeOptions::default());
//! while let Some(event) = events.next().await {
//!     if let Event::Message(received) = event? {
//!         assert_eq!(received.payload, r#""hello""#);
//!         break;
//!     }
//! }
//! # Ok(())
//! # });
//! ```
//!
//! | want | see |
//! |---|---|
//! | to make channels and listeners, to publish, to pull | [`HttpClient`] |
//! | a stream that survives cut connections and restarts of the hub | [`HttpClient::subscribe`], [`HttpClient::watch`], [`Events`] |
//! | to run an application's listener in this process, its hub elsewhere | [`HttpClient::wire`], [`SocketClient::wire`] |
//! | the Unix socket of the Python package's clients | [`SocketClient`] |
//! | to know what went wrong, and whether to try again | [`Error`] |
//! | what is bounded, and by how much | [`limits`] |
//!
//! Values that cannot be wrong (ids, positions, messages) are those of `eric-sse`, named again here. Nothing here
//! starts tasks: what is dropped is over.

mod answer;
mod application;
mod back_off;
mod error;
pub mod events;
pub mod http;
pub mod limits;
#[cfg(unix)]
pub mod socket;
mod wire;

pub use answer::{Channel, Gap, GapReason, Listener, Page, Pulled, Received, Taken, TakenBatch};
pub use application::HttpWire;
pub use back_off::RetryPolicy;
pub use eric_protocol::{Code, Slow};
pub use eric_sse::lane::Overflow;
pub use eric_sse::{
    Ack, ChannelId, Conflict, IdempotencyKey, ListenerId, ListenerOrder, Message, MessageId, MessageType,
    Payload, Position, Publish, ReadFrom, SenderId, SettingsPatch,
};
pub use error::{Error, ErrorKind};
pub use events::{EndReason, Event, Events, SubscribeOptions, WatchOptions};
pub use http::{HttpClient, Paging, PullOptions};
#[cfg(unix)]
pub use socket::{Frame, Frames, SocketClient, SocketWire};

/// The client's result.
///
/// ```
/// use eric_client::HttpClient;
///
/// fn hub() -> eric_client::Result<HttpClient> {
///     HttpClient::new("http://127.0.0.1:8000")
/// }
///
/// assert_eq!(hub().unwrap().url(), "http://127.0.0.1:8000/");
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;
