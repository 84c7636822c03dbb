//! What Eric's crates are tested with: the conformance suites of engines and of stores, engines and stores that are
//! broken on purpose, and slow ones; with the disk whose faults are chosen and the clock that tests move, which are
//! `eric-verify`'s; and what the examples in the documentation begin with. Development only.

pub mod broken;
pub mod broken_kv;
#[cfg(feature = "doors")]
mod doors_example;
mod engine_example;
mod example;
pub mod kv_suite;
pub mod slow;
pub mod suite;

pub use broken::{BrokenEngine, Fault};
pub use broken_kv::{BrokenKv, KvFault};
#[cfg(feature = "doors")]
pub use doors_example::{http_example, socket_example};
pub use engine_example::{Entries, engine_example, lanes_example, no_lanes, retention, take};
pub use eric_verify::fault_disk::FaultDisk;
pub use eric_verify::{ManualClock, clock, fault_disk};
pub use example::example;
pub use kv_suite::kv_suite;
pub use slow::{SlowEngine, SlowKv};
pub use suite::{Report, engine_suite};

/// The programs on the page for those who come from the Python package.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-eric-sse.md")]
mod from_eric_sse {}
