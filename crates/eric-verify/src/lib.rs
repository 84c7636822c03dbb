//! The proof that Eric keeps its promises: a store on a disk whose faults are chosen, beside a model of what must hold.
//!
//! Everything of a run is drawn by its seed and happens on one thread, so the same seed has the same result.

pub mod clock;
mod counts;
pub mod fault_disk;
mod faults;
pub mod log;
mod wrong;

pub use clock::ManualClock;
pub use counts::Counts;
pub use fault_disk::FaultDisk;
pub use wrong::{Breach, Checked, Wrong};
