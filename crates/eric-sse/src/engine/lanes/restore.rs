//! The state of lanes as an engine writes it down, and how it comes back.
//!
//! What is told of a lane that is not known is passed over: in a log whose state is written down piece by piece,
//! a change may stand before the piece that includes it.

use super::keep::Keep;
use super::shelf::{Kept, Shelf};
use super::{ChannelLane, Lanes, ListenerLane, Moved};
use crate::cursor::Joined;
use crate::entry::{Epoch, Offset, Position};
use crate::id::IdempotencyKey;
use crate::lane::{Lane, Retention};

/// What a lane remembers of the entries that it let go.
///
/// ```
/// # use eric_sse::lane::Retention;
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// # eric_testkit::take(lanes, vec![headline; 3])?;
/// # let retention = eric_testkit::retention();
/// lanes.retain(news, Retention { max_messages: 1, ..retention })?;
/// lanes.enforce(news, 0, |_, _| ());
/// let trimmed = lanes.channel_state(news).expect("it is open").trimmed;
/// assert_eq!((trimmed.total, trimmed.runs), (2, vec![(1, 2)]));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrimmedState {
    /// How many there were.
    pub total: u64,
    /// The first of them.
    pub first: Offset,
    /// The last of them.
    pub to: Offset,
    /// The latest of them exactly: the first and the last offset of each stretch without a hole.
    pub runs: Vec<(u64, u64)>,
}

/// A channel's lane without its entries.
///
/// ```
/// # use eric_sse::lane::Retention;
/// use eric_sse::engine::lanes::ChannelState;
///
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// # let mut again = eric_testkit::no_lanes();
/// let state = lanes.channel_state(news).expect("it is open");
/// // What was written down since is laid over it.
/// let retention = Retention { history: 0, ..state.retention };
/// again.restore_channel(&ChannelState { retention, ..state });
/// assert_eq!(again.channel_state(news).map(|state| state.retention.history), Some(0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// The lane.
    pub lane: Lane,
    /// How it and its listeners' lanes are kept.
    pub retention: Retention,
    /// What it let go.
    pub trimmed: TrimmedState,
}

/// A listener's lane without its entries, and its cursor.
///
/// ```
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// # eric_testkit::take(lanes, vec![headline; 3])?;
/// let bob = lanes.join(news)?.lane;
/// let state = lanes.listener_state(bob).expect("he is there");
/// assert_eq!((state.channel, state.floor.get(), state.floor_rank), (news, 3, 3));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerState {
    /// Its lane.
    pub lane: Lane,
    /// The lane of its channel.
    pub channel: Lane,
    /// Where it joined.
    pub floor: Offset,
    /// Entries that were ever in the channel's lane up to there.
    pub floor_rank: u64,
    /// How far it got.
    pub cursor: Offset,
    /// Entries that were ever in its lane up to the cursor.
    pub finished: u64,
    /// Entries that were ever in the channel's lane up to the cursor.
    pub channel_finished: u64,
    /// Where it stood in an epoch that ended, unless its cursor has moved since.
    pub stale: Option<Position>,
    /// What its lane let go.
    pub trimmed: TrimmedState,
}

impl<S: Shelf> Lanes<S> {
    /// The number of the last lane that was opened, and of the last fence that was given.
    ///
    /// ```
    /// # use eric_sse::Conflict;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let bob = lanes.join(news)?.lane;
    /// lanes.lease(bob, Conflict::Replace)?;
    /// assert_eq!(lanes.counters(), (2, 1));
    /// # Ok(())
    /// # });
    /// ```
    pub fn counters(&self) -> (u64, u64) {
        (self.lanes_opened, self.fences_issued)
    }

    /// The state of a channel's lane.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// assert!(lanes.channel_state(news).is_some());
    /// let bob = lanes.join(news)?.lane;
    /// assert_eq!(lanes.channel_state(bob), None, "it is no channel's");
    /// # Ok(())
    /// # });
    /// ```
    pub fn channel_state(&self, lane: Lane) -> Option<ChannelState> {
        let channel = self.channels.get(&lane)?;
        Some(ChannelState { lane, retention: channel.retention, trimmed: channel.keep.trimmed.state() })
    }

    /// The state of a listener.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let mut again = eric_testkit::no_lanes();
    /// let bob = lanes.join(news)?.lane;
    /// let (channel, listener) = (lanes.channel_state(news), lanes.listener_state(bob));
    /// // After a restart:
    /// again.restore_channel(&channel.expect("it is open"));
    /// assert!(again.restore_listener(&listener.clone().expect("he is there")));
    /// assert_eq!(again.listener_state(bob), listener);
    /// # Ok(())
    /// # });
    /// ```
    pub fn listener_state(&self, lane: Lane) -> Option<ListenerState> {
        let listener = self.listeners.get(&lane)?;
        let readers = &self.channels.get(&listener.channel)?.readers;
        Some(ListenerState {
            lane,
            channel: listener.channel,
            floor: listener.floor,
            floor_rank: listener.floor_rank,
            cursor: listener.cursor,
            finished: listener.finished,
            channel_finished: readers.rank(lane, listener.cursor),
            stale: listener.stale.as_deref().copied(),
            trimmed: listener.keep.trimmed.state(),
        })
    }

    /// Opens a channel's lane as it was, or brings one that is open to this state.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let mut again = eric_testkit::no_lanes();
    /// let state = lanes.channel_state(news).expect("it is open");
    /// again.restore_channel(&state);
    /// assert_eq!(again.list(), lanes.list());
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_channel(&mut self, state: &ChannelState) {
        self.lanes_opened = self.lanes_opened.max(state.lane.get());
        let channel = self.channels.entry(state.lane).or_insert_with(|| ChannelLane::new(state.retention));
        channel.retention = state.retention;
        channel.keep.trimmed.set(&state.trimmed);
    }

    /// Opens a channel's lane as it was opened.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let mut again = eric_testkit::no_lanes();
    /// # let retention = eric_testkit::retention();
    /// again.restore_open(news, retention);
    /// assert_eq!(again.info(news)?.messages, 0);
    /// assert!(again.open(retention) > news, "its number is not given again");
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_open(&mut self, lane: Lane, retention: Retention) {
        self.restore_channel(&ChannelState { lane, retention, trimmed: TrimmedState::default() });
    }

    /// Fences that are given from now on are larger than `issued`.
    ///
    /// ```
    /// # use eric_sse::{Conflict, cursor::Fence};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let bob = lanes.join(news)?.lane;
    /// lanes.restore_fences(41);
    /// assert_eq!(lanes.lease(bob, Conflict::Replace)?.fence, Fence(42));
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_fences(&mut self, issued: u64) {
        self.fences_issued = self.fences_issued.max(issued);
    }

    /// Adds a listener as it was, or brings one that is there to this state. False where its channel is not known.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let mut again = eric_testkit::no_lanes();
    /// let bob = lanes.join(news)?.lane;
    /// let state = lanes.listener_state(bob).expect("he is there");
    /// assert!(!again.restore_listener(&state), "his channel is not there yet");
    /// again.restore_open(news, eric_testkit::retention());
    /// assert!(again.restore_listener(&state));
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_listener(&mut self, state: &ListenerState) -> bool {
        self.lanes_opened = self.lanes_opened.max(state.lane.get());
        let Some(channel) = self.channels.get_mut(&state.channel) else { return false };
        match self.listeners.get(&state.lane) {
            Some(before) if before.channel != state.channel => return false,
            Some(before) => {
                channel.readers.depart(state.lane, before.cursor);
            }
            None => {}
        }
        channel.listeners.insert(state.lane);
        channel.readers.arrive(state.lane, state.cursor, state.channel_finished);
        let listener = self.listeners.entry(state.lane).or_insert_with(|| ListenerLane {
            keep: Keep::default(),
            channel: state.channel,
            floor: state.floor,
            floor_rank: state.floor_rank,
            cursor: state.cursor,
            finished: 0,
            lease: None,
            stale: None,
        });
        (listener.floor, listener.floor_rank) = (state.floor, state.floor_rank);
        listener.cursor = state.cursor;
        listener.finished = state.finished;
        listener.stale = state.stale.map(Box::new);
        listener.keep.trimmed.set(&state.trimmed);
        true
    }

    /// Adds a listener as it was when it joined. False where its channel is not known.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let mut again = eric_testkit::no_lanes();
    /// let bob = lanes.join(news)?;
    /// again.restore_open(news, eric_testkit::retention());
    /// assert!(again.restore_join(news, bob, 0));
    /// assert_eq!(again.cursor(bob.lane)?, lanes.cursor(bob.lane)?);
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_join(&mut self, channel: Lane, joined: Joined, floor_rank: u64) -> bool {
        self.restore_listener(&ListenerState {
            lane: joined.lane,
            channel,
            floor: joined.floor,
            floor_rank,
            cursor: joined.floor,
            finished: 0,
            channel_finished: floor_rank,
            stale: None,
            trimmed: TrimmedState::default(),
        })
    }

    /// Moves a cursor as it moved, whatever channel is given. False where the listener is not known.
    ///
    /// ```
    /// # use eric_sse::cursor::{Authority, Commit};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let mut again = eric_testkit::no_lanes();
    /// # let bob = lanes.join(news)?;
    /// # eric_testkit::take(lanes, vec![headline])?;
    /// let ack = Commit { listener: bob.lane, to: lanes.shown(), by: Authority::Ack };
    /// let moved = lanes.commit(&ack)?.1.expect("it was at the beginning");
    /// # again.restore_open(news, eric_testkit::retention());
    /// # again.restore_join(news, bob, 0);
    /// assert!(again.restore_moved(&moved));
    /// assert_eq!(again.cursor(bob.lane)?, lanes.cursor(bob.lane)?);
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_moved(&mut self, moved: &Moved) -> bool {
        let Some(listener) = self.listeners.get(&moved.listener) else { return false };
        let channel = listener.channel;
        self.place_cursor(&Moved { channel, ..*moved });
        true
    }

    /// Takes note of stretches of a lane's entries that were let go. False where the lane is not known.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let mut again = eric_testkit::no_lanes();
    /// again.restore_open(news, eric_testkit::retention());
    /// again.restore_trimmed(news, &[(1, 2)]);
    /// again.restore_trimmed(news, &[(1, 3)]);
    /// assert_eq!(again.info(news)?.trimmed_to.get(), 3);
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_trimmed(&mut self, lane: Lane, runs: &[(u64, u64)]) -> bool {
        let Ok(keep) = self.keep_mut(lane) else { return false };
        for (first, last) in runs {
            // What is in the state already was noted after that was written down.
            let first = (*first).max(keep.trimmed.to().get() + 1);
            if first <= *last {
                keep.trimmed.push_run(first, *last);
            }
        }
        true
    }

    /// Puts a kept entry back, the oldest of its lane first. False where its lane is not known, let it go, or has it
    /// already.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let mut again = eric_testkit::no_lanes();
    /// # again.restore_open(news, eric_testkit::retention());
    /// let entry = lanes.admit(vec![headline], 0)?.entries.remove(0);
    /// assert!(again.restore_entry(news, (&entry).into(), entry.clone()));
    /// assert!(!again.restore_entry(news, (&entry).into(), entry), "it has it");
    /// assert_eq!(again.shown().offset, lanes.tail());
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_entry(&mut self, lane: Lane, kept: Kept, item: S::Item) -> bool {
        self.tail = self.tail.max(kept.offset);
        self.shown = self.tail;
        let Ok(keep) = self.keep_mut(lane) else { return false };
        let is_kept =
            kept.offset > keep.trimmed.to() && keep.shelf.last().is_none_or(|last| last < kept.offset);
        if is_kept {
            keep.push(kept, item);
        }
        is_kept
    }

    /// Remembers a key as it was used. Where the lane is not known nothing happens.
    ///
    /// ```
    /// # use eric_sse::{Offset, log::NewEntry};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let key: eric_sse::IdempotencyKey = "order-17".parse()?;
    /// let digest = headline.message.digest();
    /// lanes.restore_tail(Offset::new(7));
    /// lanes.restore_key(news, &key, digest, Offset::new(7), 0);
    /// let taken = lanes.admit(vec![NewEntry { key: Some(key), ..headline }], 0)?.taken[0];
    /// assert_eq!((taken.position.offset, taken.first), (Offset::new(7), false));
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_key(&mut self, lane: Lane, key: &IdempotencyKey, digest: u128, at: Offset, used_ms: u64) {
        if self.keep_of(lane).is_ok() {
            self.dedup.remember(self.dedup.name(lane, key), digest, at, used_ms);
        }
    }

    /// Takes note of an offset that was given, whatever became of its entry.
    ///
    /// ```
    /// # use eric_sse::Offset;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// lanes.restore_tail(Offset::new(41));
    /// assert_eq!(lanes.admit(vec![headline], 0)?.taken[0].position.offset, Offset::new(42));
    /// # Ok(())
    /// # });
    /// ```
    pub fn restore_tail(&mut self, tail: Offset) {
        self.tail = self.tail.max(tail);
        self.shown = self.tail;
    }

    /// A lane whose state cannot be: a listener that finished more than there ever was, or stands where nothing is
    /// yet. None of what an engine wrote down is like that.
    ///
    /// ```
    /// use eric_sse::engine::lanes::ListenerState;
    ///
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let bob = lanes.join(news)?.lane;
    /// assert_eq!(lanes.find_impossible(), None);
    /// // A record that nobody wrote: he finished one of none.
    /// let state = lanes.listener_state(bob).expect("he is there");
    /// lanes.restore_listener(&ListenerState { finished: 1, ..state });
    /// assert_eq!(lanes.find_impossible(), Some(bob));
    /// # Ok(())
    /// # });
    /// ```
    pub fn find_impossible(&self) -> Option<Lane> {
        let is_impossible = |(lane, listener): (&Lane, &ListenerLane<S>)| {
            let channel = self.channels.get(&listener.channel)?;
            let is_possible = !self.channels.contains_key(lane)
                && listener.finished <= listener.keep.total()
                && listener.floor_rank <= channel.keep.total()
                && channel.readers.rank(*lane, listener.cursor) <= channel.keep.total()
                && listener.floor <= listener.cursor
                && listener.cursor <= self.tail;
            (!is_possible).then_some(*lane)
        };
        self.listeners.iter().find_map(is_impossible)
    }

    /// Ends the epoch: every cursor stays where it is for its listener to see, and starts again at the floor.
    /// Offsets go on.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let bob = lanes.join(news)?.lane;
    /// let stood = lanes.cursor(bob)?.position;
    /// lanes.begin_epoch("then".parse()?);
    /// assert_eq!(lanes.shown().epoch.as_str(), "then");
    /// assert_eq!(lanes.cursor(bob)?.position, stood, "he is told that its epoch is over");
    /// # Ok(())
    /// # });
    /// ```
    pub fn begin_epoch(&mut self, epoch: Epoch) {
        let ended = std::mem::replace(&mut self.epoch, epoch);
        let lanes: Vec<Lane> = self.listeners.keys().copied().collect();
        for lane in lanes {
            let listener = &self.listeners[&lane];
            let stood = Position { epoch: ended, offset: listener.cursor };
            let stale = listener.stale.clone().unwrap_or_else(|| Box::new(stood));
            self.place_cursor(&Moved {
                listener: lane,
                channel: listener.channel,
                to: listener.floor,
                finished: 0,
                channel_finished: listener.floor_rank,
            });
            self.listeners.get_mut(&lane).expect("it was listed").stale = Some(stale);
        }
    }
}
