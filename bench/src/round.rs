//! One round with one server, and what was observed in it.
//!
//! In a process that has just been started, because one that has been busy has memory to spare:
//!
//! 1. One stream is opened, so that what the first one needs is there.
//! 2. All others are opened, each with a listener of its own; one broadcast shows that all of them are there.
//!
//! And in another one:
//!
//! 1. Requests, one after another, while there are no streams.
//! 2. Streams are opened as above.
//! 3. Nothing happens.
//! 4. Requests again, to a channel that none of the streams is on.
//! 5. Broadcasts to all streams, one after another.
//! 6. All streams leave; nothing happens.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::cores::Cores;
use crate::crowd::Crowd;
use crate::door::Door;
use crate::usage::{Meter, Shares, own_seconds};

pub(crate) const REQUESTS: Duration = Duration::from_secs(3);
pub(crate) const IDLE: Duration = Duration::from_secs(5);
pub(crate) const AFTERWARDS: Duration = Duration::from_secs(3);
/// How many broadcasts go to all streams; their median counts.
pub(crate) const BROADCASTS: u64 = 10;
/// What a round with one server takes, about.
pub(crate) const TIME: Duration = Duration::from_secs(20);
const WARM_UP: Duration = Duration::from_millis(500);
/// After something was opened or closed, before something is measured.
const SETTLE: Duration = Duration::from_millis(500);
/// What others may use of the two cores, in cores.
const OTHERS_MAX: f64 = 0.1;
/// For how long others have to be quiet, to be taken for quiet.
const QUIET: Duration = Duration::from_secs(2);
const BETWEEN_BROADCASTS: Duration = Duration::from_millis(20);

/// What a round showed.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) memory: Memory,
    pub(crate) work: Work,
    /// How many rounds were discarded before this one, because others disturbed them.
    pub(crate) discarded: u32,
}

/// Resident memory.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Of a process that has just been started.
    pub(crate) process_bytes: f64,
    /// Of every further stream after the first, with its listener.
    pub(crate) stream_bytes: f64,
}

/// Everything else.
#[derive(Debug)]
pub(crate) struct Work {
    /// Without streams.
    pub(crate) alone: Load,
    /// Beside idle streams.
    pub(crate) beside: Load,
    pub(crate) idle: Shares,
    /// From a broadcast until the last stream has it.
    pub(crate) fan_out_seconds: f64,
    /// The generator's part in that, in cores.
    pub(crate) fan_out_generator: f64,
    pub(crate) afterwards: Shares,
    pub(crate) descriptors_left: f64,
}

/// Requests, one after another.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) p50_seconds: f64,
    pub(crate) p99_seconds: f64,
    pub(crate) shares: Shares,
}

impl Work {
    /// One line for those who wait.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{:>7.0} requests/s, {:>7.0} beside idle streams, which take {:>5.1} % of a core; others {:.0} %",
            self.alone.per_second,
            self.beside.per_second,
            self.idle.server * 100.0,
            self.others_max() * 100.0
        )
    }

    /// What others used of the two cores, where that was most.
    pub(crate) fn others_max(&self) -> f64 {
        let all = [self.alone.shares, self.beside.shares, self.idle, self.afterwards];
        all.iter().map(|shares| shares.others).fold(0.0, f64::max)
    }

    /// Whether others used so much that the figures are doubtful.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.others_max() > OTHERS_MAX
    }
}

/// Observes what streams of a server weigh.
pub(crate) fn weigh(meter: &Meter<'_>, door: &mut dyn Door, streams: usize) -> anyhow::Result<Memory> {
    let process_bytes = meter.resident_bytes()?;
    let _first = open(door, 1)?;
    settle(door);
    let bytes = meter.resident_bytes()?;
    let _others = open(door, streams)?;
    settle(door);
    Ok(Memory { process_bytes, stream_bytes: (meter.resident_bytes()? - bytes) / streams as f64 })
}

/// Observes how a server works.
pub(crate) fn work(meter: &Meter<'_>, door: &mut dyn Door, streams: usize) -> anyhow::Result<Work> {
    let quiet = door.create_channel().context("cannot create a channel")?;
    let request = door.broadcast(&quiet, "greeting", &json!("hello, world"));
    load(meter, door, &request, WARM_UP)?;
    let alone = load(meter, door, &request, REQUESTS).context("requests without streams")?;

    settle(door);
    let descriptors_before = meter.descriptors()?;
    let mut crowd = open(door, streams)?;
    settle(door);
    let idle = pass(meter, IDLE)?;

    load(meter, door, &request, WARM_UP)?;
    let beside = load(meter, door, &request, REQUESTS).context("requests beside streams")?;

    crowd.bring_no_more(BETWEEN_BROADCASTS)?;
    let (mut times, mut generator) = (Vec::new(), 0.0);
    for _ in 0..BROADCASTS {
        let spent = own_seconds();
        times.push(crowd.fan_out(door)?);
        generator += own_seconds() - spent;
        crowd.bring_no_more(BETWEEN_BROADCASTS)?;
    }
    crowd.bring_no_more(SETTLE)?;
    let fan_out_generator = generator / times.iter().sum::<f64>();

    drop(crowd);
    settle(door);
    let afterwards = pass(meter, AFTERWARDS)?;
    let descriptors_left = meter.descriptors()? - descriptors_before;
    let fan_out_seconds = median(&mut times);
    Ok(Work { alone, beside, idle, fan_out_seconds, fan_out_generator, afterwards, descriptors_left })
}

/// Waits until others leave the two cores alone, but no longer than `time_max`.
pub(crate) fn wait_for_quiet(cores: &Cores, time_max: Duration) -> anyhow::Result<()> {
    let meter = Meter { server: std::process::id(), cores };
    let start = Instant::now();
    while start.elapsed() < time_max && pass(&meter, QUIET)?.others > OTHERS_MAX {}
    Ok(())
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => values[middle - 1..=middle].iter().sum::<f64>() / 2.0,
        _ => values[middle],
    }
}

/// Sends `request` over and over for some time.
fn load(meter: &Meter<'_>, door: &mut dyn Door, request: &[u8], time: Duration) -> anyhow::Result<Load> {
    let mut latencies: Vec<Duration> = Vec::with_capacity(1 << 18);
    let start = meter.now()?;
    let begin = Instant::now();
    let mut now = begin;
    while now - begin < time {
        door.send(request)?;
        door.finish()?;
        let then = std::mem::replace(&mut now, Instant::now());
        latencies.push(now - then);
    }
    let shares = meter.since(&start)?;
    let per_second = latencies.len() as f64 / (now - begin).as_secs_f64();
    latencies.sort_unstable();
    let percentile = |share: usize| latencies[(latencies.len() * share).div_ceil(100) - 1].as_secs_f64();
    Ok(Load { per_second, p50_seconds: percentile(50), p99_seconds: percentile(99), shares })
}

/// Opens streams on a channel of their own, each with a listener of its own, and shows that all of them are there.
fn open(door: &mut dyn Door, streams: usize) -> anyhow::Result<Crowd> {
    let channel = door.create_channel().context("cannot create a channel")?;
    let open = |_| {
        let listener = door.add_listener(&channel).context("cannot add a listener")?;
        door.open_stream(&channel, &listener).context("cannot open a stream")
    };
    let streams = (0..streams).map(open).collect::<anyhow::Result<_>>()?;
    let mut crowd = Crowd::new(channel, streams)?;
    crowd.fan_out(door)?;
    Ok(crowd)
}

/// Leaves the server without requests, and lets it come to rest.
fn settle(door: &mut dyn Door) {
    door.rest();
    std::thread::sleep(SETTLE);
}

/// Does nothing for a while; returns what was used meanwhile.
fn pass(meter: &Meter<'_>, time: Duration) -> anyhow::Result<Shares> {
    let start = meter.now()?;
    std::thread::sleep(time);
    meter.since(&start)
}
