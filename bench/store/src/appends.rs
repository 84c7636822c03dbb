//! Durable appends, with so many in flight, beside the raw program that writes the same groups, in turns.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eric_sse::lane::{Lane, Retention};
use eric_sse::log::{Log as _, NewEntry};
use eric_sse::{Message, SystemClock, Timestamp};
use eric_store::{Store, StoreSettings};
use parking_lot::Mutex;

use crate::disk::{Notes, NotingDisk, Raw};
use crate::figures::{at, median, roomy, usage};

const ROUNDS: usize = 7;
/// Messages that a channel keeps.
const KEPT_PER_LANE: u64 = 2_000;
const ROUND: Duration = Duration::from_millis(1500);

/// Messages of 128 bytes to 4 KiB, all their payloads made before.
pub(crate) fn messages() -> Vec<Message> {
    let mut random = fastrand::Rng::with_seed(7);
    let sizes = [128, 256, 512, 1024, 4096];
    (0..1024)
        .map(|_| Message::of("bench", &"x".repeat(sizes[random.usize(..5)])).expect("a message"))
        .collect()
}

pub(crate) async fn run(base: &Path) -> anyhow::Result<()> {
    println!(
        "Durable appends, 64 channels, 128 B to 4 KiB, beside the same groups written raw; medians of {ROUNDS} rounds"
    );
    println!(
        "in flight   appends/s       raw  ratio (each round)                          group  fdatasync   answer p50    p99.9  CPU/append"
    );
    for in_flight in [1, 16, 256] {
        one(base, in_flight).await?;
    }
    Ok(())
}

async fn one(base: &Path, in_flight: usize) -> anyhow::Result<()> {
    let (directory, other) = (tempfile::tempdir_in(base)?, tempfile::tempdir_in(base)?);
    let notes = Arc::new(Mutex::new(Notes::default()));
    let disk = NotingDisk::open(directory.path(), &notes)?;
    let store = Arc::new(Store::open_on(Arc::new(disk), StoreSettings::default(), Arc::new(SystemClock))?);
    let mut raw = Raw::new(other.path())?;
    let mut lanes = Vec::new();
    for _ in 0..64 {
        // Old entries go, so after a while segments are used again, as in any hub that runs for long.
        lanes.push(store.open(Retention { max_messages: KEPT_PER_LANE, ..roomy() }).await?);
    }
    let (lanes, messages) = (Arc::new(lanes), Arc::new(messages()));
    let (mut rates, mut raws, mut ratios, mut syncs, mut answers) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut groups, mut appends, mut busy) = (0, 0, Duration::ZERO);
    for round in 0..ROUNDS {
        *notes.lock() = Notes::default();
        let before = usage();
        let (count, took, times) = append(&store, &lanes, &messages, in_flight, round).await?;
        busy += usage() - before;
        let noted = std::mem::take(&mut *notes.lock());
        let raw_took = raw.write(&noted.groups)?;
        rates.push(count as f64 / took.as_secs_f64());
        raws.push(count as f64 / raw_took.as_secs_f64());
        ratios.push(raw_took.as_secs_f64() / took.as_secs_f64());
        syncs.extend(noted.syncs);
        answers.extend(times);
        groups += noted.groups.len();
        appends += count;
    }
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    syncs.sort_unstable();
    answers.sort_unstable();
    println!(
        "{in_flight:9} {:11.0} {:9.0}   {:.2} ({}) {:8.1} {:7} µs {:8} µs {:5.1} ms {:6.2} µs",
        median(&mut rates),
        median(&mut raws),
        median(&mut ratios),
        each.join(" "),
        appends as f64 / groups as f64,
        at(&syncs, 0.5).as_micros(),
        at(&answers, 0.5).as_micros(),
        at(&answers, 0.999).as_secs_f64() * 1e3,
        busy.as_secs_f64() * 1e6 / appends as f64,
    );
    Ok(())
}

async fn append(
    store: &Arc<Store>,
    lanes: &Arc<Vec<Lane>>,
    messages: &Arc<Vec<Message>>,
    in_flight: usize,
    round: usize,
) -> anyhow::Result<(u64, Duration, Vec<Duration>)> {
    let begin = Instant::now();
    let publisher = |task: usize| {
        let (store, lanes, messages) = (store.clone(), lanes.clone(), messages.clone());
        async move {
            let mut random = fastrand::Rng::with_seed((round * 1000 + task) as u64);
            let (mut count, mut times) = (0, Vec::new());
            while begin.elapsed() < ROUND {
                let lane = lanes[random.usize(..lanes.len())];
                let message = messages[random.usize(..messages.len())].clone();
                let new = NewEntry { lane, message, key: None, taken_at: Timestamp::from_ms(1) };
                let asked = Instant::now();
                store.submit(vec![new]).await?;
                times.push(asked.elapsed());
                count += 1;
            }
            Ok::<_, eric_sse::Error>((count, times))
        }
    };
    let tasks: Vec<_> = (0..in_flight).map(|task| tokio::spawn(publisher(task))).collect();
    let (mut count, mut times) = (0, Vec::new());
    for task in tasks {
        let (some, took) = task.await??;
        count += some;
        times.extend(took);
    }
    Ok((count, begin.elapsed(), times))
}
