//! Listeners that nobody comes back for, and channels that nobody touches: what they cost is bounded, and goes in time.
//!
//! On both engines; `ERIC_TEST_LISTENERS` is how many listeners there are (2,000).

use std::sync::Arc;
use std::time::Duration;

use eric_sse::engine::Engine;
use eric_sse::engine::memory::MemoryEngine;
use eric_sse::persist::{KvStore, MemoryKv};
use eric_sse::{
    Channel, ChannelSettings, EvictedBy, Hub, Item, ListenerId, ListenerOrder, Message, ReadFrom, Subscribe,
};
use eric_store::{Store, StoreSettings};
use eric_testkit::ManualClock;
use futures_util::{StreamExt as _, stream};
use tempfile::TempDir;
use tokio::time::Instant;

/// Listeners that join at once.
const AT_ONCE: usize = 512;
/// Broadcasts that the channel keeps.
const KEPT: u64 = 50;
/// Bytes of a message.
const MESSAGE_BYTES: usize = 2_000;
/// Bytes of the first segments.
const SEGMENT_BYTES: u64 = 256 << 10;
/// Bytes of log that a listener takes at most, while it is there.
const LISTENER_BYTES: u64 = 1_024;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine with its records, and the hub on it. Made again on the same ground it has restarted.
struct World {
    clock: ManualClock,
    engine: Arc<dyn Engine>,
    records: Arc<dyn KvStore>,
    /// What is behind the engine, where it is the store.
    store: Option<Arc<Store>>,
    hub: Hub,
}

impl World {
    async fn in_memory(clock: &ManualClock) -> Self {
        let engine = Arc::new(MemoryEngine::new(Arc::new(clock.clone())));
        Self::on(clock, engine, Arc::new(MemoryKv::default()), None).await
    }

    async fn on_disk(clock: &ManualClock, directory: &TempDir, segment_bytes_min: u64) -> Self {
        let path = directory.path().join("data");
        let settings = StoreSettings { segment_bytes_min, ..StoreSettings::default() };
        let store = Arc::new(Store::open(&path, settings, Arc::new(clock.clone())).unwrap());
        Self::on(clock, store.clone(), store.clone(), Some(store)).await
    }

    async fn on(
        clock: &ManualClock,
        engine: Arc<dyn Engine>,
        records: Arc<dyn KvStore>,
        store: Option<Arc<Store>>,
    ) -> Self {
        let builder = Hub::builder(engine.clone()).clock(Arc::new(clock.clone()));
        let hub = builder.restore(records.clone()).await.unwrap();
        // Nobody expires right after a start.
        clock.advance(Duration::from_secs(eric_sse::limits::RETURN_S + 1));
        Self { clock: clock.clone(), engine, records, store, hub }
    }

    fn channel(&self) -> Channel {
        self.hub.channels().get(&"news".parse().unwrap()).unwrap()
    }

    async fn listener_records(&self) -> usize {
        let all = self.records.fetch_all(None, usize::MAX).await.unwrap();
        all.into_iter().filter(|(key, _)| key.starts_with("listener/")).count()
    }

    /// Bytes that the store's segments have on the disk; nothing in memory.
    fn disk_bytes(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| store.stats().bytes)
    }

    /// Waits until the store has no more than so many bytes on the disk; time goes on meanwhile.
    async fn disk_shrinks_to(&self, bytes: u64, why: &str) {
        let begin = Instant::now();
        while self.disk_bytes() > bytes {
            assert!(begin.elapsed() < PATIENCE, "{why}: {} bytes, not {bytes}", self.disk_bytes());
            self.clock.advance(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
    }
}

fn listeners() -> usize {
    std::env::var("ERIC_TEST_LISTENERS").map_or(2_000, |value| value.parse().expect("it is a number"))
}

fn id(text: &str) -> ListenerId {
    text.parse().unwrap()
}

fn message(n: u64) -> Message {
    Message::of("t", &format!("{n} {}", "x".repeat(MESSAGE_BYTES))).unwrap()
}

async fn broadcast(channel: &Channel, numbers: std::ops::Range<u64>) {
    let mut publish = stream::iter(numbers).map(|n| channel.broadcast(message(n))).buffered(AT_ONCE);
    while let Some(taken) = publish.next().await {
        taken.unwrap();
    }
}

/// The numbers of the messages that `bob` gets from his cursor on, and how many he missed.
async fn read(hub: &Hub, channel: &Channel, listener: &ListenerId) -> (Vec<u64>, u64) {
    let mut subscription = channel.subscribe(listener, Subscribe::default()).await.unwrap();
    let (mut numbers, mut missed, tail) = (Vec::new(), 0, hub.tail().offset);
    while subscription.position().offset < tail {
        let mut items = Vec::new();
        assert_eq!(subscription.next_items(&mut items).await.unwrap(), None);
        for item in items {
            match item {
                Item::Entry(framed) => {
                    let json = framed.entry().message().payload().as_json();
                    numbers.push(json[1..].split_once(' ').unwrap().0.parse().unwrap());
                    subscription.consumed(framed.entry().offset());
                }
                Item::Gap(gap) => missed += gap.missed.unwrap(),
            }
        }
    }
    (numbers, missed)
}

/// Half of the listeners were given a name; `bob` is the one who comes back.
async fn abandon(world: &World, count: usize) -> Channel {
    let settings = ChannelSettings {
        max_messages: KEPT,
        history: 0,
        generated_listener_expires_s: Some(1_000),
        listener_expires_s: Some(2_000),
        ..ChannelSettings::default()
    };
    let channel = world.hub.channels().create("news".parse().unwrap(), settings).await.unwrap();
    channel.ensure_listener(id("bob")).await.unwrap();
    let join = stream::iter(0..count).map(|n| {
        let channel = channel.clone();
        async move {
            match n % 2 {
                0 => drop(channel.add_listener().await.unwrap()),
                _ => drop(channel.ensure_listener(id(&format!("away-{n}"))).await.unwrap()),
            }
        }
    });
    join.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    channel
}

/// Says how much there was on the disk.
async fn abandoned_listeners_are_bounded_and_go(world: World, again: impl AsyncFn() -> World) -> String {
    let count = listeners();
    let small = world.disk_bytes();
    let channel = abandon(&world, count).await;
    assert_eq!(channel.info().await.unwrap().listeners, count + 1);
    let joined = world.disk_bytes();
    assert!(joined <= count as u64 * LISTENER_BYTES + 4 * SEGMENT_BYTES, "{joined} bytes");

    // What is broadcast is there once, and no more of it than the channel may keep.
    for round in 0..4 {
        broadcast(&channel, round * KEPT..(round + 1) * KEPT).await;
    }
    let info = channel.info().await.unwrap();
    assert_eq!((info.messages, info.bytes / KEPT > MESSAGE_BYTES as u64), (KEPT, true));
    let evicted = &world.hub.stats().entries_evicted;
    assert_eq!((evicted.by(EvictedBy::Messages), evicted.count()), (3 * KEPT, 3 * KEPT));
    if let Some(store) = &world.store {
        assert_eq!(store.stats().entries as u64, KEPT);
    }
    let published = world.disk_bytes();
    assert!(published <= 2 * joined + 4 * KEPT * 2 * MESSAGE_BYTES as u64, "{published} bytes");

    // Who holds most is found; its own mail is its own.
    for n in 1_000..1_003 {
        channel.dispatch(&id("away-1"), message(n)).await.unwrap();
    }
    let fullest = channel.listeners(None, 2, ListenerOrder::Backlog).await.unwrap();
    let backlogs: Vec<u64> = fullest.iter().map(|info| info.backlog).collect();
    assert_eq!((&fullest[0].id, &backlogs[..]), (&id("away-1"), &[KEPT + 3, KEPT][..]));

    // Exactly at their time they are there, one millisecond later they are not.
    let first = channel.subscribe(&id("bob"), Subscribe::default()).await.unwrap();
    world.clock.advance(Duration::from_secs(1_000));
    assert_eq!(world.hub.expire_listeners().await, 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.hub.expire_listeners().await, count.div_ceil(2), "those with generated ids");
    world.clock.advance(Duration::from_secs(1_000));
    assert_eq!(world.hub.expire_listeners().await, count / 2, "those with names");
    drop(first);
    assert_eq!(world.hub.stats().listeners_expired.count(), count as u64);

    // Nothing is left of them: not in the channel, nor in the engine, nor in the records.
    assert_eq!(channel.listener_ids(), [id("bob")]);
    assert_eq!(world.engine.lanes().len(), 2, "the channel and bob");
    assert_eq!(world.listener_records().await, 1);
    let (numbers, missed) = read(&world.hub, &channel, &id("bob")).await;
    assert_eq!(
        (numbers, missed),
        ((3 * KEPT..4 * KEPT).collect(), 3 * KEPT),
        "bob lost what a limit dropped"
    );
    let gone = world.disk_bytes();

    // What they had on the disk makes room once there is something else to write.
    let (begin, mut written) = (Instant::now(), 0);
    while world.disk_bytes() > 4 * SEGMENT_BYTES {
        assert!(begin.elapsed() < PATIENCE, "{} bytes after {written} broadcasts", world.disk_bytes());
        broadcast(&channel, written..written + KEPT).await;
        world.clock.advance(Duration::from_secs(1));
        written += KEPT;
    }
    let figures = format!(
        "{count} listeners: {small} bytes on the disk, {joined} with them, {published} after {} broadcasts, {gone} when \
         they had expired, {} in the end",
        4 * KEPT,
        world.disk_bytes()
    );

    let World { hub, store, engine, records, .. } = world;
    drop((channel, hub, store, engine, records));
    let world = again().await;
    assert_eq!(world.hub.restored().listeners, 1);
    assert_eq!(world.hub.restored().swept_lanes + world.hub.restored().swept_records, 0);
    figures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_listeners_are_bounded_and_go_from_the_disk() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    let world = World::on_disk(&clock, &directory, SEGMENT_BYTES).await;
    let again = async || World::on_disk(&clock, &directory, SEGMENT_BYTES).await;
    println!("{}", abandoned_listeners_are_bounded_and_go(world, again).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_listeners_are_bounded_and_go_from_memory() {
    let clock = ManualClock::new();
    let world = World::in_memory(&clock).await;
    let (engine, records) = (world.engine.clone(), world.records.clone());
    let again = async || World::on(&clock, engine.clone(), records.clone(), None).await;
    println!("{}", abandoned_listeners_are_bounded_and_go(world, again).await);
}

/// Nobody publishes, reads or asks: what is too old goes all the same.
async fn what_is_too_old_goes(world: &World) {
    let settings = ChannelSettings { max_age_s: 100, ..ChannelSettings::default() };
    let channel = world.hub.channels().create("news".parse().unwrap(), settings).await.unwrap();
    channel.ensure_listener(id("bob")).await.unwrap();
    broadcast(&channel, 0..5_000).await;
    for n in 0..10 {
        channel.dispatch(&id("bob"), message(n)).await.unwrap();
    }
    let evicted = || world.hub.stats().entries_evicted.by(EvictedBy::Age);
    world.clock.advance(Duration::from_secs(100));
    world.hub.expire_listeners().await;
    assert_eq!(evicted(), 0, "exactly at the limit");
    world.clock.advance(Duration::from_millis(1));
    world.hub.expire_listeners().await;
    assert_eq!(evicted(), 5_010, "one past it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_gives_its_room_back_although_nobody_touches_it() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    // All of it is several segments of this size, which do not grow by it.
    let world = World::on_disk(&clock, &directory, 16 * SEGMENT_BYTES).await;
    what_is_too_old_goes(&world).await;
    world.disk_shrinks_to(32 * SEGMENT_BYTES, "after everything has grown too old").await;

    let memory = World::in_memory(&clock).await;
    what_is_too_old_goes(&memory).await;
}

/// A reader who comes back in the moment in which others expire gets its mail, from the earliest too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_from_the_earliest_after_an_expiry_gets_what_is_kept() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
    let world = World::on_disk(&clock, &directory, SEGMENT_BYTES).await;
    let channel = abandon(&world, 20).await;
    broadcast(&channel, 0..10).await;
    world.clock.advance(Duration::from_secs(1_001));
    let (expired, subscription) = tokio::join!(world.hub.expire_listeners(), async {
        let from = Subscribe { from: ReadFrom::Earliest, ..Subscribe::default() };
        channel.subscribe(&id("bob"), from).await.unwrap()
    });
    assert_eq!(expired, 10, "half of them");
    let mut items = Vec::new();
    let mut subscription = subscription;
    while items.len() < 10 {
        assert_eq!(subscription.next_items(&mut items).await.unwrap(), None);
    }
    assert!(items.iter().all(|item| matches!(item, Item::Entry(_))), "nothing is missing");
    assert_eq!(world.channel().listener_ids().len(), 11);
}
