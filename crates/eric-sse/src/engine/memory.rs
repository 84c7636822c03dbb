//! The memory engine: every promise but durability.
//!
//! One short lock around everything; a change is committed, and told to the feed in order, before its call
//! returns, so every ticket is ready at first poll. Followers are woken after the lock is let go.

mod cursors;
mod dedup;
mod keep;
mod trimmed;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use self::cursors::Readers;
use self::dedup::{Dedup, Known};
use self::keep::Keep;
use crate::clock::Clock;
use crate::cursor::Fence;
use crate::engine::{Durability, Engine, Feed, FeedEvent};
use crate::entry::{Entry, Epoch, Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::lane::{Lane, LaneInfo, OpenLane, Overflow, Retention, Span};
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
    feed: Mutex<Option<Arc<dyn Feed>>>,
    state: Mutex<State>,
}

struct State {
    epoch: Epoch,
    tail: Offset,
    lanes_opened: u64,
    fences_issued: u64,
    channels: FxHashMap<Lane, ChannelLane>,
    listeners: FxHashMap<Lane, ListenerLane>,
    dedup: Dedup,
}

struct ChannelLane {
    keep: Keep,
    retention: Retention,
    readers: Readers,
    listeners: FxHashSet<Lane>,
}

struct ListenerLane {
    keep: Keep,
    channel: Lane,
    floor: Offset,
    cursor: Offset,
    /// Entries that were ever in its lane up to the cursor.
    finished: u64,
    lease: Option<Fence>,
}

impl MemoryEngine {
    /// An empty engine in an epoch of its own.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            epoch: Epoch::generate(),
            tail: Offset::ZERO,
            lanes_opened: 0,
            fences_issued: 0,
            channels: FxHashMap::default(),
            listeners: FxHashMap::default(),
            dedup: Dedup::default(),
        };
        Self { clock, feed: Mutex::new(None), state: Mutex::new(state) }
    }

    /// Runs `change` under the lock with the feed, then wakes whom it concerns.
    fn change<T>(&self, change: impl FnOnce(&mut State, &dyn Feed) -> T) -> T {
        let feed = self.feed.lock().clone();
        let answer = change(&mut self.state.lock(), feed.as_deref().unwrap_or(&Nobody));
        if let Some(feed) = feed {
            feed.settle();
        }
        answer
    }

    /// Runs `read` under the lock, with what is too old in `lane` gone.
    fn look<T>(&self, lane: Lane, read: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        self.change(|state, feed| {
            state.enforce(lane, self.clock.now().as_ms(), feed);
            read(state)
        })
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
        *self.feed.lock() = Some(feed);
    }
}

impl Log for MemoryEngine {
    fn tail(&self) -> Position {
        let state = self.state.lock();
        Position { epoch: state.epoch, offset: state.tail }
    }

    fn open(&self, retention: Retention) -> Ticket<Lane> {
        let mut state = self.state.lock();
        let lane = state.number_lane();
        let channel = ChannelLane {
            keep: Keep::default(),
            retention,
            readers: Readers::default(),
            listeners: FxHashSet::default(),
        };
        state.channels.insert(lane, channel);
        Ticket::ready(Ok(lane))
    }

    fn retain(&self, channel: Lane, retention: Retention) -> Ticket<()> {
        let now_ms = self.clock.now().as_ms();
        Ticket::ready(self.change(|state, feed| {
            let lane = state.channels.get_mut(&channel).ok_or_else(|| gone(channel))?;
            lane.retention = retention;
            let lanes: Vec<Lane> = lane.listeners.iter().copied().chain([channel]).collect();
            for lane in lanes {
                state.enforce(lane, now_ms, feed);
            }
            Ok(())
        }))
    }

    fn close(&self, channel: Lane) -> Ticket<()> {
        Ticket::ready(self.change(|state, feed| {
            for listener in state.channels.remove(&channel).into_iter().flat_map(|lane| lane.listeners) {
                state.listeners.remove(&listener);
                feed.event(FeedEvent::Removed { lane: listener });
            }
            feed.event(FeedEvent::Removed { lane: channel });
            Ok(())
        }))
    }

    fn submit(&self, batch: Vec<NewEntry>) -> Ticket<Vec<Taken>> {
        let now_ms = self.clock.now().as_ms();
        Ticket::ready(self.change(|state, feed| state.submit(batch, now_ms, feed)))
    }

    fn read(&self, lane: Lane, after: Offset, budget: Budget) -> BoxFuture<'_, Result<Page>> {
        let page = self.look(lane, |state| {
            let keep = state.keep(lane)?;
            let (entries, reached) = keep.read(after, budget);
            let searched_to = reached.unwrap_or(state.tail);
            Ok(Page { entries, searched_to, trimmed_to: keep.trimmed_to() })
        });
        Box::pin(std::future::ready(page))
    }

    fn span(&self, lane: Lane, after: Offset, to: Offset) -> BoxFuture<'_, Result<Span>> {
        Box::pin(std::future::ready(self.look(lane, |state| {
            let mark = |offset| state.mark(lane, offset);
            Ok(state.keep(lane)?.span(after, to, mark))
        })))
    }

    fn lane(&self, lane: Lane) -> BoxFuture<'_, Result<LaneInfo>> {
        Box::pin(std::future::ready(self.look(lane, |state| Ok(state.keep(lane)?.info()))))
    }

    fn lanes(&self) -> Vec<OpenLane> {
        let state = self.state.lock();
        let channels = state.channels.keys().map(|lane| OpenLane { lane: *lane, channel: None });
        let listeners = state
            .listeners
            .iter()
            .map(|(lane, listener)| OpenLane { lane: *lane, channel: Some(listener.channel) });
        let mut lanes: Vec<OpenLane> = channels.chain(listeners).collect();
        lanes.sort_unstable_by_key(|open| open.lane);
        lanes
    }
}

impl State {
    fn number_lane(&mut self) -> Lane {
        self.lanes_opened += 1;
        Lane::new(self.lanes_opened)
    }

    fn keep(&self, lane: Lane) -> Result<&Keep> {
        let channel = self.channels.get(&lane).map(|channel| &channel.keep);
        channel.or_else(|| self.listeners.get(&lane).map(|listener| &listener.keep)).ok_or_else(|| gone(lane))
    }

    fn keep_mut(&mut self, lane: Lane) -> Result<&mut Keep> {
        let channel = self.channels.get_mut(&lane).map(|channel| &mut channel.keep);
        channel
            .or_else(|| self.listeners.get_mut(&lane).map(|listener| &mut listener.keep))
            .ok_or_else(|| gone(lane))
    }

    /// How many entries were ever in `lane` up to `offset`, where a cursor stands there and so remembers it.
    fn mark(&self, lane: Lane, offset: Offset) -> Option<u64> {
        match self.listeners.get(&lane) {
            Some(listener) => (listener.cursor == offset).then_some(listener.finished),
            None => self.channels.get(&lane)?.readers.mark(offset),
        }
    }

    /// The offset and count up to which everybody has finished `lane`, its retention, and its limits in force.
    fn rules(&self, lane: Lane) -> Option<(u64, keep::Rules)> {
        if let Some(channel) = self.channels.get(&lane) {
            let finished = channel.readers.finished().unwrap_or(channel.keep.total());
            return Some((finished, keep::Rules::of_channel(&channel.retention)));
        }
        let listener = self.listeners.get(&lane)?;
        let channel = self.channels.get(&listener.channel)?;
        Some((listener.finished, keep::Rules::of_listener(&channel.retention)))
    }

    /// Lets go of what the lane's rules no longer keep.
    fn enforce(&mut self, lane: Lane, now_ms: u64, feed: &dyn Feed) {
        let Some((finished, rules)) = self.rules(lane) else { return };
        let Ok(keep) = self.keep_mut(lane) else { return };
        if let Some(trimmed) = keep.enforce(finished, &rules, now_ms) {
            feed.event(FeedEvent::Trimmed { lane, to: trimmed.to, unread: trimmed.unread });
        }
    }

    fn submit(&mut self, batch: Vec<NewEntry>, now_ms: u64, feed: &dyn Feed) -> Result<Vec<Taken>> {
        self.dedup.forget_old(now_ms);
        let mut lanes: Vec<Lane> = batch.iter().map(|new| new.lane).collect();
        lanes.sort_unstable();
        lanes.dedup();
        for lane in &lanes {
            self.keep(*lane)?;
            self.enforce(*lane, now_ms, feed);
        }
        let firsts = self.firsts(&batch)?;
        for lane in &lanes {
            self.admit(*lane, &batch, &firsts)?;
        }
        // Nothing can fail from here on.
        let mut taken: Vec<Taken> = Vec::with_capacity(batch.len());
        let mut appended = Vec::with_capacity(batch.len());
        for (new, first) in batch.into_iter().zip(firsts) {
            let position = match first {
                First::Before(offset) => Position { epoch: self.epoch, offset },
                First::InBatch(index) => taken[index].position,
                First::Now(digest) => {
                    self.tail = self.tail.next();
                    let position = Position { epoch: self.epoch, offset: self.tail };
                    if let (Some(key), Some(digest)) = (new.key, digest) {
                        self.dedup.remember(new.lane, key, digest, self.tail, now_ms);
                    }
                    let entry = Entry::new(position, new.lane, new.taken_at, new.message);
                    self.keep_mut(new.lane)?.push(entry.clone());
                    appended.push(entry);
                    position
                }
            };
            taken.push(Taken { position, first: matches!(first, First::Now(_)) });
        }
        if !appended.is_empty() {
            feed.event(FeedEvent::Appended(&appended));
        }
        for lane in lanes {
            self.enforce(lane, now_ms, feed);
        }
        Ok(taken)
    }

    /// For each message of the batch, which one was first with its key.
    fn firsts(&self, batch: &[NewEntry]) -> Result<Vec<First>> {
        let mut in_batch = FxHashMap::default();
        let first = |(index, new): (usize, &NewEntry)| {
            let Some(key) = &new.key else { return Ok(First::Now(None)) };
            let digest = new.message.digest();
            let (first, known_digest) = match self.dedup.recall(new.lane, key) {
                Some(Known { offset, digest, .. }) => (First::Before(offset), digest),
                None => match in_batch.get(&(new.lane, key.clone())) {
                    Some((index, digest)) => (First::InBatch(*index), *digest),
                    None => {
                        in_batch.insert((new.lane, key.clone()), (index, digest));
                        (First::Now(Some(digest)), digest)
                    }
                },
            };
            if known_digest == digest {
                return Ok(first);
            }
            Err(Error::new(
                ErrorKind::KeyReused,
                format!("key={key} was used for a message with other content"),
            ))
        };
        batch.iter().enumerate().map(first).collect()
    }

    /// Whether the new messages of the batch may go to `lane`.
    fn admit(&self, lane: Lane, batch: &[NewEntry], firsts: &[First]) -> Result<()> {
        let Some((finished, rules)) = self.rules(lane) else { return Err(gone(lane)) };
        let news = batch
            .iter()
            .zip(firsts)
            .filter(|(new, first)| new.lane == lane && matches!(first, First::Now(_)));
        let (mut messages, mut bytes) = (0, 0);
        for (new, _) in news {
            messages += 1;
            bytes += new.message.bytes() as u64;
            if new.message.bytes() as u64 > rules.max_bytes {
                let (name, max) = (rules.max_bytes_name, rules.max_bytes);
                let text = format!("message has {} bytes, more than {name}={max} keeps", new.message.bytes());
                return Err(Error::limit_exceeded(name, text));
            }
        }
        if rules.overflow == Overflow::DropOldest || messages == 0 {
            return Ok(());
        }
        let (unread, unread_bytes) = self.keep(lane)?.unread(finished);
        let (name, max) = if unread + messages > rules.max_messages {
            (rules.max_messages_name, rules.max_messages)
        } else if unread_bytes + bytes > rules.max_bytes {
            (rules.max_bytes_name, rules.max_bytes)
        } else {
            return Ok(());
        };
        let error = Error::limit_exceeded(name, format!("{name}={max} is reached with unread messages"));
        let holder = match self.channels.get(&lane) {
            Some(channel) => channel.readers.holder(),
            None => Some(lane),
        };
        Err(match holder {
            Some(holder) => error.held_by(holder),
            None => error,
        })
    }
}

/// Which message was first with a key.
#[derive(Debug, Clone, Copy)]
enum First {
    /// This one; with the digest of its content, where it has a key.
    Now(Option<u128>),
    Before(Offset),
    InBatch(usize),
}

fn gone(lane: Lane) -> Error {
    Error::new(ErrorKind::Closed, format!("lane={lane} was removed"))
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEngine").finish_non_exhaustive()
    }
}
