//! What is remembered of channels, listeners, queues and connections, and what a crash leaves of it.

use std::sync::Arc;

use eric_sse::lane::Lane;
use eric_sse::persist::{
    ChannelRecord, ChannelRepository, ConnectionRecord, ConnectionRepository, KvStore as _, ListenerRecord,
    MemoryKv, QueueRecord, Recipe, Seat,
};
use eric_sse::{ChannelSettings, ErrorKind, Limits};

use crate::world::{World, channel, id};

const fn seat(channel: u64, lane: u64) -> Seat {
    Seat { channel: Lane::new(channel), lane: Lane::new(lane) }
}

fn listener(name: &str, seat: Seat) -> ListenerRecord {
    ListenerRecord { id: id(name), seat, is_generated: false, seen_ms: 7, recipe: None }
}

fn queue(seat: Seat) -> QueueRecord {
    let recipe = Recipe { parameters: 3.into(), values: "a value".into(), ..Recipe::of("spool") };
    QueueRecord { seat, recipe }
}

#[tokio::test]
async fn channels_come_back_in_the_order_in_which_they_were_made() {
    let channels = ChannelRepository::new(Arc::new(MemoryKv::default()));
    let record = |lane: u64, retry_ms| {
        let settings = ChannelSettings { retry_ms, ..ChannelSettings::default() };
        ChannelRecord { id: format!("c{lane}").parse().unwrap(), lane: Lane::new(lane), settings }
    };
    for lane in [10, 9, 100] {
        channels.persist(&record(lane, 3_000)).await.unwrap();
    }
    channels.persist(&record(9, 500)).await.unwrap();
    channels.delete(Lane::new(100)).await.unwrap();
    channels.delete(Lane::new(77)).await.unwrap();
    let mut found = Vec::new();
    channels.load_all(|channel| found.push(channel)).await.unwrap();
    assert_eq!(found, [record(9, 500), record(10, 3_000)]);
    assert_eq!(channels.load_one(Lane::new(9)).await.unwrap(), Some(record(9, 500)));
    assert_eq!(channels.load_one(Lane::new(100)).await.unwrap(), None);
}

#[tokio::test]
async fn a_connection_is_there_as_long_as_its_listener_is() {
    let connections = ConnectionRepository::new(Arc::new(MemoryKv::default()));
    let plain = ConnectionRecord { listener: listener("bob", seat(1, 9)), queue: None };
    let own = ConnectionRecord { listener: listener("eve", seat(1, 10)), queue: Some(queue(seat(1, 10))) };
    let elsewhere = ConnectionRecord { listener: listener("bob", seat(11, 12)), queue: None };
    for connection in [&elsewhere, &own, &plain] {
        connections.persist(connection).await.unwrap();
    }
    assert_eq!(connections.load_of(Lane::new(1)).await.unwrap(), [plain.clone(), own.clone()]);
    assert_eq!(connections.load_one(seat(1, 10)).await.unwrap(), Some(own.clone()));

    // A crash between a listener's record and its queue's leaves a queue of nobody.
    connections.listeners.delete(seat(1, 10)).await.unwrap();
    assert_eq!(connections.load_one(seat(1, 10)).await.unwrap(), None);
    let mut found = Vec::new();
    let queues_of_nobody = connections.load_all(|connection| found.push(connection)).await.unwrap();
    assert_eq!((found, queues_of_nobody), (vec![plain, elsewhere], vec![queue(seat(1, 10))]));

    connections.persist(&own).await.unwrap();
    connections.delete(seat(1, 10)).await.unwrap();
    assert_eq!(connections.queues.load_one(seat(1, 10)).await.unwrap(), None);
}

#[tokio::test]
async fn a_queue_of_nobody_goes_at_the_next_start() {
    let world = World::new();
    channel(&world.hub().await, "news").await.ensure_listener(id("bob")).await.unwrap();
    let connections = ConnectionRepository::new(world.kv.clone());
    connections.queues.persist(&queue(seat(1, 77))).await.unwrap();
    let restored = world.hub().await.restored();
    assert_eq!((restored.listeners, restored.swept_records), (1, 1));
    assert_eq!(connections.queues.load_one(seat(1, 77)).await.unwrap(), None);
}

#[tokio::test]
async fn a_connection_of_an_unknown_kind_stops_the_start_and_is_named() {
    for has_queue in [true, false] {
        let world = World::new();
        channel(&world.hub().await, "news").await.ensure_listener(id("bob")).await.unwrap();
        let connections = ConnectionRepository::new(world.kv.clone());
        let mut bob = None;
        connections.load_all(|connection| bob = Some(connection)).await.unwrap();
        let mut bob = bob.unwrap();
        match has_queue {
            true => bob.queue = Some(queue(bob.listener.seat)),
            false => bob.listener.recipe = Some(Recipe::of("greeter")),
        }
        connections.persist(&bob).await.unwrap();
        let restored = world.hub_on(world.engine.clone(), world.kv.clone(), Limits::default()).await;
        let error = restored.unwrap_err();
        let named = match has_queue {
            true => "the queue of listener id=bob is of an unknown kind=spool",
            false => "listener id=bob is of an unknown kind=greeter",
        };
        assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Corrupt, named));
        assert_eq!(connections.load_one(bob.listener.seat).await.unwrap(), Some(bob), "nothing was changed");
    }
}

#[tokio::test]
async fn records_of_somebody_else_are_not_among_them() {
    let kv = Arc::new(MemoryKv::default());
    for key in ["channels/1", "listener", "queues/00000000000000000001/00000000000000000002"] {
        kv.upsert(key, "others'".into()).await.unwrap();
    }
    let connections = ConnectionRepository::new(kv);
    let queues_of_nobody = connections.load_all(|connection| panic!("{connection:?}")).await.unwrap();
    assert_eq!(queues_of_nobody, []);
}
