//! Ways in which a disk fails and machines end, drawn by a seed.

use fastrand::Rng;

use crate::fault_disk::{Crash, FaultPlan, Op, What};

/// A fault that strikes at one of the next operations.
pub(crate) fn fault(random: &mut Rng) -> FaultPlan {
    let nth = random.u64(1..60);
    let of = |op, nth, what| FaultPlan::once(op, nth, what);
    match random.u32(..12) {
        0 => of(Op::Write, nth, What::EIO),
        1 => of(Op::Sync, nth, What::EIO),
        2 => of(Op::Sync, nth, What::SyncLost),
        3 => of(Op::Write, nth, What::Short(random.u32(..4))),
        4 => of(Op::Rename, nth / 20 + 1, What::EIO),
        5 => of(Op::Create, nth / 20 + 1, What::EIO),
        6 => of(Op::SyncNames, nth / 20 + 1, What::EIO),
        7 => of(Op::Remove, nth / 20 + 1, What::EIO),
        8 => FaultPlan::from_then(Op::Create, nth / 20 + 1, What::Full),
        9 => of(Op::Write, nth, What::CrashShort(random.u32(..4))),
        _ => of(Op::Mutation, nth, What::CrashHere),
    }
}

/// How a machine ends.
pub(crate) fn crash(random: &mut Rng) -> Crash {
    match random.u32(..4) {
        0 => Crash::Process,
        1 => Crash::LoseAll,
        _ => Crash::Torn(random.u64(..)),
    }
}
