//! A disk in memory whose faults are chosen: what is not synced can be lost, and every operation can be made to fail.
//!
//! It models a real disk with a volatile cache. Nothing in it is random but by a seed, so a run can be repeated, with a
//! fault at each of its operations:
//!
//! - `inode` is one file, with what the process sees and what is on stable storage, sector by sector;
//! - `platter` is all files and their names, and what a crash leaves of them;
//! - `plan` decides which operation fails, and how;
//! - `machine` puts these together behind the seam [`Disk`]; `trace` remembers what was done;
//! - `mirror` does the same to real files, where that is wished for.
//!
//! What a crash can leave, of everything since the last sync:
//!
//! | | names | sectors of 512 bytes | length |
//! |---|---|---|---|
//! | [`Crash::Process`] | all changes | all | all |
//! | [`Crash::LoseAll`] | no change | none | as it was |
//! | [`Crash::Torn`] | the first few changes | any | as it was, as it became, or between |

mod inode;
mod machine;
mod mirror;
#[cfg(test)]
mod model;
mod plan;
mod platter;
#[cfg(test)]
mod tests;
mod trace;

use std::fmt;
use std::sync::Arc;

use eric_store::Disk;
use parking_lot::Mutex;

use self::inode::Inode;
use self::machine::Machine;
use self::mirror::Mirror;
use self::platter::Platter;
use self::trace::Trace;

pub use self::plan::{FaultPlan, Op, Operations, Times, What};
pub use self::trace::Traced;

/// How a machine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The process is killed. The cache survives: all that was written is seen by the next process, and what was not
    /// synced can still be lost by the next crash.
    Process,
    /// Power is gone, and with it all that was not synced.
    LoseAll,
    /// Power is gone. Of what was not synced, the seed draws what survives: any sectors, and of the changes of names
    /// the first few, as journalling file systems keep them. Of what a failed sync forgot, nothing does.
    Torn(u64),
}

/// A [`Disk`] in memory whose faults are chosen. Cloning shares it.
///
/// ```
/// use eric_store::Disk;
/// use eric_verify::fault_disk::{Crash, FaultDisk, FaultPlan, Op, What};
///
/// let disk = FaultDisk::new();
/// let file = disk.create("log", 4096)?;
/// disk.sync_names()?;
/// file.write(b"synced", 0)?;
/// file.sync()?;
/// file.write(b"dreamt", 0)?;
///
/// disk.crash(Crash::LoseAll);
/// assert!(file.size().is_err(), "handles die with their machine");
/// assert_eq!(&disk.content("log").unwrap()[..6], b"synced");
///
/// disk.arm();
/// disk.fail(FaultPlan::once(Op::Write, 2, What::CrashHere));
/// let file = disk.open("log")?;
/// assert!(file.write(b"first", 0).is_ok());
/// assert!(file.write(b"second", 0).is_err());
/// assert!(disk.has_crashed());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct FaultDisk {
    machine: Arc<Mutex<Machine>>,
    /// The life it is bound to, if it is.
    life: Option<u64>,
}

/// A whole disk at one moment, cache and all.
#[derive(Clone)]
pub struct Snapshot(Platter);

impl FaultDisk {
    /// An empty disk without faults or limits.
    pub fn new() -> Self {
        Self { machine: Arc::new(Mutex::new(Machine::new())), life: None }
    }

    /// An empty disk beside which `real` is used in the same way: every change is made in both, every read is made in
    /// both and must find the same. What is on `real` goes. Time after time it becomes what a crash leaves of this disk,
    /// so a store can be crashed on a real disk, power losses included.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_store::{Disk, RealDisk};
    /// use eric_verify::fault_disk::{Crash, FaultDisk};
    ///
    /// let directory = tempfile::tempdir()?;
    /// let disk = FaultDisk::mirrored_by(Arc::new(RealDisk::open(directory.path())?));
    /// disk.create("log", 4096)?.write(b"dreamt", 0)?;
    /// assert_eq!(std::fs::read(directory.path().join("log"))?[..6], *b"dreamt");
    /// disk.crash(Crash::LoseAll);
    /// assert!(!directory.path().join("log").exists(), "neither it nor its name was synced");
    /// assert_eq!(disk.trouble(), None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn mirrored_by(real: Arc<dyn Disk>) -> Self {
        let disk = Self::new();
        {
            let machine = &mut *disk.machine.lock();
            machine.mirror = Some(Mirror::new(real));
            machine.restore_mirror();
        }
        disk
    }

    /// What the real disk beside this one did that it must not, if it did: failed, or held something else.
    pub fn trouble(&self) -> Option<String> {
        self.machine.lock().mirror.as_ref()?.trouble().map(str::to_owned)
    }

    /// This disk as the running machine sees it: after the next crash all its operations fail, like those of files.
    /// With this a store is opened whose threads may outlive the crash.
    pub fn mount(&self) -> Arc<dyn Disk> {
        let life = Some(self.machine.lock().life);
        Arc::new(Self { machine: Arc::clone(&self.machine), life })
    }

    /// Ends the machine's life, if a fault did not, and begins the next one. All files that were open are dead: every
    /// operation on them fails. Plans, counts and trace stay.
    pub fn crash(&self, how: Crash) {
        self.machine.lock().crash(how);
    }

    /// Whether a fault has ended the machine's life, and no [`FaultDisk::crash`] has begun another one.
    pub fn has_crashed(&self) -> bool {
        self.machine.lock().is_dead
    }

    // Faults.

    /// Forgets all plans, and counts operations from here.
    pub fn arm(&self) {
        self.machine.lock().arm();
    }

    /// Plans a fault. Where two strike the same operation, the first one planned does.
    ///
    /// # Panics
    /// If this cannot happen to such an operation: a short sync, a write that lies.
    pub fn fail(&self, plan: FaultPlan) {
        self.machine.lock().plans.add(plan);
    }

    /// Ends what [`What::Full`] began.
    pub fn space_is_back(&self) {
        let machine = &mut *self.machine.lock();
        machine.plans.space_is_back();
        machine.platter.set_full(false);
    }

    /// Limits the bytes of all files together. A removed file counts while it is open, and until its name is durably
    /// gone. What is made or grows beyond that fails with `StorageFull`; of a write, the sectors that fit are written.
    pub fn set_capacity(&self, bytes: u64) {
        self.machine.lock().platter.set_bytes_max(bytes);
    }

    /// The bytes that count for the capacity.
    pub fn bytes(&self) -> u64 {
        self.machine.lock().platter.bytes()
    }

    /// How many operations there were since the faults were last armed.
    pub fn operations(&self) -> Operations {
        self.machine.lock().plans.counts()
    }

    // What is on it.

    /// The names that processes see, sorted.
    pub fn names(&self) -> Vec<String> {
        self.machine.lock().platter.names().map(str::to_owned).collect()
    }

    /// The names that would be left by [`Crash::LoseAll`], sorted.
    pub fn durable_names(&self) -> Vec<String> {
        self.machine.lock().platter.durable_names().map(str::to_owned).collect()
    }

    /// What processes see in the file of this name.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.look(name, Inode::content)
    }

    /// What would be left under this name by [`Crash::LoseAll`].
    pub fn durable_content(&self, name: &str) -> Option<Vec<u8>> {
        self.machine.lock().platter.durable(name).map(Inode::durable_content)
    }

    /// The size that processes see.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.look(name, Inode::len)
    }

    /// The sectors of a file whose content is not durable, counted from its beginning: those that were written since
    /// its last sync, and those that a failed sync forgot.
    pub fn volatile_sectors(&self, name: &str) -> Option<Vec<u64>> {
        self.look(name, Inode::volatile_sectors)
    }

    /// Whether [`Crash::LoseAll`] would leave the file as it is, with its name.
    pub fn is_durable(&self, name: &str) -> bool {
        let platter = &self.machine.lock().platter;
        let slots = platter.find(name).zip(platter.find_durable(name));
        slots.is_some_and(|(now, durable)| now == durable && platter.inode(now).is_durable())
    }

    fn look<T>(&self, name: &str, at: impl FnOnce(&Inode) -> T) -> Option<T> {
        let platter = &self.machine.lock().platter;
        platter.find(name).map(|slot| at(platter.inode(slot)))
    }

    /// Turns a bit of the file that processes see under this name, in the cache and on stable storage.
    ///
    /// # Panics
    /// If there is no such file, or it has no such byte.
    pub fn flip(&self, name: &str, byte: u64, bit: u8) {
        let machine = &mut *self.machine.lock();
        let platter = &mut machine.platter;
        let slot = platter.find(name).expect("only a file that is there can be flipped");
        assert!(byte < platter.inode(slot).len() && bit < 8, "only a bit that is there can be flipped");
        platter.inode_mut(slot).flip(byte, bit);
        machine.mend_mirror();
    }

    /// Puts a file there, or another one in its place. It is durable, and so are all names. Faults and limits do not
    /// apply, and it is not counted.
    pub fn put(&self, name: &str, content: &[u8]) {
        let machine = &mut *self.machine.lock();
        let platter = &mut machine.platter;
        let mut inode = Inode::zeros(0);
        inode.write(content, 0);
        inode.sync();
        platter.link(name, inode);
        platter.sync_names();
        machine.mend_mirror();
    }

    // Again.

    /// Everything as it is. Cheap: content is shared until it changes.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.machine.lock().platter.clone())
    }

    /// Puts back what was there, the cache and the capacity too, into a new life: files that are open die, plans and
    /// counts are forgotten, the trace is empty.
    pub fn restore(&self, snapshot: &Snapshot) {
        let machine = &mut *self.machine.lock();
        machine.platter = snapshot.0.clone();
        machine.crash(Crash::Process);
        machine.arm();
        if let Some(trace) = &mut machine.trace {
            trace.clear();
        }
    }

    // The trace.

    /// Begins to keep the last so many operations and notes; none ends it.
    pub fn trace_last(&self, lines_max: usize) {
        self.machine.lock().trace = (lines_max != 0).then(|| Trace::new(lines_max));
    }

    /// Puts a line of the test's own between the operations.
    pub fn note(&self, text: impl Into<String>) {
        if let Some(trace) = &mut self.machine.lock().trace {
            trace.push(Traced::Note(text.into()));
        }
    }

    /// What was kept, the oldest first. Operations of a dead machine are not in it.
    pub fn trace(&self) -> Vec<Traced> {
        self.machine.lock().trace.as_ref().map_or_else(Vec::new, Trace::lines)
    }
}

impl Default for FaultDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FaultDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultDisk").field("life", &self.life).finish_non_exhaustive()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("bytes", &self.0.bytes()).finish_non_exhaustive()
    }
}
