//! What was published, who is owed it, and what may be gone: the simplest lists that say so.
//!
//! It does not know what the store keeps. It knows what it *may* have let go: every message remembers the tightest limits
//! that its lane ever had while it was there.

use std::collections::{BTreeMap, BTreeSet};

use eric_sse::lane::Overflow;
use eric_sse::{ChannelSettings, ErrorKind};

/// The number of a lane in the model: a channel or a listener, as long as it lives. Made again it is another one.
pub(super) type LaneNumber = usize;

/// A message on its way: its text is its content.
#[derive(Debug, Clone)]
pub(super) struct New {
    pub(super) text: String,
    pub(super) key: Option<String>,
}

impl New {
    /// Bytes that count against limits: the type `t`, the text and its quotation marks.
    fn bytes(&self) -> u64 {
        1 + self.text.len() as u64 + 2
    }
}

/// A message that was taken.
#[derive(Debug)]
struct Published {
    offset: u64,
    text: String,
    bytes: u64,
    taken_ms: u64,
    /// The tightest limits that its lane had since.
    limits: Tightest,
    /// The same for as long as it is unread: where a full lane rejects, nothing that is unread makes room.
    unread_limits: Tightest,
}

#[derive(Debug, Clone, Copy)]
struct Tightest {
    messages: u64,
    bytes: u64,
    age_ms: u64,
    history: u64,
}

impl Tightest {
    fn of(settings: &ChannelSettings, is_listener: bool) -> Self {
        let (messages, bytes) = limits(settings, is_listener);
        Self { messages, bytes, age_ms: settings.max_age_s * 1_000, history: settings.history }
    }

    fn tighten(&mut self, other: &Self) {
        self.messages = self.messages.min(other.messages);
        self.bytes = self.bytes.min(other.bytes);
        self.age_ms = self.age_ms.min(other.age_ms);
        self.history = self.history.min(other.history);
    }
}

fn limits(settings: &ChannelSettings, is_listener: bool) -> (u64, u64) {
    match is_listener {
        false => (settings.max_messages, settings.max_bytes),
        true => (settings.max_unread_per_listener, settings.max_unread_bytes_per_listener),
    }
}

/// A channel's lane or a listener's.
#[derive(Debug)]
pub(super) struct LaneModel {
    pub(super) id: String,
    /// The channel's lane, of a listener.
    pub(super) channel: Option<LaneNumber>,
    published: Vec<Published>,
    /// Where each key was first used, and for what.
    keys: BTreeMap<String, (u64, String)>,
    /// Of a channel.
    pub(super) settings: ChannelSettings,
    pub(super) standing: Standing,
}

/// How far a listener got, as far as the model is concerned.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Nothing up to here is its.
    pub(super) floor: u64,
    /// Where its cursor may stand: where it is known to have been, and where it was moved to since, in order.
    pub(super) cursors: Vec<u64>,
    /// The furthest that its cursor may ever have been.
    highest: u64,
    /// What it got.
    pub(super) seen: BTreeSet<u64>,
    /// What it was told to have missed, or chose to skip.
    pub(super) excused: BTreeSet<u64>,
}

impl Standing {
    /// The cursor moves, once that is durable.
    pub(super) fn move_cursor(&mut self, to: u64) {
        self.cursors.push(to);
        self.highest = self.highest.max(to);
    }

    /// The cursor as it will be.
    pub(super) fn cursor(&self) -> u64 {
        *self.cursors.last().expect("a cursor is somewhere")
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) tail: u64,
    pub(super) lanes: Vec<LaneModel>,
    pub(super) channels: BTreeMap<String, LaneNumber>,
    pub(super) listeners: BTreeMap<(LaneNumber, String), LaneNumber>,
    /// Which lane has which offset.
    offsets: BTreeMap<u64, LaneNumber>,
    /// A batch that is on its way: limits count it already, with its messages and bytes.
    under_way: Option<(LaneNumber, u64, u64)>,
}

impl Model {
    pub(super) fn open(&mut self, id: &str, settings: ChannelSettings) {
        self.channels.insert(id.to_owned(), self.lanes.len());
        self.lanes.push(LaneModel {
            id: id.to_owned(),
            channel: None,
            published: Vec::new(),
            keys: BTreeMap::new(),
            settings,
            standing: Standing::default(),
        });
    }

    pub(super) fn join(&mut self, channel: LaneNumber, id: &str) {
        let lane = self.lanes.len();
        self.listeners.insert((channel, id.to_owned()), lane);
        let floor = self.tail;
        let standing = Standing { floor, cursors: vec![floor], highest: floor, ..Standing::default() };
        self.lanes.push(LaneModel {
            id: id.to_owned(),
            channel: Some(channel),
            published: Vec::new(),
            keys: BTreeMap::new(),
            settings: self.lanes[channel].settings.clone(),
            standing,
        });
    }

    pub(super) fn leave(&mut self, listener: LaneNumber) {
        self.listeners.retain(|_, lane| *lane != listener);
    }

    pub(super) fn close(&mut self, channel: LaneNumber) {
        self.channels.retain(|_, lane| *lane != channel);
        self.listeners.retain(|(of, _), _| *of != channel);
    }

    pub(super) fn set(&mut self, channel: LaneNumber, settings: &ChannelSettings) {
        self.lanes[channel].settings = settings.clone();
        for lane in
            self.lanes.iter_mut().enumerate().filter_map(|(number, lane)| {
                (number == channel || lane.channel == Some(channel)).then_some(lane)
            })
        {
            let tightest = Tightest::of(settings, lane.channel.is_some());
            for published in &mut lane.published {
                published.limits.tighten(&tightest);
                published.unread_limits.tighten(&tightest);
            }
        }
    }

    fn settings_of(&self, lane: LaneNumber) -> &ChannelSettings {
        &self.lanes[self.lanes[lane].channel.unwrap_or(lane)].settings
    }

    // Publishing.

    /// What a batch must be answered with where no limit refuses it: offsets, and whether each is new.
    pub(super) fn expect(&self, lane: LaneNumber, batch: &[New]) -> Result<Vec<(u64, bool)>, ErrorKind> {
        let mut known = self.lanes[lane].keys.clone();
        let mut tail = self.tail;
        let mut taken = Vec::new();
        for new in batch {
            match new.key.as_ref().and_then(|key| known.get(key)) {
                Some((_, text)) if *text != new.text => return Err(ErrorKind::KeyReused),
                Some((offset, _)) => taken.push((*offset, false)),
                None => {
                    tail += 1;
                    taken.push((tail, true));
                    if let Some(key) = &new.key {
                        known.insert(key.clone(), (tail, new.text.clone()));
                    }
                }
            }
        }
        Ok(taken)
    }

    /// Takes note of a batch that is on its way, or of none.
    pub(super) fn set_under_way(&mut self, batch: Option<(LaneNumber, &[New])>) {
        self.under_way =
            batch.map(|(lane, batch)| (lane, batch.len() as u64, batch.iter().map(New::bytes).sum()));
    }

    /// Takes what is new of a batch, at the offsets that it was given.
    pub(super) fn take(&mut self, lane: LaneNumber, batch: &[New], taken: &[(u64, bool)], now_ms: u64) {
        let is_listener = self.lanes[lane].channel.is_some();
        let settings = self.settings_of(lane);
        let limits = Tightest::of(settings, is_listener);
        let unread_limits = match settings.overflow {
            Overflow::DropOldest => limits,
            Overflow::Reject => Tightest { messages: u64::MAX, bytes: u64::MAX, ..limits },
        };
        for (new, (offset, is_new)) in batch.iter().zip(taken) {
            if !is_new {
                continue;
            }
            let of = &mut self.lanes[lane];
            if let Some(key) = &new.key {
                of.keys.insert(key.clone(), (*offset, new.text.clone()));
            }
            let (text, bytes) = (new.text.clone(), new.bytes());
            let offset = *offset;
            of.published.push(Published { offset, text, bytes, taken_ms: now_ms, limits, unread_limits });
            self.offsets.insert(offset, lane);
            self.tail = self.tail.max(offset);
        }
    }

    /// Whether a limit may refuse something that is new in a batch.
    pub(super) fn may_refuse(&self, lane: LaneNumber, batch: &[New]) -> bool {
        let settings = self.settings_of(lane);
        let (max_messages, max_bytes) = limits(settings, self.lanes[lane].channel.is_some());
        if batch.iter().any(|new| new.bytes() > max_bytes) {
            return true;
        }
        let finished = self.finished(lane);
        let unread = self.lanes[lane].published.iter().filter(|published| published.offset > finished);
        let (messages, bytes) =
            unread.fold((0, 0), |(messages, bytes), published| (messages + 1, bytes + published.bytes));
        let new_bytes: u64 = batch.iter().map(New::bytes).sum();
        settings.overflow == Overflow::Reject
            && (messages + batch.len() as u64 > max_messages || bytes + new_bytes > max_bytes)
    }

    /// What everybody concerned has finished for certain.
    fn finished(&self, lane: LaneNumber) -> u64 {
        let cursor = |lane: &LaneModel| lane.standing.cursors.iter().copied().min().unwrap_or(0);
        match self.lanes[lane].channel {
            Some(_) => cursor(&self.lanes[lane]),
            None => {
                let readers = self.listeners.iter().filter(|((channel, _), _)| *channel == lane);
                readers.map(|(_, reader)| cursor(&self.lanes[*reader])).min().unwrap_or(u64::MAX)
            }
        }
    }

    // Reading.

    /// What is at an offset: its lane and its text.
    pub(super) fn at(&self, offset: u64) -> Option<(LaneNumber, &str)> {
        let lane = *self.offsets.get(&offset)?;
        let published = &self.lanes[lane].published;
        let index = published.binary_search_by_key(&offset, |published| published.offset).ok()?;
        Some((lane, &published[index].text))
    }

    /// The offsets after `after` up to `to` that a listener is owed, broadcasts and dispatches.
    pub(super) fn owed(&self, listener: LaneNumber, after: u64, to: u64) -> Vec<u64> {
        let channel = self.lanes[listener].channel.expect("a listener has a channel");
        let is_its = |lane: &LaneNumber| *lane == channel || *lane == listener;
        let after = after.max(self.lanes[listener].standing.floor);
        let offsets = self.offsets.range(after + 1..to.max(after) + 1);
        offsets.filter(|(_, lane)| is_its(lane)).map(|(offset, _)| *offset).collect()
    }

    /// How many broadcasts there were after `after` up to `to`.
    pub(super) fn broadcasts(&self, channel: LaneNumber, after: u64, to: u64) -> u64 {
        let published = self.lanes[channel].published.iter();
        published.filter(|published| (after + 1..=to).contains(&published.offset)).count() as u64
    }

    /// Whether a limit may have let go of what is at `offset`, although `listener` is owed it.
    pub(super) fn may_be_gone(&self, listener: LaneNumber, offset: u64, now_ms: u64) -> bool {
        let number = self.offsets[&offset];
        let lane = &self.lanes[number];
        let under_way = self.under_way.filter(|(lane, ..)| *lane == number);
        let (messages, bytes) = under_way.map_or((0, 0), |(_, messages, bytes)| (messages, bytes));
        let highest = self.lanes[listener].standing.highest;
        let index = lane.published.partition_point(|published| published.offset < offset);
        let published = &lane.published[index];
        let is_read = offset <= highest;
        let limits = if is_read { published.limits } else { published.unread_limits };
        let later = &lane.published[index..];
        let messages = messages + later.len() as u64;
        let bytes = bytes + later.iter().map(|published| published.bytes).sum::<u64>();
        let finished = later.iter().filter(|published| published.offset <= highest).count() as u64;
        messages > limits.messages
            || bytes > limits.bytes
            || published.taken_ms.saturating_add(limits.age_ms) < now_ms
            || finished > limits.history
    }
}
