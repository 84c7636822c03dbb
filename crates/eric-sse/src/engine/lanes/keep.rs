//! The entries that one lane keeps, and the rules by which it lets them go.

use super::cursors::FORGOTTEN;
use super::shelf::{Kept, Shelf};
use super::trimmed::Trimmed;
use crate::entry::Offset;
use crate::error::Error;
use crate::evicted::{Evicted, EvictedBy};
use crate::lane::{LaneInfo, Overflow, Retention, Span};

/// What one lane keeps, and what it remembers of what it let go.
#[derive(Debug, Default)]
pub(super) struct Keep<S> {
    pub(super) shelf: S,
    pub(super) trimmed: Trimmed,
}

/// The limits in force for one lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) retention: &'a Retention,
    /// Whether it is a listener's lane, and not a channel's.
    pub(super) is_own: bool,
}

impl Rules<'_> {
    /// Messages that it keeps, and which limit that is. Of a listener's lane it counts what is unread only.
    fn messages(&self) -> (u64, EvictedBy) {
        match self.is_own {
            true => (self.retention.max_unread_per_listener, EvictedBy::Unread),
            false => (self.retention.max_messages, EvictedBy::Messages),
        }
    }

    /// Bytes that it keeps, and which limit that is.
    fn bytes(&self) -> (u64, EvictedBy) {
        match self.is_own {
            true => (self.retention.max_unread_bytes_per_listener, EvictedBy::UnreadBytes),
            false => (self.retention.max_bytes, EvictedBy::Bytes),
        }
    }

    /// Whether what was taken at `taken_ms` is older than it keeps.
    pub(super) fn is_old(&self, taken_ms: u64, now_ms: u64) -> bool {
        taken_ms.saturating_add(self.retention.max_age_s.saturating_mul(1000)) < now_ms
    }
}

/// What a lane let go.
///
/// ```
/// # use eric_sse::lane::Retention;
/// use eric_sse::EvictedBy;
///
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// # let retention = eric_testkit::retention();
/// lanes.join(news)?;
/// # eric_testkit::take(lanes, vec![headline; 3])?;
/// lanes.retain(news, Retention { max_messages: 1, ..retention })?;
/// let let_go = lanes.enforce(news, 0, |_, _| ()).expect("two are too many");
/// assert_eq!(let_go.to.get(), 2);
/// assert_eq!(let_go.unread.by(EvictedBy::Messages), 2);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetGo {
    /// The last entry that went.
    pub to: Offset,
    /// How many of them a listener had not finished, by the limit that let them go.
    pub unread: Evicted,
}

impl<S: Shelf> Keep<S> {
    pub(super) fn push(&mut self, kept: Kept, item: S::Item) {
        debug_assert!(self.last().is_none_or(|last| last < kept.offset), "offsets grow within a lane");
        self.shelf.push(kept, item);
    }

    /// Entries that were ever in the lane.
    pub(super) fn total(&self) -> u64 {
        self.trimmed.total() + self.shelf.len() as u64
    }

    /// Takes the oldest entry away, and remembers that it was there.
    fn trim(&mut self) -> (Kept, S::Item) {
        let (kept, item) = self.shelf.pop().expect("who trims has seen that there is a first one");
        self.trimmed.push(kept.offset);
        (kept, item)
    }

    fn last(&self) -> Option<Offset> {
        self.shelf.last().or((self.trimmed.total() > 0).then(|| self.trimmed.to()))
    }

    /// What is kept, told by somebody who must not see beyond `tail`.
    pub(super) fn info(&self, tail: Offset) -> LaneInfo {
        let visible = match self.shelf.last() {
            Some(last) if last > tail => self.shelf.upto(tail),
            last => super::Upto { entries: self.shelf.len(), bytes: self.shelf.bytes(), last },
        };
        LaneInfo {
            last: visible.last.or((self.trimmed.total() > 0).then(|| self.trimmed.to())),
            trimmed_to: self.trimmed.to(),
            messages: visible.entries as u64,
            bytes: visible.bytes,
        }
    }

    /// Entries and bytes that are kept beyond the first `finished` that were ever in the lane.
    pub(super) fn unread(&self, finished: u64) -> (u64, u64) {
        let unread = self.total() - finished.max(self.trimmed.total());
        let read = self.shelf.len() - usize::try_from(unread).expect("what is kept is counted by usize");
        (unread, self.shelf.bytes() - self.shelf.bytes_of(read))
    }

    /// What the stretch after `after` up to `to` holds. `mark` knows the rank of some offsets.
    pub(super) fn span(&self, after: Offset, to: Offset, mark: impl Fn(Offset) -> Option<u64>) -> Span {
        let (first, end) = (self.shelf.upto(after), self.shelf.upto(to));
        let rank = |offset: Offset, entries: usize| {
            if offset >= self.trimmed.to() {
                return Some(self.trimmed.total() + entries as u64);
            }
            let remembered = self.trimmed.rank(offset).map(|(rank, _)| rank);
            remembered.or_else(|| mark(offset).filter(|rank| *rank != FORGOTTEN))
        };
        let ranks = rank(to, end.entries).zip(rank(after, first.entries));
        let last = match end.last {
            Some(last) => Some(last),
            None if to >= self.trimmed.to() => (self.trimmed.total() > 0).then(|| self.trimmed.to()),
            None => self.trimmed.rank(to).and_then(|(_, last)| last),
        };
        Span {
            entries: ranks.map(|(to, after)| to.saturating_sub(after)),
            bytes: end.bytes.saturating_sub(first.bytes),
            last: last.filter(|last| *last > after),
        }
    }
}

/// A lane's entries with what decides about them.
#[derive(Debug)]
pub(super) struct Found<'a, S> {
    pub(super) keep: &'a mut Keep<S>,
    /// How many entries of the lane everybody has finished; none where nobody reads it, and so whatever is there.
    pub(super) finished: Option<u64>,
    pub(super) rules: Rules<'a>,
}

/// Why a lane does not take something.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: Error,
    /// It is full of what somebody has not read.
    pub(super) is_full: bool,
}

impl<S: Shelf> Found<'_, S> {
    fn finished(&self) -> u64 {
        self.finished.unwrap_or(self.keep.total())
    }

    /// Whether new messages of these sizes may go to the lane.
    pub(super) fn admits(&self, sizes: impl Iterator<Item = u64>) -> Result<(), Refusal> {
        let (max_bytes, by_bytes) = self.rules.bytes();
        let (mut messages, mut bytes) = (0, 0);
        for size in sizes {
            (messages, bytes) = (messages + 1, bytes + size);
            if size > max_bytes {
                let (name, max) = (by_bytes.setting(), max_bytes);
                let text = format!("message has {size} bytes, more than {name}={max} keeps");
                return Err(Refusal { error: Error::limit_exceeded(name, text), is_full: false });
            }
        }
        if self.rules.retention.overflow == Overflow::DropOldest || messages == 0 {
            return Ok(());
        }
        let (unread, unread_bytes) = self.keep.unread(self.finished());
        let (max_messages, by_messages) = self.rules.messages();
        let (limit, max) = if unread + messages > max_messages {
            (by_messages, max_messages)
        } else if unread_bytes + bytes > max_bytes {
            (by_bytes, max_bytes)
        } else {
            return Ok(());
        };
        let name = limit.setting();
        let text = format!("{name}={max} is reached with unread messages");
        Err(Refusal { error: Error::limit_exceeded(name, text), is_full: true })
    }

    /// Lets go of what the rules no longer keep; nothing beyond `upto`. `gone` is told of each.
    pub(super) fn enforce(
        &mut self,
        now_ms: u64,
        upto: Offset,
        mut gone: impl FnMut(Kept, S::Item),
    ) -> Option<LetGo> {
        let finished = self.finished();
        let Self { keep, rules, .. } = self;
        let ((max_messages, by_messages), (max_bytes, by_bytes)) = (rules.messages(), rules.bytes());
        let mut unread = Evicted::default();
        let before = keep.trimmed.total();
        // What everybody has finished, beyond the history, goes whatever else holds.
        let spent = finished.saturating_sub(rules.retention.history).saturating_sub(before);
        for _ in 0..spent {
            if keep.shelf.first().is_none_or(|first| first.offset > upto) {
                break;
            }
            let (kept, item) = keep.trim();
            gone(kept, item);
        }
        while let Some(first) = keep.shelf.first().filter(|first| first.offset <= upto) {
            let trimmed = keep.trimmed.total();
            let is_finished = trimmed < finished;
            let counted = keep.total() - if rules.is_own { finished.max(trimmed) } else { trimmed };
            let by = if rules.is_old(first.taken_ms, now_ms) {
                Some(EvictedBy::Age)
            } else if counted > max_messages {
                Some(by_messages)
            } else {
                (keep.shelf.bytes() > max_bytes).then_some(by_bytes)
            };
            match by {
                Some(by) if !is_finished => unread.add(by, 1),
                Some(_) => {}
                None => break,
            }
            let (kept, item) = keep.trim();
            gone(kept, item);
        }
        (keep.trimmed.total() > before).then(|| LetGo { to: keep.trimmed.to(), unread })
    }
}
