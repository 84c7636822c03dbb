//! The flags.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::subject::Subject;

/// What a run is asked for.
#[derive(Debug)]
pub(crate) struct Options {
    /// Our binary.
    pub(crate) eric: PathBuf,
    /// What it was built from.
    pub(crate) commit: String,
    /// The Python of the environment that has eric-sse.
    pub(crate) eric_sse: PathBuf,
    /// The Python of the environment that has eric-api.
    pub(crate) eric_api: PathBuf,
    /// Where sockets and logs go; whoever made it removes it.
    pub(crate) folder: PathBuf,
    pub(crate) rounds: u32,
    pub(crate) streams: usize,
    /// How much longer it may take for the sake of a quiet machine.
    pub(crate) patience: Duration,
    /// In the order in which they are measured, which is also that of the table: theirs, ours, theirs, ours.
    pub(crate) subjects: Vec<Subject>,
}

impl Options {
    /// Reads the flags; each takes a value.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (mut eric, mut eric_sse, mut eric_api, mut folder) = Default::default();
        let mut commit = "unknown commit".to_owned();
        let (mut rounds, mut streams, mut patience) = (3, 100, Duration::from_secs(60));
        let mut subjects = Subject::ALL.to_vec();
        while let Some(flag) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--eric" => eric = PathBuf::from(value),
                "--eric-sse" => eric_sse = PathBuf::from(value),
                "--eric-api" => eric_api = PathBuf::from(value),
                "--folder" => folder = PathBuf::from(value),
                "--commit" => commit = value,
                "--rounds" => rounds = at_least_one(&flag, &value)?,
                "--streams" => streams = at_least_one(&flag, &value)?,
                "--patience" => {
                    let seconds = value
                        .parse()
                        .with_context(|| format!("--patience {value} is not a number of seconds"))?;
                    patience = Duration::from_secs(seconds);
                }
                "--only" if value == "socket" => subjects = Subject::ALL[..2].to_vec(),
                "--only" if value == "http" => subjects = Subject::ALL[2..].to_vec(),
                "--only" => bail!("--only {value} is neither socket nor http"),
                _ => bail!("unknown flag {flag}; there are --rounds, --streams, --patience and --only"),
            }
        }
        for (flag, path) in
            [("--eric", &eric), ("--eric-sse", &eric_sse), ("--eric-api", &eric_api), ("--folder", &folder)]
        {
            if !path.exists() {
                bail!("{flag} {} does not exist; bench/python-servers makes it", path.display());
            }
        }
        Ok(Self { eric, commit, eric_sse, eric_api, folder, rounds, streams, patience, subjects })
    }
}

fn at_least_one<N: FromStr + PartialOrd + From<u8>>(flag: &str, value: &str) -> anyhow::Result<N> {
    match value.parse() {
        Ok(number) if number >= N::from(1) => Ok(number),
        _ => bail!("{flag} {value} is not a number from 1 on"),
    }
}
