//! What keeps a hub's log: the traits together, and what an engine tells the hub.

pub mod lanes;
pub mod memory;

use std::fmt;
use std::sync::Arc;

use crate::cursor::{Cursors, Fence};
use crate::entry::{Entry, Offset};
use crate::error::Result;
use crate::evicted::Evicted;
use crate::lane::Lane;
use crate::log::Log;

/// An engine: a [`Log`] and its [`Cursors`], for one hub.
pub trait Engine: Log + Cursors + fmt::Debug + Send + Sync {
    /// Its name, as users choose it: `memory`, `file`, …
    fn name(&self) -> &'static str;

    /// What a resolved ticket promises.
    fn durability(&self) -> Durability;

    /// Reports to `feed` from now on, whatever else is called later; called once, by the hub.
    fn attach(&self, feed: Arc<dyn Feed>);

    /// Fails, saying why, while the engine can take nothing, and will not by itself: the hub is not ready then.
    fn health(&self) -> Result<()>;
}

/// What an acknowledged change survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Nothing: it is gone with the process.
    Memory,
    /// The process, but not the machine.
    Os,
    /// The machine: it is on stable storage.
    Fsync,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Os => "os",
            Self::Fsync => "fsync",
        })
    }
}

/// The seam from an engine to its hub: what was committed, once per node, in order.
pub trait Feed: Send + Sync {
    /// Takes note of what happened. Called in order, perhaps under the engine's lock: it is quick, never blocks and
    /// never calls the engine.
    fn event(&self, event: FeedEvent<'_>);

    /// Wakes whom the events since the last call concern. Called after one or more events, with no lock held:
    /// a fan-out to many readers may run in here.
    fn settle(&self);
}

/// What an engine reports.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum FeedEvent<'a> {
    /// These entries are durable. Offsets follow each other without a hole, from one event to the next.
    Appended(&'a [Entry]),
    /// The entries of `lane` up to `to`, one of them, are gone.
    Trimmed {
        /// Whose entries.
        lane: Lane,
        /// The last that is gone.
        to: Offset,
        /// How many of them a listener had not finished, by the limit that let them go.
        unread: Evicted,
    },
    /// Somebody became the live reader of `listener`; whoever holds a smaller fence no longer is.
    LeaseTaken {
        /// Whose lease.
        listener: Lane,
        /// The new fence.
        fence: Fence,
    },
    /// The lane is gone, with its channel or its listener.
    Removed {
        /// Which.
        lane: Lane,
    },
}
