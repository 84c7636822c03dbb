//! What keeps a store from being opened, said so that its owner knows what to do.

use std::fmt;
use std::io;

use eric_sse::{Error, ErrorKind};

use crate::format::codec::Malformed;
use crate::segments::name_of;

/// Why a store does not open.
#[derive(Debug)]
pub(crate) enum Fault {
    /// What was written is not there any more.
    Damaged(Damage),
    /// The disk does not answer.
    Disk { what: &'static str, error: io::Error },
}

/// A place where something else is than was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) segment: u64,
    pub(crate) at: u64,
    pub(crate) what: &'static str,
}

pub(crate) type Found<T> = Result<T, Fault>;

impl Damage {
    pub(crate) fn new(segment: u64, at: impl Into<u64>, what: &'static str) -> Self {
        Self { segment, at: at.into(), what }
    }

    pub(crate) fn malformed(segment: u64, at: impl Into<u64>, malformed: Malformed) -> Self {
        Self::new(segment, at, malformed.0)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} is damaged at byte {}: {}", name_of(self.segment), self.at, self.what)
    }
}

impl From<Damage> for Fault {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(damage) => damage.fmt(f),
            Self::Disk { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Damaged(_) => {
                let advice = "nothing was changed; `eric store check` says what is whole, and can save it";
                Self::new(ErrorKind::Corrupt, format!("{fault}; {advice}"))
            }
            Fault::Disk { error, .. } if crate::spare::is_full(error) => {
                Self::new(ErrorKind::NoSpace, fault.to_string())
            }
            Fault::Disk { .. } => Self::new(ErrorKind::Unavailable, fault.to_string()),
        }
    }
}

/// Says what was tried when the disk failed.
pub(crate) trait Trying<T> {
    fn trying(self, what: &'static str) -> Found<T>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, what: &'static str) -> Found<T> {
        self.map_err(|error| Fault::Disk { what, error })
    }
}
