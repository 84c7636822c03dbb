//! Every fault at every point: whatever the disk does, a store that is opened again holds exactly what was
//! acknowledged, or refuses loudly.
//!
//! One thread, one seed: a run can be repeated. `ERIC_TEST_SEEDS=10000` runs more of them, `ERIC_TEST_SEED=7` one.

pub(crate) mod draw;
pub(crate) mod model;
pub(crate) mod world;

use std::collections::HashSet;
use std::time::Duration;

use eric_sse::ErrorKind;
use eric_store::{Sabotage, StoreSettings, Sync};
use eric_testkit::fault_disk::{Crash, FaultPlan, Op, Traced, What};
use fastrand::Rng;

use self::draw::Draw;
use self::model::Change;
use self::world::{Checked, World, Wrong};

/// Changes of one run.
const CHANGES: usize = 500;
/// Faults of one run.
const FAULTS: usize = 20;

pub(crate) fn settings(sabotage: Option<Sabotage>) -> StoreSettings {
    StoreSettings { segment_bytes_min: 4096, segment_bytes_max: 16384, sabotage, ..StoreSettings::default() }
}

/// Ways in which a disk fails, and machines end.
fn fault(random: &mut Rng) -> FaultPlan {
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

fn crash(random: &mut Rng) -> Crash {
    match random.u32(..4) {
        0 => Crash::Process,
        1 => Crash::LoseAll,
        _ => Crash::Torn(random.u64(..)),
    }
}

/// One run: changes, and faults that strike somewhere among them.
fn run(seed: u64, sabotage: Option<Sabotage>) -> Checked<usize> {
    let mut world = World::new(settings(sabotage))?;
    let mut draw = Draw::new(seed);
    let mut random = Rng::with_seed(seed ^ 0x5eed);
    let mut struck = 0;
    let mut done = 0;
    plan(&world, &mut random);
    while done < CHANGES || struck < FAULTS {
        done += act(&mut world, &mut draw, &mut random)?;
        let ends = world.is_down() || random.u32(..60) == 0;
        if ends {
            struck += 1;
            let is_closed = !world.is_down() && random.u32(..3) == 0;
            world.disk.space_is_back();
            if is_closed {
                world.disk.arm();
                world.close();
            } else {
                world.crash(crash(&mut random));
            }
            come_back(&mut world, &mut random, is_closed)?;
            plan(&world, &mut random);
        }
    }
    world.disk.arm();
    world.disk.space_is_back();
    world.close();
    world.reopen()?;
    world.check_survivors(true)?;
    Ok(struck)
}

/// Some changes that are asked for together, and now and then some time and some housekeeping.
pub(crate) fn act(world: &mut World, draw: &mut Draw, random: &mut Rng) -> Checked<usize> {
    let together = if random.u32(..4) == 0 { random.usize(2..5) } else { 1 };
    let mut changes = vec![draw.change(&world.planned)];
    while changes.len() < together && matches!(changes[0], Change::Submit(..)) {
        // Changes that are asked for together are such as do not depend on each other's outcome.
        if let more @ (Change::Submit(..) | Change::Upsert(..)) = draw.change(&world.planned) {
            changes.push(more);
        }
    }
    let asked = changes.len();
    world.ask(changes)?;
    if random.u32(..10) == 0 {
        world.tidy();
    }
    if random.u32(..20) == 0 {
        world.clock.advance(Duration::from_millis(random.u64(1..5_000)));
    }
    Ok(asked)
}

fn plan(world: &World, random: &mut Rng) {
    world.disk.arm();
    world.disk.fail(fault(random));
}

/// Opens the store again, with crashes while it opens.
fn come_back(world: &mut World, random: &mut Rng, is_exact: bool) -> Checked {
    for attempt in 0.. {
        world.disk.arm();
        if attempt < 3 && random.bool() {
            world.disk.fail(FaultPlan::once(Op::Mutation, random.u64(1..8), What::CrashHere));
        }
        world.reopen()?;
        if world.is_open() && !world.is_down() {
            break;
        }
        world.crash(crash(random));
    }
    world.disk.arm();
    world.check_survivors(is_exact)
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("ERIC_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ERIC_TEST_SEEDS").unwrap_or(default),
    }
}

#[test]
fn whatever_the_disk_does_what_was_acknowledged_comes_back() {
    let (mut faults, mut runs) = (0, 0);
    for seed in seeds(200) {
        match run(seed, None) {
            Ok(struck) => faults += struck,
            Err(Wrong(reason)) => panic!("ERIC_TEST_SEED={seed}: {reason}"),
        }
        runs += 1;
    }
    println!("{runs} runs of at least {CHANGES} changes, {faults} faults and ends");
    assert!(faults >= runs * FAULTS);
}

/// The same changes every time, until the machine stops at the operation that the plan says; then what is left.
fn run_to(seed: u64, changes: usize, plan: Option<FaultPlan>, how: Crash) -> Checked<u64> {
    let mut world = World::new(settings(None))?;
    let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
    world.disk.arm();
    plan.into_iter().for_each(|plan| world.disk.fail(plan));
    let mut done = 0;
    while done < changes && !world.is_down() {
        done += act(&mut world, &mut draw, &mut random)?;
    }
    let operations = world.disk.operations().of(Op::Mutation);
    world.disk.arm();
    world.crash(how);
    world.reopen()?;
    world.check_survivors(false)?;
    Ok(operations)
}

#[test]
fn every_operation_may_be_the_last() {
    let (seed, changes) = (1, 160);
    let operations = run_to(seed, changes, None, Crash::LoseAll).expect("without a fault nothing is wrong");
    for nth in 1..=operations {
        for (what, how) in [
            (What::CrashHere, Crash::LoseAll),
            (What::CrashHere, Crash::Process),
            (What::CrashHere, Crash::Torn(nth)),
            (What::EIO, Crash::LoseAll),
            (What::EIO, Crash::Process),
        ] {
            let plan = FaultPlan::once(Op::Mutation, nth, what);
            if let Err(Wrong(reason)) = run_to(seed, changes, Some(plan), how) {
                panic!("operation {nth} of {operations}, {what:?}, {how:?}: {reason}");
            }
        }
    }
}

#[test]
fn a_turned_bit_is_refused_or_does_no_harm() {
    let (mut refused, mut harmless) = (0, 0);
    for seed in seeds(40) {
        let mut world = World::new(settings(None)).expect("a new disk is whole");
        let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
        for _ in 0..random.usize(5..200) {
            act(&mut world, &mut draw, &mut random).expect("without a fault nothing is wrong");
        }
        world.crash(Crash::LoseAll);
        let whole = world.disk.snapshot();
        for _ in 0..20 {
            world.disk.restore(&whole);
            let names = world.disk.names();
            let name = &names[random.usize(..names.len())];
            let size = world.disk.size(name).expect("it is there");
            let (byte, bit) = (random.u64(..size), random.u8(..8));
            world.disk.flip(name, byte, bit);
            match world.try_reopen() {
                Err(ErrorKind::Corrupt) => refused += 1,
                Err(kind) => panic!("ERIC_TEST_SEED={seed}: {name} byte {byte} bit {bit}: {kind:?}"),
                Ok(()) => match world.check_survivors(false) {
                    Ok(()) => harmless += 1,
                    Err(Wrong(reason)) => {
                        panic!("ERIC_TEST_SEED={seed}: {name} byte {byte} bit {bit}: {reason}")
                    }
                },
            }
            world.crash(Crash::LoseAll);
        }
    }
    println!("{refused} turned bits were refused, {harmless} were in nothing that counts");
    assert!(refused > 0 && harmless > 0);
}

#[test]
fn without_fsync_a_store_opens_whatever_was_lost_and_says_so() {
    for seed in seeds(100) {
        let unsynced = StoreSettings { sync: Sync::Os, ..settings(None) };
        let mut world = World::new(unsynced).expect("a new disk is whole");
        let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
        for _ in 0..random.usize(5..300) {
            act(&mut world, &mut draw, &mut random).expect("without a fault nothing is wrong");
        }
        let how = crash(&mut random);
        world.crash(how);
        if let Err(Wrong(reason)) = world.reopen() {
            panic!("ERIC_TEST_SEED={seed} {how:?}: {reason}");
        }
        assert!(world.has_new_epoch(), "ERIC_TEST_SEED={seed} {how:?}");
        if let Err(Wrong(reason)) = world.read_everything() {
            panic!("ERIC_TEST_SEED={seed} {how:?}: {reason}");
        }
    }
}

#[test]
fn no_success_leaves_before_the_sync_that_covers_it() {
    for seed in 0..10 {
        let mut world = World::new(settings(None)).expect("a new disk is whole");
        let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
        world.disk.trace_last(1 << 20);
        world.notes_answers = true;
        for _ in 0..200 {
            act(&mut world, &mut draw, &mut random).expect("without a fault nothing is wrong");
        }
        let (mut unsynced, mut answers) = (HashSet::new(), 0);
        for traced in world.disk.trace() {
            match traced {
                Traced::Operation { op: Op::Write, name, .. } => {
                    unsynced.insert(name);
                }
                Traced::Operation { op: Op::Sync, name, is_ok: true, fault: None, .. } => {
                    unsynced.remove(&name);
                }
                Traced::Note(_) => {
                    answers += 1;
                    let is_log = |name: &&std::sync::Arc<str>| name.ends_with(".log");
                    assert_eq!(unsynced.iter().find(is_log), None, "an answer left before its sync");
                }
                _ => {}
            }
        }
        assert!(answers >= 200, "every change was answered");
    }
}

#[test]
fn planted_bugs_are_found() {
    for sabotage in Sabotage::ALL {
        let found =
            (0..50).find_map(|seed| run(seed, Some(sabotage)).err().map(|Wrong(reason)| (seed, reason)));
        let (seed, reason) = found.unwrap_or_else(|| panic!("{sabotage:?} was not found"));
        println!("{sabotage:?} by seed {seed}: {}", &reason[..reason.len().min(200)]);
    }
}
