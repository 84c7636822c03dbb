//! Listeners after a restart: who adopts them, and who has been away for too long.

use std::sync::Arc;
use std::time::Duration;

use eric_sse::limits::{RETURN_S, SEEN_LAG_MS_MAX};
use eric_sse::listener::FnListener;
use eric_sse::persist::KvStore as _;
use eric_sse::{Channel, ChannelSettings, ErrorKind, Hub, Limits, Listener, Message, Subscribe};
use futures_util::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;

use crate::world::{World, channel, id, message};

/// The listener `bob`, and what it was called with.
fn bob() -> (Arc<dyn Listener>, Arc<Mutex<Vec<String>>>) {
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = calls.clone();
    let callback = move |message: &Message| {
        noted.lock().push(message.payload().as_json().to_owned());
        Ok(())
    };
    (Arc::new(FnListener::new(id("bob"), callback)), calls)
}

fn news(hub: &Hub) -> Channel {
    hub.channels().get(&"news".parse().unwrap()).unwrap()
}

#[tokio::test]
async fn a_listener_object_adopts_the_queue_that_came_back() {
    let world = World::new();
    let hub = world.hub().await;
    let before = channel(&hub, "news").await;
    before.register_listener(bob().0).await.unwrap();
    before.broadcast(message(1)).await.unwrap();
    drop((hub, before));

    let hub = world.hub().await;
    let (listener, calls) = bob();
    let connection = news(&hub).register_listener(listener).await.unwrap();
    assert_eq!(connection.info().await.unwrap().backlog, 1);
    connection.start();
    let mut stream = news(&hub).message_stream(&connection).await.unwrap();
    assert!(stream.next().now_or_never().is_some());
    assert_eq!(*calls.lock(), ["1"]);
    let error = news(&hub).register_listener(bob().0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "it has one now");
    world.assert_agreed(&hub, "after an adoption");
}

#[tokio::test]
async fn who_was_made_in_this_life_is_not_adopted() {
    let world = World::new();
    let hub = world.hub().await;
    let news = channel(&hub, "news").await;
    news.ensure_listener(id("bob")).await.unwrap();
    let error = news.register_listener(bob().0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

/// A world with `news`, whose listeners expire after `expires_s`, and `bob` on it.
async fn expiring(expires_s: u64) -> (World, Hub) {
    let world = World::new();
    let hub = world.hub().await;
    let settings = ChannelSettings { listener_expires_s: Some(expires_s), ..ChannelSettings::in_memory() };
    let news = hub.channels().create("news".parse().unwrap(), settings).await.unwrap();
    news.ensure_listener(id("bob")).await.unwrap();
    (world, hub)
}

/// When the record says that bob was last seen, in milliseconds since the clock began.
async fn recorded_ms(world: &World, began_ms: u64) -> u64 {
    let key = world.keys().into_iter().find(|key| key.starts_with("listener/")).unwrap();
    let value = String::from_utf8(world.kv.fetch_one(&key).await.unwrap().unwrap().to_vec()).unwrap();
    let (_, rest) = value.split_once("\"seen_ms\":").unwrap();
    rest.trim_end_matches('}').parse::<u64>().unwrap() - began_ms
}

#[tokio::test]
async fn a_record_lags_behind_by_an_hour_and_no_more() {
    let (world, hub) = expiring(1_000_000).await;
    let began_ms = eric_sse::Clock::now(&world.clock).as_ms();
    let stream = news(&hub).subscribe(&id("bob"), Subscribe::default()).await.unwrap();
    world.clock.advance(Duration::from_millis(SEEN_LAG_MS_MAX));
    hub.expire_listeners().await;
    assert_eq!(recorded_ms(&world, began_ms).await, 0, "exactly at the limit");
    world.clock.advance(Duration::from_millis(1));
    hub.expire_listeners().await;
    assert_eq!(recorded_ms(&world, began_ms).await, SEEN_LAG_MS_MAX + 1, "one past it");
    drop(stream);
    world.clock.advance(Duration::from_millis(2 * SEEN_LAG_MS_MAX));
    hub.expire_listeners().await;
    assert_eq!(recorded_ms(&world, began_ms).await, SEEN_LAG_MS_MAX + 1, "who is away is not seen");
}

#[tokio::test]
async fn a_record_that_could_not_be_written_is_written_the_next_time() {
    let (world, hub) = expiring(1_000_000).await;
    let began_ms = eric_sse::Clock::now(&world.clock).as_ms();
    let _stream = news(&hub).subscribe(&id("bob"), Subscribe::default()).await.unwrap();
    world.clock.advance(Duration::from_millis(SEEN_LAG_MS_MAX + 1));
    world.kv.set(crate::world::Mode::Fail);
    hub.expire_listeners().await;
    world.kv.set(crate::world::Mode::Happen);
    hub.expire_listeners().await;
    assert_eq!(recorded_ms(&world, began_ms).await, SEEN_LAG_MS_MAX + 1);
}

#[tokio::test]
async fn who_was_live_before_a_restart_has_five_minutes_to_come_back() {
    let (world, hub) = expiring(10).await;
    let stream = news(&hub).subscribe(&id("bob"), Subscribe::default()).await.unwrap();
    world.clock.advance(Duration::from_secs(86_400));
    assert_eq!(hub.expire_listeners().await, 0);
    drop((stream, hub));
    // Longer than bob may be away, and than his record may lag behind.
    world.clock.advance(Duration::from_secs(86_400));
    let hub = world.hub().await;
    world.clock.advance(Duration::from_secs(RETURN_S));
    assert_eq!(hub.expire_listeners().await, 0, "exactly at the limit");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(hub.expire_listeners().await, 1, "one past it");
    world.assert_agreed(&hub, "after an expiry");
}

#[tokio::test]
async fn who_comes_back_in_time_stays() {
    let (world, hub) = expiring(10).await;
    world.clock.advance(Duration::from_secs(86_400));
    drop(hub);
    let hub = world.hub().await;
    let stream = news(&hub).subscribe(&id("bob"), Subscribe::default()).await.unwrap();
    world.clock.advance(Duration::from_secs(2 * RETURN_S));
    assert_eq!(hub.expire_listeners().await, 0);
    drop(stream);
    world.clock.advance(Duration::from_secs(11));
    assert_eq!(hub.expire_listeners().await, 1);
}

#[tokio::test]
async fn who_comes_back_while_listeners_expire_is_not_removed() {
    let world = World::new();
    let hub = world.slow_hub(Limits::default()).await;
    let settings = ChannelSettings { listener_expires_s: Some(10), ..ChannelSettings::in_memory() };
    let channel = hub.channels().create("c".parse().unwrap(), settings).await.unwrap();
    for name in ["bob", "eve"] {
        channel.ensure_listener(id(name)).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(10_000));
    let bob = id("bob");
    let mut stream = Box::pin(channel.subscribe(&bob, Subscribe::default()));
    assert!((&mut stream).now_or_never().is_none(), "the engine has not answered yet");
    assert_eq!(hub.expire_listeners().await, 1, "the other one is gone");
    let stream = stream.await.unwrap();
    assert_eq!(channel.listener_ids(), [bob]);
    drop(stream);
}

#[tokio::test]
async fn restarts_make_nobody_immortal() {
    const HOUR_S: u64 = 3_600;
    let (world, hub) = expiring(100 * HOUR_S).await;
    drop(hub);
    let mut hours = 0;
    loop {
        let hub = world.hub().await;
        hours += 1;
        world.clock.advance(Duration::from_secs(HOUR_S));
        if hub.expire_listeners().await == 1 {
            break;
        }
        assert!(hours < 200, "nobody may be away for ever");
    }
    // What the record may lag behind is added, once.
    assert_eq!(hours, 102);
}
