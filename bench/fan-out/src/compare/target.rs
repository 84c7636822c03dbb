//! What is aimed at, and whether it was reached.

use std::fmt::Write as _;

use super::figure::{
    CAUGHT_UP, DELIVERIES, Figure, MESSAGES, OPENED_PER_S, OPENED_S, P99, PER_LISTENER, PER_STREAM,
    PER_STUCK, PROCESSOR, SHARE, Unit,
};
use super::results::Results;
use super::row::{IDLE_SIZES, SIZES};

/// One target.
#[derive(Debug)]
struct Target {
    what: String,
    wanted: Wanted,
    unit: Unit,
    /// None where it was not measured.
    value: Option<f64>,
    /// Whether it was tried, and failed.
    has_failed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

use Wanted::{AtLeast, AtMost};

/// The table of targets; nothing where none was measured.
pub(crate) fn render(results: &Results) -> Option<String> {
    let targets = all(results);
    if targets.iter().all(|target| target.value.is_none() && !target.has_failed) {
        return None;
    }
    let mut text = "| target | wanted | measured | |\n|---|---:|---:|---|\n".to_owned();
    for target in targets {
        let (sign, wanted) = match target.wanted {
            AtLeast(wanted) => ("≥", wanted),
            AtMost(wanted) => ("≤", wanted),
        };
        let told = target.value.map_or_else(|| "–".to_owned(), |value| target.unit.tell(value));
        let wanted = target.unit.tell(wanted);
        let _ = writeln!(text, "| {} | {sign} {wanted} | {told} | {} |", target.what, target.verdict());
    }
    Some(text)
}

impl Target {
    fn verdict(&self) -> &'static str {
        match (self.value, self.wanted) {
            (_, _) if self.has_failed => "**missed**: it failed",
            (None, _) => "not measured",
            (Some(value), AtLeast(wanted)) if value >= wanted => "met",
            (Some(value), AtMost(wanted)) if value <= wanted => "met",
            _ => "**missed**",
        }
    }
}

fn all(results: &Results) -> Vec<Target> {
    let from = Source { results };
    let mut targets = Vec::new();
    let (row, what) = ("a-32", "1,000 listeners, 32 under way");
    let ratio = |figure, below, wanted, what| from.ratio(what, wanted, figure, row, "eric", below);
    let beside = format!("{what}: deliveries/s ÷ joining bare");
    targets.push(ratio(DELIVERIES, "bare-join", AtLeast(0.9), beside));
    targets.push(ratio(PROCESSOR, "bare-join", AtMost(1.15), format!("{what}: CPU ÷ joining bare")));
    targets.push(ratio(DELIVERIES, "nchan", AtLeast(5.0), format!("{what}: deliveries/s ÷ nchan")));
    let durable = format!("{what}: durable ÷ in memory");
    targets.push(from.ratio(durable, AtLeast(0.8), DELIVERIES, row, "eric-file", "eric"));
    for rate in [20, 100] {
        let (row, what) = (format!("b-{rate}"), format!("1,000 listeners, {rate}/s"));
        let ratio = |figure, wanted, what| from.ratio(what, wanted, figure, &row, "eric", "bare");
        targets.push(ratio(P99, AtMost(1.5), format!("{what}: p99 ÷ bare")));
        targets.push(ratio(PROCESSOR, AtMost(1.25), format!("{what}: CPU ÷ bare")));
    }
    for window in [1, 16, 64] {
        let (row, what) = (format!("c-{window}"), format!("to one, {window} under way"));
        let beside = format!("{what}: messages/s ÷ bare");
        targets.push(from.ratio(beside, AtLeast(0.9), MESSAGES, &row, "eric", "bare"));
        let (many, beside) = (format!("{row}-of-100000"), format!("{what}: 100,000 registered ÷ 1,000"));
        targets.push(from.growth(beside, AtLeast(0.9), MESSAGES, &many, &row));
    }
    // A fresh server's own memory is no part of a stream's, but of a thousand it would be.
    for size in IDLE_SIZES.into_iter().filter(|size| *size >= 10_000) {
        let (row, what) = (format!("d-{size}"), format!("{size} idle streams"));
        targets.push(from.figure(format!("{what}: memory of each"), AtMost(1_500.0), PER_STREAM, &row));
        let with = format!("{what}: memory of each with its listener");
        targets.push(from.figure(with, AtMost(1_500.0), PER_LISTENER, &row));
        targets.push(from.figure(format!("{what}: CPU"), AtMost(0.01), SHARE, &row));
    }
    for (row, what) in [("e-1", "one after the other"), ("e-100", "100 under way")] {
        let what = format!("streams opened/s, {what} ÷ bare");
        targets.push(from.ratio(what, AtLeast(0.8), OPENED_PER_S, row, "eric", "bare"));
    }
    targets.push(from.figure("5,000 at once: s until all are there".into(), AtMost(0.5), OPENED_S, "e-5000"));
    let storm = "10,000 come back, 100 missed each: s until all have everything";
    targets.push(from.figure(storm.into(), AtMost(3.0), CAUGHT_UP, "f-10000"));
    let beside = "900 beside 100 that do not read: p99 ÷ alone".to_owned();
    targets.push(from.growth(beside, AtMost(1.2), P99, "g-100", "g-0"));
    let stuck = "kernel's memory of a stream that is not read".to_owned();
    targets.push(from.figure(stuck, AtMost(64_000.0), PER_STUCK, "g-100"));
    targets.push(from.flatness());
    let aside = "to one, beside 4/s to 10,000: p99 ms".to_owned();
    targets.push(from.figure(aside, AtMost(10.0), P99, "i-10000"));
    targets
}

/// What targets are made of.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    results: &'a Results,
}

impl Source<'_> {
    fn figure(self, what: String, wanted: Wanted, figure: Figure, row: &str) -> Target {
        let value = self.results.median(row, "eric", figure);
        Target { what, wanted, unit: figure.unit, value, has_failed: self.has_failed(row, "eric") }
    }

    /// Ours beside another in the same row.
    fn ratio(
        self,
        what: String,
        wanted: Wanted,
        figure: Figure,
        row: &str,
        ours: &str,
        other: &str,
    ) -> Target {
        let value = self.results.ratio(figure, (row, ours), (row, other));
        Target { what, wanted, unit: Unit::Ratio, value, has_failed: self.has_failed(row, ours) }
    }

    /// Ours beside ours in another row.
    fn growth(self, what: String, wanted: Wanted, figure: Figure, row: &str, below: &str) -> Target {
        let value = self.results.ratio(figure, (row, "eric"), (below, "eric"));
        Target { what, wanted, unit: Unit::Ratio, value, has_failed: self.has_failed(row, "eric") }
    }

    /// The worst number of listeners beside the best.
    fn flatness(self) -> Target {
        let rows = SIZES.map(|size| format!("h-{size}"));
        let rates: Option<Vec<f64>> =
            rows.iter().map(|row| self.results.median(row, "eric", DELIVERIES)).collect();
        let value = rates.map(|rates| {
            let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
            least / rates.iter().copied().fold(0.0, f64::max)
        });
        let what = "deliveries/s of 100 to 18,000 listeners: least ÷ most".to_owned();
        let has_failed = rows.iter().any(|row| self.has_failed(row, "eric"));
        Target { what, wanted: AtLeast(0.75), unit: Unit::Ratio, value, has_failed }
    }

    /// One round that failed is enough.
    fn has_failed(self, row: &str, peer: &str) -> bool {
        self.results.of(row, peer).any(|sample| sample.failure().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::sample;
    use super::*;

    /// The line about a target, of these deliveries per second of ours, beside 100 of the joining bare program.
    fn line(deliveries: &[f64], start: &str) -> String {
        let mut results = Results::default();
        for (round, &deliveries) in deliveries.iter().enumerate() {
            results.samples.push(sample("a-32", "eric", round, deliveries));
            results.samples.push(sample("a-32", "bare-join", round, 100.0));
        }
        let text = render(&results).unwrap();
        text.lines().find(|line| line.starts_with(start)).unwrap().to_owned()
    }

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let start = "| 1,000 listeners, 32 under way: deliveries/s ÷ joining bare";
        let end = |line: String| line.strip_prefix(start).unwrap().to_owned();
        assert_eq!(end(line(&[90.0, 95.0, 200.0], start)), " | ≥ 0.90 | 0.95 | met |");
        assert_eq!(end(line(&[89.0], start)), " | ≥ 0.90 | 0.89 | **missed** |");
        assert_eq!(end(line(&[95.0, 0.0], start)), " | ≥ 0.90 | 0.95 | **missed**: it failed |");
        assert!(line(&[95.0], "| 10000 idle streams: CPU").ends_with("| – | not measured |"));
        assert!(render(&Results::default()).is_none());
    }

    #[test]
    fn growth_is_flat_by_its_worst_and_best() {
        let mut results = Results::default();
        for (size, deliveries) in SIZES.into_iter().zip([80.0, 90.0, 100.0, 95.0, 90.0, 76.0]) {
            results.samples.push(sample(&format!("h-{size}"), "eric", 1, deliveries));
        }
        let flatness = Source { results: &results }.flatness();
        assert_eq!((flatness.value, flatness.verdict()), (Some(0.76), "met"));
        results.samples.pop();
        assert_eq!(Source { results: &results }.flatness().verdict(), "not measured");
    }
}
