//! Figures: where they are in a report, and how they are told.

use serde_json::Value;

/// A number in a report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figure {
    /// A JSON pointer.
    pub(crate) at: &'static str,
    pub(crate) unit: Unit,
}

/// How a number is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    /// So many a second.
    Rate,
    /// In milliseconds, and so told.
    Milliseconds,
    /// In seconds, and so told.
    Seconds,
    /// In bytes; told in B, kB or MB of a thousand each.
    Bytes,
    /// A share of one; told in percent.
    Share,
    /// A ratio.
    Ratio,
}

pub(crate) const DELIVERIES: Figure = Figure { at: "/deliveries_per_s", unit: Unit::Rate };
pub(crate) const MESSAGES: Figure = Figure { at: "/messages_per_s", unit: Unit::Rate };
pub(crate) const PROCESSOR: Figure =
    Figure { at: "/processor/s_per_million_deliveries", unit: Unit::Seconds };
pub(crate) const SHARE: Figure = Figure { at: "/processor/share", unit: Unit::Share };
pub(crate) const USER_S: Figure = Figure { at: "/processor/user_s", unit: Unit::Seconds };
pub(crate) const SYSTEM_S: Figure = Figure { at: "/processor/system_s", unit: Unit::Seconds };
pub(crate) const GENERATOR: Figure = Figure { at: "/generator_share", unit: Unit::Share };
pub(crate) const P50: Figure = Figure { at: "/delivery/p50_ms", unit: Unit::Milliseconds };
pub(crate) const P99: Figure = Figure { at: "/delivery/p99_ms", unit: Unit::Milliseconds };
pub(crate) const PER_STREAM: Figure = Figure { at: "/memory/per_stream", unit: Unit::Bytes };
pub(crate) const PER_LISTENER: Figure = Figure { at: "/memory/per_listener", unit: Unit::Bytes };
pub(crate) const ADDED: Figure = Figure { at: "/memory/added", unit: Unit::Bytes };
pub(crate) const PER_STUCK: Figure = Figure { at: "/memory/kernel_per_stuck_stream", unit: Unit::Bytes };
pub(crate) const OPENED_PER_S: Figure = Figure { at: "/opened/per_s", unit: Unit::Rate };
pub(crate) const OPENED_S: Figure = Figure { at: "/opened/seconds", unit: Unit::Seconds };
pub(crate) const CAUGHT_UP: Figure = Figure { at: "/caught_up_s", unit: Unit::Seconds };

impl Figure {
    pub(crate) fn of(self, report: &Value) -> Option<f64> {
        report.pointer(self.at)?.as_f64()
    }
}

impl Unit {
    /// The number with three digits, and its unit where that varies.
    pub(crate) fn tell(self, value: f64) -> String {
        match self {
            Self::Rate if value >= 1e6 => format!("{} M", digits(value / 1e6)),
            Self::Rate if value >= 1e3 => format!("{} k", digits(value / 1e3)),
            Self::Rate => digits(value),
            Self::Milliseconds | Self::Seconds | Self::Ratio => digits(value),
            Self::Bytes if value.abs() >= 1e6 => format!("{} MB", digits(value / 1e6)),
            Self::Bytes if value.abs() >= 1e3 => format!("{} kB", digits(value / 1e3)),
            Self::Bytes => format!("{value:.0} B"),
            Self::Share => format!("{:.1} %", value * 100.0),
        }
    }
}

/// Three digits that say something, two after the point at most.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_about_three_digits_and_its_unit() {
        for (unit, value, told) in [
            (Unit::Rate, 2_514_000.0, "2.51 M"),
            (Unit::Rate, 81_234.0, "81.2 k"),
            (Unit::Rate, 999.6, "1000"),
            (Unit::Rate, 40.0, "40.0"),
            (Unit::Seconds, 0.0471, "0.047"),
            (Unit::Milliseconds, 123.4, "123"),
            (Unit::Bytes, 38.4, "38 B"),
            (Unit::Bytes, -10_240.0, "-10.2 kB"),
            (Unit::Share, 0.0061, "0.6 %"),
            (Unit::Ratio, 0.996, "1.00"),
        ] {
            assert_eq!(unit.tell(value), told);
        }
    }

    #[test]
    fn figures_are_where_a_report_has_them() {
        let report = serde_json::json!({"delivery": {"p99_ms": 7.5}});
        assert_eq!((P99.of(&report), P50.of(&report)), (Some(7.5), None));
    }
}
