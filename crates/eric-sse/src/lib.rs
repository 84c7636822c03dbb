//! A message hub: **channels** that **listeners** join, and a **queue per listener** that keeps filling while the
//! listener is away, delivered as plain Server-Sent Events.
//!
//! ```
//! use eric_sse::{ChannelSettings, Hub, Message};
//! use futures_util::StreamExt as _;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let hub = Hub::in_memory();
//! let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
//! let bob = news.add_listener().await?;
//!
//! // Bob is away. A broadcast is one entry in the channel's lane, a dispatch one in his own.
//! news.broadcast(Message::of("headline", "Eric runs")?).await?;
//! news.dispatch(bob.id(), Message::of("note", &["for", "bob"])?).await?;
//!
//! // Bob comes, and finds both, in log order.
//! bob.start();
//! let mut stream = news.message_stream(&bob).await?;
//! for expected in ["headline", "note"] {
//!     let delivery = stream.next().await.unwrap()?.message().unwrap();
//!     assert_eq!(delivery.message().kind().as_str(), expected);
//! }
//! # Ok::<(), eric_sse::Error>(())
//! # }).unwrap();
//! ```
//!
//! A **hub** has one log with one counter; an **engine** keeps it (in memory here; others are crates of their own). All
//! that a reader needs to resume is one [`Position`]. This crate knows no files, no sockets and no HTTP, and starts
//! nothing by itself.
//!
//! | want | see |
//! |---|---|
//! | a hub, its channels | [`Hub`], [`ChannelContainer`], [`Channel`] |
//! | to publish | [`Channel::broadcast`], [`Channel::dispatch`], [`Message`] |
//! | to receive | [`Channel::message_stream`], [`Channel::deliver_next`], [`Channel::watch_stream`], [`Listener`] |
//! | to work on a queue with several workers | [`Channel::process`], [`prefab::processing`] |
//! | to have messages go on to a queue of one's own | [`queue::Queue`], [`queue::Pump`] |
//! | listeners that answer each other, in many processes | [`prefab::distributed::Application`] |
//! | to know how long callbacks take | [`profile::Profile`] |
//! | to write event streams | [`Channel::subscribe`], [`sse::encode`]; to read them [`sse::parse`] |
//! | to keep the log elsewhere | [`engine`], [`log::Log`], [`cursor::Cursors`] |
//! | channels and listeners that outlive the process | [`HubBuilder::restore`], [`persist::KvStore`], [`persist::Kinds`] |
//! | what is bounded, and by how much | [`limits`], [`ChannelSettings`] |
//! | what was counted, evictions by their limit too | [`Hub::stats`], [`Stats`] |

mod channel;
mod claim;
pub mod clock;
mod container;
pub mod cursor;
pub mod engine;
mod entry;
mod error;
mod evicted;
mod follow;
mod hub;
mod id;
mod json;
pub mod lane;
pub mod limits;
pub mod listener;
pub mod log;
mod message;
pub mod persist;
pub mod prefab;
pub mod profile;
pub mod queue;
mod registry;
pub mod sse;
mod stats;
mod turns;
mod window;

pub use channel::{
    Ack, Adapted, Adapter, Channel, ChannelInfo, ChannelSettings, Connection, Delivery, Event, Failure,
    History, Item, ListenerInfo, ListenerOrder, MessageStream, Publish, SettingsPatch, Subscribe,
    Subscription,
};
pub use clock::{Clock, SystemClock, Timestamp};
pub use container::ChannelContainer;
pub use cursor::Conflict;
pub use entry::{Entry, Epoch, Offset, Position};
pub use error::{Error, ErrorKind, Result};
pub use evicted::{Evicted, EvictedBy};
pub use follow::{End, Gap, GapReason, ReadFrom};
pub use hub::{Hub, HubBuilder};
pub use id::{ChannelId, IdempotencyKey, ListenerId, MessageId, SenderId};
pub use limits::Limits;
pub use listener::Listener;
pub use message::{Json, Message, MessageType, Payload};
pub use persist::Restored;
pub use stats::{Counter, Evictions, Stats};
pub use window::Framed;
