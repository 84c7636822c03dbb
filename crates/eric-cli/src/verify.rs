//! `eric verify`: the proof of durability and delivery, on the user's own machine and disk.

use std::future::poll_fn;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use eric_store::{Disk, RealDisk, Sabotage};
use eric_verify::{Breach, Counts, Simulation, Verified, Wrong};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::output::Output;
use crate::{Failure, block_on};

/// Characters of what is wrong that are told.
const REASON_CHARS_MAX: usize = 600;

/// Crashes a hub again and again, and checks that nobody loses a message, gets one twice or out of order
///
/// Everything is drawn by a seed: publishers, readers, settings, disk faults and power losses. The same seed always
/// does the same. Without --dir it happens in memory; with it, on the disk of that directory as well.
///
/// Examples:
///   eric verify
///   eric verify --dir /var/lib/eric --seeds 10
///   eric verify --sabotage answer-early     # must fail: that is how you know that it can
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Verify {
    /// Does everything on the disk of this directory too, in a directory of its own that is removed afterwards.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How many seeds are run, from 0 on.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Runs just this seed.
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Plants a bug that must be found.
    #[arg(long, value_name = "NAME", value_parser = sabotages())]
    sabotage: Option<Sabotage>,
}

fn sabotages() -> impl clap::builder::TypedValueParser<Value = Sabotage> {
    PossibleValuesParser::new(Sabotage::ALL.map(Sabotage::name)).map(|name| {
        let is_it = |sabotage: &Sabotage| sabotage.name() == name;
        Sabotage::ALL.into_iter().find(is_it).expect("only these names are possible")
    })
}

/// What the seeds came to.
#[derive(Default)]
struct Tally {
    log: Counts,
    readers: Counts,
    /// The first that was wrong.
    first: Option<(u64, Simulation, Wrong)>,
    wrong_seeds: u64,
    is_interrupted: bool,
}

impl Tally {
    fn add(&mut self, seed: u64, verified: Verified) {
        self.log.add(&verified.log);
        self.readers.add(&verified.readers);
        self.wrong_seeds += u64::from(!verified.wrong.is_empty());
        let first = verified.wrong.into_iter().next();
        self.first = self.first.take().or(first.map(|(simulation, wrong)| (seed, simulation, wrong)));
    }
}

impl Verify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let own = self.dir.as_deref().map(Own::make).transpose()?;
        let disk = own.as_ref().map(Own::open).transpose()?;
        let mut tally = Tally::default();
        let bar = bar(self.seed.map_or(self.seeds, |_| 1));
        block_on(self.run_seeds(disk, &mut tally, &bar))?;
        let took = bar.elapsed();
        bar.finish_and_clear();
        drop(own);
        let mut output = Output::new();
        tell(&mut output, &tally)?;
        output.flush()?;
        let place = self.dir.as_ref().map_or("in memory".to_owned(), |dir| format!("in {}", dir.display()));
        let seeds = match tally.log.runs {
            1 => "1 seed".to_owned(),
            runs => format!("{runs} seeds"),
        };
        eprintln!("{seeds} in {:.1} s, {place}", took.as_secs_f64());
        self.conclude(&tally, &seeds)
    }

    /// Runs one seed after the other until all are done, a planted bug is found, or somebody interrupts.
    async fn run_seeds(
        &self,
        disk: Option<Arc<dyn Disk>>,
        tally: &mut Tally,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        for seed in self.seed.map_or(0..self.seeds, |seed| seed..seed.saturating_add(1)) {
            let (sabotage, disk) = (self.sabotage, disk.clone());
            let mut run =
                tokio::task::spawn_blocking(move || eric_verify::verify(seed, sabotage, disk.as_ref()));
            // A run that has begun is finished: it takes a moment, and leaves nothing behind.
            let verified = poll_fn(|context| {
                if !tally.is_interrupted && interrupted.as_mut().poll(context).is_ready() {
                    tally.is_interrupted = true;
                }
                Pin::new(&mut run).poll(context)
            })
            .await;
            tally.add(seed, verified.context("the simulation failed")?);
            bar.inc(1);
            if tally.is_interrupted || (self.sabotage.is_some() && tally.first.is_some()) {
                break;
            }
        }
        Ok(())
    }

    fn conclude(&self, tally: &Tally, seeds: &str) -> Result<(), Failure> {
        let again = |seed: u64| {
            let dir = self.dir.as_ref().map_or(String::new(), |dir| format!(" --dir {}", dir.display()));
            format!("`eric verify --seed {seed}{dir}` runs just this one")
        };
        let error = match (&tally.first, self.sabotage) {
            (Some((seed, simulation, wrong)), Some(sabotage)) => {
                let (name, wrong) = (sabotage.name(), shortened(wrong));
                anyhow!(
                    "the planted bug {name} was found by seed {seed}, as it must be: {simulation}: {wrong}"
                )
            }
            (Some((seed, simulation, wrong)), None) => {
                let (wrong, again) = (shortened(wrong), again(*seed));
                let others = match tally.wrong_seeds {
                    1 => String::new(),
                    wrong => format!("; {wrong} seeds in all are wrong"),
                };
                anyhow!("seed {seed}, {simulation}: {wrong}; {again}{others}")
            }
            (None, _) if tally.is_interrupted => {
                anyhow!("interrupted after {seeds}; nothing was wrong until then")
            }
            (None, Some(sabotage)) => {
                anyhow!("the planted bug {} was not found by {seeds}: the proof missed it", sabotage.name())
            }
            (None, None) => return Ok(()),
        };
        Err(error.into())
    }
}

/// What is wrong, as much of it as people read.
fn shortened(wrong: &Wrong) -> String {
    let text = wrong.to_string();
    match text.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What was counted: for people a line each, for programs an object per simulation.
fn tell(output: &mut Output, tally: &Tally) -> io::Result<()> {
    let simulations = [(Simulation::Log, &tally.log), (Simulation::Readers, &tally.readers)];
    let rows = |counts: &Counts, has_readers: bool| -> Vec<(String, Value)> {
        let of_readers = |count: u64| if has_readers { json!(count) } else { Value::Null };
        let mut rows = vec![
            ("runs".to_owned(), json!(counts.runs)),
            ("faults and ends".to_owned(), json!(counts.ends)),
            ("acknowledged".to_owned(), json!(counts.acknowledged)),
            ("delivered".to_owned(), of_readers(counts.delivered)),
            ("repeated, as allowed".to_owned(), of_readers(counts.repeated)),
            ("told as gaps".to_owned(), of_readers(counts.told)),
        ];
        rows.extend(Breach::ALL.map(|breach| (breach.to_string(), json!(counts.of(breach)))));
        rows
    };
    let columns = simulations.map(|(name, counts)| (name, rows(counts, name == Simulation::Readers)));
    if !output.is_for_people() {
        let object = |(name, rows): &(Simulation, Vec<(String, Value)>)| {
            let field =
                |(what, count): &(String, Value)| (what.replace(", ", "_").replace(' ', "_"), count.clone());
            let simulation = ("simulation".to_owned(), json!(name.to_string()));
            Value::Object([simulation].into_iter().chain(rows.iter().map(field)).collect())
        };
        return output.rows(&[], &columns.each_ref().map(object));
    }
    let [(_, of_log), (_, of_readers)] = columns;
    let line = |((what, log), (_, readers))| json!({"": what, "log": log, "readers": readers});
    let lines: Vec<Value> = of_log.into_iter().zip(of_readers).map(line).collect();
    output.rows(&["", "log", "readers"], &lines)
}

/// How far it has got, for people who watch; and the time that it takes.
fn bar(seeds: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "crashing {bar:30} {pos}/{len} seeds, {eta} to go";
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    let bar = ProgressBar::new(seeds).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A directory of the command's own; removed when dropped, with all that is in it.
struct Own(PathBuf);

impl Own {
    fn make(above: &Path) -> Result<Self, Failure> {
        for number in 0.. {
            let path = above.join(format!("eric-verify-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let above = above.display();
                    return Err(anyhow!("{above}: no directory can be made in it: {error}").into());
                }
            }
        }
        unreachable!("some number is free")
    }

    fn open(&self) -> Result<Arc<dyn Disk>, Failure> {
        let disk = RealDisk::open(&self.0);
        Ok(Arc::new(disk.with_context(|| format!("{} cannot be opened", self.0.display()))?))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}
