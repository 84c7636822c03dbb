//! What outlives a machine: names, files and room. It knows crashes, and no faults.
//!
//! There are two directories, the one that processes see and the durable one; `unsynced` leads from the second to the
//! first. A file is there while a directory, a change or a handle refers to it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use fastrand::Rng;

use super::Crash;
use super::inode::{Inode, SECTOR_BYTES};

type Directory = BTreeMap<Arc<str>, usize>;

/// A disk's content. Cloning is cheap: files are shared until they are written.
#[derive(Clone)]
pub(super) struct Platter {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    names: Arc<Directory>,
    durable_names: Arc<Directory>,
    /// Changes of names since they were synced, in their order.
    unsynced: Vec<NameChange>,
    bytes: u64,
    bytes_max: u64,
    is_full: bool,
}

#[derive(Clone)]
struct Slot {
    inode: Arc<Inode>,
    /// The name it had last.
    name: Arc<str>,
    /// How often directories and changes refer to it.
    references: usize,
    handles: usize,
}

#[derive(Clone)]
enum NameChange {
    Link { name: Arc<str>, slot: usize },
    Rename { from: Arc<str>, to: Arc<str> },
    Unlink { name: Arc<str> },
}

impl NameChange {
    /// Returns the file that lost its name.
    fn apply(&self, directory: &mut Arc<Directory>) -> Option<usize> {
        let directory = Arc::make_mut(directory);
        match self {
            Self::Link { name, slot } => directory.insert(Arc::clone(name), *slot),
            Self::Rename { from, to } => {
                let slot = directory.remove(from).expect("changes are applied in the order they were made");
                directory.insert(Arc::clone(to), slot)
            }
            Self::Unlink { name } => directory.remove(name),
        }
    }
}

impl Platter {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            names: Arc::default(),
            durable_names: Arc::default(),
            unsynced: Vec::new(),
            bytes: 0,
            bytes_max: u64::MAX,
            is_full: false,
        }
    }

    // Names.

    pub(super) fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.names.keys().map(|name| &**name)
    }

    pub(super) fn durable_names(&self) -> impl Iterator<Item = &str> {
        self.durable_names.keys().map(|name| &**name)
    }

    /// Which file has this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(super) fn find_durable(&self, name: &str) -> Option<usize> {
        self.durable_names.get(name).copied()
    }

    pub(super) fn link(&mut self, name: &str, inode: Inode) -> usize {
        let name: Arc<str> = name.into();
        self.bytes += inode.len();
        let filled = Slot { inode: Arc::new(inode), name: Arc::clone(&name), references: 2, handles: 0 };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(filled);
        self.change(NameChange::Link { name, slot });
        slot
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let slot = self.find(from).ok_or(io::ErrorKind::NotFound)?;
        if from != to {
            let to: Arc<str> = to.into();
            self.slot_mut(slot).name = Arc::clone(&to);
            self.change(NameChange::Rename { from: from.into(), to });
        }
        Ok(())
    }

    pub(super) fn unlink(&mut self, name: &str) -> io::Result<()> {
        self.find(name).ok_or(io::ErrorKind::NotFound)?;
        self.change(NameChange::Unlink { name: name.into() });
        Ok(())
    }

    pub(super) fn sync_names(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            let replaced = change.apply(&mut self.durable_names);
            self.release(replaced);
        }
    }

    fn change(&mut self, change: NameChange) {
        let replaced = change.apply(&mut self.names);
        self.unsynced.push(change);
        self.release(replaced);
    }

    fn release(&mut self, replaced: Option<usize>) {
        if let Some(slot) = replaced {
            self.slot_mut(slot).references -= 1;
            self.collect(slot);
        }
    }

    /// Lets a file go that nothing refers to.
    fn collect(&mut self, slot: usize) {
        let Slot { inode, references, handles, .. } = self.slot(slot);
        if *references == 0 && *handles == 0 {
            self.bytes -= inode.len();
            self.slots[slot] = None;
            self.free.push(slot);
        }
    }

    // Files.

    pub(super) fn hold(&mut self, slot: usize) {
        self.slot_mut(slot).handles += 1;
    }

    pub(super) fn let_go(&mut self, slot: usize) {
        self.slot_mut(slot).handles -= 1;
        self.collect(slot);
    }

    pub(super) fn name(&self, slot: usize) -> Arc<str> {
        Arc::clone(&self.slot(slot).name)
    }

    pub(super) fn inode(&self, slot: usize) -> &Inode {
        &self.slot(slot).inode
    }

    pub(super) fn durable(&self, name: &str) -> Option<&Inode> {
        self.find_durable(name).map(|slot| self.inode(slot))
    }

    pub(super) fn inode_mut(&mut self, slot: usize) -> &mut Inode {
        Arc::make_mut(&mut self.slot_mut(slot).inode)
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if that is not all: then the sectors that fit are written.
    pub(super) fn write(&mut self, slot: usize, data: &[u8], at: u64) -> io::Result<()> {
        let end = at.checked_add(data.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        let len = self.inode(slot).len();
        let growth = end.saturating_sub(len);
        if growth == 0 || data.is_empty() {
            self.inode_mut(slot).write(data, at);
            return Ok(());
        }
        let room = self.room();
        if growth <= room {
            self.bytes += growth;
            self.inode_mut(slot).write(data, at);
            return Ok(());
        }
        let sector = SECTOR_BYTES as u64;
        let end = ((len + room) / sector * sector).max(len);
        let fits = usize::try_from(end.saturating_sub(at)).map_or(data.len(), |fits| fits.min(data.len()));
        if fits != 0 {
            self.bytes += end - len;
            self.inode_mut(slot).write(&data[..fits], at);
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Bytes by which files may grow.
    pub(super) fn room(&self) -> u64 {
        if self.is_full { 0 } else { self.bytes_max.saturating_sub(self.bytes) }
    }

    /// Bytes of all files that are still there.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// Nothing can grow while it is full.
    pub(super) fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    // Ends.

    /// The machine is gone, and all handles with it.
    pub(super) fn crash(&mut self, how: Crash) {
        match how {
            Crash::Process => self.close_all(),
            Crash::LoseAll => self.lose(None),
            Crash::Torn(seed) => self.lose(Some(Rng::with_seed(seed))),
        }
    }

    fn close_all(&mut self) {
        for slot in 0..self.slots.len() {
            if self.slots[slot].is_some() {
                self.slot_mut(slot).handles = 0;
                self.collect(slot);
            }
        }
    }

    fn lose(&mut self, mut torn: Option<Rng>) {
        let survive = torn.as_mut().map_or(0, |rng| rng.usize(0..=self.unsynced.len()));
        for change in self.unsynced.drain(..).take(survive) {
            change.apply(&mut self.durable_names);
        }
        self.names = Arc::clone(&self.durable_names);
        let mut left: Vec<Option<Slot>> = (0..self.slots.len()).map(|_| None).collect();
        let names = Arc::clone(&self.names);
        self.bytes = 0;
        // In the order of names, so that what the seed draws does not hang on the order of handles.
        for (name, slot) in names.iter() {
            let mut survivor = self.slots[*slot].take().expect("a name leads to a file");
            if !survivor.inode.is_durable() {
                Arc::make_mut(&mut survivor.inode).lose(torn.as_mut());
            }
            self.bytes += survivor.inode.len();
            left[*slot] = Some(Slot { name: Arc::clone(name), references: 2, handles: 0, ..survivor });
        }
        self.free = (0..left.len()).rev().filter(|slot| left[*slot].is_none()).collect();
        self.slots = left;
    }

    fn slot(&self, slot: usize) -> &Slot {
        self.slots[slot].as_ref().expect("who has its number holds the file")
    }

    fn slot_mut(&mut self, slot: usize) -> &mut Slot {
        self.slots[slot].as_mut().expect("who has its number holds the file")
    }
}
