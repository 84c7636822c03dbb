//! Catching up, opening, memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use eric_sse::cursor::Cursors as _;
use eric_sse::lane::Lane;
use eric_sse::log::{Budget, Log as _, NewEntry};
use eric_sse::{
    Channel, ChannelSettings, Hub, ListenerId, Message, Offset, ReadFrom, Subscribe, SystemClock, Timestamp,
};
use eric_store::{Store, StoreSettings};

use crate::figures::{median, resident_bytes, roomy};

fn open(path: &Path) -> anyhow::Result<Arc<Store>> {
    Ok(Arc::new(Store::open(path, StoreSettings::default(), Arc::new(SystemClock))?))
}

/// Publishes `count` messages in batches of 1,000, message `n` to lane `lane(n)`.
async fn publish(store: &Store, count: u64, bytes: usize, lane: impl Fn(u64) -> Lane) -> anyhow::Result<()> {
    let message = Message::of("bench", &"x".repeat(bytes))?;
    let mut tickets = std::collections::VecDeque::new();
    for batch in 0..count.div_ceil(1000) {
        let numbers = batch * 1000..count.min((batch + 1) * 1000);
        let new = |n| NewEntry {
            lane: lane(n),
            message: message.clone(),
            key: None,
            taken_at: Timestamp::from_ms(n),
        };
        tickets.push_back(store.submit(numbers.map(new).collect()));
        if tickets.len() > 16 {
            tickets.pop_front().expect("there are some").await?;
        }
    }
    for ticket in tickets {
        ticket.await?;
    }
    Ok(())
}

/// Reads a lane from `after` to the tail; returns how many entries there were.
async fn read_all(store: &Store, lane: Lane, after: Offset) -> anyhow::Result<u64> {
    let (mut at, mut entries, tail) = (after, 0, store.tail().offset);
    while at < tail {
        let page = store.read(lane, at, Budget::default()).await?;
        entries += page.entries.len() as u64;
        at = page.searched_to;
    }
    Ok(entries)
}

/// 10,000 cursors that all have something to catch up with.
pub(crate) async fn catch_up(base: &Path) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(base)?;
    let store = open(directory.path())?;
    let channel = store.open(roomy()).await?;
    publish(&store, 1_000, 200, |_| channel).await?;
    let mut rates = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        let readers = 8;
        let read = |reader: u64| {
            let store = store.clone();
            async move {
                let mut entries = 0;
                // Each cursor stands somewhere else, and reads what is left.
                for cursor in (0..10_000 / readers).map(|n| n * readers + reader) {
                    entries += read_all(&store, channel, Offset::new(cursor % 500)).await?;
                }
                anyhow::Ok(entries)
            }
        };
        let tasks: Vec<_> = (0..readers).map(|reader| tokio::spawn(read(reader))).collect();
        let mut entries = 0;
        for task in tasks {
            entries += task.await??;
        }
        rates.push(entries as f64 / begin.elapsed().as_secs_f64());
    }
    println!(
        "catch-up of 10,000 cursors in one channel: {:.2} million entries/s (target 2)",
        median(&mut rates) / 1e6
    );
    Ok(())
}

/// Follows a listener from its floor to the tail, as a stream does; returns how many entries there were.
async fn catch_up_with(hub: &Hub, channel: &Channel, id: &ListenerId) -> anyhow::Result<usize> {
    let options = Subscribe { from: ReadFrom::Earliest, ..Subscribe::default() };
    let mut subscription = channel.subscribe(id, options).await?;
    let mut items = Vec::new();
    while subscription.position().offset < hub.tail().offset {
        subscription.next_items(&mut items).await?;
    }
    Ok(items.len())
}

/// A listener with 100 entries of its own among a million of others', beside one with 100 broadcasts.
pub(crate) async fn own_entries(base: &Path) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(base)?;
    let store = open(directory.path())?;
    let hub = Hub::builder(store).open();
    let settings = || ChannelSettings {
        max_unread_per_listener: 1 << 20,
        history: 1 << 20,
        ..ChannelSettings::default()
    };
    let channel = hub.channels().create("crowd".parse()?, settings()).await?;
    let alone = hub.channels().create("alone".parse()?, settings()).await?;
    let (own, listener) = (channel.add_listener().await?, alone.add_listener().await?);
    let mut others = Vec::new();
    for _ in 0..100 {
        others.push(channel.add_listener().await?);
    }
    let batch = |count: usize| {
        (0..count)
            .map(|_| Message::of("bench", &"x".repeat(200)).map(Into::into))
            .collect::<Result<Vec<_>, _>>()
    };
    alone.broadcast_batch(batch(100)?).await?;
    for _ in 0..100 {
        channel.dispatch_batch(own.id(), batch(1)?).await?;
        let tasks = others.iter().map(|other| {
            let (channel, other, batch) = (channel.clone(), other.id().clone(), batch(100));
            tokio::spawn(async move { anyhow::Ok(channel.dispatch_batch(&other, batch?).await?.len()) })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
    }
    let (mut of_own, mut of_broadcasts) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let begin = Instant::now();
        anyhow::ensure!(catch_up_with(&hub, &channel, own.id()).await? == 100, "its own entries");
        of_own.push(begin.elapsed().as_secs_f64() * 1e6);
        let begin = Instant::now();
        anyhow::ensure!(catch_up_with(&hub, &alone, listener.id()).await? == 100, "the broadcasts");
        of_broadcasts.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    let (own, broadcasts) = (median(&mut of_own), median(&mut of_broadcasts));
    println!(
        "100 own entries among 1,000,000 of others': {own:.0} µs; 100 broadcasts: {broadcasts:.0} µs; ratio {:.2} (target 2)",
        own / broadcasts
    );
    Ok(())
}

/// Opens a store with a million unread entries, and reads the first page.
pub(crate) async fn unread(base: &Path) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(base)?;
    let (channel, listener) = {
        let store = open(directory.path())?;
        let channel = store.open(roomy()).await?;
        let listener = store.join(channel).await?.lane;
        publish(&store, 1_000_000, 200, |_| channel).await?;
        (channel, listener)
    };
    let mut times = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        let store = open(directory.path())?;
        let cursor = store.load(listener).await?;
        let page = store.read(channel, cursor.position.offset, Budget::default()).await?;
        anyhow::ensure!(!page.entries.is_empty(), "the first page");
        times.push(begin.elapsed().as_secs_f64());
    }
    println!(
        "1,000,000 unread entries, from the start of the process to the first page: {:.2} s (target 2)",
        median(&mut times)
    );
    Ok(())
}

/// Memory with five million entries, in 64 channels, and opening them.
pub(crate) async fn memory(base: &Path) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(base)?;
    {
        let store = open(directory.path())?;
        let mut lanes = Vec::new();
        for _ in 0..64 {
            lanes.push(store.open(roomy()).await?);
        }
        publish(&store, 5_000_000, 200, |n| lanes[usize::try_from(n % 64).expect("it is small")]).await?;
    }
    let before = resident_bytes()?;
    let begin = Instant::now();
    let store = open(directory.path())?;
    let took = begin.elapsed();
    let after = resident_bytes()?;
    let stats = store.stats();
    println!(
        "5,000,000 entries in 64 channels: opened in {:.2} s; process {:.0} MB, {:.0} MB before (target 150); index {:.1} bytes/entry",
        took.as_secs_f64(),
        after as f64 / 1e6,
        before as f64 / 1e6,
        stats.index_bytes as f64 / stats.entries as f64,
    );
    Ok(())
}
