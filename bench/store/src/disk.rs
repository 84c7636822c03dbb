//! A disk that notes what is written to the log and how long its syncs take, and a raw program that does nothing but
//! write the same.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eric_store::{Disk, DiskFile, RealDisk};
use parking_lot::Mutex;

/// The raw program's file.
const RAW_BYTES: u64 = 64 << 20;

/// What was noted.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Bytes of each group that was written and synced.
    pub(crate) groups: Vec<usize>,
    /// How long each of their syncs took.
    pub(crate) syncs: Vec<Duration>,
    last: usize,
}

/// The file system, with notes.
#[derive(Debug)]
pub(crate) struct NotingDisk {
    disk: RealDisk,
    notes: Arc<Mutex<Notes>>,
}

impl NotingDisk {
    pub(crate) fn open(path: &Path, notes: &Arc<Mutex<Notes>>) -> io::Result<Self> {
        Ok(Self { disk: RealDisk::open(path)?, notes: notes.clone() })
    }
}

#[derive(Debug)]
struct NotingFile {
    file: Arc<dyn DiskFile>,
    notes: Arc<Mutex<Notes>>,
}

impl Disk for NotingDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(NotingFile { file: self.disk.create(name, len)?, notes: self.notes.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(NotingFile { file: self.disk.open(name)?, notes: self.notes.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }
}

impl DiskFile for NotingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read(buffer, at)
    }

    fn read_if_cached(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        self.file.read_if_cached(buffer, at)
    }

    fn write(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.notes.lock().last = data.len();
        self.file.write(data, at)
    }

    fn sync(&self) -> io::Result<()> {
        let begin = Instant::now();
        self.file.sync()?;
        let mut notes = self.notes.lock();
        let last = notes.last;
        notes.groups.push(last);
        notes.syncs.push(begin.elapsed());
        Ok(())
    }
}

/// The raw program: it writes groups to a file that was filled with zeros, over and over, and calls `fdatasync`.
#[derive(Debug)]
pub(crate) struct Raw {
    file: Arc<dyn DiskFile>,
    data: Vec<u8>,
    at: u64,
}

impl Raw {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let disk = RealDisk::open(path)?;
        let data = vec![b'x'; usize::try_from(RAW_BYTES).expect("it fits")];
        Ok(Self { file: disk.create("raw", RAW_BYTES)?, data, at: 0 })
    }

    /// Writes and syncs each group; returns how long all of it took.
    pub(crate) fn write(&mut self, groups: &[usize]) -> io::Result<Duration> {
        let begin = Instant::now();
        for group in groups {
            if self.at + *group as u64 > RAW_BYTES {
                self.at = 0;
            }
            self.file.write(&self.data[..*group], self.at)?;
            self.file.sync()?;
            self.at += *group as u64;
        }
        Ok(begin.elapsed())
    }
}
