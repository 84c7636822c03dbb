//! The library beside the Python package and bare channels: the same jobs, by turns, on one core, in one table.
//!
//! `bench/library/run` builds and runs it. Figures are messages delivered per second of processor time; every cell is
//! the median of the rounds.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod bare;
mod job;
mod ours;
mod python;
mod stopwatch;

use std::path::PathBuf;

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::job::Job;

/// One round of a job, by everyone who does it.
#[derive(Debug, Clone, Copy)]
struct Round {
    python: f64,
    ours: f64,
    bare: [Option<f64>; 3],
}

async fn round(python: &std::path::Path, job: Job) -> anyhow::Result<Round> {
    Ok(Round {
        python: python::measure(python, job)?,
        ours: ours::measure(job).await?,
        bare: [bare::tokio_broadcast(job).await?, bare::async_broadcast(job).await?, bare::flume(job).await?],
    })
}

/// The last core that this process may use, for it and all that it starts.
fn pin() -> anyhow::Result<usize> {
    let allowed = sched_getaffinity(None)?;
    let core = (0..CpuSet::MAX_CPU).rfind(|core| allowed.is_set(*core)).context("there is a core")?;
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only)?;
    Ok(core)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Thousands a second, with three digits that count.
fn show(rate: f64) -> String {
    match rate / 1e6 {
        millions if millions >= 10.0 => format!("{millions:.1} M"),
        millions if millions >= 1.0 => format!("{millions:.2} M"),
        millions => format!("{:.0} k", millions * 1e3),
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let python: PathBuf = arguments.next().context("which Python has the package")?.into();
    let rounds: usize = arguments.next().map_or(Ok(5), |rounds| rounds.parse()).context("how many rounds")?;
    let only = arguments.next().unwrap_or_default();
    let core = pin()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    println!(
        "| messages a second of processor time | Python | ours | ours ÷ Python | tokio broadcast | async-broadcast | flume |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for job in Job::ALL.into_iter().filter(|job| job.title().contains(&only)) {
        // The first round warms up whoever has a cache to fill, and is not counted.
        let mut done = Vec::new();
        for _ in 0..=rounds {
            done.push(runtime.block_on(round(&python, job))?);
        }
        let done = &done[1..];
        let of = |value: fn(&Round) -> f64| median(done.iter().map(value));
        let ratio = median(done.iter().map(|round| round.ours / round.python));
        let bare = [0, 1, 2].map(|index: usize| {
            let values: Option<Vec<f64>> = done.iter().map(|round| round.bare[index]).collect();
            values.map_or_else(|| "–".to_owned(), |values| show(median(values.into_iter())))
        });
        let (python, ours) = (show(of(|round| round.python)), show(of(|round| round.ours)));
        println!("| {} | {python} | {ours} | {ratio:.1} | {} |", job.title(), bare.join(" | "));
    }
    println!("\nMedians of {rounds} rounds in which all take turns, everything on core {core}.");
    Ok(())
}
