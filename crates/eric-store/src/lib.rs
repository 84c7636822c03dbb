//! The embedded durable engine of the Eric message hub.

mod disk;
mod format;

pub use disk::{Disk, DiskFile, RealDisk};
