//! How busy the server's core and the generator's were in each row: what bounds a figure is what was full.

use std::fmt::Write as _;

use super::figure::{GENERATOR, SHARE, SYSTEM_S, USER_S};
use super::results::Results;
use super::row::{self, Row};

/// A core that is used as much as this is taken to be full.
const FULL: f64 = 0.9;

/// Ours, and what it is compared with.
const SERVERS: [&str; 5] = ["eric", "eric-file", "bare", "bare-join", "nchan"];

/// The table; nothing where nothing was measured.
pub(crate) fn render(results: &Results) -> Option<String> {
    let rows: Vec<Row> =
        row::all().into_iter().filter(|row| results.median(&row.id, "eric", SHARE).is_some()).collect();
    if rows.is_empty() {
        return None;
    }
    let mut text = "| row |".to_owned();
    for server in SERVERS {
        let _ = write!(text, " `{server}` |");
    }
    text.push_str(&format!(
        " of `eric`'s, in the kernel | `eric` is bounded by |\n|---|{}---:|---|\n",
        "---:|".repeat(5)
    ));
    for row in &rows {
        let _ = write!(text, "| {} |", row.id);
        for server in SERVERS {
            let _ = write!(text, " {} |", cores(results, row, server));
        }
        let kernel = in_kernel(results, row).map_or_else(|| "–".to_owned(), percent);
        let _ = writeln!(text, " {kernel} | {} |", bound(results, row));
    }
    Some(text)
}

/// The server's core and the generator's.
fn cores(results: &Results, row: &Row, server: &str) -> String {
    let share = |figure| results.median(&row.id, server, figure).map(percent);
    match (share(SHARE), share(GENERATOR)) {
        (Some(own), _) if is_timed(row) => own,
        (Some(own), Some(generator)) => format!("{own} / {generator}"),
        _ => "–".to_owned(),
    }
}

fn in_kernel(results: &Results, row: &Row) -> Option<f64> {
    let user = results.median(&row.id, "eric", USER_S)?;
    let system = results.median(&row.id, "eric", SYSTEM_S)?;
    (user + system > 0.0).then(|| system / (user + system))
}

/// What was full; if nothing was, each waits for the other.
fn bound(results: &Results, row: &Row) -> &'static str {
    let is_full = |figure| results.median(&row.id, "eric", figure).is_some_and(|share| share >= FULL);
    match (is_full(SHARE), is_full(GENERATOR)) {
        (true, true) if !is_timed(row) => "both cores",
        (true, _) => "its core",
        _ if row.scenario == "idle" => "nothing: it is idle",
        _ if is_timed(row) => "what is due",
        (false, true) => "the generator",
        (false, false) => "turns: neither core is full",
    }
}

/// Where messages are due at set times, the generator's core is full of waiting.
fn is_timed(row: &Row) -> bool {
    ["fan-out-open", "slow", "elsewhere"].contains(&row.scenario)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::results::Sample;
    use super::*;

    #[test]
    fn what_is_full_bounds() {
        let told = |id: &str, server: f64, generator: f64| {
            let processor = json!({"share": server, "user_s": 0.1, "system_s": 0.9});
            let report = json!({"processor": processor, "generator_share": generator});
            let (row, peer) = (id.to_owned(), "eric".to_owned());
            let sample = Sample { row, peer, round: 1, discarded: 0, is_noisy: false, report };
            render(&Results { samples: vec![sample], ..Results::default() }).unwrap()
        };
        assert!(
            told("a-1", 0.97, 0.5).ends_with("| a-1 | 97 % / 50 % | – | – | – | – | 90 % | its core |\n")
        );
        assert!(told("a-1", 0.5, 0.97).ends_with("| the generator |\n"));
        assert!(told("a-1", 0.5, 0.5).ends_with("| turns: neither core is full |\n"));
        assert!(told("b-20", 0.5, 1.0).ends_with("| b-20 | 50 % | – | – | – | – | 90 % | what is due |\n"));
    }
}
