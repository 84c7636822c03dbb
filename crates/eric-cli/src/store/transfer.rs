//! `eric store export` and `eric store import`: a store as lines of JSON, and back.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use eric_sse::{Clock as _, SystemClock};
use eric_store::StoreSettings;
use eric_store::offline::{self, Exported, Imported};
use serde_json::json;

use super::{Bar, Directory, Opened};
use crate::Failure;
use crate::output::Output;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 18;

/// Writes everything that is alive, one JSON object a line
///
/// Examples:
///   eric store export --dir eric-data --output backup.ndjson
///   eric store export --dir eric-data | gzip > backup.ndjson.gz
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Export {
    #[command(flatten)]
    directory: Directory,
    /// Where to; standard output if not given. A file appears once it is whole, for its owner only.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Makes a store of an export, in an empty directory: all of it or nothing
///
/// A new epoch begins: every listener is told that its position is of another one, and starts again at what is kept.
///
/// Examples:
///   eric store import --dir restored backup.ndjson
///   gunzip < backup.ndjson.gz | eric store import --dir restored
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Import {
    #[command(flatten)]
    directory: Directory,
    /// The export; `-` is standard input.
    #[arg(default_value = "-", hide_default_value = true)]
    file: PathBuf,
}

impl Export {
    pub(super) fn run(self) -> Result<(), Failure> {
        let opened = self.directory.open()?;
        let Some(path) = self.output else {
            // Lines that people read are their progress.
            let bar = if io::stdout().is_terminal() { Bar::hidden() } else { Bar::new(None) };
            export(&opened, &mut io::stdout().lock(), bar)?;
            return Ok(());
        };
        let exported = to_file(&opened, &path)?;
        let Exported { epoch, values, channels, listeners, keys, entries, bytes } = exported;
        let mut output = Output::new();
        output.done(
            &format!("{entries} entries, {channels} channels, {listeners} listeners: {}", path.display()),
            &json!({
                "epoch": epoch.as_str(), "values": values, "channels": channels, "listeners": listeners,
                "keys": keys, "entries": entries, "bytes": bytes,
            }),
        )?;
        Ok(output.flush()?)
    }
}

fn export(opened: &Opened, out: &mut dyn Write, mut bar: Bar) -> Result<Exported, Failure> {
    let exported = offline::export(&opened.disk, SystemClock.now(), out, &mut |progress| bar.show(progress));
    drop(bar);
    exported.map_err(|error| opened.failure(&error))
}

/// Exports to a file that appears once it is whole; what is no file, as a device, is written to as it is.
fn to_file(opened: &Opened, path: &Path) -> Result<Exported, Failure> {
    let cannot = || format!("cannot write {}", path.display());
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return export(opened, &mut File::create(path).with_context(cannot)?, Bar::new(None));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .with_context(cannot)?;
    let written = export(opened, &mut file, Bar::new(None)).and_then(|exported| {
        file.sync_all().and_then(|()| std::fs::rename(&part, path)).with_context(cannot)?;
        Ok(exported)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

impl Import {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (mut lines, bytes): (Box<dyn BufRead>, _) = match self.file.as_os_str() == "-" {
            true => (Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())), None),
            false => {
                let file =
                    File::open(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
                let bytes = file.metadata().ok().filter(|metadata| metadata.is_file()).map(|file| file.len());
                (Box::new(BufReader::with_capacity(BUFFER_BYTES, file)), bytes)
            }
        };
        let opened = Opened::empty(self.directory.path())?;
        let mut bar = Bar::new(bytes);
        let imported = offline::import(
            &opened.disk,
            &StoreSettings::default(),
            SystemClock.now(),
            &mut *lines,
            &mut |progress| bar.show(progress),
        );
        drop(bar);
        let imported = imported.map_err(|error| opened.failure(&error))?;
        let Imported { epoch, values, channels, listeners, keys, entries } = imported;
        let path = opened.path.display();
        let mut output = Output::new();
        output.done(
            &format!("{entries} entries, {channels} channels, {listeners} listeners: {path}, epoch {epoch}"),
            &json!({
                "epoch": epoch.as_str(), "values": values, "channels": channels, "listeners": listeners,
                "keys": keys, "entries": entries,
            }),
        )?;
        Ok(output.flush()?)
    }
}
