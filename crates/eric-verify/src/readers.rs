//! The readers' side: a hub whose machine crashes again and again, and whether everybody gets what it is owed.
//!
//! - `draw` says what happens next;
//! - `model` knows what was published, who is owed it and what limits may have let go;
//! - `world` is the hub on its store and its disk, and how it comes back; `doubts` finds out what nobody had an answer
//!   for;
//! - `deeds` are the calls, each beside what it must be answered;
//! - `session` is one stream, and what it may hand out.

mod deeds;
mod doubts;
mod draw;
mod model;
mod session;
mod world;

use eric_sse::Ack;
use eric_store::Sabotage;
use fastrand::Rng;

use self::draw::{Draw, Wish};
use self::session::Meddling;
use self::world::World;
use crate::counts::Counts;
use crate::fault_disk::{Crash, FaultDisk, FaultPlan, Op, What};
use crate::faults::{crash, fault};
use crate::wrong::{Checked, Wrong, conclude, wrong};

/// Deeds of one run.
const DEEDS: usize = 600;
/// Faults and ends of one run.
const ENDS: u64 = 10;

/// One run on an empty disk: publishers, readers, and faults that strike somewhere among what they do. What was counted
/// until then, and what is wrong.
///
/// ```
/// use eric_store::Sabotage;
/// use eric_verify::{FaultDisk, readers};
///
/// let (counts, wrong) = readers::run(1, None, &FaultDisk::new());
/// assert_eq!(wrong, None);
/// assert!(counts.delivered > 0);
///
/// let (_, wrong) = readers::run(1, Some(Sabotage::AnswerEarly), &FaultDisk::new());
/// assert!(wrong.is_some());
/// ```
pub fn run(seed: u64, sabotage: Option<Sabotage>, disk: &FaultDisk) -> (Counts, Option<Wrong>) {
    run_with(seed, sabotage, disk, None)
}

fn run_with(
    seed: u64,
    sabotage: Option<Sabotage>,
    disk: &FaultDisk,
    meddling: Option<Meddling>,
) -> (Counts, Option<Wrong>) {
    let mut random = Rng::with_seed(seed ^ 0x5eed);
    let window_bytes = [1, 4_000, 20_000, 1 << 20][random.usize(..4)];
    let mut world = World::new(disk.clone(), sabotage, window_bytes);
    world.meddling = meddling;
    let outcome = go(&mut world, seed, &mut random);
    // Nobody is to say goodbye to a store that is looked at no more.
    world.crash(Crash::LoseAll);
    let mut counts = world.counts;
    let wrong = conclude(outcome, disk, &mut counts);
    (counts, wrong)
}

fn go(world: &mut World, seed: u64, random: &mut Rng) -> Checked {
    let mut draw = Draw::new(seed);
    if !world.try_open()? {
        wrong!(Other, "a new store does not open");
    }
    world.check_survivors(true)?;
    let mut done = 0;
    plan(world, random);
    while done < DEEDS || world.counts.ends < ENDS {
        world.act(&mut draw)?;
        done += 1;
        if world.is_down() || random.u32(..80) == 0 {
            world.counts.ends += 1;
            end(world, &mut draw, random)?;
            plan(world, random);
        }
    }
    finish(world, &mut draw)
}

fn plan(world: &mut World, random: &mut Rng) {
    let plan = fault(random);
    world.may_be_full = plan.what == What::Full;
    world.disk.arm();
    world.disk.fail(plan);
}

/// The hub ends, one way or another, and comes back, perhaps not at the first attempt.
fn end(world: &mut World, draw: &mut Draw, random: &mut Rng) -> Checked {
    let is_closed = !world.is_down() && random.u32(..3) == 0;
    world.disk.space_is_back();
    if is_closed {
        world.disk.arm();
        world.close();
    } else {
        world.crash(crash(random));
    }
    for attempt in 0.. {
        world.disk.arm();
        if attempt < 3 && random.bool() {
            world.disk.fail(FaultPlan::once(Op::Mutation, random.u64(1..12), What::CrashHere));
        }
        if world.try_open()? {
            break;
        }
        world.crash(crash(random));
    }
    world.disk.arm();
    world.may_be_full = false;
    world.check_survivors(is_closed)?;
    if random.u32(..3) == 0 {
        let wish = if random.bool() { Wish::Last } else { Wish::Cursor };
        world.drain(wish, if random.bool() { Ack::Auto } else { Ack::Manual }, draw)?;
    }
    Ok(())
}

/// Everybody comes once more and gets all that is left.
fn finish(world: &mut World, draw: &mut Draw) -> Checked {
    world.disk.arm();
    world.may_be_full = false;
    world.close();
    if !world.try_open()? {
        wrong!(Other, "the store does not open although the disk is well");
    }
    world.check_survivors(true)?;
    world.drain(Wish::Last, Ack::Manual, draw)?;
    world.drain(Wish::Cursor, Ack::Auto, draw)?;
    for lane in world.model.listeners.values() {
        let standing = &world.model.lanes[*lane].standing;
        let owed = world.model.owed(*lane, standing.floor, world.model.tail);
        let lost =
            owed.iter().find(|offset| !standing.seen.contains(offset) && !standing.excused.contains(offset));
        if let Some(lost) = lost {
            wrong!(Lost, "{lost} never came to a reader whose it is");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_gets_what_it_is_owed_whatever_the_disk_does() {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let seeds = match number("ERIC_TEST_SEED") {
            Some(seed) => seed..seed + 1,
            None => 0..number("ERIC_TEST_SEEDS").unwrap_or(50).max(50),
        };
        let mut all = Counts::default();
        for seed in seeds.clone() {
            let (counts, wrong) = run(seed, None, &FaultDisk::new());
            assert_eq!(wrong, None, "ERIC_TEST_SEED={seed}: {counts:?}");
            all.add(&counts);
        }
        println!("{all:?}");
        if seeds.end - seeds.start < 50 {
            return;
        }
        assert!(all.delivered > 10_000 && all.repeated > 1_000 && all.told > 100, "{all:?}");
    }

    #[test]
    fn the_same_seed_has_the_same_result() {
        for seed in 0..3 {
            assert_eq!(run(seed, None, &FaultDisk::new()), run(seed, None, &FaultDisk::new()));
        }
    }

    #[test]
    fn every_bug_that_a_hub_could_have_is_noticed() {
        for meddling in Meddling::ALL {
            let found = (0..20)
                .find_map(|seed| Some((seed, run_with(seed, None, &FaultDisk::new(), Some(meddling)).1?)));
            let (seed, wrong) = found.unwrap_or_else(|| panic!("{meddling:?} was not found"));
            println!("{meddling:?} by seed {seed}: {wrong}");
        }
    }

    #[test]
    fn every_bug_of_a_store_is_noticed_by_readers() {
        for sabotage in Sabotage::ALL {
            let found =
                (0..50).find_map(|seed| Some((seed, run(seed, Some(sabotage), &FaultDisk::new()).1?)));
            let (seed, wrong) = found.unwrap_or_else(|| panic!("{sabotage:?} was not found"));
            println!("{sabotage:?} by seed {seed}: {wrong}");
        }
    }
}
