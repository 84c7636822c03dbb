//! Every fault at every point: whatever the disk does, a store that is opened again holds exactly what was
//! acknowledged, or refuses loudly.
//!
//! The simulation itself is `eric-verify`'s. One thread, one seed: a run can be repeated. `ERIC_TEST_SEEDS=10000` runs
//! more of them, `ERIC_TEST_SEED=7` one.

use std::collections::HashSet;

use eric_sse::ErrorKind;
use eric_store::{Sabotage, StoreSettings, Sync};
use eric_testkit::fault_disk::{Crash, FaultDisk, FaultPlan, Op, Traced, What};
use eric_verify::log::{CHANGES, Draw, ENDS, World, act, crash, run, settings};
use eric_verify::{Checked, Wrong};
use fastrand::Rng;

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
        match run(seed, None, &FaultDisk::new()) {
            (counts, None) => faults += counts.ends,
            (_, Some(wrong)) => panic!("ERIC_TEST_SEED={seed}: {wrong}"),
        }
        runs += 1;
    }
    println!("{runs} runs of at least {CHANGES} changes, {faults} faults and ends");
    assert!(faults >= runs * ENDS as u64);
}

/// The same changes every time, until the machine stops at the operation that the plan says; then what is left.
fn run_to(seed: u64, changes: usize, plan: Option<FaultPlan>, how: Crash) -> Checked<u64> {
    let mut world = World::new(FaultDisk::new(), settings(None))?;
    let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
    world.disk().arm();
    plan.into_iter().for_each(|plan| world.disk().fail(plan));
    let mut done = 0;
    while done < changes && !world.is_down() {
        done += act(&mut world, &mut draw, &mut random)?;
    }
    let operations = world.disk().operations().of(Op::Mutation);
    world.disk().arm();
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
            if let Err(reason) = run_to(seed, changes, Some(plan), how) {
                panic!("operation {nth} of {operations}, {what:?}, {how:?}: {reason}");
            }
        }
    }
}

#[test]
fn a_turned_bit_is_refused_or_does_no_harm() {
    let (mut refused, mut harmless) = (0, 0);
    for seed in seeds(40) {
        let mut world = World::new(FaultDisk::new(), settings(None)).expect("a new disk is whole");
        let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
        for _ in 0..random.usize(5..200) {
            act(&mut world, &mut draw, &mut random).expect("without a fault nothing is wrong");
        }
        world.crash(Crash::LoseAll);
        let whole = world.disk().snapshot();
        for _ in 0..20 {
            world.disk().restore(&whole);
            let names = world.disk().names();
            let name = &names[random.usize(..names.len())];
            let size = world.disk().size(name).expect("it is there");
            let (byte, bit) = (random.u64(..size), random.u8(..8));
            world.disk().flip(name, byte, bit);
            match world.try_reopen() {
                Err(ErrorKind::Corrupt) => refused += 1,
                Err(kind) => panic!("ERIC_TEST_SEED={seed}: {name} byte {byte} bit {bit}: {kind:?}"),
                Ok(()) => match world.check_survivors(false) {
                    Ok(()) => harmless += 1,
                    Err(reason) => {
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
        let mut world = World::new(FaultDisk::new(), unsynced).expect("a new disk is whole");
        let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
        for _ in 0..random.usize(5..300) {
            act(&mut world, &mut draw, &mut random).expect("without a fault nothing is wrong");
        }
        let how = crash(&mut random);
        world.crash(how);
        if let Err(reason) = world.reopen() {
            panic!("ERIC_TEST_SEED={seed} {how:?}: {reason}");
        }
        assert!(world.has_new_epoch(), "ERIC_TEST_SEED={seed} {how:?}");
        if let Err(reason) = world.read_everything() {
            panic!("ERIC_TEST_SEED={seed} {how:?}: {reason}");
        }
    }
}

#[test]
fn no_success_leaves_before_the_sync_that_covers_it() {
    for seed in 0..10 {
        let mut world = World::new(FaultDisk::new(), settings(None)).expect("a new disk is whole");
        let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
        world.disk().trace_last(1 << 20);
        world.note_answers();
        for _ in 0..200 {
            act(&mut world, &mut draw, &mut random).expect("without a fault nothing is wrong");
        }
        let (mut unsynced, mut answers) = (HashSet::new(), 0);
        for traced in world.disk().trace() {
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
        let run = |seed| run(seed, Some(sabotage), &FaultDisk::new()).1;
        let found = (0..50).find_map(|seed| run(seed).map(|wrong: Wrong| (seed, wrong.to_string())));
        let (seed, reason) = found.unwrap_or_else(|| panic!("{sabotage:?} was not found"));
        println!("{sabotage:?} by seed {seed}: {}", &reason[..reason.len().min(200)]);
    }
}
