//! What a run came to: small tables for people, the whole report as one object for programs.

use std::io;

use eric_load::report::{Percentiles, Report};
use serde_json::{Value, json};

use crate::output::Output;

/// A generator that is busier than this, of its core, had little time left.
const BUSY_SHARE: f64 = 0.9;

/// Rows below a head.
struct Part {
    columns: &'static [&'static str],
    rows: Vec<Value>,
}

/// Prints all of it.
pub(super) fn tell(output: &mut Output, report: &Report) -> io::Result<()> {
    if !output.is_for_people() {
        return output.object(&serde_json::to_value(report)?);
    }
    for part in parts(report).iter().filter(|part| !part.rows.is_empty()) {
        output.rows(part.columns, &part.rows)?;
    }
    Ok(())
}

/// What to beware of in the figures.
pub(super) fn warning(report: &Report, is_closed: bool) -> Option<String> {
    let share = report.generator_share.filter(|share| *share >= BUSY_SHARE)?;
    let busy = format!("the generator was busy for {:.0} % of the time", share * 100.0);
    Some(match is_closed {
        true => format!("{busy}: the generator was the bound, and the hub may do more"),
        false => format!(
            "{busy}; before messages that are due at set times it waits awake, so it need not be the bound"
        ),
    })
}

fn parts(report: &Report) -> [Part; 3] {
    [
        Part { columns: &["throughput", "figure"], rows: throughput(report) },
        Part { columns: &["times", "p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "max_ms"], rows: times(report) },
        Part { columns: &["resources", "figure"], rows: resources(report) },
    ]
}

fn throughput(report: &Report) -> Vec<Value> {
    let row = |what: &str, figure: String| json!({"throughput": what, "figure": figure});
    let mut rows = Vec::new();
    rows.extend(
        report.messages_per_s.filter(|rate| *rate > 0.0).map(|rate| row("messages/s", grouped(rate))),
    );
    rows.extend(
        report.deliveries_per_s.filter(|rate| *rate > 0.0).map(|rate| row("deliveries/s", grouped(rate))),
    );
    rows.extend(report.opened.map(|opened| {
        let (streams, rate) = (grouped(opened.streams as f64), grouped(opened.per_s));
        row("streams", format!("{streams} opened in {:.3} s, {rate}/s", opened.seconds))
    }));
    rows.extend(report.caught_up_s.map(|seconds| row("caught up", format!("after {seconds:.3} s"))));
    rows.extend(report.returns.map(|count| row("returns", grouped(count as f64))));
    rows.extend(report.missed.map(|count| row("missed, as it cannot resume", grouped(count as f64))));
    rows
}

fn times(report: &Report) -> Vec<Value> {
    let row = |what: &str, times: Percentiles| {
        let ms = |time: f64| format!("{time:.3}");
        json!({
            "times": what, "p50_ms": ms(times.p50_ms), "p90_ms": ms(times.p90_ms), "p99_ms": ms(times.p99_ms),
            "p99.9_ms": ms(times.p999_ms), "max_ms": ms(times.max_ms),
        })
    };
    let opening = report.opened.and_then(|opened| opened.head);
    let all = [("delivery", report.delivery), ("answer", report.answer), ("opening a stream", opening)];
    all.into_iter().filter_map(|(what, times)| Some(row(what, times?))).collect()
}

fn resources(report: &Report) -> Vec<Value> {
    let row = |what: &str, figure: String| json!({"resources": what, "figure": figure});
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let mut rows = Vec::new();
    rows.extend(report.generator_share.map(|share| row("generator", format!("{share:.2} of a core"))));
    rows.extend(report.processor.map(|used| {
        let (user, system) = (used.user_s, used.system_s);
        row("hub's processor", format!("{:.2} of a core, {user:.2} s user, {system:.2} s system", used.share))
    }));
    rows.extend(report.memory_at_end.map(|memory| {
        let (own, resident) = (megabytes(memory.anonymous), megabytes(memory.resident));
        row("hub's memory", format!("{own} of its own, {resident} resident"))
    }));
    rows.extend(
        report.memory.map(|memory| row("for each stream", format!("{:.1} kB", memory.per_stream / 1e3))),
    );
    rows.extend(
        report
            .memory
            .and_then(|memory| memory.kernel_per_stuck_stream)
            .map(|bytes| row("for each stuck stream, the kernel's", format!("{:.1} kB", bytes / 1e3))),
    );
    rows
}

/// A count as people read it: `1,234,567`, and `12.3` where it is small.
pub(super) fn grouped(count: f64) -> String {
    if count < 100.0 && count.fract() != 0.0 {
        return format!("{count:.1}");
    }
    let digits = format!("{count:.0}");
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let counts = [0.0, 12.34, 99.0, 999.6, 1234.0, 1_234_567.2];
        assert_eq!(counts.map(grouped), ["0", "12.3", "99", "1,000", "1,234", "1,234,567"]);
    }

    #[test]
    fn a_generator_without_time_left_is_told_of() {
        let of = |share| Report { generator_share: Some(share), ..Report::default() };
        assert_eq!(warning(&of(0.89), true), None);
        assert!(warning(&of(0.9), true).unwrap().contains("was the bound"));
        assert!(warning(&of(0.9), false).unwrap().contains("need not be"));
    }

    #[test]
    fn what_was_not_measured_has_no_row() {
        let times = Percentiles { p50_ms: 1.0, p90_ms: 2.0, p99_ms: 3.0, p999_ms: 4.0, max_ms: 5.5 };
        let report = Report { messages_per_s: Some(1500.0), delivery: Some(times), ..Report::default() };
        let [throughput, times, resources] = parts(&report);
        assert_eq!(throughput.rows, [json!({"throughput": "messages/s", "figure": "1,500"})]);
        assert!(times.columns.iter().all(|column| times.rows[0].get(column).is_some()));
        assert_eq!(
            (times.rows.len(), &times.rows[0]["max_ms"], resources.rows.len()),
            (1, &json!("5.500"), 0)
        );
    }
}
