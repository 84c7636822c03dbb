//! One life after the other on the same platter: every operation is counted, meets its fault, and is traced.
//!
//! What an operation does without a fault is in `platter` and `inode`; which fault strikes is decided in `plan`.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use eric_store::{Disk, DiskFile};
use parking_lot::Mutex;

use super::inode::{Inode, SECTOR_BYTES};
use super::mirror::Mirror;
use super::plan::{Op, Plans, What, input_output_error, no_room};
use super::platter::Platter;
use super::trace::{Trace, Traced};
use super::{Crash, FaultDisk};

/// What a buffer holds when nothing was read into it.
const NONSENSE: u8 = 0xA5;

pub(super) struct Machine {
    pub(super) platter: Platter,
    pub(super) plans: Plans,
    pub(super) trace: Option<Trace>,
    /// Real files that are to be the same.
    pub(super) mirror: Option<Mirror>,
    /// Counts crashes: handles of another life are dead.
    pub(super) life: u64,
    pub(super) is_dead: bool,
}

/// What an operation is about.
enum About<'a> {
    Names,
    Name(&'a str),
    Made { name: &'a str, len: u64 },
    Moved { from: &'a str, to: &'a str },
    File { slot: usize, bytes: Range<u64> },
}

impl Machine {
    pub(super) fn new() -> Self {
        let (platter, plans) = (Platter::new(), Plans::default());
        Self { platter, plans, trace: None, mirror: None, life: 0, is_dead: false }
    }

    /// The next life begins.
    pub(super) fn crash(&mut self, how: Crash) {
        self.platter.crash(how);
        self.life += 1;
        self.is_dead = false;
        self.restore_mirror();
    }

    /// The real files become what the platter has, and are closed.
    pub(super) fn restore_mirror(&mut self) {
        if let Some(mirror) = &mut self.mirror {
            mirror.close_all();
        }
        self.mend_mirror();
    }

    /// The real files become what the platter has.
    pub(super) fn mend_mirror(&mut self) {
        if let Some(mirror) = &mut self.mirror {
            mirror.restore(&self.platter);
        }
    }

    /// Does the same to the real files, where there are any.
    fn reflect(&mut self, act: impl FnOnce(&mut Mirror, &Platter) -> io::Result<()>) -> io::Result<()> {
        self.mirror.as_mut().map_or(Ok(()), |mirror| act(mirror, &self.platter))
    }

    /// No plans, no counts, and room.
    pub(super) fn arm(&mut self) {
        self.plans = Plans::default();
        self.platter.set_full(false);
    }

    fn check_alive(&self, life: Option<u64>) -> io::Result<()> {
        let is_this_life = life.is_none_or(|life| life == self.life);
        if is_this_life && !self.is_dead { Ok(()) } else { Err(input_output_error()) }
    }

    /// Counts an operation, lets it happen with its fault, and traces it.
    fn run<T>(
        &mut self,
        life: Option<u64>,
        op: Op,
        about: About<'_>,
        act: impl FnOnce(&mut Self, Option<What>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.check_alive(life)?;
        let fault = self.plans.next(op);
        let traced = self.trace.as_ref().map(|_| about.names(&self.platter));
        let answer = act(self, fault);
        if let (Some(trace), Some((name, to, bytes))) = (&mut self.trace, traced) {
            trace.push(Traced::Operation { op, name, to, bytes, is_ok: answer.is_ok(), fault });
        }
        answer
    }

    /// The answer that a fault has, after what it did. Faults that let an operation succeed have none.
    fn answer(&mut self, fault: Option<What>) -> io::Result<()> {
        match fault {
            None | Some(What::Lie | What::Flip { .. } | What::NotCached) => Ok(()),
            Some(What::Error(kind)) => Err(kind.into()),
            Some(What::Errno(number)) => Err(io::Error::from_raw_os_error(number)),
            Some(What::Short(_) | What::SyncLost) => Err(input_output_error()),
            Some(What::Full) => {
                self.platter.set_full(true);
                Err(no_room())
            }
            Some(What::CrashHere | What::CrashShort(_)) => {
                self.is_dead = true;
                Err(input_output_error())
            }
        }
    }

    fn create(&mut self, name: &str, len: u64, fault: Option<What>) -> io::Result<usize> {
        let has_room = len <= self.platter.room();
        if fault == Some(What::Full) || (fault.is_none() && !has_room) {
            // No file is left, not even the one that was to be replaced.
            let _ = self.platter.unlink(name);
            self.reflect(|mirror, _| mirror.remove(name))?;
        }
        if fault == Some(What::CrashHere) && has_room {
            self.platter.link(name, Inode::half_made(len));
        }
        self.answer(fault)?;
        if !has_room {
            return Err(no_room());
        }
        let slot = self.platter.link(name, Inode::zeros(len));
        self.platter.hold(slot);
        self.reflect(|mirror, _| mirror.create(slot, name, len))?;
        Ok(slot)
    }

    fn open(&mut self, name: &str, fault: Option<What>) -> io::Result<usize> {
        self.answer(fault)?;
        let slot = self.platter.find(name).ok_or(io::ErrorKind::NotFound)?;
        self.platter.hold(slot);
        self.reflect(|mirror, _| mirror.open(slot, name))?;
        Ok(slot)
    }

    fn sync_names(&mut self, fault: Option<What>) -> io::Result<()> {
        self.answer(fault)?;
        if fault != Some(What::Lie) {
            self.platter.sync_names();
            self.reflect(|mirror, _| mirror.sync_names())?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        slot: usize,
        buffer: &mut [u8],
        at: u64,
        fault: Option<What>,
        if_cached: bool,
    ) -> io::Result<()> {
        self.answer(fault)?;
        self.platter.inode(slot).read(buffer, at)?;
        self.reflect(|mirror, platter| mirror.read(slot, &platter.name(slot), buffer, at, if_cached))?;
        if let Some(What::Flip { byte, bit }) = fault
            && !buffer.is_empty()
        {
            let byte = byte % buffer.len();
            buffer[byte] ^= 1 << (bit % 8);
        }
        Ok(())
    }

    fn write(&mut self, slot: usize, data: &[u8], at: u64, fault: Option<What>) -> io::Result<()> {
        let done = match fault {
            None => {
                let answer = self.platter.write(slot, data, at);
                self.reflect(|mirror, platter| mirror.write(slot, platter.inode(slot), at, data.len()))?;
                return answer;
            }
            Some(What::Short(sectors) | What::CrashShort(sectors)) => first_sectors(data, at, sectors),
            Some(What::CrashHere) => data,
            Some(_) => &[],
        };
        // The fault has an answer already.
        let _ = self.platter.write(slot, done, at);
        self.reflect(|mirror, platter| mirror.write(slot, platter.inode(slot), at, done.len()))?;
        self.answer(fault)
    }

    fn sync(&mut self, slot: usize, fault: Option<What>) -> io::Result<()> {
        match fault {
            None => {
                self.platter.inode_mut(slot).sync();
                self.reflect(|mirror, _| mirror.sync(slot))?;
            }
            Some(What::SyncLost) => self.platter.inode_mut(slot).forget_dirty(),
            Some(_) => {}
        }
        self.answer(fault)
    }
}

/// The part of a write that is in the first sectors it touches.
fn first_sectors(data: &[u8], at: u64, sectors: u32) -> &[u8] {
    let sector = SECTOR_BYTES as u64;
    let end = at / sector * sector + u64::from(sectors) * sector;
    let len = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
    &data[..len.min(data.len())]
}

impl About<'_> {
    /// Name, new name and bytes for the trace.
    fn names(&self, platter: &Platter) -> (Arc<str>, Option<Arc<str>>, Range<u64>) {
        match self {
            Self::Names => ("".into(), None, 0..0),
            Self::Name(name) => ((*name).into(), None, 0..0),
            Self::Made { name, len } => ((*name).into(), None, 0..*len),
            Self::Moved { from, to } => ((*from).into(), Some((*to).into()), 0..0),
            Self::File { slot, bytes } => (platter.name(*slot), None, bytes.clone()),
        }
    }
}

impl FaultDisk {
    fn run<T>(
        &self,
        op: Op,
        about: About<'_>,
        act: impl FnOnce(&mut Machine, Option<What>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.machine.lock().run(self.life, op, about, act)
    }

    fn run_to_file(
        &self,
        op: Op,
        about: About<'_>,
        act: impl FnOnce(&mut Machine, Option<What>) -> io::Result<usize>,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let (life, slot) = self.run(op, about, |machine, fault| Ok((machine.life, act(machine, fault)?)))?;
        Ok(Arc::new(FaultFile { machine: Arc::clone(&self.machine), life, slot }))
    }
}

impl Disk for FaultDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.run(Op::List, About::Names, |machine, fault| {
            machine.answer(fault)?;
            machine.reflect(Mirror::list)?;
            // A file system promises no order, so this one has the least convenient.
            Ok(machine.platter.names().rev().map(str::to_owned).collect())
        })
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let about = About::Made { name, len };
        self.run_to_file(Op::Create, about, |machine, fault| machine.create(name, len, fault))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.run_to_file(Op::Open, About::Name(name), |machine, fault| machine.open(name, fault))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.run(Op::Rename, About::Moved { from, to }, |machine, fault| {
            machine.answer(fault)?;
            machine.platter.rename(from, to)?;
            machine.reflect(|mirror, _| mirror.rename(from, to))
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.run(Op::Remove, About::Name(name), |machine, fault| {
            machine.answer(fault)?;
            machine.platter.unlink(name)?;
            machine.reflect(|mirror, _| mirror.remove(name))
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.run(Op::SyncNames, About::Names, Machine::sync_names)
    }
}

/// A handle: dead when its life is over.
struct FaultFile {
    machine: Arc<Mutex<Machine>>,
    life: u64,
    slot: usize,
}

impl FaultFile {
    fn run<T>(
        &self,
        op: Op,
        bytes: Range<u64>,
        act: impl FnOnce(&mut Machine, Option<What>) -> io::Result<T>,
    ) -> io::Result<T> {
        let about = About::File { slot: self.slot, bytes };
        self.machine.lock().run(Some(self.life), op, about, act)
    }
}

fn stretch(at: u64, len: usize) -> Range<u64> {
    at..at.saturating_add(len as u64)
}

impl DiskFile for FaultFile {
    fn size(&self) -> io::Result<u64> {
        let machine = &mut *self.machine.lock();
        machine.check_alive(Some(self.life))?;
        let len = machine.platter.inode(self.slot).len();
        machine.reflect(|mirror, platter| mirror.check_size(self.slot, &platter.name(self.slot), len))?;
        Ok(len)
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.run(Op::Read, stretch(at, buffer.len()), |machine, fault| {
            machine.read(self.slot, buffer, at, fault, false)
        })
    }

    fn read_if_cached(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        self.run(Op::Read, stretch(at, buffer.len()), |machine, fault| {
            if fault == Some(What::NotCached) {
                buffer.fill(NONSENSE);
                return Ok(false);
            }
            machine.read(self.slot, buffer, at, fault, true)?;
            Ok(true)
        })
    }

    fn write(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.run(Op::Write, stretch(at, data.len()), |machine, fault| {
            machine.write(self.slot, data, at, fault)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.run(Op::Sync, 0..0, |machine, fault| machine.sync(self.slot, fault))
    }
}

impl Drop for FaultFile {
    fn drop(&mut self) {
        let mut machine = self.machine.lock();
        if machine.life == self.life {
            machine.platter.let_go(self.slot);
        }
    }
}

impl fmt::Debug for FaultFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultFile").field("life", &self.life).finish_non_exhaustive()
    }
}
