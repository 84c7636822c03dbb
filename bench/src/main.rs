//! Python's servers and ours, side by side: starts each, asks the same of each, and prints one table in markdown.
//!
//! One thread on one core asks, the server under test has another core to itself. `bench/python-servers` builds what
//! is needed and starts this; `round.rs` says what is measured and in which order.

mod cores;
mod crowd;
mod door;
mod notes;
mod options;
mod round;
mod server;
mod stream;
mod subject;
mod table;
mod usage;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use crate::cores::Cores;
use crate::door::Door;
use crate::options::Options;
use crate::round::Observation;
use crate::server::Server;
use crate::subject::Subject;
use crate::table::Medians;
use crate::usage::Meter;

fn main() -> ExitCode {
    let outcome = Options::parse(std::env::args().skip(1)).and_then(|options| run(&options));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum }
    });
    let cores = Cores::take()?;
    let mut patience = options.patience;
    let mut observations: Vec<(Subject, Observation)> = Vec::new();
    for round in 1..=options.rounds {
        for &subject in &options.subjects {
            eprint!("round {round} of {}, {:<12} ", options.rounds, subject.name());
            let observation = undisturbed(subject, options, &cores, &mut patience)
                .with_context(|| format!("round {round}, {}", subject.name()))?;
            eprintln!("{}", observation.work.summary());
            observations.push((subject, observation));
        }
    }
    let table = table::render(options, &Medians(&observations))?;
    let text = format!("{table}\n{}", notes::render(options, &cores, &observations)?);
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot print the table")
}

/// One round with one server; again if others used its cores meanwhile, as long as there is patience.
fn undisturbed(
    subject: Subject,
    options: &Options,
    cores: &Cores,
    patience: &mut Duration,
) -> anyhow::Result<Observation> {
    let mut discarded = 0;
    loop {
        let observation = Observation { discarded, ..observe(subject, options, cores)? };
        if !observation.work.is_disturbed() || patience.is_zero() {
            return Ok(observation);
        }
        discarded += 1;
        eprint!("{}\n  disturbed, discarded, again: ", observation.work.summary());
        let start = Instant::now();
        round::wait_for_quiet(cores, *patience)?;
        *patience = patience.saturating_sub(start.elapsed() + round::TIME);
    }
}

/// One round with one server, started for each of the two parts.
fn observe(subject: Subject, options: &Options, cores: &Cores) -> anyhow::Result<Observation> {
    let memory = with_server(subject, options, cores, round::weigh)?;
    let work = with_server(subject, options, cores, round::work)?;
    Ok(Observation { memory, work, discarded: 0 })
}

/// Starts a server, which is gone afterwards.
fn with_server<T>(
    subject: Subject,
    options: &Options,
    cores: &Cores,
    part: fn(&Meter<'_>, &mut dyn Door, usize) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let server = Server::start(subject, options, cores)?;
    let mut door = server.door()?;
    let meter = Meter { server: server.pid(), cores };
    let outcome = part(&meter, door.as_mut(), options.streams);
    outcome.map_err(|error| anyhow!("{error:#}; {}", server.last_words()))
}
