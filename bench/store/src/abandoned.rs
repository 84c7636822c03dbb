//! What 100,000 listeners cost for whom nobody comes back: memory, the disk, and whoever publishes beside them.
//!
//! The sketch: a listener is a lane, a cursor and a record in memory, some hundred bytes; a broadcast is one entry,
//! whoever listens; so publishing may not notice them, and an expiry is as many changes as their joins were.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use eric_sse::engine::Engine;
use eric_sse::engine::memory::MemoryEngine;
use eric_sse::persist::{KvStore, MemoryKv};
use eric_sse::{Channel, ChannelSettings, Clock, Hub, ListenerOrder, Message, SystemClock, Timestamp};
use eric_store::{Store, StoreSettings};

use crate::figures::{median, resident_bytes};

const LISTENERS: usize = 100_000;
/// Listeners that join at once.
const AT_ONCE: usize = 512;
/// Broadcasts that a channel keeps, and bytes of each.
const KEPT: u64 = 1_000;
const MESSAGE_BYTES: usize = 200;
/// Publishers, and for how long they publish to either channel in a round.
const PUBLISHERS: usize = 64;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(1);
const EXPIRES_S: u64 = 1_000;

/// The wall clock, which can be put forward.
#[derive(Debug, Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(SystemClock.now().as_ms() + self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SystemClock.sleep(duration)
    }
}

/// A hub, and where it keeps what it keeps.
struct Bench {
    hub: Hub,
    clock: Arc<Ahead>,
    store: Option<(Arc<Store>, tempfile::TempDir)>,
}

impl Bench {
    /// What is used at this moment, after `what`.
    fn print(&self, what: &str) -> anyhow::Result<()> {
        let mut line = format!("{what:<58} {:>6.1} MB resident", resident_bytes()? as f64 / 1e6);
        if let Some((store, directory)) = &self.store {
            let mut bytes = 0;
            for file in std::fs::read_dir(directory.path())? {
                bytes += file?.metadata()?.len();
            }
            let stats = store.stats();
            let (live, disk) = (stats.live_bytes as f64 / 1e6, bytes as f64 / 1e6);
            line += &format!(
                "  {disk:>6.1} MB on the disk, {live:.1} MB of entries in {} segments",
                stats.segments
            );
        }
        println!("{line}");
        Ok(())
    }
}

pub(crate) async fn on_disk(base: &Path) -> anyhow::Result<()> {
    let (directory, clock) = (tempfile::tempdir_in(base)?, Arc::new(Ahead::default()));
    let store = Arc::new(Store::open(directory.path(), StoreSettings::default(), clock.clone())?);
    let hub = open(store.clone(), store.clone(), &clock).await?;
    run(Bench { hub, clock, store: Some((store, directory)) }).await
}

pub(crate) async fn in_memory() -> anyhow::Result<()> {
    let clock = Arc::new(Ahead::default());
    let engine = Arc::new(MemoryEngine::new(clock.clone()));
    let hub = open(engine, Arc::new(MemoryKv::default()), &clock).await?;
    run(Bench { hub, clock, store: None }).await
}

async fn open(engine: Arc<dyn Engine>, kv: Arc<dyn KvStore>, clock: &Arc<Ahead>) -> anyhow::Result<Hub> {
    Ok(Hub::builder(engine).clock(clock.clone()).restore(kv).await?)
}

async fn run(bench: Bench) -> anyhow::Result<()> {
    println!("{LISTENERS} abandoned listeners, engine {}", bench.hub.engine_name());
    let settings = || ChannelSettings {
        max_messages: KEPT,
        generated_listener_expires_s: Some(EXPIRES_S),
        ..ChannelSettings::default()
    };
    let crowded = bench.hub.channels().create("crowded".parse()?, settings()).await?;
    let single = bench.hub.channels().create("single".parse()?, settings()).await?;
    let empty = bench.hub.channels().create("empty".parse()?, settings()).await?;
    single.add_listener().await?;
    bench.print("before")?;
    bench.print(&format!("they have joined, in {:.2} s", join(&crowded).await?))?;
    for round in 1..=3 {
        publish(&crowded, 4 * KEPT).await?;
        bench.print(&format!("{} broadcasts to all of them", round * 4 * KEPT))?;
    }
    let begin = Instant::now();
    let fullest = crowded.listeners(None, 1, ListenerOrder::Backlog).await?;
    println!("who has most (backlog {}) is found in {:.0?}", fullest[0].backlog, begin.elapsed());

    compare([&empty, &single, &crowded]).await?;
    bench.print("after that")?;

    bench.clock.0.fetch_add((EXPIRES_S + 1) * 1_000, Ordering::Relaxed);
    let begin = Instant::now();
    let expired = bench.hub.expire_listeners().await;
    anyhow::ensure!(expired == LISTENERS + 1, "{expired} expired");
    bench.print(&format!("they have expired, in {:.2} s", begin.elapsed().as_secs_f64()))?;
    let mut published = 0;
    while published < 200 * KEPT {
        publish(&crowded, 50 * KEPT).await?;
        published += 50 * KEPT;
        bench.print(&format!("and {published} broadcasts to nobody"))?;
    }
    bench.print(&format!("as many have joined, in {:.2} s", join(&crowded).await?))?;
    Ok(())
}

/// Adds all the listeners; returns how many seconds that took.
async fn join(channel: &Channel) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let joins = (0..AT_ONCE).map(|n| {
        let channel = channel.clone();
        tokio::spawn(async move {
            for _ in (n..LISTENERS).step_by(AT_ONCE) {
                channel.add_listener().await?;
            }
            anyhow::Ok(())
        })
    });
    for join in joins.collect::<Vec<_>>() {
        join.await??;
    }
    Ok(begin.elapsed().as_secs_f64())
}

/// Publishes to channels with no listener, with one, and with all of them, in turns that go round.
async fn compare(channels: [&Channel; 3]) -> anyhow::Result<()> {
    let mut rates = [const { Vec::new() }; 3];
    let mut ratios = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for turn in 0..channels.len() {
            let which = (round + turn) % channels.len();
            rates[which].push(rate(channels[which]).await?);
        }
        for (ratios, rates_of) in ratios.iter_mut().zip(&rates) {
            ratios.push(rates_of[round] / rates[0][round]);
        }
    }
    for ((with, rates), ratios) in ["none", "one", "all"].into_iter().zip(&mut rates).zip(&mut ratios) {
        let (rate, ratio) = (median(rates), median(ratios));
        println!(
            "{PUBLISHERS} publishers, {with} of them there: {rate:.0}/s, {ratio:.2} of that with none ({:.2} to {:.2}); \
             medians of {ROUNDS} rounds",
            ratios[0],
            ratios[ROUNDS - 1],
        );
    }
    Ok(())
}

/// Publishes so many messages.
async fn publish(channel: &Channel, count: u64) -> anyhow::Result<()> {
    let message = Message::of("bench", &"x".repeat(MESSAGE_BYTES))?;
    let tasks = (0..PUBLISHERS as u64).map(|n| {
        let (channel, message) = (channel.clone(), message.clone());
        tokio::spawn(async move {
            for _ in (n..count).step_by(PUBLISHERS) {
                channel.broadcast(message.clone()).await?;
            }
            anyhow::Ok(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(())
}

/// Messages a second that are taken, for one round.
async fn rate(channel: &Channel) -> anyhow::Result<f64> {
    let message = Message::of("bench", &"x".repeat(MESSAGE_BYTES))?;
    let begin = Instant::now();
    let tasks = (0..PUBLISHERS).map(|_| {
        let (channel, message) = (channel.clone(), message.clone());
        tokio::spawn(async move {
            let mut count = 0_u64;
            while begin.elapsed() < ROUND {
                channel.broadcast(message.clone()).await?;
                count += 1;
            }
            anyhow::Ok(count)
        })
    });
    let mut count = 0;
    for task in tasks.collect::<Vec<_>>() {
        count += task.await??;
    }
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}
