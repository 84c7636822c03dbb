//! What is measured: every row is a scenario with its flags, and says who takes part.

use super::peer::PEERS;

/// What bounds, ours, and others that were made for many streams.
const FAST: [&str; 6] = ["bare", "bare-join", "eric", "eric-file", "nchan", "axum-broadcast"];

/// Who can hold as many streams as there may be, and whose growth is told.
const GROWING: [&str; 4] = ["bare-join", "eric", "nchan", "axum-broadcast"];

/// Who says where a stream was, so that it can go on there.
const RESUMING: [&str; 3] = ["eric", "eric-file", "nchan"];

/// Numbers of listeners of the rows that tell growth; more do not fit in 20,000 descriptors.
pub(crate) const SIZES: [usize; 6] = [100, 300, 1_000, 3_000, 10_000, 18_000];

/// Numbers of idle streams.
pub(crate) const IDLE_SIZES: [usize; 3] = [1_000, 10_000, 18_000];

/// Bytes of messages where some do not read: more than 8 MB are due to each of them in the time of the measurement.
const SLOW_PAYLOAD_BYTES: usize = 16_384;
const SLOW_RATE: usize = 40;
const SLOW_S: f64 = 13.5;

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The letter of its group, and its own number.
    pub(crate) id: String,
    pub(crate) scenario: &'static str,
    pub(crate) flags: Vec<(&'static str, String)>,
    pub(crate) peers: Vec<&'static str>,
    /// For all but ours.
    pub(crate) rounds_max: usize,
    /// About so long with one server.
    pub(crate) seconds: f64,
}

impl Row {
    fn new(id: String, scenario: &'static str, peers: &[&'static str]) -> Self {
        Self { id, scenario, flags: Vec::new(), peers: peers.to_vec(), rounds_max: usize::MAX, seconds: 1.2 }
    }

    fn with(mut self, flag: &'static str, value: impl ToString) -> Self {
        self.flags.push((flag, value.to_string()));
        self
    }

    /// What is measured for `seconds`, after some that are not.
    fn during(self, seconds: f64, warm_up_s: f64) -> Self {
        let row = self.with("duration-s", seconds).with("warm-up-s", warm_up_s);
        Self { seconds: row.seconds + seconds + warm_up_s, ..row }
    }

    fn in_rounds(self, rounds_max: usize) -> Self {
        Self { rounds_max, ..self }
    }

    /// What it takes besides.
    fn and(self, seconds: f64) -> Self {
        Self { seconds: self.seconds + seconds, ..self }
    }

    /// The letter of its group.
    pub(crate) fn group(&self) -> char {
        self.id.chars().next().unwrap_or_default()
    }

    /// Whether this is its id, or its group's letter.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.id == name || self.id.strip_prefix(name).is_some_and(|_| name.len() == 1)
    }
}

/// All rows, in the order of the tables.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for window in [1, 32, 64] {
        rows.push(fan_out(format!("a-{window}"), 1_000, window, &PEERS));
    }
    for (rate, seconds) in [(20, 4.0), (100, 3.0)] {
        let row = Row::new(format!("b-{rate}"), "fan-out-open", &PEERS).with("rate", rate);
        rows.push(row.with("patience-s", 10).during(seconds, 0.5));
    }
    for window in [1, 16, 64] {
        rows.push(unicast(format!("c-{window}"), 1_000, window, &PEERS));
    }
    for window in [1, 16, 64] {
        let id = format!("c-{window}-of-100000");
        rows.push(unicast(id, 100_000, window, &["eric"]).and(6.0));
    }
    for listeners in IDLE_SIZES {
        let peers: &[&str] = if listeners > 10_000 { &FAST } else { &PEERS };
        let row = Row::new(format!("d-{listeners}"), "idle", peers).with("listeners", listeners);
        let row = row.with("patience-s", 20);
        rows.push(row.during(5.0, 0.0).and(3.0 + listeners as f64 / 2_500.0).in_rounds(1));
    }
    for at_once in [1, 100, 5_000] {
        let row = Row::new(format!("e-{at_once}"), "connects", &PEERS).with("listeners", 5_000);
        rows.push(row.with("at-once", at_once).with("patience-s", 10));
    }
    let storm = Row::new("f-10000".into(), "storm", &RESUMING).with("listeners", 10_000).with("missed", 100);
    rows.push(storm.and(4.0));
    for (stuck, seconds) in [(0, 5.0), (100, SLOW_S)] {
        let row = Row::new(format!("g-{stuck}"), "slow", &FAST).with("stuck", stuck);
        let row = row.with("payload-bytes", SLOW_PAYLOAD_BYTES).with("rate", SLOW_RATE);
        rows.push(row.during(seconds, 1.0).in_rounds(2));
    }
    for listeners in SIZES {
        let row = fan_out(format!("h-{listeners}"), listeners, 32, &GROWING);
        rows.push(row.and(listeners as f64 / 5_000.0).in_rounds(2));
    }
    let elsewhere = Row::new("i-10000".into(), "elsewhere", &FAST).with("listeners", 10_000);
    rows.push(elsewhere.with("rate", 4).during(4.0, 0.5).and(2.0).in_rounds(2));
    rows
}

fn fan_out(id: String, listeners: usize, window: usize, peers: &[&'static str]) -> Row {
    let row = Row::new(id, "fan-out-closed", peers).with("listeners", listeners).with("window", window);
    row.during(2.0, 0.5)
}

fn unicast(id: String, registered: usize, window: usize, peers: &[&'static str]) -> Row {
    let row = Row::new(id, "unicast", peers).with("registered", registered).with("window", window);
    row.during(1.5, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn every_row_is_a_scenario_with_flags_that_it_takes() {
        let rows = all();
        for row in &rows {
            let mut words = vec!["--dialect".to_owned(), "d".into(), "--addr".into(), "127.0.0.1:1".into()];
            words.extend(row.flags.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]));
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let options = Options::parse(row.scenario, &words);
            assert!(options.is_ok(), "{}: {options:?}", row.id);
        }
        let ids: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids.len(), rows.len());
    }

    #[test]
    fn more_than_a_send_buffer_is_due_to_whoever_does_not_read() {
        assert!(SLOW_S * (SLOW_RATE * SLOW_PAYLOAD_BYTES) as f64 > 8.0 * 1_048_576.0);
    }
}
