//! The measurement in slices: what was published and delivered in each, and the times of it.
//!
//! Nothing is counted twice for it: at the end of a slice, what was counted so far is compared with what it was before.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::seconds;
use crate::ledger::Ledger;
use crate::limits::SLICES_MAX;
use crate::report::Slice;

/// Slices of one measurement.
#[derive(Debug)]
pub(crate) struct Timeline {
    nanos: u64,
    start: u64,
    /// When the slice began that is under way; none while nothing is measured.
    began: Option<u64>,
    published: u64,
    delivered: u64,
    times: Histogram<u64>,
    slices: Vec<Slice>,
}

impl Timeline {
    pub(crate) fn new(slice: Duration, ledger: &Ledger) -> Self {
        let nanos = (slice.as_nanos() as u64).max(1);
        let times = ledger.times().histogram().clone();
        Self { nanos, start: 0, began: None, published: 0, delivered: 0, times, slices: Vec::new() }
    }

    /// The measurement begins.
    pub(crate) fn begin(&mut self, ledger: &Ledger, now: u64) {
        (self.start, self.began) = (now, Some(now));
        self.remember(ledger);
    }

    /// Ends the slice that is under way, if its time is over; returns when to look again.
    pub(crate) fn look(&mut self, ledger: &Ledger, now: u64) -> u64 {
        let Some(began) = self.began else { return u64::MAX };
        let (start, nanos) = (self.start, self.nanos);
        let end_of = |at: u64| start + ((at - start) / nanos + 1) * nanos;
        if now < end_of(began) {
            return end_of(began);
        }
        self.end_slice(ledger, began);
        self.began = Some(now);
        end_of(now)
    }

    /// The measurement ends; returns its slices.
    pub(crate) fn end(&mut self, ledger: &Ledger, now: u64) -> Vec<Slice> {
        // What is left of less than half a slice would look like a dent.
        if let Some(began) = self.began.take().filter(|began| now - began >= self.nanos / 2) {
            self.end_slice(ledger, began);
        }
        std::mem::take(&mut self.slices)
    }

    fn end_slice(&mut self, ledger: &Ledger, began: u64) {
        if self.slices.len() < SLICES_MAX {
            let (published, delivered) = ledger.totals();
            let mut times = ledger.times().histogram().clone();
            let is_part = times.subtract(&self.times).is_ok();
            let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e6;
            let has_times = is_part && !times.is_empty();
            self.slices.push(Slice {
                time_s: seconds(began - self.start),
                published: published - self.published,
                delivered: delivered - self.delivered,
                p50_ms: has_times.then(|| at(0.5)),
                p99_ms: has_times.then(|| at(0.99)),
                max_ms: has_times.then(|| at(1.0)),
            });
        }
        self.remember(ledger);
    }

    fn remember(&mut self, ledger: &Ledger) {
        (self.published, self.delivered) = ledger.totals();
        self.times.clone_from(ledger.times().histogram());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::log::Audience;
    use crate::message::Texts;

    fn ledger() -> Ledger {
        let dialect = r#"{"title": "t", "publish": {"method": "POST", "path": "/", "body": "{message}"},
                          "data": "{message}"}"#;
        let mut ledger = Ledger::new(Texts::new(7, 64).unwrap(), &Dialect::parse(dialect).unwrap());
        ledger.open(Audience::All(1), 1).unwrap();
        ledger
    }

    #[test]
    fn a_slice_has_what_was_counted_since_the_one_before() {
        let mut ledger = ledger();
        let mut timeline = Timeline::new(Duration::from_nanos(100), &ledger);
        assert_eq!(timeline.look(&ledger, 500), u64::MAX, "nothing is measured yet");
        ledger.issue(0, 0).unwrap();
        timeline.begin(&ledger, 1000);
        (0..3).for_each(|_| assert!(ledger.issue(0, 0).is_ok()));
        assert_eq!(timeline.look(&ledger, 1099), 1100);
        assert_eq!(timeline.look(&ledger, 1110), 1200);
        ledger.issue(0, 0).unwrap();
        // Nobody looked at the end of the third.
        assert_eq!(timeline.look(&ledger, 1305), 1400);
        let slices = timeline.end(&ledger, 1320);
        let told: Vec<(f64, u64)> =
            slices.iter().map(|slice| (slice.time_s * 1e9, slice.published)).collect();
        assert_eq!(told.iter().map(|(_, published)| *published).collect::<Vec<u64>>(), [3, 1]);
        assert!((told[1].0 - 110.0).abs() < 0.1 && slices[0].p50_ms.is_none(), "{slices:?}");
    }

    #[test]
    fn no_more_slices_are_kept_than_there_may_be() {
        let ledger = ledger();
        let mut timeline = Timeline::new(Duration::from_nanos(1), &ledger);
        let none =
            Slice { time_s: 0.0, published: 0, delivered: 0, p50_ms: None, p99_ms: None, max_ms: None };
        timeline.slices = vec![none; SLICES_MAX - 1];
        timeline.begin(&ledger, 0);
        (1..4).for_each(|now| assert!(timeline.look(&ledger, now) > now));
        assert_eq!(timeline.end(&ledger, 5).len(), SLICES_MAX);
    }
}
