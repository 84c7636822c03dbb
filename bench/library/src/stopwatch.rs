//! Processor time: what others take of the machine meanwhile is not counted.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Sums what this process uses between its starts and stops, all threads together.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    sum: Duration,
    since: Option<Duration>,
}

impl Stopwatch {
    pub(crate) fn start(&mut self) {
        self.since = Some(used());
    }

    pub(crate) fn stop(&mut self) {
        if let Some(since) = self.since.take() {
            self.sum += used() - since;
        }
    }

    /// So many things in the time that was measured, a second.
    pub(crate) fn rate(&self, things: usize) -> f64 {
        things as f64 / self.sum.as_secs_f64()
    }
}

fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
