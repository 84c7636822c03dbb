//! The embedded durable engine of the Eric message hub: a segment log with group commit.
//!
//! [`Store`] keeps what a hub is told in one directory, and answers once it is on the disk. Callers put their changes
//! into the next group; one writer writes it and syncs once for all of it; readers see only what is durable. What the
//! files look like is said in `docs/format.md`.
//!
//! A chain to read along: `store.rs` (callers) → `plan.rs` (a change) → `group.rs` (bytes) → `writer.rs` (a turn) →
//! `disk.rs` (the seam); and `open.rs` → `recover.rs` → `scan.rs` for what an earlier process left. [`offline`] is for a
//! store that nobody has open.

mod checkpoint;
mod damage;
mod disk;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod group;
pub mod offline;
mod open;
mod places;
mod plan;
mod read;
mod recover;
mod request;
mod rewrite;
mod scan;
mod segments;
mod settings;
mod shared;
mod spare;
mod state;
mod store;
mod threads;
mod writer;

pub use disk::{Disk, DiskFile, RealDisk};
pub use open::Opening;
pub use settings::{Sabotage, StoreSettings, Sync};
pub use store::{Store, StoreStats};
