//! The rules of lanes, without a place to keep entries: which messages are taken, what their positions are, what
//! is kept and for how long, how far listeners got. Plain code: no lock, no clock, no waiting.
//!
//! An engine that decides in its own process ([`memory`](super::memory), the embedded store) holds one [`Lanes`] and
//! says through a [`Shelf`] how it finds an entry again. Changes are *planned* at once, in order, and seen by
//! readers once the engine says that they are durable ([`Lanes::show`]).

mod at_once;
mod cursors;
mod dedup;
mod keep;
mod look;
mod restore;
mod shelf;
mod trimmed;

use rustc_hash::{FxHashMap, FxHashSet};

pub use self::cursors::Moved;
use self::cursors::Readers;
use self::dedup::{Dedup, Name};
pub use self::keep::LetGo;
use self::keep::{Found, Keep, Refusal, Rules};
pub use self::restore::{ChannelState, ListenerState, TrimmedState};
pub use self::shelf::{Kept, Shelf, Upto};
use crate::cursor::Fence;
use crate::entry::{Entry, Epoch, Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::id::IdempotencyKey;
use crate::lane::{Lane, Retention};
use crate::log::{NewEntry, Taken};

/// The lanes of one hub, and the cursors of its listeners.
///
/// ```
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// // Planned, in order …
/// for entry in lanes.admit(vec![headline], 0)?.entries {
///     lanes.keep(news, (&entry).into(), entry);
/// }
/// assert_eq!(lanes.info(news)?.messages, 0);
/// // … and seen, once the engine has made it durable.
/// lanes.show(lanes.tail());
/// assert_eq!(lanes.info(news)?.messages, 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Lanes<S> {
    epoch: Epoch,
    /// The last offset that was given.
    tail: Offset,
    /// The last entry that readers may see.
    shown: Offset,
    lanes_opened: u64,
    fences_issued: u64,
    channels: FxHashMap<Lane, ChannelLane<S>>,
    listeners: FxHashMap<Lane, ListenerLane<S>>,
    dedup: Dedup,
}

#[derive(Debug)]
struct ChannelLane<S> {
    keep: Keep<S>,
    retention: Retention,
    readers: Readers,
    listeners: FxHashSet<Lane>,
}

#[derive(Debug)]
struct ListenerLane<S> {
    keep: Keep<S>,
    channel: Lane,
    floor: Offset,
    /// Entries that were ever in the channel's lane up to the floor.
    floor_rank: u64,
    cursor: Offset,
    /// Entries that were ever in its lane up to the cursor.
    finished: u64,
    lease: Option<Fence>,
    /// Where it stood when its epoch ended, until its cursor moves.
    stale: Option<Box<Position>>,
}

/// A batch that was taken.
///
/// ```
/// # use eric_sse::log::NewEntry;
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// // What is a repetition has a position, and no entry of its own.
/// let order = NewEntry { key: Some("order-17".parse()?), ..headline };
/// let admitted = lanes.admit(vec![order.clone(), order], 0)?;
/// assert_eq!((admitted.taken.len(), admitted.entries.len()), (2, 1));
/// assert_eq!(admitted.keys, [Some("order-17".parse()?)]);
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Admitted {
    /// Where each message of the batch ended up.
    pub taken: Vec<Taken>,
    /// The entries that are new, in order; the engine hands each to [`Lanes::keep`].
    pub entries: Vec<Entry>,
    /// The key of each of them, as far as they have one; nothing where none has.
    pub keys: Vec<Option<IdempotencyKey>>,
}

impl<S: Shelf> Lanes<S> {
    /// No lanes, in `epoch`. `tail`, `lanes_opened` and `fences_issued` are what was given out before.
    ///
    /// ```
    /// # use eric_sse::Offset;
    /// # use eric_testkit::Entries;
    /// use eric_sse::engine::lanes::Lanes;
    ///
    /// let mut lanes = Lanes::<Entries>::new("7f3a".parse()?, Offset::new(41), 6, 0);
    /// assert_eq!(lanes.open(eric_testkit::retention()).get(), 7);
    /// assert_eq!(lanes.shown().to_string(), "7f3a-41");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn new(epoch: Epoch, tail: Offset, lanes_opened: u64, fences_issued: u64) -> Self {
        Self {
            epoch,
            tail,
            shown: tail,
            lanes_opened,
            fences_issued,
            channels: FxHashMap::default(),
            listeners: FxHashMap::default(),
            dedup: Dedup::default(),
        }
    }

    /// The present epoch.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// assert_eq!(lanes.shown().epoch, lanes.epoch());
    /// # Ok(())
    /// # });
    /// ```
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last offset that was given, whether readers may see it or not.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// lanes.admit(vec![headline; 3], 0)?;
    /// assert_eq!(lanes.tail().get(), 3);
    /// # Ok(())
    /// # });
    /// ```
    pub fn tail(&self) -> Offset {
        self.tail
    }

    /// The last position that readers may see.
    ///
    /// ```
    /// # use eric_sse::Offset;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// lanes.admit(vec![headline], 0)?;
    /// assert_eq!(lanes.shown().offset, Offset::ZERO, "it is not durable yet");
    /// # Ok(())
    /// # });
    /// ```
    pub fn shown(&self) -> Position {
        Position { epoch: self.epoch, offset: self.shown }
    }

    /// Lets readers see everything up to `upto`.
    ///
    /// ```
    /// # use eric_sse::Offset;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// lanes.admit(vec![headline; 3], 0)?;
    /// lanes.show(Offset::new(2));
    /// assert_eq!(lanes.shown().offset, Offset::new(2));
    /// # Ok(())
    /// # });
    /// ```
    pub fn show(&mut self, upto: Offset) {
        assert!(self.shown <= upto && upto <= self.tail, "what is shown was taken, and stays shown");
        self.shown = upto;
    }

    /// Opens a channel's lane.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let retention = eric_testkit::retention();
    /// let sports = lanes.open(retention);
    /// assert!(sports > news);
    /// # Ok(())
    /// # });
    /// ```
    pub fn open(&mut self, retention: Retention) -> Lane {
        let lane = self.number_lane();
        self.channels.insert(lane, ChannelLane::new(retention));
        lane
    }

    /// Keeps a channel's lanes by `retention` from now on; [`Lanes::enforce`] is due for all that this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where it was removed.
    ///
    /// ```
    /// # use eric_sse::lane::Retention;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let retention = eric_testkit::retention();
    /// let bob = lanes.join(news)?.lane;
    /// let due = lanes.retain(news, Retention { max_age_s: 60, ..retention })?;
    /// assert_eq!(due, [bob, news]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn retain(&mut self, channel: Lane, retention: Retention) -> Result<Vec<Lane>> {
        let lane = self.channels.get_mut(&channel).ok_or_else(|| gone(channel))?;
        lane.retention = retention;
        Ok(lane.listeners.iter().copied().chain([channel]).collect())
    }

    /// Removes a channel's lane and those of its listeners; returns what they kept, the channel's last.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let bob = lanes.join(news)?.lane;
    /// let removed: Vec<_> = lanes.close(news).into_iter().map(|(lane, _)| lane).collect();
    /// assert_eq!(removed, [bob, news]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn close(&mut self, channel: Lane) -> Vec<(Lane, S)> {
        let Some(closed) = self.channels.remove(&channel) else { return Vec::new() };
        let listener = |lane| {
            let removed = self.listeners.remove(&lane).expect("a channel's listeners are there");
            (lane, removed.keep.shelf)
        };
        let mut removed: Vec<(Lane, S)> = closed.listeners.into_iter().map(listener).collect();
        removed.sort_unstable_by_key(|(lane, _)| *lane);
        removed.push((channel, closed.keep.shelf));
        removed
    }

    /// Takes a batch, or nothing of it: repetitions are recognised, limits looked at, offsets given. [`Lanes::enforce`]
    /// is due for its lanes before, and after it is shown.
    ///
    /// # Errors
    /// As [`Log::submit`](crate::log::Log::submit).
    ///
    /// ```
    /// # use eric_sse::{ErrorKind, Message, log::NewEntry};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let order = NewEntry { key: Some("order-17".parse()?), ..headline };
    /// lanes.admit(vec![order.clone()], 0)?;
    /// let other = NewEntry { message: Message::of("order", "another")?, ..order };
    /// assert_eq!(lanes.admit(vec![other], 0).unwrap_err().kind(), ErrorKind::KeyReused);
    /// # Ok(())
    /// # });
    /// ```
    pub fn admit(&mut self, batch: Vec<NewEntry>, now_ms: u64) -> Result<Admitted> {
        self.dedup.forget_old(now_ms);
        for lane in lanes_of(&batch) {
            self.keep_of(lane)?;
        }
        let firsts = self.firsts(&batch)?;
        for lane in lanes_of(&batch) {
            let is_new = |index: usize| firsts.get(index).is_none_or(|first| matches!(first, First::Now(_)));
            let news = batch.iter().enumerate().filter(|(index, new)| new.lane == lane && is_new(*index));
            let found = self.find(lane).ok_or_else(|| gone(lane))?;
            let admits = found.admits(news.map(|(_, new)| new.message.bytes() as u64));
            admits.map_err(|refusal| self.explain(refusal, lane))?;
        }
        // Nothing can fail from here on.
        let mut taken: Vec<Taken> = Vec::with_capacity(batch.len());
        let mut keys = Vec::with_capacity(firsts.len());
        let mut take = |(index, new): (usize, NewEntry)| {
            let first = firsts.get(index).copied().unwrap_or(First::Now(None));
            let (position, is_new) = match first {
                First::Before(offset) => (Position { epoch: self.epoch, offset }, false),
                First::InBatch(index) => (taken[index].position, false),
                First::Now(key) => {
                    self.tail = self.tail.next();
                    if let Some((name, digest)) = key {
                        self.dedup.remember(name, digest, self.tail, now_ms);
                    }
                    (Position { epoch: self.epoch, offset: self.tail }, true)
                }
            };
            taken.push(Taken { position, first: is_new });
            if !is_new {
                return None;
            }
            if !firsts.is_empty() {
                keys.push(new.key);
            }
            Some(Entry::new(position, new.lane, new.taken_at, new.message))
        };
        // In the room of the batch itself.
        let entries = batch.into_iter().enumerate().filter_map(&mut take).collect();
        Ok(Admitted { taken, entries, keys })
    }

    /// Puts an entry that was admitted where its lane keeps it.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let entry = lanes.admit(vec![headline], 0)?.entries.remove(0);
    /// lanes.keep(news, (&entry).into(), entry);
    /// assert_eq!(lanes.shelf(news)?.0.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    pub fn keep(&mut self, lane: Lane, kept: Kept, item: S::Item) {
        self.keep_mut(lane).expect("it was admitted to its lane").push(kept, item);
    }

    /// Lets go of what the lane's rules no longer keep, as far as it is shown; `gone` is told of each entry.
    ///
    /// ```
    /// # use eric_sse::lane::Retention;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline; 3])?;
    /// # let retention = eric_testkit::retention();
    /// lanes.retain(news, Retention { max_messages: 1, ..retention })?;
    /// let mut gone = Vec::new();
    /// lanes.enforce(news, 0, |kept, _| gone.push(kept.offset.get()));
    /// assert_eq!(gone, [1, 2]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn enforce(&mut self, lane: Lane, now_ms: u64, gone: impl FnMut(Kept, S::Item)) -> Option<LetGo> {
        let shown = self.shown;
        self.find(lane)?.enforce(now_ms, shown, gone)
    }

    fn number_lane(&mut self) -> Lane {
        self.lanes_opened += 1;
        Lane::new(self.lanes_opened)
    }

    fn keep_of(&self, lane: Lane) -> Result<&Keep<S>> {
        let channel = self.channels.get(&lane).map(|channel| &channel.keep);
        channel.or_else(|| self.listeners.get(&lane).map(|listener| &listener.keep)).ok_or_else(|| gone(lane))
    }

    fn keep_mut(&mut self, lane: Lane) -> Result<&mut Keep<S>> {
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

    /// What `lane` keeps, with what decides about it.
    #[inline]
    fn find(&mut self, lane: Lane) -> Option<Found<'_, S>> {
        if let Some(listener) = self.listeners.get_mut(&lane) {
            let rules = Rules { retention: &self.channels.get(&listener.channel)?.retention, is_own: true };
            return Some(Found { keep: &mut listener.keep, finished: Some(listener.finished), rules });
        }
        let channel = self.channels.get_mut(&lane)?;
        let finished = channel.readers.finished();
        let rules = Rules { retention: &channel.retention, is_own: false };
        Some(Found { keep: &mut channel.keep, finished, rules })
    }

    /// For each message of the batch, which one was first with its key; nothing where none has a key.
    fn firsts(&self, batch: &[NewEntry]) -> Result<Vec<First>> {
        if batch.iter().all(|new| new.key.is_none()) {
            return Ok(Vec::new());
        }
        let mut in_batch = FxHashMap::default();
        let first = |(index, new): (usize, &NewEntry)| {
            let first = self.first(new)?;
            let First::Now(Some((name, digest))) = first else { return Ok(first) };
            // Alone, it has nobody to be repeated by.
            if batch.len() == 1 {
                return Ok(first);
            }
            match *in_batch.entry(name).or_insert((index, digest)) {
                (present, _) if present == index => Ok(first),
                (present, known) if known == digest => Ok(First::InBatch(present)),
                _ => Err(reused(new.key.as_ref().expect("it has one"))),
            }
        };
        batch.iter().enumerate().map(first).collect()
    }

    /// Whether a message was first with its key, of those that were taken.
    #[inline(never)]
    fn first(&self, new: &NewEntry) -> Result<First> {
        let Some(key) = &new.key else { return Ok(First::Now(None)) };
        let (name, digest) = (self.dedup.name(new.lane, key), new.message.digest());
        match self.dedup.recall(name) {
            None => Ok(First::Now(Some((name, digest)))),
            Some(known) if known.digest == digest => Ok(First::Before(known.offset)),
            Some(_) => Err(reused(key)),
        }
    }

    /// Why `lane` takes no more, for whoever wanted to publish to it.
    fn explain(&self, refusal: Refusal, lane: Lane) -> Error {
        let holder = match self.channels.get(&lane) {
            _ if !refusal.is_full => None,
            Some(channel) => channel.readers.holder(),
            None => Some(lane),
        };
        match holder {
            Some(holder) => refusal.error.held_by(holder),
            None => refusal.error,
        }
    }
}

impl<S: Shelf> ChannelLane<S> {
    fn new(retention: Retention) -> Self {
        Self {
            keep: Keep::default(),
            retention,
            readers: Readers::default(),
            listeners: FxHashSet::default(),
        }
    }
}

/// Which message was first with a key.
#[derive(Debug, Clone, Copy)]
enum First {
    /// This one; with what stands for its key and the digest of its content, where it has a key.
    Now(Option<(Name, u128)>),
    Before(Offset),
    InBatch(usize),
}

/// The lanes of a batch, each once.
///
/// ```
/// # use eric_sse::{engine::lanes::lanes_of, log::NewEntry};
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// let bob = lanes.join(news)?.lane;
/// let note = NewEntry { lane: bob, ..headline.clone() };
/// let lanes: Vec<_> = lanes_of(&[headline, note.clone(), note]).collect();
/// assert_eq!(lanes, [news, bob]);
/// # Ok(())
/// # });
/// ```
pub fn lanes_of(batch: &[NewEntry]) -> impl Iterator<Item = Lane> + Clone + use<> {
    let first = batch.first().map(|new| new.lane);
    // Most batches go to one lane, and cost nothing here.
    let mut others: Vec<Lane> =
        batch.iter().map(|new| new.lane).filter(|lane| Some(*lane) != first).collect();
    others.sort_unstable();
    others.dedup();
    first.into_iter().chain(others)
}

fn reused(key: &IdempotencyKey) -> Error {
    Error::new(ErrorKind::KeyReused, format!("key={key} was used for a message with other content"))
}

fn gone(lane: Lane) -> Error {
    Error::new(ErrorKind::Closed, format!("lane={lane} was removed"))
}
