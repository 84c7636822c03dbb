//! A real directory that does what the platter does: every change is made in both, every read is made in both and must
//! find the same, and what a crash takes back on the platter is taken back in the files.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use eric_store::{Disk, DiskFile};

use super::inode::Inode;
use super::platter::Platter;

/// The file whose lock holds a real directory: it belongs to no store.
const LOCK: &str = "lock";

/// Bytes that are compared, and mended, at once.
const PIECE_BYTES: usize = 4096;

/// Real files beside the platter's.
pub(super) struct Mirror {
    disk: Arc<dyn Disk>,
    /// The open files, by the platter's number of each.
    files: BTreeMap<usize, Arc<dyn DiskFile>>,
    /// What the real disk did that it must not: the first time is kept.
    trouble: Option<String>,
}

impl Mirror {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, files: BTreeMap::new(), trouble: None }
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Passes on what the real disk says, and remembers that it failed.
    fn note<T>(&mut self, what: &str, answer: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &answer {
            self.trouble.get_or_insert_with(|| format!("the disk itself fails: {what}: {error}"));
        }
        answer
    }

    fn differs(&mut self, text: String) -> io::Error {
        self.trouble.get_or_insert(text);
        super::plan::input_output_error()
    }

    pub(super) fn create(&mut self, slot: usize, name: &str, len: u64) -> io::Result<()> {
        let made = self.disk.create(name, len);
        let made = self.note(name, made)?;
        self.files.insert(slot, made);
        Ok(())
    }

    pub(super) fn open(&mut self, slot: usize, name: &str) -> io::Result<()> {
        let opened = self.disk.open(name);
        let opened = self.note(name, opened)?;
        self.files.insert(slot, opened);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let renamed = self.disk.rename(from, to);
        self.note(from, renamed)
    }

    /// Removes a name, if it is there.
    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        match self.disk.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => self.note(name, removed),
        }
    }

    pub(super) fn sync_names(&mut self) -> io::Result<()> {
        let synced = self.disk.sync_names();
        self.note("the directory", synced)
    }

    /// The names that are there must be these.
    pub(super) fn list(&mut self, platter: &Platter) -> io::Result<()> {
        let names = self.names()?;
        if platter.names().eq(names.iter().map(String::as_str)) {
            return Ok(());
        }
        let expected: Vec<&str> = platter.names().collect();
        let text = format!("the directory has {names:?} instead of {expected:?}");
        Err(self.differs(text))
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        let names = self.disk.list();
        let mut names = self.note("the directory", names)?;
        names.retain(|name| name != LOCK);
        names.sort_unstable();
        Ok(names)
    }

    /// Writes what the platter has there by now.
    pub(super) fn write(&mut self, slot: usize, inode: &Inode, at: u64, len: usize) -> io::Result<()> {
        let len = (at + len as u64).min(inode.len()).saturating_sub(at);
        let mut data = vec![0; usize::try_from(len).expect("what is in memory has an address")];
        inode.read(&mut data, at)?;
        let written = self.file(slot).write(&data, at);
        self.note("a write", written)
    }

    pub(super) fn sync(&mut self, slot: usize) -> io::Result<()> {
        let synced = self.file(slot).sync();
        self.note("a sync", synced)
    }

    /// Reads what must be what the platter has. It is read as the caller does: perhaps only from the machine's cache.
    pub(super) fn read(
        &mut self,
        slot: usize,
        name: &str,
        buffer: &mut [u8],
        at: u64,
        if_cached: bool,
    ) -> io::Result<()> {
        let expected = buffer.to_vec();
        let file = self.file(slot).clone();
        let is_read = if_cached && matches!(file.read_if_cached(buffer, at), Ok(true));
        if !is_read {
            let read = file.read(buffer, at);
            self.note(name, read)?;
        }
        if buffer == expected {
            return Ok(());
        }
        let wrong = buffer.iter().zip(&expected).take_while(|(read, expected)| read == expected).count();
        let byte = at + wrong as u64;
        Err(self.differs(format!("{name} does not hold what was written to it: at byte {byte}")))
    }

    pub(super) fn check_size(&mut self, slot: usize, name: &str, expected: u64) -> io::Result<()> {
        let size = self.file(slot).size();
        let size = self.note(name, size)?;
        match size == expected {
            true => Ok(()),
            false => Err(self.differs(format!("{name} has {size} bytes instead of {expected}"))),
        }
    }

    fn file(&self, slot: usize) -> &Arc<dyn DiskFile> {
        self.files.get(&slot).expect("a file that is used was opened")
    }

    pub(super) fn close_all(&mut self) {
        self.files.clear();
    }

    /// The files become what the platter has.
    pub(super) fn restore(&mut self, platter: &Platter) {
        let _ = self.try_restore(platter);
    }

    fn try_restore(&mut self, platter: &Platter) -> io::Result<()> {
        for name in self.names()? {
            if platter.find(&name).is_none() {
                self.remove(&name)?;
            }
        }
        for name in platter.names() {
            let inode = platter.inode(platter.find(name).expect("it has this name"));
            let mended = mend(&*self.disk, name, inode);
            self.note(name, mended)?;
        }
        self.sync_names()
    }
}

/// Makes a real file what `inode` is.
fn mend(disk: &dyn Disk, name: &str, inode: &Inode) -> io::Result<()> {
    let content = inode.content();
    let present = disk.open(name).and_then(|file| Ok((file.size()?, file)));
    let file = match present {
        Ok((size, file)) if size == inode.len() => file,
        // Another length, or not there any more: another file.
        _ => disk.create(name, inode.len())?,
    };
    let mut buffer = [0; PIECE_BYTES];
    let mut is_mended = false;
    for (index, piece) in content.chunks(PIECE_BYTES).enumerate() {
        let at = (index * PIECE_BYTES) as u64;
        let present = &mut buffer[..piece.len()];
        file.read(present, at)?;
        if present != piece {
            file.write(piece, at)?;
            is_mended = true;
        }
    }
    if is_mended { file.sync() } else { Ok(()) }
}
