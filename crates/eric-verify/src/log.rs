//! The log beside a model: whatever the disk does, a store that is opened again holds exactly what was acknowledged, or
//! refuses loudly.

mod draw;
mod model;
mod world;

use std::time::Duration;

use eric_store::{Sabotage, StoreSettings};
use fastrand::Rng;

pub use self::draw::Draw;
use self::model::Change;
pub use self::world::World;
use crate::counts::Counts;
use crate::fault_disk::{Crash, FaultDisk, FaultPlan, Op, What};
use crate::faults::fault;
use crate::wrong::{Checked, Wrong, conclude};

/// Changes of one run.
pub const CHANGES: usize = 500;
/// Faults and ends of one run.
pub const ENDS: usize = 20;

/// How the store is kept: in small segments, so that there are many.
///
/// ```
/// let settings = eric_verify::log::settings(None);
/// assert!(settings.segment_bytes_max < 64 * 1024);
/// ```
pub fn settings(sabotage: Option<Sabotage>) -> StoreSettings {
    StoreSettings { segment_bytes_min: 4096, segment_bytes_max: 16384, sabotage, ..StoreSettings::default() }
}

/// How a machine ends, as `random` draws it.
pub fn crash(random: &mut Rng) -> Crash {
    crate::faults::crash(random)
}

/// One run on an empty disk: changes, and faults that strike somewhere among them. What was counted until then, and what
/// is wrong.
///
/// ```
/// use eric_store::Sabotage;
/// use eric_verify::{FaultDisk, log};
///
/// let (counts, wrong) = log::run(1, None, &FaultDisk::new());
/// assert_eq!(wrong, None);
/// assert!(counts.acknowledged > 0 && counts.ends >= 20);
///
/// let (_, wrong) = log::run(1, Some(Sabotage::AnswerEarly), &FaultDisk::new());
/// assert!(wrong.is_some());
/// ```
pub fn run(seed: u64, sabotage: Option<Sabotage>, disk: &FaultDisk) -> (Counts, Option<Wrong>) {
    let mut counts = Counts { runs: 1, ..Counts::default() };
    let wrong = World::new(disk.clone(), settings(sabotage)).and_then(|mut world| {
        let outcome = go(&mut world, seed, &mut counts);
        counts.acknowledged = world.answered();
        outcome
    });
    let wrong = conclude(wrong, disk, &mut counts);
    (counts, wrong)
}

fn go(world: &mut World, seed: u64, counts: &mut Counts) -> Checked {
    let mut draw = Draw::new(seed);
    let mut random = Rng::with_seed(seed ^ 0x5eed);
    let mut done = 0;
    plan(world, &mut random);
    while done < CHANGES || counts.ends < ENDS as u64 {
        done += act(world, &mut draw, &mut random)?;
        let ends = world.is_down() || random.u32(..60) == 0;
        if ends {
            counts.ends += 1;
            let is_closed = !world.is_down() && random.u32(..3) == 0;
            world.disk().space_is_back();
            if is_closed {
                world.disk().arm();
                world.close();
            } else {
                world.crash(crash(&mut random));
            }
            come_back(world, &mut random, is_closed)?;
            plan(world, &mut random);
        }
    }
    world.disk().arm();
    world.disk().space_is_back();
    world.close();
    world.reopen()?;
    world.check_survivors(true)
}

/// Some changes that are asked for together, and now and then some time and some housekeeping; how many changes.
///
/// # Errors
/// What is wrong.
pub fn act(world: &mut World, draw: &mut Draw, random: &mut Rng) -> Checked<usize> {
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
        world.clock().advance(Duration::from_millis(random.u64(1..5_000)));
    }
    Ok(asked)
}

fn plan(world: &World, random: &mut Rng) {
    world.disk().arm();
    world.disk().fail(fault(random));
}

/// Opens the store again, with crashes while it opens.
fn come_back(world: &mut World, random: &mut Rng, is_exact: bool) -> Checked {
    for attempt in 0.. {
        world.disk().arm();
        if attempt < 3 && random.bool() {
            world.disk().fail(FaultPlan::once(Op::Mutation, random.u64(1..8), What::CrashHere));
        }
        world.reopen()?;
        if world.is_open() && !world.is_down() {
            break;
        }
        world.crash(crash(random));
    }
    world.disk().arm();
    world.check_survivors(is_exact)
}
