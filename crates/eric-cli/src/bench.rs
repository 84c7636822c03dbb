//! `eric bench`: load on a hub, measured, and every event of it checked.
//!
//! The load is one thread's (`eric-load`); here is what is asked for (`bench/scenarios.rs`), how it looks while it runs,
//! and what is told of it afterwards (`bench/figures.rs`, `bench/plots.rs`).

mod figures;
mod plots;
mod scenarios;

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use eric_load::dialect::Dialect;
use eric_load::report::Report;
use eric_load::scenario::Target;
use eric_load::watch::{Phase, Watch};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::figures::grouped;
use self::plots::Plots;
use self::scenarios::{Kind, Plan};
use crate::output::Output;
use crate::{Failure, block_on};

/// How Eric is spoken to; another hub needs a file like it.
const ERIC: &str = include_str!("bench/eric.json");

/// How often people are told how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// Puts load on a hub: throughput, latencies, and whether every event came as it was sent
///
/// It works on a channel of its own, which it removes at the end, and also when it is interrupted. Times count from when
/// a message was due. An event that is lost, doubled, out of order or corrupt fails it: exit code 1.
///
/// Examples:
///   eric bench fan-out --listeners 1000 --out fan-out.csv
///   eric bench fan-out --rate 100 --histogram fan-out.hgrm --pid "$(pgrep -x eric)"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, subcommand_value_name = "SCENARIO", subcommand_help_heading = "Scenarios")]
pub(crate) struct Bench {
    #[command(subcommand)]
    scenario: Kind,
}

impl Bench {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let plan = self.scenario.plan();
        let place = plan.common.target.place("a benchmark")?;
        let dialect = dialect(plan.common.dialect.as_deref())?.at(&place.host, &place.base);
        if let Some(pid) = plan.common.pid
            && !Path::new(&format!("/proc/{pid}")).exists()
        {
            return Err(anyhow!("--pid {pid}: there is no such process on this machine").into());
        }
        let mut plots = Plots::create(&plan.files)?;
        let server = place.reach()?;
        let channel = format!("bench-{:016x}", fastrand::u64(..));
        announce(&plan, &dialect, &place.host, &channel);
        let mut watch = Watch::of(channel.clone());
        if let Some(slice) = plan.slice() {
            watch = watch.with_slices(slice);
        }
        let (watch, bar) = (Arc::new(watch), bar());
        let run = {
            let (watch, scenario, settings) = (watch.clone(), plan.scenario.clone(), plan.settings.clone());
            let pid = plan.common.pid;
            move || scenario.run_watched(Target { dialect: &dialect, server, pid }, &settings, &watch)
        };
        let report = block_on(run_until_stopped(run, &watch, &bar, &plan));
        bar.finish_and_clear();
        let report = report?;
        plots.write(&report)?;
        let mut output = Output::new();
        figures::tell(&mut output, &report)?;
        output.flush()?;
        conclude(&plan, &report, &channel)
    }
}

/// The dialect that is meant.
fn dialect(path: Option<&Path>) -> Result<Dialect, Failure> {
    let Some(path) = path else { return Ok(Dialect::parse(ERIC)?) };
    let shown = path.display();
    let json = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    Ok(Dialect::parse(&json).with_context(|| format!("in {shown}"))?)
}

/// Says what will be done, and to whom.
fn announce(plan: &Plan, dialect: &Dialect, host: &str, channel: &str) {
    let end = match dialect.clean_up.is_empty() {
        true => "stays there, for the dialect does not say how it is removed",
        false => "is removed at the end",
    };
    eprintln!("{} on {host}: {}; the channel {channel} {end}", dialect.title, plan.deed);
}

/// Runs the load on a thread of its own until it ends; a signal ends it early.
async fn run_until_stopped(
    run: impl FnOnce() -> Report + Send + 'static,
    watch: &Watch,
    bar: &ProgressBar,
    plan: &Plan,
) -> Result<Report, Failure> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut looks = tokio::time::interval(LOOK);
    let mut measuring_since = None;
    let (sender, mut done) = oneshot::channel();
    // Nobody listens any more where a second signal ended all.
    std::thread::spawn(move || drop(sender.send(run())));
    loop {
        tokio::select! {
            report = &mut done => return Ok(report.context("the load ended without a word")?),
            _ = interrupted.recv() => stop(watch)?,
            _ = terminated.recv() => stop(watch)?,
            _ = looks.tick() => bar.set_message(told(watch, &mut measuring_since, plan)),
        }
    }
}

/// Ends the run; whoever asks again does not wait for it.
fn stop(watch: &Watch) -> Result<(), Failure> {
    if watch.is_cancelled() {
        return Err(anyhow!("interrupted again; its channel may be left behind").into());
    }
    watch.cancel();
    Ok(())
}

/// How far it is.
fn told(watch: &Watch, measuring_since: &mut Option<Instant>, plan: &Plan) -> String {
    let progress = watch.progress();
    let counted = || {
        let [published, delivered] =
            [progress.published, progress.delivered].map(|count| grouped(count as f64));
        format!("{published} messages, {delivered} deliveries")
    };
    match progress.phase {
        Phase::Prepare => "making channels and listeners".to_owned(),
        Phase::Open => format!("opening streams: {}", grouped(progress.open as f64)),
        Phase::WarmUp => format!("warming up: {}", counted()),
        Phase::Measure => {
            let since = measuring_since.get_or_insert_with(Instant::now).elapsed().as_secs();
            let of = plan.duration_s.map_or(String::new(), |duration| format!(" of {duration} s"));
            format!("measuring, {since}{of}: {}", counted())
        }
        Phase::Settle => format!("waiting for what is under way: {}", counted()),
    }
}

/// For people who watch.
fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is well formed");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(LOOK);
    bar
}

/// What the figures need to be understood, and whether they count.
fn conclude(plan: &Plan, report: &Report, channel: &str) -> Result<(), Failure> {
    if let Some(warning) = figures::warning(report, plan.is_closed) {
        eprintln!("warning: {warning}");
    }
    if let Some(why) = &report.left_behind {
        eprintln!("warning: the channel {channel} stays: {why}");
    }
    let Some(failure) = &report.failure else { return Ok(()) };
    let error = match report.seconds.filter(|_| report.is_cancelled) {
        _ if !report.is_cancelled => anyhow!("{failure}"),
        Some(seconds) => {
            anyhow!("interrupted: the figures are those of {seconds:.1} s; nothing was wrong until then")
        }
        None => anyhow!("interrupted before anything was measured"),
    };
    Err(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect_of_eric_can_be_spoken_and_cleans_up() {
        let dialect = dialect(None).ok().unwrap();
        assert!(!dialect.clean_up.is_empty() && dialect.resume.is_some());
        assert!(dialect.listener.unwrap().publish.is_some());
    }
}
