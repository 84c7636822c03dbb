//! The memory engine: every promise but durability.
//!
//! One short lock around everything; a change is committed, and told to the feed in order, before its call
//! returns, so every ticket is ready at first poll. Followers are woken after the lock is let go.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::{Clock, Timestamp};
use crate::cursor::{Commit, Committed, Conflict, Cursor, Cursors, Fence, Joined, Lease, Next};
use crate::engine::lanes::{Kept, Lanes, Shelf, Upto, lanes_of};
use crate::engine::{Durability, Engine, Feed, FeedEvent};
use crate::entry::{Entry, Epoch, Offset, Position};
use crate::error::Result;
use crate::lane::{Lane, LaneInfo, OpenLane, Retention, Span};
use crate::log::{BoxFuture, Budget, Log, NewEntry, Page, Taken, Ticket};

/// Keeps a hub's log in memory; it is gone with the process.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::{Hub, SystemClock, engine::memory::MemoryEngine};
///
/// let clock = Arc::new(SystemClock);
/// let hub = Hub::builder(Arc::new(MemoryEngine::new(clock.clone()))).clock(clock).open();
/// assert_eq!(hub.durability().to_string(), "memory");
/// ```
pub struct MemoryEngine {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    lanes: Lanes<Entries>,
    feed: Arc<dyn Feed>,
}

impl MemoryEngine {
    /// An empty engine in an epoch of its own.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::{SystemClock, engine::memory::MemoryEngine, log::Log as _};
    /// let (one, other) = (MemoryEngine::new(Arc::new(SystemClock)), MemoryEngine::new(Arc::new(SystemClock)));
    /// assert_ne!(one.tail().epoch, other.tail().epoch);
    /// ```
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let lanes = Lanes::new(Epoch::generate(), Offset::ZERO, 0, 0);
        Self { clock, state: Mutex::new(State { lanes, feed: Arc::new(Nobody) }) }
    }

    /// Runs `change` under the lock with the feed, then wakes whom it concerns.
    fn change<T>(&self, change: impl FnOnce(&mut Lanes<Entries>, &dyn Feed) -> T) -> T {
        let mut state = self.state.lock();
        let State { lanes, feed } = &mut *state;
        let answer = change(lanes, &**feed);
        let due = (!feed.is_settled()).then(|| feed.clone());
        drop(state);
        if let Some(feed) = due {
            feed.settle();
        }
        answer
    }

    /// Runs `read` under the lock, with what is too old in `lane` gone.
    fn look<T>(&self, lane: Lane, read: impl FnOnce(&Lanes<Entries>) -> Result<T>) -> Result<T> {
        let now_ms = self.now_ms();
        self.change(|lanes, feed| {
            enforce(lanes, [lane], now_ms, feed);
            read(lanes)
        })
    }

    fn now_ms(&self) -> u64 {
        self.clock.recent().as_ms()
    }
}

/// Lets go of what the rules of `which` no longer keep, and says so.
fn enforce(lanes: &mut Lanes<Entries>, which: impl IntoIterator<Item = Lane>, now_ms: u64, feed: &dyn Feed) {
    for lane in which {
        if let Some(gone) = lanes.enforce(lane, now_ms, |_, _| ()) {
            feed.event(FeedEvent::Trimmed { lane, to: gone.to, unread: gone.unread });
        }
    }
}

/// Stands where no hub is attached yet.
struct Nobody;

impl Feed for Nobody {
    fn event(&self, _: FeedEvent<'_>) {}
    fn settle(&self) {}
}

impl Engine for MemoryEngine {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn attach(&self, feed: Arc<dyn Feed>) {
        self.state.lock().feed = feed;
    }

    fn health(&self) -> Result<()> {
        Ok(())
    }
}

impl Log for MemoryEngine {
    fn tail(&self) -> Position {
        self.state.lock().lanes.shown()
    }

    fn open(&self, retention: Retention) -> Ticket<Lane> {
        Ticket::ready(Ok(self.state.lock().lanes.open(retention)))
    }

    fn retain(&self, channel: Lane, retention: Retention) -> Ticket<()> {
        let now_ms = self.now_ms();
        Ticket::ready(self.change(|lanes, feed| {
            let due = lanes.retain(channel, retention)?;
            enforce(lanes, due, now_ms, feed);
            Ok(())
        }))
    }

    fn close(&self, channel: Lane) -> Ticket<()> {
        Ticket::ready(self.change(|lanes, feed| {
            for (lane, _) in lanes.close(channel) {
                feed.event(FeedEvent::Removed { lane });
            }
            Ok(())
        }))
    }

    fn submit(&self, batch: Vec<NewEntry>) -> Ticket<Vec<Taken>> {
        let now_ms = self.now_ms();
        Ticket::ready(self.change(|lanes, feed| {
            let touched = lanes_of(&batch);
            enforce(lanes, touched.clone(), now_ms, feed);
            let admitted = lanes.admit(batch, now_ms)?;
            for entry in &admitted.entries {
                lanes.keep(entry.lane(), entry.into(), entry.clone());
            }
            lanes.show(lanes.tail());
            if !admitted.entries.is_empty() {
                feed.event(FeedEvent::Appended(&admitted.entries));
            }
            enforce(lanes, touched, now_ms, feed);
            Ok(admitted.taken)
        }))
    }

    fn submit_one(&self, new: NewEntry) -> Ticket<Taken> {
        Ticket::ready(self.change(|lanes, feed| lanes.take(new, |event| feed.event(event))))
    }

    fn read(&self, lane: Lane, after: Offset, budget: Budget) -> BoxFuture<'_, Result<Page>> {
        let page = self.look(lane, |lanes| {
            let (shelf, trimmed_to) = lanes.shelf(lane)?;
            let (entries, reached) = shelf.read(after, budget);
            let searched_to = reached.unwrap_or(lanes.shown().offset);
            Ok(Page { entries, searched_to, trimmed_to })
        });
        Box::pin(std::future::ready(page))
    }

    fn span(&self, lane: Lane, after: Offset, to: Offset) -> BoxFuture<'_, Result<Span>> {
        Box::pin(std::future::ready(self.look(lane, |lanes| lanes.span(lane, after, to))))
    }

    fn lane(&self, lane: Lane) -> BoxFuture<'_, Result<LaneInfo>> {
        Box::pin(std::future::ready(self.look(lane, |lanes| lanes.info(lane))))
    }

    fn lanes(&self) -> Vec<OpenLane> {
        self.state.lock().lanes.list()
    }
}

impl Cursors for MemoryEngine {
    fn join(&self, channel: Lane) -> Ticket<Joined> {
        Ticket::ready(self.state.lock().lanes.join(channel))
    }

    fn leave(&self, listener: Lane) -> Ticket<()> {
        let now_ms = self.now_ms();
        Ticket::ready(self.change(|lanes, feed| {
            let Some((channel, _)) = lanes.leave(listener) else { return Ok(()) };
            feed.event(FeedEvent::Removed { lane: listener });
            enforce(lanes, [channel], now_ms, feed);
            Ok(())
        }))
    }

    fn lease(&self, listener: Lane, conflict: Conflict) -> Ticket<Lease> {
        Ticket::ready(self.change(|lanes, feed| {
            let lease = lanes.lease(listener, conflict)?;
            feed.event(FeedEvent::LeaseTaken { listener, fence: lease.fence });
            Ok(lease)
        }))
    }

    fn release(&self, listener: Lane, fence: Fence) -> Ticket<()> {
        self.state.lock().lanes.release(listener, fence);
        Ticket::ready(Ok(()))
    }

    fn commit(&self, commits: Vec<Commit>) -> Ticket<Vec<Result<Committed>>> {
        let now_ms = self.now_ms();
        let answer = |lanes: &mut Lanes<Entries>, feed: &dyn Feed, commit: &Commit| {
            let (committed, moved) = lanes.commit(commit)?;
            if let Some(moved) = moved {
                enforce(lanes, [moved.channel, moved.listener], now_ms, feed);
            }
            Ok(committed)
        };
        Ticket::ready(Ok(
            self.change(|lanes, feed| commits.iter().map(|commit| answer(lanes, feed, commit)).collect())
        ))
    }

    fn take_next(&self, listener: Lane, now: Timestamp) -> Result<Next> {
        self.change(|lanes, feed| {
            lanes.take_next(listener, now.as_ms(), Entries::get, |event| feed.event(event))
        })
    }

    fn load(&self, listener: Lane) -> BoxFuture<'_, Result<Cursor>> {
        Box::pin(std::future::ready(self.state.lock().lanes.cursor(listener)))
    }
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEngine").finish_non_exhaustive()
    }
}

/// The entries of one lane themselves.
#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<(Entry, u64)>,
    /// Bytes of all entries that were ever put here and taken away.
    gone_bytes: u64,
}

impl Entries {
    fn get(&self, place: usize) -> Option<&Entry> {
        self.kept.get(place).map(|(entry, _)| entry)
    }

    /// Bytes of all entries that were ever put here, up to the one before `index`.
    fn bytes_before(&self, index: usize) -> u64 {
        index.checked_sub(1).map_or(self.gone_bytes, |before| self.kept[before].1)
    }

    /// Kept entries after `after` within `budget`; and how far that searched, none where it reached the end.
    fn read(&self, after: Offset, budget: Budget) -> (Vec<Entry>, Option<Offset>) {
        let first = self.kept.partition_point(|(entry, _)| entry.offset() <= after);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (entry, _) in self.kept.range(first..) {
            let is_full = entries.len() >= budget.entries || bytes >= budget.bytes;
            if is_full && !entries.is_empty() {
                let reached = entries.last().map(Entry::offset);
                return (entries, reached);
            }
            bytes += entry.bytes();
            entries.push(entry.clone());
        }
        (entries, None)
    }
}

impl Shelf for Entries {
    type Item = Entry;

    fn push(&mut self, kept: Kept, item: Entry) {
        let bytes_through = self.bytes_before(self.kept.len()) + kept.bytes;
        self.kept.push_back((item, bytes_through));
    }

    fn pop(&mut self) -> Option<(Kept, Entry)> {
        let first = self.first()?;
        let (entry, bytes_through) = self.kept.pop_front()?;
        self.gone_bytes = bytes_through;
        Some((first, entry))
    }

    fn first(&self) -> Option<Kept> {
        self.kept.front().map(|(entry, _)| entry.into())
    }

    fn last(&self) -> Option<Offset> {
        self.kept.back().map(|(entry, _)| entry.offset())
    }

    fn len(&self) -> usize {
        self.kept.len()
    }

    fn bytes(&self) -> u64 {
        self.bytes_before(self.kept.len()) - self.gone_bytes
    }

    fn upto(&self, offset: Offset) -> Upto {
        let entries = self.kept.partition_point(|(entry, _)| entry.offset() <= offset);
        let last = entries.checked_sub(1).map(|last| self.kept[last].0.offset());
        Upto { entries, bytes: self.bytes_of(entries), last }
    }

    fn bytes_of(&self, count: usize) -> u64 {
        self.bytes_before(count) - self.gone_bytes
    }
}
