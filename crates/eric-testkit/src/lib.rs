//! What Eric's crates are tested with: the conformance suites of engines and of stores, engines and stores that are
//! broken on purpose, slow ones, a disk whose faults are chosen, and a clock that tests move. Development only.

pub mod broken;
pub mod broken_kv;
pub mod clock;
pub mod fault_disk;
pub mod kv_suite;
pub mod slow;
pub mod suite;

pub use broken::{BrokenEngine, Fault};
pub use broken_kv::{BrokenKv, KvFault};
pub use clock::ManualClock;
pub use fault_disk::FaultDisk;
pub use kv_suite::kv_suite;
pub use slow::{SlowEngine, SlowKv};
pub use suite::{Report, engine_suite};
