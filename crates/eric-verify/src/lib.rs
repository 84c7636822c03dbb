//! The proof that Eric keeps its promises: a store on a disk whose faults are chosen, beside models of what must hold.
//!
//! Everything of a run is drawn by its seed and happens on one thread, so the same seed has the same result. Two
//! simulations look at the same store from two sides:
//!
//! - [`log`]: what is asked of the store itself, and whether it holds exactly what was acknowledged when it is opened
//!   again;
//! - [`readers`]: a hub on such a store, publishers that repeat what they do not know the outcome of, and readers that
//!   come, go and come back, and whether each gets what it is owed.
//!
//! [`verify`] runs both. Nothing here needs a network or threads; files are touched only through the
//! [`Disk`](eric_store::Disk) that is given.

pub mod clock;
mod counts;
pub mod fault_disk;
mod faults;
pub mod log;
pub mod readers;
mod verify;
mod wrong;

pub use clock::ManualClock;
pub use counts::Counts;
pub use fault_disk::FaultDisk;
pub use verify::{Simulation, Verified, verify};
pub use wrong::{Breach, Checked, Wrong};
