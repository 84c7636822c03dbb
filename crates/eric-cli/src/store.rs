//! `eric store`: what can be done with a store that no hub has open.

mod check;
mod stats;
mod transfer;

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use eric_store::RealDisk;
use eric_store::offline::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::Failure;

/// The directory of a store where nothing says another.
const DIRECTORY: &str = "./eric-data";

/// Checks, saves, counts, exports and imports a store that no hub has open
#[derive(Debug, Args)]
pub(crate) struct StoreCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Check),
    Stats(stats::StatsCommand),
    Export(transfer::Export),
    Import(transfer::Import),
}

impl StoreCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::Check(command) => command.run(),
            Verb::Stats(command) => command.run(),
            Verb::Export(command) => command.run(),
            Verb::Import(command) => command.run(),
        }
    }
}

/// Where the store is.
#[derive(Debug, Args)]
struct Directory {
    /// The store's directory; if not given, that of `ERIC_ENGINE=file:DIR`, and else ./eric-data.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Directory {
    fn path(&self) -> PathBuf {
        let of_engine = || {
            let engine = std::env::var_os("ERIC_ENGINE")?;
            Some(PathBuf::from(OsStr::from_bytes(engine.as_bytes().strip_prefix(b"file:")?)))
        };
        self.dir.clone().or_else(of_engine).unwrap_or_else(|| DIRECTORY.into())
    }

    /// The store that is there; nothing is changed through this.
    fn open(&self) -> Result<Opened, Failure> {
        let path = self.path();
        match RealDisk::open_to_read(&path) {
            Ok(disk) => Ok(Opened { path, disk }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(anyhow!("{}: there is no store: no such directory", path.display()).into())
            }
            Err(error) => Err(not_opened(&path, error)),
        }
    }
}

/// A directory, held against every hub.
struct Opened {
    path: PathBuf,
    disk: RealDisk,
}

impl Opened {
    /// An empty directory, which is made if it is not there.
    fn empty(path: PathBuf) -> Result<Self, Failure> {
        // What belongs to somebody else does not even get a lock.
        if let Ok(mut names) = std::fs::read_dir(&path)
            && !path.join("lock").exists()
            && let Some(Ok(entry)) = names.next()
        {
            let (path, name) = (path.display(), entry.file_name());
            return Err(anyhow!("{path}: the directory is not empty: name={}", name.display()).into());
        }
        match RealDisk::open(&path) {
            Ok(disk) => Ok(Self { path, disk }),
            Err(error) => Err(not_opened(&path, error)),
        }
    }

    /// What went wrong with it.
    fn failure(&self, error: &eric_sse::Error) -> Failure {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
        match source {
            // Who reads has enough.
            Some(source) if source.kind() == io::ErrorKind::BrokenPipe => {
                io::Error::from(io::ErrorKind::BrokenPipe).into()
            }
            _ => anyhow!("{}: {error}", self.path.display()).into(),
        }
    }
}

fn not_opened(path: &Path, error: io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            anyhow!("{path} is in use: a hub or another command has it open; stop the hub first").into()
        }
        _ => anyhow!("{path} cannot be opened: {error}").into(),
    }
}

/// How far it has got, for people who watch.
struct Bar {
    bar: ProgressBar,
    stage: &'static str,
    /// Bytes in all, where that is known before.
    total_bytes: Option<u64>,
}

impl Bar {
    fn new(total_bytes: Option<u64>) -> Self {
        if !io::stderr().is_terminal() {
            return Self::hidden();
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, stage: "", total_bytes }
    }

    fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), stage: "", total_bytes: None }
    }

    fn show(&mut self, progress: Progress) {
        let Progress { stage, done_bytes, total_bytes } = progress;
        if stage != self.stage {
            self.stage = stage;
            let total_bytes = total_bytes.or(self.total_bytes);
            let template = match total_bytes {
                Some(_) => "{msg} {bar:30} {bytes}/{total_bytes}, {eta} to go",
                None => "{spinner} {msg} {bytes}",
            };
            self.bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
            self.bar.set_message(stage);
            self.bar.set_length(total_bytes.unwrap_or(0));
            self.bar.reset_eta();
        }
        self.bar.set_position(done_bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
