//! What is being measured, and how long it will take, for whoever waits.

use std::time::Instant;

use super::measure::others_share;
use super::results::Sample;
use super::row::Row;

/// How far it is.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    rounds: usize,
    /// Steps that were begun, and all.
    count: (usize, usize),
    /// What was foreseen for those that are done, and for all.
    seconds: (f64, f64),
}

impl Progress {
    pub(crate) fn new(steps: &[(usize, &Row, &str)], rounds: usize) -> Self {
        let seconds: f64 = steps.iter().map(|(_, row, _)| row.seconds).sum();
        eprintln!("{} measurements, about {:.0} minutes", steps.len(), (seconds / 60.0).ceil());
        Self { start: Instant::now(), rounds, count: (0, steps.len()), seconds: (0.0, seconds) }
    }

    pub(crate) fn begin(&mut self, round: usize, row: &Row, peer: &str) {
        self.count.0 += 1;
        let (count, all) = self.count;
        eprint!("{count}/{all} round {round} of {}: {} {peer:<15} ", self.rounds, row.id);
    }

    /// Says what came of it, and what is left by how long everything took until now.
    pub(crate) fn end(&mut self, row: &Row, sample: &Sample) {
        self.seconds.0 += row.seconds;
        let (done, all) = self.seconds;
        let left = self.start.elapsed().as_secs_f64() / done * (all - done);
        let what =
            sample.failure().map_or_else(|| summary(sample), |failure| failure.replace(['\r', '\n'], " "));
        let again = match sample.discarded {
            0 => String::new(),
            times => format!(", repeated {times} times"),
        };
        let others = others_share(&sample.report) * 100.0;
        eprintln!("{what} (others {others:.0} %{again}); {:.0} min left", left / 60.0);
    }
}

/// The figure that says most.
fn summary(sample: &Sample) -> String {
    use super::figure::{CAUGHT_UP, DELIVERIES, MESSAGES, OPENED_PER_S, P99, PER_STREAM};
    let group = sample.row.chars().next().unwrap_or_default();
    let (figure, what) = match group {
        'b' | 'g' | 'i' => (P99, "ms p99"),
        'c' => (MESSAGES, "messages/s"),
        'd' => (PER_STREAM, "per stream"),
        'e' => (OPENED_PER_S, "streams/s"),
        'f' => (CAUGHT_UP, "s"),
        _ => (DELIVERIES, "deliveries/s"),
    };
    figure.of(&sample.report).map_or_else(String::new, |value| format!("{} {what}", figure.unit.tell(value)))
}
