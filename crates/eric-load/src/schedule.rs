//! When messages are due: as soon as others are through (closed loop), or at times that were set beforehand (open loop).

/// Something that is due so many times a second, whatever became of what was due before.
#[derive(Debug)]
pub(crate) struct Beat {
    start: u64,
    nanos: f64,
    count: u64,
}

impl Beat {
    /// The first is due one interval after `start`.
    pub(crate) fn new(start: u64, per_second: f64) -> Self {
        Self { start, nanos: 1e9 / per_second, count: 1 }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> u64 {
        self.start.saturating_add((self.count as f64 * self.nanos) as u64)
    }

    /// When the next one was due, if that is no later than now; it counts as done.
    pub(crate) fn due(&mut self, now: u64) -> Option<u64> {
        let next = self.next();
        (next <= now).then(|| {
            self.count += 1;
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_stays_due_at_its_time() {
        let mut beat = Beat::new(1_000, 1_000_000.0);
        assert_eq!(beat.due(1_999), None);
        let due: Vec<u64> = std::iter::from_fn(|| beat.due(5_500)).collect();
        assert_eq!(due, [2_000, 3_000, 4_000, 5_000]);
        assert_eq!(beat.next(), 6_000);
    }

    #[test]
    fn nothing_is_ever_due_of_no_rate() {
        assert_eq!(Beat::new(0, 0.0).due(u64::MAX - 1), None);
    }
}
