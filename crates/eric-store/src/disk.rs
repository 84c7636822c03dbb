//! The seam to what keeps bytes: one directory of files. [`RealDisk`] is the file system; `eric-verify` has one
//! whose faults are chosen.

mod real;

use std::fmt;
use std::io;
use std::sync::Arc;

pub use self::real::RealDisk;

/// One directory that belongs to one store. All methods may be called concurrently, and may block.
///
/// What is not synced may be lost, in parts and in any order, when the machine stops; what is synced is not. A
/// name is as durable as the last [`Disk::sync_names`] after it appeared.
pub trait Disk: fmt::Debug + Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file of `len` zero bytes, or an empty one that grows as it is written. Its bytes are allocated and
    /// written once, so that writing them again needs no room. A file of this name is replaced.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] or [`io::ErrorKind::QuotaExceeded`] where there is no room: then no file is
    /// left.
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name; a file that had it is gone. All or nothing.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name; whoever has the file open can still use it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable: what was created, renamed and removed.
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file. Closed when dropped.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` with the bytes from `at` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] beyond the end.
    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;

    /// The same if it needs no waiting for a disk; else false, and `buffer` holds anything.
    fn read_if_cached(&self, buffer: &mut [u8], at: u64) -> io::Result<bool>;

    /// Writes all of `data` at `at`.
    fn write(&self, data: &[u8], at: u64) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}
