//! What a lane remembers of entries it let go: how many, and, within a bound, exactly which.

use std::collections::VecDeque;

use super::restore::TrimmedState;
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
        self.push_run(offset.get(), offset.get());
    }

    /// The entries from `first` to `last`, neighbours without a hole, were trimmed.
    pub(super) fn push_run(&mut self, first: u64, last: u64) {
        assert!(
            first <= last && (self.total == 0 || first > self.to.get()),
            "lanes are trimmed from their beginning"
        );
        if self.total == 0 {
            self.first = Offset::new(first);
        }
        match self.runs.back_mut() {
            Some(run) if run.last + 1 == first => run.last = last,
            _ => self.runs.push_back(Run { first, last, before: self.total }),
        }
        if self.runs.len() > TRIMMED_RUNS_MAX {
            self.runs.pop_front();
        }
        self.total += last - first + 1;
        self.to = Offset::new(last);
    }

    /// What is remembered, to be written down.
    pub(super) fn state(&self) -> TrimmedState {
        let runs = self.runs.iter().map(|run| (run.first, run.last)).collect();
        TrimmedState { total: self.total, first: self.first, to: self.to, runs }
    }

    /// Remembers what was written down.
    pub(super) fn set(&mut self, state: &TrimmedState) {
        let mut before = state.total - state.runs.iter().map(|(first, last)| last - first + 1).sum::<u64>();
        let mut run = |(first, last): &(u64, u64)| {
            let run = Run { first: *first, last: *last, before };
            before += last - first + 1;
            run
        };
        self.runs = state.runs.iter().map(&mut run).collect();
        (self.total, self.first, self.to) = (state.total, state.first, state.to);
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
