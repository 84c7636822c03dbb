//! What was measured so far, or read from the files of an earlier run; medians of it, and ratios.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::figure::Figure;

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) row: String,
    pub(crate) peer: String,
    pub(crate) round: usize,
    /// Measurements that were thrown away before it.
    pub(crate) discarded: usize,
    /// Whether others used much of the machine all the same.
    pub(crate) is_noisy: bool,
    /// What the generator said; where it could not even be run there is but a `failure`.
    pub(crate) report: Value,
}

/// When and on what a group was measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Run {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) commit: String,
    pub(crate) rounds: usize,
    /// Of each server.
    pub(crate) versions: BTreeMap<String, String>,
}

/// All measurements.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) samples: Vec<Sample>,
    /// By the group's letter.
    pub(crate) runs: BTreeMap<char, Run>,
}

/// Which rounds count.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rounds {
    /// Those in which others used little of the machine.
    Quiet,
    All,
}

/// A file for each group, a line for each measurement.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
}

impl Sample {
    pub(crate) fn failure(&self) -> Option<&str> {
        self.report["failure"].as_str()
    }
}

impl Results {
    /// What all files in a folder say.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut results = Self::default();
        for group in 'a'..='z' {
            let path = file(folder, group);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            for line in text.lines() {
                let line: Value =
                    serde_json::from_str(line).with_context(|| format!("in {}", path.display()))?;
                match line.get("run") {
                    Some(run) => drop(results.runs.insert(group, Run::from_json(run))),
                    None => results.samples.push(Sample::from_json(&line)),
                }
            }
        }
        Ok(results)
    }

    /// All measurements of a row with a server.
    pub(crate) fn of(&self, row: &str, peer: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.row == row && sample.peer == peer)
    }

    /// A figure in the rounds in which nothing failed, and of these in the quiet ones or in all.
    fn values(&self, row: &str, peer: &str, figure: Figure, rounds: Rounds) -> BTreeMap<usize, f64> {
        let good = self.of(row, peer).filter(|sample| sample.failure().is_none());
        let wanted = good.filter(|sample| rounds == Rounds::All || !sample.is_noisy);
        wanted.filter_map(|sample| Some((sample.round, figure.of(&sample.report)?))).collect()
    }

    /// The median of the quiet rounds; of all, where none was quiet.
    pub(crate) fn median(&self, row: &str, peer: &str, figure: Figure) -> Option<f64> {
        let of = |rounds| median(self.values(row, peer, figure, rounds).into_values().collect());
        of(Rounds::Quiet).or_else(|| of(Rounds::All))
    }

    /// The median of the ratios within each round, so that what changes from round to round does not count; rounds as
    /// above.
    pub(crate) fn ratio(&self, figure: Figure, above: (&str, &str), below: (&str, &str)) -> Option<f64> {
        let of = |rounds| {
            let below = self.values(below.0, below.1, figure, rounds);
            let above = self.values(above.0, above.1, figure, rounds);
            let ratio =
                |(round, value): (usize, f64)| Some(value / below.get(&round).filter(|b| **b != 0.0)?);
            median(above.into_iter().filter_map(ratio).collect())
        };
        of(Rounds::Quiet).or_else(|| of(Rounds::All))
    }
}

/// The middle, or the mean of the two that are.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

impl Files {
    /// Begins a new file for each of the groups.
    pub(crate) fn begin(folder: &Path, groups: &[char], run: &Run) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let files = Self { folder: folder.to_owned() };
        for &group in groups {
            File::create(file(folder, group)).context("cannot begin a file of results")?;
            files.append(group, &json!({"run": run.to_json()}))?;
        }
        Ok(files)
    }

    pub(crate) fn add(&self, sample: &Sample) -> anyhow::Result<()> {
        self.append(sample.row.chars().next().unwrap_or_default(), &sample.to_json())
    }

    fn append(&self, group: char, line: &Value) -> anyhow::Result<()> {
        let opened = OpenOptions::new().append(true).open(file(&self.folder, group));
        let mut file = opened.context("cannot open a file of results")?;
        writeln!(file, "{line}").context("cannot write a result")
    }
}

fn file(folder: &Path, group: char) -> PathBuf {
    folder.join(format!("{group}.jsonl"))
}

impl Sample {
    fn to_json(&self) -> Value {
        json!({
            "row": self.row, "peer": self.peer, "round": self.round, "discarded": self.discarded,
            "is_noisy": self.is_noisy, "report": self.report,
        })
    }

    fn from_json(line: &Value) -> Self {
        Self {
            row: text(&line["row"]),
            peer: text(&line["peer"]),
            round: number(&line["round"]),
            discarded: number(&line["discarded"]),
            is_noisy: line["is_noisy"] == true,
            report: line["report"].clone(),
        }
    }
}

impl Run {
    fn to_json(&self) -> Value {
        json!({
            "date": self.date, "machine": self.machine, "commit": self.commit, "rounds": self.rounds,
            "versions": self.versions,
        })
    }

    fn from_json(run: &Value) -> Self {
        let versions = run["versions"].as_object().into_iter().flatten();
        Self {
            date: text(&run["date"]),
            machine: text(&run["machine"]),
            commit: text(&run["commit"]),
            rounds: number(&run["rounds"]),
            versions: versions.map(|(name, version)| (name.clone(), text(version))).collect(),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap_or_default() as usize
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::figure::DELIVERIES;
    use super::*;

    /// A result of so many deliveries a second; of none, it failed.
    pub(crate) fn sample(row: &str, peer: &str, round: usize, deliveries: f64) -> Sample {
        let report = match deliveries {
            0.0 => json!({"failure": "listener 3 lost message 7"}),
            _ => json!({"deliveries_per_s": deliveries}),
        };
        let (row, peer) = (row.to_owned(), peer.to_owned());
        Sample { row, peer, round, discarded: 0, is_noisy: false, report }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 200.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 200.0]), Some(3.0));
    }

    #[test]
    fn a_ratio_is_that_of_the_same_round_and_what_failed_does_not_count() {
        let mut results = Results::default();
        for (round, (ours, bare)) in
            [(10.0, 10.0), (5.0, 10.0), (50.0, 100.0), (0.0, 1.0)].into_iter().enumerate()
        {
            results.samples.push(sample("a-1", "eric", round, ours));
            results.samples.push(sample("a-1", "bare", round, bare));
        }
        assert_eq!(results.ratio(DELIVERIES, ("a-1", "eric"), ("a-1", "bare")), Some(0.5));
        assert_eq!(results.median("a-1", "eric", DELIVERIES), Some(10.0));
        assert_eq!(results.median("a-2", "eric", DELIVERIES), None);
    }

    #[test]
    fn a_noisy_round_counts_only_where_none_was_quiet() {
        let mut results = Results::default();
        results.samples.push(Sample { is_noisy: true, ..sample("a-1", "eric", 1, 10.0) });
        results.samples.push(sample("a-1", "bare", 1, 40.0));
        assert_eq!(results.median("a-1", "eric", DELIVERIES), Some(10.0));
        assert_eq!(results.ratio(DELIVERIES, ("a-1", "eric"), ("a-1", "bare")), Some(0.25));
        results.samples.push(sample("a-1", "eric", 2, 30.0));
        results.samples.push(sample("a-1", "bare", 2, 40.0));
        assert_eq!(results.median("a-1", "eric", DELIVERIES), Some(30.0));
        assert_eq!(results.ratio(DELIVERIES, ("a-1", "eric"), ("a-1", "bare")), Some(0.75));
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = std::env::temp_dir().join(format!("eric-fan-out-{}", std::process::id()));
        let run = Run {
            date: "2026-11-23".into(),
            rounds: 3,
            versions: [("eric".to_owned(), "eric 0.1.0".to_owned())].into(),
            ..Run::default()
        };
        let files = Files::begin(&folder, &['a'], &run).unwrap();
        let samples = vec![sample("a-1", "eric", 1, 5.0), sample("a-1", "nchan", 1, 0.0)];
        samples.iter().for_each(|sample| files.add(sample).unwrap());
        let results = Results::read(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((results.samples, &results.runs[&'a']), (samples, &run));
    }
}
