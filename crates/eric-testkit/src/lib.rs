//! What Eric's crates are tested with: the conformance suite of engines, engines that are broken on purpose, a slow
//! one, a disk whose faults are chosen, and a clock that tests move. Development only.

pub mod broken;
pub mod clock;
pub mod fault_disk;
pub mod slow;
pub mod suite;

pub use broken::{BrokenEngine, Fault};
pub use clock::ManualClock;
pub use fault_disk::FaultDisk;
pub use slow::SlowEngine;
pub use suite::{Report, engine_suite};
