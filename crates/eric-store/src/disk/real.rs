//! The file system, through `rustix`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::{Disk, DiskFile};

/// The file whose lock holds the directory.
const LOCK: &str = "lock";
/// Bytes that are written at once to fill a new file: few enough that the log, which is synced at the same time, does
/// not wait for long.
const FILL_BYTES: usize = 1024 * 1024;
/// What addresses and lengths are multiples of where the machine's cache is passed by.
const DIRECT_ALIGNMENT: usize = 4096;

/// A directory of the file system, held against everybody else by a lock.
///
/// ```
/// use eric_store::RealDisk;
///
/// # let directory = tempfile::tempdir()?;
/// let disk = RealDisk::open(directory.path())?;
/// let other = RealDisk::open(directory.path()).unwrap_err();
/// assert_eq!(other.kind(), std::io::ErrorKind::WouldBlock, "one store, one process");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    directory: File,
    /// Whether nothing can be changed through it.
    is_read_only: bool,
    /// Locked for as long as it is open.
    _lock: Option<File>,
}

impl RealDisk {
    /// Opens the directory, makes it if it is not there (for the process's own user only), and locks it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where another process has it; and what the file system says.
    ///
    /// ```
    /// # use eric_store::RealDisk;
    /// # let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("eric").join("store");
    /// RealDisk::open(&path)?;
    /// assert!(path.is_dir());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::make(path)?;
        let directory = File::open(path)?;
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path: path.to_owned(), directory, is_read_only: false, _lock: Some(lock) })
    }

    /// Opens a directory that is there, to read only, and locks it. Where it has no lock, as a copy may, nobody ever
    /// opened it there, and there is nothing to lock.
    ///
    /// # Errors
    /// As [`RealDisk::open`]; [`io::ErrorKind::NotFound`] where it is not there.
    ///
    /// ```
    /// # use eric_store::{Disk as _, RealDisk};
    /// # let directory = tempfile::tempdir()?;
    /// let disk = RealDisk::open_to_read(directory.path())?;
    /// assert!(disk.create("notes", 0).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn open_to_read(path: &Path) -> io::Result<Self> {
        let directory = File::open(path)?;
        let lock = match File::open(path.join(LOCK)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(lock) = &lock {
            rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive)?;
        }
        Ok(Self { path: path.to_owned(), directory, is_read_only: true, _lock: lock })
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.is_read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    /// Makes the directory and those above it; each is durable in the one above it.
    fn make(path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let above = match path.parent() {
            Some(above) if above.as_os_str().is_empty() => Path::new("."),
            Some(above) => above,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Self::make(above)?;
        rustix::fs::mkdir(path, 0o700.into())?;
        File::open(above)?.sync_all()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| entry.map(|entry| entry.file_name()));
        let texts = names.filter_map(|name| name.map(OsString::into_string).map(Result::ok).transpose());
        texts.collect()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.check_writable()?;
        let path = self.at(name);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        if let Err(error) = fill(&file, &path, len) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(!self.is_read_only).open(self.at(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_writable()?;
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_writable()?;
        fs::remove_file(self.at(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.directory.sync_all()
    }
}

/// Allocates `len` bytes and writes them.
///
/// Where the file system lets it, past the machine's cache: the zeros are never read, and would push out what is.
fn fill(file: &File, path: &Path, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        // Where the file system cannot allocate ahead, writing does it.
        Ok(()) | Err(Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = i32::try_from(OFlags::DIRECT.bits()).expect("a flag of the system");
    let direct = OpenOptions::new().write(true).custom_flags(flags).open(path).ok();
    let buffer = vec![0; FILL_BYTES + DIRECT_ALIGNMENT];
    let zeros = &buffer[buffer.as_ptr().align_offset(DIRECT_ALIGNMENT)..][..FILL_BYTES];
    let mut at = 0;
    while at < len {
        let piece = &zeros[..usize::try_from((len - at).min(FILL_BYTES as u64)).expect("a piece is small")];
        let is_aligned = piece.len().is_multiple_of(DIRECT_ALIGNMENT);
        let is_written =
            direct.as_ref().is_some_and(|file| is_aligned && file.write_all_at(piece, at).is_ok());
        if !is_written {
            file.write_all_at(piece, at)?;
            file.sync_data()?;
        }
        at += piece.len() as u64;
    }
    file.sync_all()
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }

    fn read_if_cached(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        let mut done = 0;
        while done < buffer.len() {
            let mut rest = [IoSliceMut::new(&mut buffer[done..])];
            match rustix::io::preadv2(&self.0, &mut rest, at + done as u64, ReadWriteFlags::NOWAIT) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn write(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(data, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
