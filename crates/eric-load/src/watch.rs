//! Whoever started a run looks on from another thread, and may end it early.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::ensure;

/// What a run that was ended early says.
pub(crate) const CANCELLED: &str = "it was cancelled";

/// What is wished of one run, and how far it is.
#[derive(Debug)]
pub struct Watch {
    pub(crate) channel: String,
    pub(crate) slice: Option<Duration>,
    is_cancelled: AtomicBool,
    has_touched: AtomicBool,
    phase: AtomicU8,
    open: AtomicUsize,
    published: AtomicU64,
    delivered: AtomicU64,
}

/// What a run does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Channels and listeners are made known.
    Prepare,
    /// Streams are opened, and what else comes before the measurement.
    Open,
    /// Messages are under way, and nothing counts yet.
    WarmUp,
    /// It counts.
    Measure,
    /// What is under way is waited for, and held against what was sent.
    Settle,
}

/// How far a run was a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it does.
    pub phase: Phase,
    /// Streams that are open.
    pub open: usize,
    /// Messages that were published.
    pub published: u64,
    /// Events that came to listeners.
    pub delivered: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self::of(format!("load-{:08x}", fastrand::u32(..)))
    }
}

impl Watch {
    /// A run on a channel of this name; a scenario with a second one adds `-aside`.
    pub fn of(channel: String) -> Self {
        Self {
            channel,
            slice: None,
            is_cancelled: AtomicBool::new(false),
            has_touched: AtomicBool::new(false),
            phase: AtomicU8::new(Phase::Prepare as u8),
            open: AtomicUsize::new(0),
            published: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        }
    }

    /// The same, and the report has a row for every `slice` of the measurement.
    #[must_use]
    pub fn with_slices(mut self, slice: Duration) -> Self {
        self.slice = Some(slice);
        self
    }

    /// Ends the run, which tells what was measured until then.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Relaxed);
    }

    /// Whether somebody ended it.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Relaxed)
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let phases = [Phase::Prepare, Phase::Open, Phase::WarmUp, Phase::Measure];
        let phase = phases.get(usize::from(self.phase.load(Relaxed))).copied().unwrap_or(Phase::Settle);
        Progress {
            phase,
            open: self.open.load(Relaxed),
            published: self.published.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    pub(crate) fn tell(&self, open: usize, published: u64, delivered: u64) {
        self.open.store(open, Relaxed);
        self.published.store(published, Relaxed);
        self.delivered.store(delivered, Relaxed);
    }

    /// The server is about to be changed.
    pub(crate) fn touch(&self) {
        self.has_touched.store(true, Relaxed);
    }

    /// Whether there may be something to clean up.
    pub(crate) fn has_touched(&self) -> bool {
        self.has_touched.load(Relaxed)
    }

    /// Fails once it was ended.
    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        ensure!(!self.is_cancelled(), CANCELLED);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_told_as_it_was_entered() {
        let watch = Watch::default();
        for phase in [Phase::Prepare, Phase::Open, Phase::WarmUp, Phase::Measure, Phase::Settle] {
            watch.enter(phase);
            assert_eq!(watch.progress().phase, phase);
        }
    }
}
