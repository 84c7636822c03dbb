//! A table in markdown for each group of rows: a line for each server, beside each figure its ratio to what bounds it.

use std::fmt::Write as _;

use super::figure::{
    ADDED, CAUGHT_UP, DELIVERIES, Figure, MESSAGES, OPENED_PER_S, OPENED_S, P50, P99, PER_LISTENER,
    PER_STREAM, PER_STUCK, PROCESSOR, SHARE, Unit,
};
use super::peer::PEERS;
use super::results::{Results, Sample};
use super::row::{IDLE_SIZES, SIZES};

/// How much of a failure is told.
const FAILURE_CHARS_MAX: usize = 200;

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) group: char,
    pub(crate) title: &'static str,
    /// What has to be known to read it.
    note: &'static str,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    title: String,
    row: String,
    figure: Figure,
    beside: Beside,
}

/// What stands beside a figure.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Nothing,
    /// The ratio to this server's, in brackets.
    Server(&'static str),
    /// Nothing; the ratio to the same server's figure in another row is told instead.
    Row(&'static str),
}

/// All tables.
pub(crate) fn all() -> Vec<Table> {
    let told = |group, title, note, columns| Table { group, title, note, columns };
    vec![
        told(
            'a',
            "Messages to 1,000 listeners, one after another",
            "A closed loop of 128-byte messages: the next is published when one was answered and all have it. In \
             brackets, here and below, the ratio to the bare program that the column names.",
            columns(["1", "32", "64"], |row| {
                vec![
                    (format!("deliveries/s, {row} under way (÷ bare-join)"), DELIVERIES, Beside::Server("bare-join")),
                    (format!("CPU s per million, {row} (÷ bare-join)"), PROCESSOR, Beside::Server("bare-join")),
                ]
            }),
        ),
        told(
            'b',
            "Messages to 1,000 listeners, at set times",
            "An open loop: times count from when a message was due.",
            columns(["20", "100"], |row| {
                vec![
                    (format!("p50 ms, {row}/s (÷ bare)"), P50, Beside::Server("bare")),
                    (format!("p99 ms, {row}/s (÷ bare)"), P99, Beside::Server("bare")),
                    (format!("CPU s per million, {row}/s (÷ bare)"), PROCESSOR, Beside::Server("bare")),
                ]
            }),
        ),
        told(
            'c',
            "Messages to one of 1,000 listeners",
            "A message is under way to no listener twice. The last columns are with 100,000 registered listeners, of \
             whom 1,000 are there.",
            columns(["1", "16", "64", "1-of-100000", "16-of-100000", "64-of-100000"], |row| {
                let (title, beside) = match row.strip_suffix("-of-100000") {
                    None => (format!("messages/s, {row} under way (÷ bare)"), Beside::Server("bare")),
                    Some(window) => (format!("{window} under way, 100,000 registered"), Beside::Nothing),
                };
                vec![(title, MESSAGES, beside)]
            }),
        ),
        told(
            'd',
            "Streams on which nothing happens",
            "Streams of named listeners where a server has them. Memory of the server's processes that belongs to no \
             file: for the stream alone, and with its listener's registration, from a fresh server on. Then the \
             processor in 5 s.",
            columns(IDLE_SIZES.map(|size| size.to_string()), |row| {
                vec![
                    (format!("a stream of {row}"), PER_STREAM, Beside::Nothing),
                    (format!("with its listener, {row}"), PER_LISTENER, Beside::Nothing),
                    (format!("CPU, {row}"), SHARE, Beside::Nothing),
                ]
            }),
        ),
        told(
            'e',
            "5,000 who come",
            "From connecting to the stream's head.",
            [
                column("streams/s, one after the other (÷ bare)", "e-1", OPENED_PER_S, Beside::Server("bare")),
                column("streams/s, 100 under way (÷ bare)", "e-100", OPENED_PER_S, Beside::Server("bare")),
                column("s until all are there who come at once (÷ bare)", "e-5000", OPENED_S, Beside::Server("bare")),
            ]
            .into(),
        ),
        told(
            'f',
            "10,000 who come back at once",
            "Each has missed 100 messages and says which was its last; nothing may be lost, or come twice. Only who \
             can go on takes part.",
            [
                column("s until all have everything", "f-10000", CAUGHT_UP, Beside::Nothing),
                column("deliveries/s meanwhile", "f-10000", DELIVERIES, Beside::Nothing),
            ]
            .into(),
        ),
        told(
            'g',
            "900 who read and 100 who do not",
            "40 messages/s of 16 kB, so that more than 8 MB are due to each who reads nothing. Times are those of the \
             900; the kernel's memory is what it holds for each socket with something to send (`ss -tm`).",
            [
                column("p99 ms, 900 alone", "g-0", P99, Beside::Nothing),
                column("p99 ms beside 100 stuck", "g-100", P99, Beside::Nothing),
                column("ratio in the same round", "g-100", P99, Beside::Row("g-0")),
                column("kernel's memory per stuck stream", "g-100", PER_STUCK, Beside::Nothing),
                column("server's memory added", "g-100", ADDED, Beside::Nothing),
                column("alone", "g-0", ADDED, Beside::Nothing),
            ]
            .into(),
        ),
        told(
            'h',
            "Growth",
            "Deliveries/s in a closed loop, 32 under way, by the number of listeners.",
            columns(SIZES.map(|size| size.to_string()), |row| {
                vec![(row.to_owned(), DELIVERIES, Beside::Nothing)]
            }),
        ),
        told(
            'i',
            "Messages to one, elsewhere",
            "200 messages/s to one listener on a channel of its own, while there are 4 messages/s to 10,000.",
            [
                column("p50 ms", "i-10000", P50, Beside::Nothing),
                column("p99 ms", "i-10000", P99, Beside::Nothing),
            ]
            .into(),
        ),
    ]
    .into_iter()
    .map(Table::with_ids)
    .collect()
}

/// Columns for each of some rows, by the end of their ids.
fn columns<T: AsRef<str>>(
    rows: impl IntoIterator<Item = T>,
    of: impl Fn(&str) -> Vec<(String, Figure, Beside)>,
) -> Vec<Column> {
    let mut columns = Vec::new();
    for row in rows {
        let told = of(row.as_ref()).into_iter();
        columns.extend(told.map(|(title, figure, beside)| column(&title, row.as_ref(), figure, beside)));
    }
    columns
}

fn column(title: &str, row: &str, figure: Figure, beside: Beside) -> Column {
    Column { title: title.to_owned(), row: row.to_owned(), figure, beside }
}

impl Table {
    /// Completes ids that lack their group.
    fn with_ids(mut self) -> Self {
        let group = format!("{}-", self.group);
        for column in &mut self.columns {
            if !column.row.starts_with(&group) {
                column.row.insert_str(0, &group);
            }
        }
        self
    }

    /// The table, what failed in it, and how quiet it was; nothing where nothing was measured.
    pub(crate) fn render(&self, results: &Results) -> Option<String> {
        let run = results.runs.get(&self.group)?;
        let own = || results.samples.iter().filter(|sample| sample.row.starts_with(self.group));
        own().next()?;
        let mut text = format!("### {}\n\n{}\n\n| |", self.title, self.note);
        for column in &self.columns {
            let _ = write!(text, " {} |", column.title);
        }
        text.push_str(&format!("\n|---|{}\n", "---:|".repeat(self.columns.len())));
        let mut notes = Notes::default();
        for peer in PEERS {
            if !self.columns.iter().any(|column| results.of(&column.row, peer).next().is_some()) {
                continue;
            }
            let _ = write!(text, "| `{peer}` |");
            for column in &self.columns {
                let _ = write!(text, " {} |", column.cell(results, peer, &mut notes));
            }
            text.push('\n');
        }
        let discarded: usize = own().map(|sample| sample.discarded).sum();
        let noisy = own().filter(|sample| sample.is_noisy).count();
        let _ = write!(
            text,
            "\n{}, commit {}, {} measurements in {} rounds; {discarded} were discarded and repeated because others \
             used the machine, {noisy} were noisy all the same.\n",
            run.date,
            run.commit,
            own().count(),
            own().map(|sample| sample.round).max().unwrap_or_default(),
        );
        text.push_str(&notes.render());
        Some(text)
    }
}

impl Column {
    fn cell(&self, results: &Results, peer: &str, notes: &mut Notes) -> String {
        let failures: Vec<&Sample> =
            results.of(&self.row, peer).filter(|sample| sample.failure().is_some()).collect();
        let mark = notes.mark(results, &self.row, peer, &failures);
        let value = match self.beside {
            Beside::Row(below) => results.ratio(self.figure, (&self.row, peer), (below, peer)),
            _ => results.median(&self.row, peer, self.figure),
        };
        let Some(value) = value else {
            let failure = failures.first().and_then(|sample| sample.failure());
            return failure.map_or_else(|| "–".to_owned(), |failure| format!("{}{mark}", word(failure)));
        };
        let told = match self.beside {
            Beside::Row(_) => Unit::Ratio.tell(value),
            _ => self.figure.unit.tell(value),
        };
        match self.beside {
            Beside::Server(bare) if bare != peer => {
                match results.ratio(self.figure, (&self.row, peer), (&self.row, bare)) {
                    Some(ratio) => format!("{told} ({}){mark}", Unit::Ratio.tell(ratio)),
                    None => format!("{told}{mark}"),
                }
            }
            _ => format!("{told}{mark}"),
        }
    }
}

/// What became of a measurement that failed: not in time, or not what was sent.
fn word(failure: &str) -> &'static str {
    let is_late = ["still under way", "is too slow", "not done after", "are open after"]
        .iter()
        .any(|text| failure.contains(text));
    if is_late { "late" } else { "lost" }
}

/// What failed, below the table.
#[derive(Debug, Default)]
struct Notes {
    texts: Vec<String>,
}

impl Notes {
    /// The mark of a failure's text; nothing if nothing failed.
    fn mark(&mut self, results: &Results, row: &str, peer: &str, failures: &[&Sample]) -> String {
        let Some(failure) = failures.first().and_then(|sample| sample.failure()) else {
            return String::new();
        };
        let mut told: String = failure.chars().take(FAILURE_CHARS_MAX).collect();
        if told.len() < failure.len() {
            told.push('…');
        }
        let told = told.replace(['\n', '\r'], " ");
        let all = results.of(row, peer).count();
        let text = format!("`{peer}`, row {row}, in {} of {all} rounds: {told}", failures.len());
        let place = self.texts.iter().position(|known| *known == text).unwrap_or_else(|| {
            self.texts.push(text);
            self.texts.len() - 1
        });
        superscript(place + 1)
    }

    fn render(&self) -> String {
        let notes = self.texts.iter().enumerate();
        let lines: Vec<String> =
            notes.map(|(place, note)| format!("{} {note}", superscript(place + 1))).collect();
        if lines.is_empty() { String::new() } else { format!("\n{}\n", lines.join("  \n")) }
    }
}

fn superscript(number: usize) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    number.to_string().bytes().map(|digit| DIGITS[usize::from(digit - b'0')]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::results::Run;
    use super::super::results::tests::sample;
    use super::super::row;
    use super::*;

    #[test]
    fn every_column_is_of_a_row_of_its_group() {
        let rows = row::all();
        for table in all() {
            for column in &table.columns {
                assert!(rows.iter().any(|row| row.id == column.row), "{}", column.row);
                assert!(column.row.starts_with(table.group), "{}", column.row);
            }
        }
        let told = all();
        for row in &rows {
            let mut columns = told.iter().flat_map(|table| &table.columns);
            assert!(columns.any(|column| column.row == row.id), "{} is told nowhere", row.id);
        }
    }

    #[test]
    fn figures_have_their_ratio_and_failures_are_told() {
        let mut results = Results::default();
        results.runs.insert('h', Run::default());
        results.runs.insert('a', Run::default());
        for (row, peer, deliveries) in [
            ("a-1", "bare-join", 200_000.0),
            ("a-1", "eric", 150_000.0),
            ("a-1", "pushpin", 0.0),
            ("a-32", "eric", 0.0),
        ] {
            results.samples.push(sample(row, peer, 1, deliveries));
        }
        results.samples.push(sample("a-1", "eric", 2, 0.0));
        let tables = all();
        let text = tables[0].render(&results).unwrap();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        assert_eq!(line("| `bare-join`"), "| `bare-join` | 200 k | – | – | – | – | – |");
        assert_eq!(line("| `eric`"), "| `eric` | 150 k (0.75)¹ | lost¹ | lost² | lost² | – | – |");
        assert_eq!(line("¹ "), "¹ `eric`, row a-1, in 1 of 2 rounds: listener 3 lost message 7  ");
        assert_eq!(line("³ "), "³ `pushpin`, row a-1, in 1 of 1 rounds: listener 3 lost message 7");
        assert!(!text.contains("nchan"), "{text}");
        assert!(tables[1].render(&results).is_none());
    }

    #[test]
    fn who_is_not_done_in_time_has_lost_nothing() {
        assert_eq!(word("messages are still under way: not done after 10 s"), "late");
        assert_eq!(word("listener 3 lost message 7"), "lost");
    }
}
