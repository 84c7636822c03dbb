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
///
/// ```
/// use eric_store::{Disk, RealDisk};
///
/// # let directory = tempfile::tempdir()?;
/// let disk = RealDisk::open(directory.path())?;
/// disk.create("notes", 0)?.write(b"hello", 0)?;
/// disk.rename("notes", "letters")?;
/// disk.sync_names()?;
/// assert!(disk.list()?.contains(&"letters".to_owned()));
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Disk: fmt::Debug + Send + Sync {
    /// The names of all files.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let disk = RealDisk::open(directory.path())?;
    /// disk.create("notes", 0)?;
    /// assert!(disk.list()?.iter().any(|name| name == "notes"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file of `len` zero bytes, or an empty one that grows as it is written. Its bytes are allocated and
    /// written once, so that writing them again needs no room. A file of this name is replaced.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] or [`io::ErrorKind::QuotaExceeded`] where there is no room: then no file is
    /// left.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let disk = RealDisk::open(directory.path())?;
    /// assert_eq!(disk.create("notes", 4096)?.size()?, 4096);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let disk = RealDisk::open(directory.path())?;
    /// assert_eq!(disk.open("notes").unwrap_err().kind(), std::io::ErrorKind::NotFound);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name; a file that had it is gone. All or nothing.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let disk = RealDisk::open(directory.path())?;
    /// disk.create("new", 7)?;
    /// disk.create("old", 0)?;
    /// disk.rename("new", "old")?;
    /// assert_eq!(disk.open("old")?.size()?, 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name; whoever has the file open can still use it.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let disk = RealDisk::open(directory.path())?;
    /// let file = disk.create("notes", 7)?;
    /// disk.remove("notes")?;
    /// assert_eq!(file.size()?, 7, "who has it open can still use it");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable: what was created, renamed and removed.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let disk = RealDisk::open(directory.path())?;
    /// disk.create("notes", 0)?.sync()?;
    /// // Its bytes are durable now, its name is with this:
    /// disk.sync_names()?;
    /// assert!(disk.open("notes").is_ok());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file. Closed when dropped.
///
/// ```
/// # use eric_store::{Disk, RealDisk};
/// # let directory = tempfile::tempdir()?;
/// let file = RealDisk::open(directory.path())?.create("notes", 0)?;
/// file.write(b"hello", 0)?;
/// file.sync()?;
/// let mut buffer = [0; 4];
/// file.read(&mut buffer, 1)?;
/// assert_eq!(&buffer, b"ello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its size in bytes.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let file = RealDisk::open(directory.path())?.create("notes", 0)?;
    /// file.write(b"hello", 2)?;
    /// assert_eq!(file.size()?, 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` with the bytes from `at` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] beyond the end.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let file = RealDisk::open(directory.path())?.create("notes", 4)?;
    /// let beyond = file.read(&mut [0; 8], 0).unwrap_err();
    /// assert_eq!(beyond.kind(), std::io::ErrorKind::UnexpectedEof);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;

    /// The same if it needs no waiting for a disk; else false, and `buffer` holds anything.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let file = RealDisk::open(directory.path())?.create("notes", 0)?;
    /// file.write(b"hello", 0)?;
    /// let mut buffer = [0; 5];
    /// if !file.read_if_cached(&mut buffer, 0)? {
    ///     file.read(&mut buffer, 0)?; // on a thread that may wait
    /// }
    /// assert_eq!(&buffer, b"hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn read_if_cached(&self, buffer: &mut [u8], at: u64) -> io::Result<bool>;

    /// Writes all of `data` at `at`.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let file = RealDisk::open(directory.path())?.create("notes", 8)?;
    /// file.write(b"hello", 3)?;
    /// let mut buffer = [1; 8];
    /// file.read(&mut buffer, 0)?;
    /// assert_eq!(&buffer, b"\0\0\0hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn write(&self, data: &[u8], at: u64) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// ```
    /// # use eric_store::{Disk, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let file = RealDisk::open(directory.path())?.create("notes", 0)?;
    /// file.write(b"hello", 0)?;
    /// // A failure is not to be tried again: the machine may have forgotten what was written.
    /// assert!(file.sync().is_ok());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn sync(&self) -> io::Result<()>;
}
