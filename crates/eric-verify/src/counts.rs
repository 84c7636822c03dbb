//! What runs came to, counted.

use crate::wrong::{Breach, Wrong};

/// What runs came to. What was allowed to happen is counted as well, so that it is seen that it happened.
///
/// ```
/// use eric_verify::Counts;
///
/// let mut all = Counts { runs: 1, delivered: 7, ..Counts::default() };
/// all.add(&Counts { runs: 1, delivered: 2, ..Counts::default() });
/// assert_eq!((all.runs, all.delivered, all.is_clean()), (2, 9, true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Runs, one a seed.
    pub runs: u64,
    /// Faults, crashes and orderly ends.
    pub ends: u64,
    /// Changes that were answered with success.
    pub acknowledged: u64,
    /// Messages that readers got.
    pub delivered: u64,
    /// Of these, those that a reader had got before, and may get again.
    pub repeated: u64,
    /// Messages that readers were told to have missed.
    pub told: u64,
    /// How often each promise was broken, in the order of [`Breach::ALL`].
    pub wrong: [u64; Breach::ALL.len()],
}

impl Counts {
    /// How often this promise was broken.
    pub fn of(&self, breach: Breach) -> u64 {
        self.wrong[breach as usize]
    }

    /// Whether none was.
    pub fn is_clean(&self) -> bool {
        self.wrong.iter().all(|count| *count == 0)
    }

    /// Counts what was found wrong.
    pub fn blame(&mut self, wrong: &Wrong) {
        self.wrong[wrong.breach() as usize] += 1;
    }

    /// Counts what other runs came to.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.ends += other.ends;
        self.acknowledged += other.acknowledged;
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.told += other.told;
        for (sum, count) in self.wrong.iter_mut().zip(other.wrong) {
            *sum += count;
        }
    }
}
