//! What goes wrong, and when: faults that are planned by counting operations.

use std::io;

/// The number of the error that a disk gives which could not do it: `EIO`.
const EIO: i32 = 5;

/// The number of the error that there is no room: `ENOSPC`.
const ENOSPC: i32 = 28;

pub(super) fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

pub(super) fn no_room() -> io::Error {
    io::Error::from_raw_os_error(ENOSPC)
}

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// `Disk::list`.
    List,
    /// `Disk::create`.
    Create,
    /// `Disk::open`.
    Open,
    /// `Disk::rename`.
    Rename,
    /// `Disk::remove`.
    Remove,
    /// `Disk::sync_names`.
    SyncNames,
    /// `DiskFile::read` and `DiskFile::read_if_cached`.
    Read,
    /// `DiskFile::write`.
    Write,
    /// `DiskFile::sync`.
    Sync,
    /// Whatever changes something, in the cache or on stable storage: all but lists, opens and reads.
    Mutation,
}

impl Op {
    fn is_mutation(self) -> bool {
        !matches!(self, Self::List | Self::Open | Self::Read)
    }

    /// Whether counting this kind counts an operation of the other.
    fn includes(self, op: Self) -> bool {
        self == op || (self == Self::Mutation && op.is_mutation())
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// An error of this kind; nothing is done.
    Error(io::ErrorKind),
    /// An error of the operating system with this number; nothing is done.
    Errno(i32),
    /// There is no room, from then on until [`FaultDisk::space_is_back`]: this and every later operation of the plan's
    /// kind (of [`Op::Mutation`]: every later creation and write) fails with [`io::ErrorKind::StorageFull`], and
    /// whatever else would need room.
    ///
    /// [`FaultDisk::space_is_back`]: super::FaultDisk::space_is_back
    Full,
    /// A write puts so many of its sectors, then there is an error.
    Short(u32),
    /// A sync fails, and what was to be synced is forgotten: a later sync that succeeds does not make it durable.
    SyncLost,
    /// A sync, of a file or of names, does nothing and succeeds.
    Lie,
    /// The machine dies: this operation fails, and all later ones. A write is in the cache by then, a file that is
    /// being made is there without a durable length; nothing else has any effect.
    CrashHere,
    /// The machine dies after so many sectors of a write.
    CrashShort(u32),
    /// A read returns one wrong bit, of this byte of what is read (modulo its length). What is on the disk is right.
    Flip {
        /// Which byte of those that are read.
        byte: usize,
        /// Which of its bits, from 0 to 7.
        bit: u8,
    },
    /// `read_if_cached` answers that it is not, and the buffer holds nonsense. A read that may wait is not affected.
    NotCached,
}

impl What {
    /// The error that says no more than that it went wrong.
    pub const EIO: Self = Self::Errno(EIO);

    fn suits(self, op: Op) -> bool {
        match self {
            Self::Short(_) | Self::CrashShort(_) => op == Op::Write,
            Self::SyncLost => op == Op::Sync,
            Self::Lie => op == Op::Sync || op == Op::SyncNames,
            Self::Flip { .. } | Self::NotCached => op == Op::Read,
            Self::Full => op.is_mutation(),
            Self::Error(_) | Self::Errno(_) | Self::CrashHere => true,
        }
    }
}

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Times {
    /// At one operation.
    Once,
    /// At that operation and all later ones of its kind.
    FromThen,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultPlan {
    /// Which operations are counted.
    pub op: Op,
    /// At which of them it strikes, counted from 1 since the faults were last armed.
    pub nth: u64,
    /// Whether it goes on.
    pub times: Times,
    /// What happens.
    pub what: What,
}

impl FaultPlan {
    /// A fault at the `nth` operation, and at no other.
    pub fn once(op: Op, nth: u64, what: What) -> Self {
        Self { op, nth, times: Times::Once, what }
    }

    /// A fault at the `nth` operation and all later ones.
    pub fn from_then(op: Op, nth: u64, what: What) -> Self {
        Self { op, nth, times: Times::FromThen, what }
    }

    fn check(&self) {
        let Self { op, what, .. } = self;
        assert!(self.nth >= 1, "operations are counted from 1");
        assert!(what.suits(*op), "this cannot happen to such an operation op={op:?} what={what:?}");
    }
}

/// How many operations of each kind there were. Those that failed count; those of a dead machine do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operations {
    counts: [u64; Op::Mutation as usize + 1],
}

impl Operations {
    /// How many of this kind.
    pub fn of(&self, op: Op) -> u64 {
        self.counts[op as usize]
    }

    fn add(&mut self, op: Op) {
        self.counts[op as usize] += 1;
        self.counts[Op::Mutation as usize] += u64::from(op.is_mutation());
    }
}

/// The plans that have not struck for the last time, and what they count by.
#[derive(Default)]
pub(super) struct Plans {
    counts: Operations,
    plans: Vec<FaultPlan>,
}

impl Plans {
    pub(super) fn counts(&self) -> Operations {
        self.counts
    }

    pub(super) fn add(&mut self, plan: FaultPlan) {
        plan.check();
        self.plans.push(plan);
    }

    /// Counts an operation; returns the fault that strikes it, the one that was planned first.
    pub(super) fn next(&mut self, op: Op) -> Option<What> {
        self.counts.add(op);
        if self.plans.is_empty() {
            return None;
        }
        let counts = self.counts;
        let index = self.plans.iter().position(|plan| strikes(plan, op, &counts))?;
        let plan = self.plans[index];
        if plan.times == Times::Once && plan.what != What::Full {
            self.plans.remove(index);
        }
        Some(plan.what)
    }

    /// Forgets the plans of no room that have begun.
    pub(super) fn space_is_back(&mut self) {
        let counts = self.counts;
        self.plans.retain(|plan| plan.what != What::Full || counts.of(plan.op) < plan.nth);
    }
}

fn strikes(plan: &FaultPlan, op: Op, counts: &Operations) -> bool {
    let count = counts.of(plan.op);
    let is_later = match (plan.what, plan.op) {
        (What::Full, Op::Mutation) => matches!(op, Op::Create | Op::Write),
        (What::Full, _) => true,
        _ => plan.times == Times::FromThen,
    };
    plan.op.includes(op) && (count == plan.nth || (count > plan.nth && is_later))
}
