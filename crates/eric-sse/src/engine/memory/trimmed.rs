//! What a lane remembers of entries it let go: how many, and, within a bound, exactly which.

use std::collections::VecDeque;

use crate::entry::Offset;
use crate::limits::TRIMMED_RUNS_MAX;

/// The trimmed part of a lane: stretches of neighbouring offsets, the latest of them exactly.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    runs: VecDeque<Run>,
    total: u64,
    to: Offset,
    first: Offset,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    last: u64,
    /// Entries of the lane before this run.
    before: u64,
}

impl Trimmed {
    pub(super) fn push(&mut self, offset: Offset) {
        if self.total == 0 {
            self.first = offset;
        }
        let number = offset.get();
        match self.runs.back_mut() {
            Some(run) if run.last + 1 == number => run.last = number,
            _ => self.runs.push_back(Run { first: number, last: number, before: self.total }),
        }
        if self.runs.len() > TRIMMED_RUNS_MAX {
            self.runs.pop_front();
        }
        self.total += 1;
        self.to = offset;
    }

    /// Entries that were trimmed.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The last of them.
    pub(super) fn to(&self) -> Offset {
        self.to
    }

    /// How many entries of the lane were at or before `offset`, itself at or before the last trimmed one; and the
    /// last of them. None where that was forgotten.
    pub(super) fn rank(&self, offset: Offset) -> Option<(u64, Option<Offset>)> {
        if self.total == 0 || offset < self.first {
            return Some((0, None));
        }
        let number = offset.get();
        let run = self.runs.iter().rev().find(|run| run.first <= number)?;
        let last = number.min(run.last);
        Some((run.before + (last - run.first) + 1, Some(Offset::new(last))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_exact_where_remembered_and_unknown_where_not() {
        let mut trimmed = Trimmed::default();
        for offset in (1..=2 * TRIMMED_RUNS_MAX as u64).map(|n| n * 10) {
            trimmed.push(Offset::new(offset));
            trimmed.push(Offset::new(offset + 1));
        }
        let rank = |offset| trimmed.rank(Offset::new(offset)).map(|(rank, _)| rank);
        assert_eq!(rank(9), Some(0));
        assert_eq!(rank(10), None, "too long ago");
        let last = 20 * TRIMMED_RUNS_MAX as u64;
        assert_eq!(rank(last + 5), Some(trimmed.total()));
        assert_eq!(rank(last), Some(trimmed.total() - 1));
        assert_eq!(rank(last - 1), Some(trimmed.total() - 2));
        assert_eq!(trimmed.to().get(), last + 1);
    }
}
