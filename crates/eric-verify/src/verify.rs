//! Both simulations of one seed, in memory or beside a real disk.

use std::fmt;
use std::sync::Arc;

use eric_store::{Disk, Sabotage};

use crate::counts::Counts;
use crate::fault_disk::FaultDisk;
use crate::wrong::Wrong;
use crate::{log, readers};

/// A simulation.
///
/// ```
/// assert_eq!(eric_verify::Simulation::Readers.to_string(), "readers");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Simulation {
    /// [`log`](crate::log).
    Log,
    /// [`readers`](crate::readers).
    Readers,
}

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Readers => "readers",
        })
    }
}

/// What both simulations of a seed came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What the log's was.
    pub log: Counts,
    /// What the readers' was.
    pub readers: Counts,
    /// What was found wrong, first by the log's.
    pub wrong: Vec<(Simulation, Wrong)>,
}

/// Runs both simulations of a seed, with a bug planted or none. With a `real` disk everything is done there as well; what
/// was on it goes.
///
/// ```
/// use eric_store::Sabotage;
/// use eric_verify::{Simulation, verify};
///
/// let verified = verify(7, None, None);
/// assert_eq!(verified.wrong, []);
/// assert!(verified.readers.delivered > 0);
///
/// let verified = verify(7, Some(Sabotage::AnswerEarly), None);
/// assert_eq!(verified.wrong[0].0, Simulation::Log);
/// ```
pub fn verify(seed: u64, sabotage: Option<Sabotage>, real: Option<&Arc<dyn Disk>>) -> Verified {
    let disk = || match real {
        Some(real) => FaultDisk::mirrored_by(Arc::clone(real)),
        None => FaultDisk::new(),
    };
    let (log, log_wrong) = log::run(seed, sabotage, &disk());
    let (readers, readers_wrong) = readers::run(seed, sabotage, &disk());
    let wrongs = [(Simulation::Log, log_wrong), (Simulation::Readers, readers_wrong)];
    let wrong = wrongs.into_iter().filter_map(|(simulation, wrong)| Some((simulation, wrong?))).collect();
    Verified { log, readers, wrong }
}
