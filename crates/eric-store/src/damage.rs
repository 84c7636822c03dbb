//! What keeps a store from being opened, said so that its owner knows what to do.

use std::borrow::Cow;
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
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// # use eric_store::Disk as _;
/// # let name = disk.list().unwrap().into_iter().min().unwrap();
/// # disk.open(&name).unwrap().write(&[0xff; 64], 0).unwrap();
/// // Somebody has written over the beginning of a segment.
/// let checked = offline::check(&disk, SystemClock.now(), &mut |_| ())?;
/// assert!(checked.damages[0].to_string().contains("is damaged at byte 0"));
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The number of the segment.
    pub segment: u64,
    /// Where in its file, in bytes.
    pub at: u64,
    /// What is wrong there.
    pub what: Cow<'static, str>,
}

pub(crate) type Found<T> = Result<T, Fault>;

impl Damage {
    pub(crate) fn new(segment: u64, at: impl Into<u64>, what: impl Into<Cow<'static, str>>) -> Self {
        Self { segment, at: at.into(), what: what.into() }
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
        let text = fault.to_string();
        match fault {
            Fault::Damaged(_) => {
                let advice = "nothing was changed; `eric store check` says what is whole, and can save it";
                Self::new(ErrorKind::Corrupt, format!("{text}; {advice}"))
            }
            Fault::Disk { error, .. } => {
                let is_full = crate::spare::is_full(&error);
                let kind = if is_full { ErrorKind::NoSpace } else { ErrorKind::Unavailable };
                Self::new(kind, text).caused_by(error)
            }
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
