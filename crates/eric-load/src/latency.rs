//! How long things took, from when they were due.

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer times count as this, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;

/// Times, to three digits.
#[derive(Debug)]
pub(crate) struct Latency {
    histogram: Histogram<u64>,
}

/// What is told of many times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50_ms: f64,
    /// 90 of 100 took no longer.
    pub p90_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// 999 of 1,000 took no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3).context("no room for times")?;
        Ok(Self { histogram })
    }

    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos.max(1));
    }

    pub(crate) fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// None where nothing was recorded.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let at = |percentile| self.histogram.value_at_quantile(percentile) as f64 / 1e6;
        (!self.histogram.is_empty()).then(|| Percentiles {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.histogram.max() as f64 / 1e6,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latency = Latency::new().unwrap();
        assert_eq!(latency.percentiles(), None);
        for millisecond in 1..=1000 {
            latency.record(millisecond * 1_000_000);
        }
        let told = latency.percentiles().unwrap();
        for (told, expected) in
            [(told.p50_ms, 500.0), (told.p90_ms, 900.0), (told.p99_ms, 990.0), (told.max_ms, 1000.0)]
        {
            assert!((told / expected - 1.0).abs() < 0.001, "{told} for {expected}");
        }
    }
}
