//! The entries that one lane keeps, and the rules by which it lets them go.

use super::cursors::FORGOTTEN;
use super::shelf::{Kept, Shelf};
use super::trimmed::Trimmed;
use crate::entry::Offset;
use crate::evicted::{Evicted, EvictedBy};
use crate::lane::{LaneInfo, Overflow, Retention, Span};

/// What one lane keeps, and what it remembers of what it let go.
#[derive(Debug, Default)]
pub(super) struct Keep<S> {
    pub(super) shelf: S,
    pub(super) trimmed: Trimmed,
}

/// The limits in force for one lane, with their names.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) max_messages: u64,
    /// Which limit `max_messages` is, for this lane.
    pub(super) messages: EvictedBy,
    pub(super) max_bytes: u64,
    pub(super) bytes: EvictedBy,
    /// Whether `max_messages` counts unread entries only.
    counts_unread_only: bool,
    max_age_ms: u64,
    history: u64,
    pub(super) overflow: Overflow,
}

impl Rules {
    pub(super) fn of_channel(retention: &Retention) -> Self {
        Self {
            max_messages: retention.max_messages,
            messages: EvictedBy::Messages,
            max_bytes: retention.max_bytes,
            bytes: EvictedBy::Bytes,
            counts_unread_only: false,
            max_age_ms: retention.max_age_s.saturating_mul(1000),
            history: retention.history,
            overflow: retention.overflow,
        }
    }

    pub(super) fn of_listener(retention: &Retention) -> Self {
        Self {
            max_messages: retention.max_unread_per_listener,
            messages: EvictedBy::Unread,
            max_bytes: retention.max_unread_bytes_per_listener,
            bytes: EvictedBy::UnreadBytes,
            counts_unread_only: true,
            ..Self::of_channel(retention)
        }
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
        assert!(self.last().is_none_or(|last| last < kept.offset), "offsets grow within a lane");
        self.shelf.push(kept, item);
    }

    /// Entries that were ever in the lane.
    pub(super) fn total(&self) -> u64 {
        self.trimmed.total() + self.shelf.len() as u64
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

    /// Lets go of what `rules` no longer keep, given that everybody finished the first `finished` entries; nothing
    /// beyond `upto`. `gone` is told of each.
    pub(super) fn enforce(
        &mut self,
        finished: u64,
        rules: &Rules,
        now_ms: u64,
        upto: Offset,
        mut gone: impl FnMut(Kept, S::Item),
    ) -> Option<LetGo> {
        let mut unread = Evicted::default();
        let before = self.trimmed.total();
        while let Some(first) = self.shelf.first().filter(|first| first.offset <= upto) {
            let trimmed = self.trimmed.total();
            let is_finished = trimmed < finished;
            let counted =
                self.total() - if rules.counts_unread_only { finished.max(trimmed) } else { trimmed };
            let is_old = first.taken_ms.saturating_add(rules.max_age_ms) < now_ms;
            let is_spent = is_finished && finished - trimmed > rules.history;
            let by = if is_old {
                Some(EvictedBy::Age)
            } else if counted > rules.max_messages {
                Some(rules.messages)
            } else {
                (self.shelf.bytes() > rules.max_bytes).then_some(rules.bytes)
            };
            match by {
                Some(by) if !is_finished => unread.add(by, 1),
                Some(_) => {}
                None if is_spent => {}
                None => break,
            }
            self.trimmed.push(first.offset);
            let (kept, item) = self.shelf.pop().expect("there is a first one");
            gone(kept, item);
        }
        (self.trimmed.total() > before).then(|| LetGo { to: self.trimmed.to(), unread })
    }
}
