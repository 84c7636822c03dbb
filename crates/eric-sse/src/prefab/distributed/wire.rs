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
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A message, and where it stands.
    Message(Position, Message),
    /// Messages are gone right before what follows.
    Missed(Missed),
}

/// Messages that are gone.
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
pub type Messages = Pin<Box<dyn Stream<Item = Result<Incoming>> + Send>>;

/// How one listener reaches its hub. The seam between applications and doors.
pub trait Wire: Send + Sync {
    /// Its channel.
    fn channel(&self) -> &ChannelId;

    /// The listener.
    fn listener(&self) -> &ListenerId;

    /// Its messages from the first that is not acknowledged on. A wire that is cut goes on by itself where it was, or
    /// ends with an error.
    fn receive(&self) -> BoxFuture<'_, Result<Messages>>;

    /// Sends a message to another listener of the channel. One with an id that was sent already is taken once.
    fn dispatch<'a>(&'a self, receiver: &'a ListenerId, message: Message) -> BoxFuture<'a, Result<()>>;

    /// Acknowledges everything up to `position`.
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
                Event::Gap(Gap { reason, to, missed, .. }) => {
                    Incoming::Missed(Missed { reason: reason.to_string().into(), to, messages: missed })
                }
            })
        }))
    }
}
