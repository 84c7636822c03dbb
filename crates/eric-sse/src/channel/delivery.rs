//! What a stream yields: deliveries, and gaps where something was missed.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::entry::Position;
use crate::follow::Gap;
use crate::message::Message;
use crate::window::Framed;

/// A message that was delivered to a listener.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) framed: Arc<Framed>,
    pub(super) attempt: u32,
    pub(super) failure: Option<Failure>,
    /// Rare, and large.
    pub(super) missed: Option<Box<Gap>>,
}

/// Why a delivery failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What the callback said.
    pub reason: Arc<str>,
    /// Whether it will not be tried again although nobody acknowledged it.
    pub is_dead: bool,
}

impl Delivery {
    /// The first delivery of an entry.
    pub(crate) fn first(framed: Arc<Framed>, missed: Option<Gap>) -> Self {
        Self { framed, attempt: 1, failure: None, missed: missed.map(Box::new) }
    }

    /// What was published.
    pub fn message(&self) -> &Message {
        self.framed.entry().message()
    }

    /// Where it stands in the log.
    pub fn position(&self) -> Position {
        self.framed.entry().position()
    }

    /// When the log took it.
    pub fn taken_at(&self) -> Timestamp {
        self.framed.entry().taken_at()
    }

    /// How many times it was delivered by this stream; 1 at first.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Why its callback failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// What was missed right before it; told here by
    /// [`Channel::deliver_next`](super::Channel::deliver_next) and
    /// [`Processed`](crate::prefab::processing::Processed) only.
    pub fn missed(&self) -> Option<&Gap> {
        self.missed.as_deref()
    }

    /// The entry with the frames it was encoded to.
    pub fn framed(&self) -> &Arc<Framed> {
        &self.framed
    }
}

/// What a stream yields.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message.
    Message(Delivery),
    /// Something was missed right before what follows.
    Gap(Gap),
}

impl Event {
    /// The delivery, if it is one.
    pub fn message(self) -> Option<Delivery> {
        match self {
            Self::Message(delivery) => Some(delivery),
            Self::Gap(_) => None,
        }
    }
}
