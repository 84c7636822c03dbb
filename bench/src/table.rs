//! The table: medians over the rounds, theirs beside ours.

use std::fmt::Write as _;
use std::time::Duration;

use crate::options::Options;
use crate::round::{AFTERWARDS, IDLE, Load, Observation, median};
use crate::subject::Subject;
use crate::usage::tick;

/// A figure.
struct Row {
    name: String,
    value: fn(&Observation) -> f64,
    decimals: usize,
    /// Less than this cannot be told from nothing.
    least: f64,
}

/// The medians over the rounds.
pub(crate) struct Medians<'a>(pub(crate) &'a [(Subject, Observation)]);

impl Medians<'_> {
    pub(crate) fn of(&self, subject: Subject, value: impl Fn(&Observation) -> f64) -> f64 {
        let observations = self.0.iter().filter(|(of, _)| *of == subject);
        median(&mut observations.map(|(_, observation)| value(observation)).collect::<Vec<_>>())
    }
}

/// The table in markdown.
pub(crate) fn render(options: &Options, medians: &Medians<'_>) -> Result<String, std::fmt::Error> {
    let mut text = String::from("| |");
    let pairs = || options.subjects.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    for (theirs, ours) in pairs() {
        write!(text, " {} | {} | ours ÷ theirs |", theirs.name(), ours.name())?;
    }
    write!(text, "\n|---|{}", "---:|---:|---:|".repeat(pairs().count()))?;
    for row in rows(options.streams) {
        write!(text, "\n| {} |", row.name)?;
        for (theirs, ours) in pairs() {
            let (theirs, ours) = (medians.of(theirs, row.value), medians.of(ours, row.value));
            write!(text, " {} | {} | {} |", row.show(theirs), row.show(ours), row.ratio(theirs, ours))?;
        }
    }
    text.push('\n');
    Ok(text)
}

fn rows(streams: usize) -> Vec<Row> {
    let row = |name: &str, value, decimals| Row { name: name.to_owned(), value, decimals, least: 0.0 };
    let share = |name: String, value, time: Duration| {
        let least = tick() * 100.0 / time.as_secs_f64();
        Row { name, value, decimals: 1, least }
    };
    let beside =
        |name: &str, value, decimals| row(&format!("{name}, {streams} idle streams"), value, decimals);
    vec![
        row("requests/s, no streams", |o| o.work.alone.per_second, 0),
        row("median, µs", |o| o.work.alone.p50_seconds * 1e6, 0),
        row("99th percentile, µs", |o| o.work.alone.p99_seconds * 1e6, 0),
        row("server's processor time per request, µs", |o| o.work.alone.server_seconds() * 1e6, 0),
        beside("requests/s", |o| o.work.beside.per_second, 0),
        row("median, µs", |o| o.work.beside.p50_seconds * 1e6, 0),
        row("99th percentile, µs", |o| o.work.beside.p99_seconds * 1e6, 0),
        share(
            format!("processor, {streams} idle streams, % of a core"),
            |o| o.work.idle.server * 100.0,
            IDLE,
        ),
        row("memory per stream and its listener, kB", |o| o.memory.stream_bytes / 1e3, 1),
        row("memory of a fresh process, MB", |o| o.memory.process_bytes / 1e6, 1),
        row(&format!("one broadcast until all {streams} have it, ms"), |o| o.work.fan_out_seconds * 1e3, 2),
        share(
            "processor after all left, % of a core".to_owned(),
            |o| o.work.afterwards.server * 100.0,
            AFTERWARDS,
        ),
        row("descriptors left open after all left", |o| o.work.descriptors_left, 0),
    ]
}

impl Row {
    fn show(&self, value: f64) -> String {
        if value < self.least {
            return format!("< {:.*}", self.decimals, self.least);
        }
        grouped(value, self.decimals)
    }

    /// Ours divided by theirs, where either says something.
    fn ratio(&self, theirs: f64, ours: f64) -> String {
        if theirs <= self.least || theirs <= 0.0 || ours < 0.0 {
            return "–".to_owned();
        }
        let (ratio, less) = if ours < self.least { (self.least / theirs, "< ") } else { (ours / theirs, "") };
        let decimals = match ratio {
            0.0 => 0,
            _ if ratio < 0.1 => 3,
            _ if ratio < 1.0 => 2,
            _ if ratio < 100.0 => 1,
            _ => 0,
        };
        format!("{less}{}", grouped(ratio, decimals))
    }
}

impl Load {
    /// Processor time of the server per request, in seconds.
    fn server_seconds(&self) -> f64 {
        self.shares.server / self.per_second
    }
}

/// A number with commas between its thousands.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let whole = text.split('.').next().unwrap_or_default().len();
    let mut grouped = String::from(if value < 0.0 && text.contains(|digit| ('1'..='9').contains(&digit)) {
        "−"
    } else {
        ""
    });
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index < whole && (whole - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let rows =
            [(0.0, 0, "0"), (-0.001, 1, "0.0"), (999.6, 0, "1,000"), (-1234567.25, 2, "−1,234,567.25")];
        for (value, decimals, expected) in rows {
            assert_eq!(grouped(value, decimals), expected);
        }
    }

    #[test]
    fn what_cannot_be_told_from_nothing_is_a_bound_also_as_a_ratio() {
        let row = Row { name: String::new(), value: |_| 0.0, decimals: 1, least: 0.2 };
        assert_eq!((row.show(0.0), row.ratio(100.0, 0.0)), ("< 0.2".to_owned(), "< 0.002".to_owned()));
        assert_eq!((row.show(99.96), row.ratio(0.0, 3.0)), ("100.0".to_owned(), "–".to_owned()));
        assert_eq!(row.ratio(2.0, 5000.0), "2,500");
    }
}
