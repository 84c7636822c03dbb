//! What has to be known to read the table: on what, with which versions, and what bounds the figures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::cores::Cores;
use crate::options::Options;
use crate::round::{BROADCASTS, Load, Observation, REQUESTS};
use crate::subject::Subject;
use crate::table::Medians;

/// A core that is used as much as this is taken to be full.
const FULL: f64 = 0.9;

/// Picks one of a round's series of requests.
type PickLoad = fn(&Observation) -> &Load;

/// The lines below the table.
pub(crate) fn render(
    options: &Options,
    cores: &Cores,
    observations: &[(Subject, Observation)],
) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "- Machine: {}.", machine(cores)?)?;
    writeln!(text, "- Versions: {}.", versions(options)?)?;
    writeln!(
        text,
        "- Medians of {} rounds, in which the servers take turns. One client sends broadcasts to a channel without \
         listeners, one after another for {} s: on the socket a connection per request, as its protocol asks for, \
         over HTTP one kept connection. Of {BROADCASTS} broadcasts to all streams the median. Every stream got every \
         message once and in order. No server writes a log line per request.",
        options.rounds,
        REQUESTS.as_secs()
    )?;
    writeln!(text, "- {} {}", others(observations), discarded(options, observations))?;
    let medians = Medians(observations);
    let loads: [(&str, PickLoad); 2] =
        [("requests without streams", |o| &o.work.alone), ("requests beside streams", |o| &o.work.beside)];
    for (what, load) in loads {
        let parts = options.subjects.iter().map(|&subject| {
            let server = medians.of(subject, |o| load(o).shares.server);
            let generator = medians.of(subject, |o| load(o).shares.generator);
            format!("{} {}", subject.name(), parts(server, generator))
        });
        writeln!(text, "- Where the time of {what} goes: {}.", parts.collect::<Vec<_>>().join("; "))?;
    }
    let generators = options.subjects.iter().map(|&subject| {
        let generator = medians.of(subject, |o| o.work.fan_out_generator);
        format!("{} {:.0} %{}", subject.name(), generator * 100.0, which_bounds(generator))
    });
    writeln!(
        text,
        "- Of the time of a broadcast to all streams the generator, one thread that reads them all, was busy for: {}.",
        generators.collect::<Vec<_>>().join("; ")
    )?;
    Ok(text)
}

/// The two sides take turns: what neither works is spent in waking the other.
fn parts(server: f64, generator: f64) -> String {
    let waking = (1.0 - server - generator).max(0.0);
    format!(
        "server {:.0} %{}, generator {:.0} %{}, waking {:.0} %",
        server * 100.0,
        which_bounds(server),
        generator * 100.0,
        which_bounds(generator),
        waking * 100.0
    )
}

fn which_bounds(share: f64) -> &'static str {
    if share >= FULL { " (which bounds it)" } else { "" }
}

fn others(observations: &[(Subject, Observation)]) -> String {
    let most = observations.iter().map(|(_, observation)| observation.work.others_max()).fold(0.0, f64::max);
    let is_disturbed = observations.iter().any(|(_, observation)| observation.work.is_disturbed());
    let verdict = if is_disturbed { ": run it again on a quiet machine" } else { "" };
    format!("Others took at most {:.0} % of a core from the two meanwhile{verdict}.", most * 100.0)
}

/// A choice was made by what others used, never by a figure; how often, belongs to the result.
fn discarded(options: &Options, observations: &[(Subject, Observation)]) -> String {
    let counts = options.subjects.iter().map(|&subject| {
        let own = observations.iter().filter(|(of, _)| *of == subject);
        format!("{} {}", subject.name(), own.map(|(_, observation)| observation.discarded).sum::<u32>())
    });
    format!(
        "Rounds discarded and repeated because they took more: {}.",
        counts.collect::<Vec<_>>().join("; ")
    )
}

fn machine(cores: &Cores) -> anyhow::Result<String> {
    let information = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let models = || {
        let values = information.lines().filter_map(|line| line.split_once(':'));
        values.filter(|(name, _)| name.trim() == "model name").map(|(_, value)| value.trim())
    };
    let count = information.lines().filter(|line| line.starts_with("processor")).count();
    let uname = rustix::system::uname();
    let pinned = match cores.are_shared() {
        true => "server and generator share the only core".to_owned(),
        false => format!("server on core {}, generator on core {}", cores.server, cores.generator),
    };
    Ok(format!(
        "{count} cores, {}, Linux {} on {}; {pinned}",
        models().next().unwrap_or("model unknown"),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy()
    ))
}

fn versions(options: &Options) -> anyhow::Result<String> {
    let eric = said(Command::new(&options.eric).arg("--version"))?;
    let mut versions = format!("{eric} ({})", options.commit);
    if options.subjects.contains(&Subject::PythonSocket) {
        write!(versions, "; {}", packages(&options.eric_sse, &["eric-sse"])?)?;
    }
    if options.subjects.contains(&Subject::PythonHttp) {
        write!(
            versions,
            "; {}",
            packages(&options.eric_api, &["eric-api", "eric-sse", "fastapi", "uvicorn"])?
        )?;
    }
    Ok(versions)
}

/// The versions of a Python and of packages that it has.
fn packages(python: &Path, names: &[&str]) -> anyhow::Result<String> {
    const ASK: &str = "\
import importlib.metadata, platform, sys
print(*[f'{name} {importlib.metadata.version(name)}' for name in sys.argv[1:]], sep=', ', end=' ')
print('on Python', platform.python_version())
";
    said(Command::new(python).args(["-c", ASK]).args(names))
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
