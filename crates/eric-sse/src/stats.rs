//! What a hub counts. Counters only grow; reading one is free.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Its present value.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one hub.
///
/// ```
/// let hub = eric_sse::Hub::in_memory();
/// assert_eq!(hub.stats().entries_published.count(), 0);
/// ```
#[derive(Debug, Default)]
pub struct Stats {
    /// Entries that the log took, broadcasts and dispatches.
    pub entries_published: Counter,
    /// Publishes that were recognised as repetitions.
    pub entries_repeated: Counter,
    /// Frames that were encoded: one per entry and format in use.
    pub frames_encoded: Counter,
    /// Entries that a limit evicted before a listener had finished them.
    pub entries_evicted: Counter,
    /// Dispatches that raced with a removal.
    pub entries_dead: Counter,
    /// Deliveries that a listener's callback failed.
    pub deliveries_failed: Counter,
    /// Gaps that readers were told of.
    pub gaps_told: Counter,
    /// A bit for each format that anything was encoded to.
    pub(crate) formats_used: AtomicU32,
}
