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
///
/// ```
/// # use std::sync::Arc;
/// use eric_sse::{Hub, SystemClock, engine::{Engine, memory::MemoryEngine}};
///
/// // Chosen at run time: in memory, or one of another crate.
/// let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
/// assert_eq!(Hub::builder(engine).open().engine_name(), "memory");
/// ```
pub trait Engine: Log + Cursors + fmt::Debug + Send + Sync {
    /// Its name, as users choose it: `memory`, `file`, …
    ///
    /// ```
    /// # use eric_sse::engine::Engine as _;
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// assert_eq!(engine.name(), "memory");
    /// # Ok(())
    /// # });
    /// ```
    fn name(&self) -> &'static str;

    /// What a resolved ticket promises.
    ///
    /// ```
    /// # use eric_sse::engine::Engine as _;
    /// use eric_sse::engine::Durability;
    ///
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// assert_eq!(engine.durability(), Durability::Memory);
    /// # Ok(())
    /// # });
    /// ```
    fn durability(&self) -> Durability;

    /// Reports to `feed` from now on, whatever else is called later; called once, by the hub.
    ///
    /// ```
    /// # use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
    /// # use eric_sse::{engine::{Engine as _, Feed, FeedEvent}, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// #[derive(Default)]
    /// struct Heard(AtomicUsize);
    ///
    /// impl Feed for Heard {
    ///     fn event(&self, _: FeedEvent<'_>) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// #     fn settle(&self) {}
    /// }
    ///
    /// let heard = Arc::new(Heard::default());
    /// engine.attach(heard.clone());
    /// engine.submit(vec![headline]).await?;
    /// assert_eq!(heard.0.load(Ordering::Relaxed), 1);
    /// # Ok(())
    /// # });
    /// ```
    fn attach(&self, feed: Arc<dyn Feed>);

    /// Fails, saying why, while the engine can take nothing, and will not by itself: the hub is not ready then.
    ///
    /// ```
    /// # use eric_sse::engine::Engine as _;
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// assert!(engine.health().is_ok(), "memory is always there");
    /// # Ok(())
    /// # });
    /// ```
    fn health(&self) -> Result<()>;
}

/// What an acknowledged change survives.
///
/// ```
/// use eric_sse::{Hub, engine::Durability};
///
/// assert_eq!(Hub::in_memory().durability(), Durability::Memory);
/// assert_eq!(Durability::Fsync.to_string(), "fsync");
/// ```
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
///
/// ```
/// # use std::sync::{Arc, Mutex};
/// # use eric_sse::{engine::Engine as _, log::Log as _};
/// use eric_sse::engine::{Feed, FeedEvent};
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// #[derive(Default)]
/// struct Offsets(Mutex<Vec<u64>>);
///
/// impl Feed for Offsets {
///     fn event(&self, event: FeedEvent<'_>) {
///         if let FeedEvent::Appended(entries) = event {
///             self.0.lock().unwrap().extend(entries.iter().map(|entry| entry.offset().get()));
///         }
///     }
///
///     fn settle(&self) {}
/// }
///
/// let offsets = Arc::new(Offsets::default());
/// engine.attach(offsets.clone());
/// engine.submit(vec![headline; 2]).await?;
/// assert_eq!(*offsets.0.lock().unwrap(), [1, 2]);
/// # Ok(())
/// # });
/// ```
pub trait Feed: Send + Sync {
    /// Takes note of what happened. Called in order, perhaps under the engine's lock: it is quick, never blocks and
    /// never calls the engine.
    ///
    /// ```
    /// # use std::sync::{Arc, Mutex};
    /// # use eric_sse::{engine::{Engine as _, Feed, FeedEvent}, lane::Lane, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// # #[derive(Default)]
    /// # struct Removed(Mutex<Vec<Lane>>);
    /// impl Feed for Removed {
    ///     fn event(&self, event: FeedEvent<'_>) {
    ///         if let FeedEvent::Removed { lane } = event {
    ///             self.0.lock().unwrap().push(lane);
    ///         }
    ///     }
    /// #     fn settle(&self) {}
    /// }
    /// # let removed = Arc::new(Removed::default());
    /// # engine.attach(removed.clone());
    /// engine.close(news).await?;
    /// assert_eq!(*removed.0.lock().unwrap(), [news]);
    /// # Ok(())
    /// # });
    /// ```
    fn event(&self, event: FeedEvent<'_>);

    /// Wakes whom the events since the last call concern. Called after one or more events, with no lock held, unless
    /// [`Feed::is_settled`]: a fan-out to many readers may run in here.
    ///
    /// ```
    /// # use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
    /// # use eric_sse::{engine::{Engine as _, Feed, FeedEvent}, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// # #[derive(Default)]
    /// # struct Wakes(AtomicUsize);
    /// impl Feed for Wakes {
    /// #     fn event(&self, _: FeedEvent<'_>) {}
    ///     fn settle(&self) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    /// # let wakes = Arc::new(Wakes::default());
    /// # engine.attach(wakes.clone());
    /// engine.submit(vec![headline; 100]).await?;
    /// assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "once for the batch");
    /// # Ok(())
    /// # });
    /// ```
    fn settle(&self);

    /// Whether nobody waits for [`Feed::settle`]: then an engine may spare itself the call.
    ///
    /// ```
    /// # use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
    /// # use eric_sse::{engine::{Engine as _, Feed, FeedEvent}, log::Log as _};
    /// # eric_testkit::engine_example(async |engine, news, headline| {
    /// # #[derive(Default)]
    /// # struct Quiet(AtomicUsize);
    /// impl Feed for Quiet {
    /// #     fn event(&self, _: FeedEvent<'_>) {}
    ///     fn settle(&self) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    ///     fn is_settled(&self) -> bool {
    ///         true
    ///     }
    /// }
    /// # let quiet = Arc::new(Quiet::default());
    /// # engine.attach(quiet.clone());
    /// engine.submit_one(headline).await?;
    /// assert_eq!(quiet.0.load(Ordering::Relaxed), 0, "the memory engine asks");
    /// # Ok(())
    /// # });
    /// ```
    fn is_settled(&self) -> bool {
        false
    }
}

/// What an engine reports.
///
/// ```
/// # use std::sync::{Arc, Mutex};
/// # use eric_sse::{Conflict, cursor::{Cursors as _, Fence}, engine::{Engine as _, Feed, FeedEvent}};
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # #[derive(Default)]
/// # struct Leases(Mutex<Option<Fence>>);
/// impl Feed for Leases {
///     fn event(&self, event: FeedEvent<'_>) {
///         match event {
///             FeedEvent::LeaseTaken { fence, .. } => *self.0.lock().unwrap() = Some(fence),
///             FeedEvent::Appended(_) | FeedEvent::Trimmed { .. } | FeedEvent::Removed { .. } => {}
///             _ => {}
///         }
///     }
/// #     fn settle(&self) {}
/// }
/// # let leases = Arc::new(Leases::default());
/// # engine.attach(leases.clone());
/// let bob = engine.join(news).await?.lane;
/// let lease = engine.lease(bob, Conflict::Replace).await?;
/// assert_eq!(*leases.0.lock().unwrap(), Some(lease.fence));
/// # Ok(())
/// # });
/// ```
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
