//! What a store must hold, kept the simplest way: every lane a list of all entries it ever had.

use std::collections::BTreeMap;

use eric_sse::ErrorKind;
use eric_sse::lane::{Overflow, Retention};
use eric_sse::limits::DEDUP_WINDOW_S;

/// A change, as the simulation asks for it.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Open(Retention),
    Retain(u64, Retention),
    Close(u64),
    Join(u64),
    Leave(u64),
    Submit(u64, Vec<New>),
    Ack(u64, u64),
    /// A live reader commits, forward or back.
    Seek(u64, u64),
    Upsert(String, String),
    Delete(String),
}

/// A message on its way: its number is its content.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) number: u64,
    pub(crate) size: usize,
    pub(crate) key: Option<String>,
}

impl New {
    /// Its payload.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.number, "x".repeat(self.size))
    }

    /// Bytes that count against limits: the type `t`, the text and its quotation marks.
    fn bytes(&self) -> u64 {
        1 + self.text().len() as u64 + 2
    }
}

/// What a change must be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Lane(u64),
    /// A lane and a floor.
    Joined(u64, u64),
    /// Offsets, and whether each is new.
    Taken(Vec<(u64, bool)>),
    /// Whether the cursor moved.
    Moved(bool),
    Failed(ErrorKind),
}

impl Outcome {
    /// Whether something was taken whose key `expected` knows to be used.
    pub(crate) fn is_taken_again(&self, expected: &Self) -> bool {
        let news = |outcome: &Self| match outcome {
            Self::Taken(taken) => Some(taken.iter().filter(|(_, is_new)| *is_new).count()),
            Self::Failed(ErrorKind::KeyReused) => Some(0),
            _ => None,
        };
        news(self).zip(news(expected)).is_some_and(|(found, expected)| found > expected)
    }

    /// Whether anything is another way now, so that rules are to be looked at.
    pub(crate) fn has_changed(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Moved(false) => false,
            Self::Taken(taken) => taken.iter().any(|(_, is_new)| *is_new),
            _ => true,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) lanes: BTreeMap<u64, ModelLane>,
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) tail: u64,
    lanes_opened: u64,
    keys: Vec<UsedKey>,
}

#[derive(Debug, Clone)]
struct UsedKey {
    lane: u64,
    key: String,
    text: String,
    offset: u64,
    used_ms: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelLane {
    pub(crate) channel: Option<u64>,
    pub(crate) retention: Retention,
    pub(crate) ever: Vec<ModelEntry>,
    /// How many of them, the oldest, were let go.
    pub(crate) trimmed: usize,
    pub(crate) cursor: u64,
    pub(crate) floor: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelEntry {
    pub(crate) offset: u64,
    pub(crate) text: String,
    pub(crate) bytes: u64,
    taken_ms: u64,
}

impl ModelLane {
    fn new(channel: Option<u64>, retention: Retention, at: u64) -> Self {
        Self { channel, retention, ever: Vec::new(), trimmed: 0, cursor: at, floor: at }
    }

    /// What decides about what it keeps.
    pub(crate) fn rules(&self) -> impl std::fmt::Debug + use<> {
        (self.channel, self.cursor, self.floor, self.trimmed, self.retention)
    }

    pub(crate) fn kept(&self) -> &[ModelEntry] {
        &self.ever[self.trimmed..]
    }

    fn rank(&self, offset: u64) -> usize {
        self.ever.partition_point(|entry| entry.offset <= offset)
    }
}

impl Model {
    /// Applies a change. Readers see nothing beyond `shown`, so nothing beyond is let go.
    pub(crate) fn apply(&mut self, change: &Change, now_ms: u64, shown: u64) -> Outcome {
        match change {
            Change::Open(retention) => {
                self.lanes_opened += 1;
                self.lanes.insert(self.lanes_opened, ModelLane::new(None, *retention, 0));
                Outcome::Lane(self.lanes_opened)
            }
            Change::Retain(lane, retention) => match self.lanes.get_mut(lane) {
                Some(channel) => {
                    channel.retention = *retention;
                    Outcome::Done
                }
                None => Outcome::Failed(ErrorKind::Closed),
            },
            Change::Close(lane) => {
                self.lanes.retain(|number, other| number != lane && other.channel != Some(*lane));
                Outcome::Done
            }
            Change::Join(channel) => {
                let Some(joined) = self.lanes.get(channel) else { return Outcome::Failed(ErrorKind::Closed) };
                let listener = ModelLane::new(Some(*channel), joined.retention, self.tail);
                self.lanes_opened += 1;
                self.lanes.insert(self.lanes_opened, listener);
                Outcome::Joined(self.lanes_opened, self.tail)
            }
            Change::Leave(lane) => {
                self.lanes.remove(lane);
                Outcome::Done
            }
            Change::Submit(lane, batch) => self.submit(*lane, batch, now_ms, shown),
            Change::Ack(lane, to) => {
                let Some(listener) = self.lanes.get_mut(lane) else {
                    return Outcome::Failed(ErrorKind::UnknownListener);
                };
                let moves = *to > listener.cursor;
                listener.cursor = listener.cursor.max(*to);
                Outcome::Moved(moves)
            }
            Change::Seek(lane, to) => {
                let Some(listener) = self.lanes.get_mut(lane) else {
                    return Outcome::Failed(ErrorKind::UnknownListener);
                };
                let to = (*to).max(listener.floor);
                Outcome::Moved(std::mem::replace(&mut listener.cursor, to) != to)
            }
            Change::Upsert(key, value) => {
                self.values.insert(key.clone(), value.clone());
                Outcome::Done
            }
            Change::Delete(key) => {
                self.values.remove(key);
                Outcome::Done
            }
        }
    }

    fn submit(&mut self, lane: u64, batch: &[New], now_ms: u64, shown: u64) -> Outcome {
        if !self.lanes.contains_key(&lane) {
            return Outcome::Failed(ErrorKind::Closed);
        }
        self.enforce([lane], now_ms, shown);
        self.keys.retain(|used| now_ms - used.used_ms <= DEDUP_WINDOW_S * 1000);
        let mut news: Vec<&New> = Vec::new();
        let mut known = self.keys.clone();
        let mut tail = self.tail;
        let mut taken = Vec::new();
        for new in batch {
            let before = known.iter().find(|used| used.lane == lane && Some(&used.key) == new.key.as_ref());
            match before {
                Some(used) if used.text != new.text() => return Outcome::Failed(ErrorKind::KeyReused),
                Some(used) => taken.push((used.offset, false)),
                None => {
                    tail += 1;
                    news.push(new);
                    taken.push((tail, true));
                    if let Some(key) = &new.key {
                        let (key, text) = (key.clone(), new.text());
                        known.push(UsedKey { lane, key, text, offset: tail, used_ms: now_ms });
                    }
                }
            }
        }
        if !self.fits(lane, &news) {
            return Outcome::Failed(ErrorKind::LimitExceeded);
        }
        self.keys = known;
        let into = self.lanes.get_mut(&lane).expect("it was found");
        for new in news {
            self.tail += 1;
            let (text, bytes) = (new.text(), new.bytes());
            into.ever.push(ModelEntry { offset: self.tail, text, bytes, taken_ms: now_ms });
        }
        Outcome::Taken(taken)
    }

    fn fits(&self, lane: u64, news: &[&New]) -> bool {
        let (retention, max_messages, max_bytes) = self.limits(lane);
        if news.iter().any(|new| new.bytes() > max_bytes) {
            return false;
        }
        if retention.overflow == Overflow::DropOldest || news.is_empty() {
            return true;
        }
        let of = &self.lanes[&lane];
        let unread = &of.ever[of.trimmed.max(self.finished(lane))..];
        let unread_bytes: u64 = unread.iter().map(|entry| entry.bytes).sum();
        unread.len() as u64 + news.len() as u64 <= max_messages
            && unread_bytes + news.iter().map(|new| new.bytes()).sum::<u64>() <= max_bytes
    }

    fn limits(&self, lane: u64) -> (Retention, u64, u64) {
        let of = &self.lanes[&lane];
        let retention = of.channel.map_or(of.retention, |channel| self.lanes[&channel].retention);
        match of.channel {
            None => (retention, retention.max_messages, retention.max_bytes),
            Some(_) => {
                (retention, retention.max_unread_per_listener, retention.max_unread_bytes_per_listener)
            }
        }
    }

    /// How many of a lane's entries nobody needs any more.
    fn finished(&self, lane: u64) -> usize {
        let of = &self.lanes[&lane];
        if of.channel.is_some() {
            return of.rank(of.cursor);
        }
        let readers = self.lanes.values().filter(|other| other.channel == Some(lane));
        readers.map(|reader| of.rank(reader.cursor)).min().unwrap_or(of.ever.len())
    }

    /// Lets go of what the rules no longer keep.
    pub(crate) fn enforce(&mut self, lanes: impl IntoIterator<Item = u64>, now_ms: u64, shown: u64) {
        for lane in lanes {
            if !self.lanes.contains_key(&lane) {
                continue;
            }
            let (retention, max_messages, max_bytes) = self.limits(lane);
            let finished = self.finished(lane);
            let of = self.lanes.get_mut(&lane).expect("it was found");
            while let Some(first) = of.kept().first().filter(|first| first.offset <= shown) {
                let bytes: u64 = of.kept().iter().map(|entry| entry.bytes).sum();
                let counted = match of.channel {
                    None => of.kept().len(),
                    Some(_) => of.ever.len() - of.trimmed.max(finished),
                };
                let is_old = first.taken_ms + retention.max_age_s * 1000 < now_ms;
                let is_spent = finished as u64 > of.trimmed as u64 + retention.history;
                if !(is_old || is_spent || counted as u64 > max_messages || bytes > max_bytes) {
                    break;
                }
                of.trimmed += 1;
            }
        }
    }

    /// The lanes whose rules are due after a change.
    pub(crate) fn due(&self, change: &Change) -> Vec<u64> {
        match change {
            Change::Submit(lane, _) => vec![*lane],
            Change::Retain(channel, _) => {
                let its = self.lanes.iter().filter(|(_, lane)| lane.channel == Some(*channel));
                its.map(|(lane, _)| *lane).chain([*channel]).collect()
            }
            Change::Ack(lane, _) | Change::Seek(lane, _) => {
                let channel = self.lanes.get(lane).and_then(|lane| lane.channel);
                channel.into_iter().chain([*lane]).collect()
            }
            // The channel of a listener that leaves is looked up before it goes.
            Change::Leave(lane) => self.lanes.get(lane).and_then(|lane| lane.channel).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}
