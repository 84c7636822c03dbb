//! The entries that one lane keeps, and the rules by which it lets them go.

use std::collections::VecDeque;

use super::trimmed::Trimmed;
use crate::entry::{Entry, Offset};
use crate::lane::{LaneInfo, Overflow, Retention, Span};
use crate::log::Budget;

/// What one lane keeps, oldest first.
#[derive(Debug, Default)]
pub(super) struct Keep {
    entries: VecDeque<Kept>,
    /// Bytes of all entries that were trimmed.
    trimmed_bytes: u64,
    trimmed: Trimmed,
}

#[derive(Debug)]
struct Kept {
    entry: Entry,
    /// Bytes of all entries that were ever in the lane, up to and including this one.
    bytes_through: u64,
}

/// The limits in force for one lane, with their names.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) max_messages: u64,
    pub(super) max_messages_name: &'static str,
    pub(super) max_bytes: u64,
    pub(super) max_bytes_name: &'static str,
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
            max_messages_name: "max_messages",
            max_bytes: retention.max_bytes,
            max_bytes_name: "max_bytes",
            counts_unread_only: false,
            max_age_ms: retention.max_age_s.saturating_mul(1000),
            history: retention.history,
            overflow: retention.overflow,
        }
    }

    pub(super) fn of_listener(retention: &Retention) -> Self {
        Self {
            max_messages: retention.max_unread_per_listener,
            max_messages_name: "max_unread_per_listener",
            max_bytes: retention.max_unread_bytes_per_listener,
            max_bytes_name: "max_unread_bytes_per_listener",
            counts_unread_only: true,
            ..Self::of_channel(retention)
        }
    }
}

/// What [`Keep::enforce`] let go.
#[derive(Debug)]
pub(super) struct LetGo {
    pub(super) to: Offset,
    pub(super) unread: u64,
}

impl Keep {
    pub(super) fn push(&mut self, entry: Entry) {
        let bytes_through = self.total_bytes() + entry.bytes() as u64;
        assert!(self.last().is_none_or(|last| last < entry.offset()), "offsets grow within a lane");
        self.entries.push_back(Kept { entry, bytes_through });
    }

    /// Entries that were ever in the lane.
    pub(super) fn total(&self) -> u64 {
        self.trimmed.total() + self.entries.len() as u64
    }

    fn total_bytes(&self) -> u64 {
        self.entries.back().map_or(self.trimmed_bytes, |kept| kept.bytes_through)
    }

    fn last(&self) -> Option<Offset> {
        let trimmed = (self.trimmed.total() > 0).then(|| self.trimmed.to());
        self.entries.back().map(|kept| kept.entry.offset()).or(trimmed)
    }

    pub(super) fn trimmed_to(&self) -> Offset {
        self.trimmed.to()
    }

    pub(super) fn info(&self) -> LaneInfo {
        LaneInfo {
            last: self.last(),
            trimmed_to: self.trimmed.to(),
            messages: self.entries.len() as u64,
            bytes: self.total_bytes() - self.trimmed_bytes,
        }
    }

    /// Entries and bytes that are kept beyond the first `finished` that were ever in the lane.
    pub(super) fn unread(&self, finished: u64) -> (u64, u64) {
        let unread = self.total() - finished.max(self.trimmed.total());
        let index = self.entries.len() - usize::try_from(unread).expect("what is kept is counted by usize");
        (unread, self.total_bytes() - self.bytes_before(index))
    }

    fn bytes_before(&self, index: usize) -> u64 {
        index.checked_sub(1).map_or(self.trimmed_bytes, |before| self.entries[before].bytes_through)
    }

    /// Kept entries after `after` within `budget`; and how far that searched, none where it reached the end.
    pub(super) fn read(&self, after: Offset, budget: Budget) -> (Vec<Entry>, Option<Offset>) {
        let (first, mut bytes) = (self.index_after(after), 0);
        let mut entries = Vec::new();
        for kept in self.entries.range(first..) {
            let is_full = entries.len() >= budget.entries || bytes >= budget.bytes;
            if is_full && !entries.is_empty() {
                let reached = entries.last().map(Entry::offset);
                return (entries, reached);
            }
            bytes += kept.entry.bytes();
            entries.push(kept.entry.clone());
        }
        (entries, None)
    }

    fn index_after(&self, after: Offset) -> usize {
        self.entries.partition_point(|kept| kept.entry.offset() <= after)
    }

    /// What the stretch after `after` up to `to` holds. `mark` knows the rank of some offsets.
    pub(super) fn span(&self, after: Offset, to: Offset, mark: impl Fn(Offset) -> Option<u64>) -> Span {
        let (first, end) = (self.index_after(after), self.index_after(to));
        let rank = |offset: Offset, index: usize| {
            if offset >= self.trimmed.to() {
                return Some(self.trimmed.total() + index as u64);
            }
            self.trimmed.rank(offset).map(|(rank, _)| rank).or_else(|| mark(offset))
        };
        let entries = rank(to, end).zip(rank(after, first)).map(|(to, after)| to.saturating_sub(after));
        let last = match end.checked_sub(1) {
            Some(index) => Some(self.entries[index].entry.offset()),
            None if to >= self.trimmed.to() => {
                self.last().filter(|_| self.trimmed.total() > 0).map(|_| self.trimmed.to())
            }
            None => self.trimmed.rank(to).and_then(|(_, last)| last),
        };
        let bytes = if end > first { self.bytes_before(end) - self.bytes_before(first) } else { 0 };
        Span { entries, bytes, last: last.filter(|last| *last > after) }
    }

    /// Lets go of what `rules` no longer keep, given that everybody finished the first `finished` entries.
    pub(super) fn enforce(&mut self, finished: u64, rules: &Rules, now_ms: u64) -> Option<LetGo> {
        let mut unread = 0;
        let before = self.trimmed.total();
        while let Some(front) = self.entries.front() {
            let trimmed = self.trimmed.total();
            let is_finished = trimmed < finished;
            let counted =
                self.total() - if rules.counts_unread_only { finished.max(trimmed) } else { trimmed };
            let is_old = front.entry.taken_at().as_ms().saturating_add(rules.max_age_ms) < now_ms;
            let is_spent = is_finished && finished - trimmed > rules.history;
            let is_over =
                counted > rules.max_messages || self.total_bytes() - self.trimmed_bytes > rules.max_bytes;
            if !(is_old || is_spent || is_over) {
                break;
            }
            unread += u64::from(!is_finished);
            self.trimmed_bytes = front.bytes_through;
            self.trimmed.push(front.entry.offset());
            self.entries.pop_front();
        }
        (self.trimmed.total() > before).then(|| LetGo { to: self.trimmed.to(), unread })
    }
}
