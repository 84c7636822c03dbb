//! A message hub: **channels** that **listeners** join, and a **queue per listener** that keeps filling while the
//! listener is away, delivered as plain Server-Sent Events.
//!
//! ```
//! use eric_sse::{Ack, ChannelSettings, Event, Hub, Message, ReadFrom, SettingsPatch, Subscribe};
//! use futures_util::StreamExt as _;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let hub = Hub::in_memory();
//! let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
//! let (alice, _) = news.ensure_listener("alice".parse()?).await?;
//! let (bob, _) = news.ensure_listener("bob".parse()?).await?;
//!
//! // Both are away. A broadcast is one entry in the channel's lane, a dispatch one in the listener's.
//! news.broadcast(Message::of("headline", "Eric runs")?).await?;
//! news.dispatch(bob.id(), Message::of("note", &["for", "bob"])?).await?;
//! assert_eq!((alice.info().await?.backlog, bob.info().await?.backlog), (1, 2));
//!
//! // Bob comes, and finds both lanes in the order of the log.
//! bob.start();
//! let mut stream = news.message_stream(&bob).await?;
//! let headline = stream.next().await.unwrap()?.message().unwrap();
//! let note = stream.next().await.unwrap()?.message().unwrap();
//! assert_eq!([headline.message().kind().as_str(), note.message().kind().as_str()], ["headline", "note"]);
//!
//! // His line broke before he saw the note. The position that he saw last is all he needs to resume.
//! drop(stream);
//! let from = ReadFrom::After(headline.position());
//! let mut stream = news.message_stream_with(bob.id(), Subscribe { from, ..Subscribe::default() }).await?;
//! assert_eq!(stream.next().await.unwrap()?.message().unwrap().position(), note.position());
//!
//! // Alice says herself what she has finished: until then her cursor stays, and the headline comes again.
//! alice.start();
//! let manual = Subscribe { ack: Ack::Manual, ..Subscribe::default() };
//! for _ in 0..2 {
//!     let mut stream = news.message_stream_with(alice.id(), manual).await?;
//!     assert_eq!(stream.next().await.unwrap()?.message().unwrap().position(), headline.position());
//! }
//! news.ack(alice.id(), headline.position()).await?;
//! assert_eq!(alice.info().await?.cursor, headline.position());
//!
//! // What a limit takes away is told to whom it concerns, and nothing is missed silently.
//! news.change_settings(&SettingsPatch { max_messages: Some(1), ..SettingsPatch::default() }).await?;
//! for n in 1..=3 {
//!     news.broadcast(Message::of("goal", &n)?).await?;
//! }
//! let mut stream = news.message_stream(&alice).await?;
//! let Event::Gap(gap) = stream.next().await.unwrap()? else { panic!("two goals are gone") };
//! assert_eq!(gap.missed, Some(2));
//! assert_eq!(stream.next().await.unwrap()?.message().unwrap().message().payload().as_json(), "3");
//! # Ok::<(), eric_sse::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Words
//!
//! - A **message** is a type and a payload, as its publisher gave them; an **entry** is a message that the log has
//!   taken.
//! - A **hub** has one log with one counter; an **engine** keeps it: memory here, others are crates of their own.
//! - A **lane** is an ordered list of entries in that log: each channel has one for **broadcasts**, each listener one
//!   for what was **dispatched** to it.
//! - A **queue** is what one listener has not finished: its channel's lane and its own, merged, after its cursor.
//!   Nothing is copied for it. A [`Connection`] is a listener bound to its queue.
//! - A **position** is an epoch and an offset. All lanes share the counter, so one position says where any reader is.
//! - A **cursor** is the position up to which a listener has finished. It moves by itself with what was consumed, or by
//!   [acknowledging](Ack).
//! - A **subscription** is one live reading of a queue; a listener has one at a time. A **watcher** is an unnamed
//!   listener that lives as long as its stream, and sees broadcasts only.
//! - A **gap** is what a reader is told when entries of its lanes went before it could read them.
//!
//! A message is delivered at least once to each listener, in the order of the log, or told as missed. This crate knows
//! no files, no sockets and no HTTP, and starts nothing by itself.
//!
//! # Where to look
//!
//! | want | see |
//! |---|---|
//! | a hub, its channels | [`Hub`], [`ChannelContainer`], [`Channel`] |
//! | to join a channel, to leave it | [`Channel::ensure_listener`], [`Channel::add_listener`], [`Channel::remove_listener`] |
//! | to publish | [`Channel::broadcast`], [`Channel::dispatch`], [`Message`] |
//! | to publish again without harm, after an answer that was lost | [`Message::with_id`], [`Publish`] |
//! | to receive | [`Channel::message_stream`], [`Channel::deliver_next`], [`Channel::watch_stream`] |
//! | to run code for each message | [`Listener`], [`Channel::register_listener`] |
//! | to begin elsewhere than at the cursor | [`ReadFrom`], [`Channel::message_stream_with`] |
//! | to acknowledge by hand | [`Ack::Manual`], [`Channel::ack`] |
//! | to know what was missed, and why | [`Event::Gap`], [`Gap`], [`GapReason`] |
//! | to look at what is kept, at how far listeners are | [`Channel::history`], [`Channel::info`], [`Channel::listeners`] |
//! | to work on a queue with several workers | [`Channel::process`], [`prefab::processing`] |
//! | to have messages go on to a queue of one's own | [`queue::Queue`], [`queue::Pump`] |
//! | listeners that answer each other, in many processes | [`prefab::distributed::Application`] |
//! | to know how long callbacks take | [`profile::Profile`] |
//! | to answer HTTP requests with event streams | [`MessageStream::event_stream`] |
//! | to write event streams otherwise | [`MessageStream::frames`], [`Channel::subscribe`], [`sse::encode`]; to read them [`sse::parse`] |
//! | streams in a format of one's own | [`Adapter`], [`MessageStream::adapt`] |
//! | to keep the log elsewhere | [`engine`], [`log::Log`], [`cursor::Cursors`] |
//! | channels and listeners that outlive the process | [`HubBuilder::restore`], [`persist::KvStore`], [`persist::Kinds`] |
//! | what is bounded, and by how much | [`limits`], [`ChannelSettings`], [`Channel::change_settings`] |
//! | to forget listeners that stay away | [`Hub::expire_listeners`] |
//! | what was counted, evictions by their limit too | [`Hub::stats`], [`Stats`] |
//! | to know what went wrong, and what to do about it | [`Error`], [`ErrorKind`] |
//! | to move time in tests | [`Clock`], [`HubBuilder::clock`] |

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
mod framed;
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
    Ack, Adapted, Adapter, Audience, Channel, ChannelInfo, ChannelSettings, Connection, Delivery, Event,
    EventStream, Failure, Heard, Hearing, History, Item, ListenerInfo, ListenerOrder, MessageStream, Publish,
    SettingsPatch, Subscribe, Subscription,
};
pub use clock::{Clock, SystemClock, Timestamp};
pub use container::ChannelContainer;
pub use cursor::Conflict;
pub use entry::{Entry, Epoch, Offset, Position};
pub use error::{Error, ErrorKind, Result};
pub use evicted::{Evicted, EvictedBy};
pub use follow::{End, Gap, GapReason, ReadFrom};
pub use framed::Framed;
pub use hub::{Hub, HubBuilder};
pub use id::{ChannelId, IdempotencyKey, ListenerId, MessageId, SenderId};
pub use limits::Limits;
pub use listener::Listener;
pub use message::{Json, Message, MessageType, Payload};
pub use persist::Restored;
pub use stats::{Counter, Evictions, Stats};
