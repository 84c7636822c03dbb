//! What a run found wrong, and which promise that breaks.

use std::fmt;

use crate::counts::Counts;
use crate::fault_disk::FaultDisk;

/// A promise that was broken.
///
/// ```
/// assert_eq!(eric_verify::Breach::Dropped.to_string(), "silently dropped");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Breach {
    /// What was acknowledged is not there any more.
    Lost,
    /// Something was taken, or came to a reader, once more than it may.
    Doubled,
    /// Something came at another place than its own.
    Reordered,
    /// A reader missed something and was not told so, or was told another number.
    Dropped,
    /// Something else: a wrong answer, mail of somebody else's, a store that changed its epoch.
    Other,
}

impl Breach {
    /// Every one, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Lost, Self::Doubled, Self::Reordered, Self::Dropped, Self::Other];
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Reordered => "reordered",
            Self::Dropped => "silently dropped",
            Self::Other => "otherwise wrong",
        })
    }
}

/// What a run found wrong; it ends there.
///
/// ```
/// use eric_verify::{Breach, Wrong};
///
/// let wrong = Wrong::new(Breach::Lost, "the tail is 7 instead of 9");
/// assert_eq!(wrong.to_string(), "lost: the tail is 7 instead of 9");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    breach: Breach,
    reason: String,
}

/// A result that may be wrong.
pub type Checked<T = ()> = Result<T, Wrong>;

impl Wrong {
    /// Something that breaks a promise, in words.
    pub fn new(breach: Breach, reason: impl Into<String>) -> Self {
        Self { breach, reason: reason.into() }
    }

    /// The promise.
    pub fn breach(&self) -> Breach {
        self.breach
    }

    /// What was found.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.breach, self.reason)
    }
}

impl std::error::Error for Wrong {}

/// What a run came to. Where the real disk beside the simulated one did what it must not, that is what is wrong, and the
/// rest follows from it.
pub(crate) fn conclude(outcome: Checked, disk: &FaultDisk, counts: &mut Counts) -> Option<Wrong> {
    let wrong = disk.trouble().map(|trouble| Wrong::new(Breach::Other, trouble)).or(outcome.err());
    if let Some(wrong) = &wrong {
        counts.blame(wrong);
    }
    wrong
}

/// Returns what is wrong: which promise is broken, and how.
macro_rules! wrong {
    ($breach:ident, $($text:tt)+) => {
        return Err($crate::wrong::Wrong::new($crate::wrong::Breach::$breach, format!($($text)+)))
    };
}

pub(crate) use wrong;
