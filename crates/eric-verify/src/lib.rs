//! The proof that Eric keeps its promises: a disk whose faults are chosen, and a clock that is moved by hand.

pub mod clock;
pub mod fault_disk;

pub use clock::ManualClock;
pub use fault_disk::FaultDisk;
