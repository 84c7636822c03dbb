//! Streams over connections that are cut at random bytes, and over a restart of the hub.

use std::collections::VecDeque;

use eric_client::{
    Ack, Event, Events, GapReason, HttpClient, Message, ReadFrom, SubscribeOptions, WatchOptions,
};
use eric_sse::{ChannelSettings, Hub};

use crate::hub::{TestHub, connected, http, id, listener, next_payload, next_told};
use crate::proxy::{Fate, Proxy};

const MESSAGES: u64 = 2_000;

/// Publishes `numbers` as they come: the odd ones to the listener alone, the even ones to all.
async fn publish(hub: &Hub, numbers: std::ops::Range<u64>) {
    let channel = hub.channels().get(&id("c")).unwrap();
    for number in numbers {
        let message = Message::of("n", &number).unwrap();
        match number % 2 {
            0 => channel.broadcast(message).await.unwrap(),
            _ => channel.dispatch(&listener("l"), message).await.unwrap(),
        };
    }
}

/// Streams from a proxy that resets each connection after a few of its bytes.
async fn read_over_cuts(options: SubscribeOptions) {
    let hub = TestHub::start();
    let (direct, c, l) = hub.with_listener().await;
    let proxy = Proxy::start(hub.address, |number| match number {
        // What is cut before the first event came is the hardest.
        0..6 => Fate::answer(100 * number),
        _ => Fate::answer(fastrand::Rng::with_seed(number as u64).usize(0..12_000)),
    })
    .await;
    publish(&hub.hub, 0..MESSAGES / 2).await;
    let publishing = hub.hub.clone();
    let publishing = tokio::spawn(async move { publish(&publishing, MESSAGES / 2..MESSAGES).await });
    let mut events = http(proxy.address).subscribe(&c, &l, options.clone());
    for expected in 0..MESSAGES {
        let Event::Message(received) = next_told(&mut events).await else { panic!("no gap is there") };
        assert_eq!(received.value::<u64>().unwrap(), expected, "after {} cuts", proxy.cuts());
        assert_eq!(events.position(), Some(received.id));
        if options.ack == Ack::Manual && expected % 100 == 99 {
            direct.ack(&c, &l, received.id).await.unwrap();
        }
    }
    publishing.await.unwrap();
    assert!(proxy.cuts() >= 20, "{} cuts", proxy.cuts());
    drop(events);
    if options.ack == Ack::Manual {
        assert_eq!(direct.listener(&c, &l).await.unwrap().backlog, 0);
    }
}

#[tokio::test]
async fn each_message_comes_once_and_in_order_over_cuts_with_auto_ack() {
    read_over_cuts(SubscribeOptions::default()).await;
}

#[tokio::test]
async fn each_message_comes_once_and_in_order_over_cuts_with_manual_ack() {
    read_over_cuts(SubscribeOptions { ack: Ack::Manual, ..SubscribeOptions::default() }).await;
}

#[tokio::test]
async fn a_watcher_gets_each_broadcast_once_and_in_order_over_cuts() {
    let hub = TestHub::start();
    let (_, c, _) = hub.with_listener().await;
    let proxy = Proxy::start(hub.address, |number| {
        Fate::answer(fastrand::Rng::with_seed(number as u64).usize(0..6_000))
    })
    .await;
    let mut events = http(proxy.address).watch(&c, WatchOptions::default());
    connected(&mut events).await;
    publish(&hub.hub, 0..MESSAGES).await;
    for expected in (0..MESSAGES).step_by(2) {
        assert_eq!(next_payload(&mut events).await, expected.to_string());
    }
    assert!(proxy.cuts() >= 10, "{} cuts", proxy.cuts());
}

#[tokio::test]
async fn a_message_of_a_mebibyte_comes_whole_over_a_cut_in_its_middle() {
    let hub = TestHub::start();
    let (direct, c, l) = hub.with_listener().await;
    let proxy = Proxy::start(hub.address, |number| match number {
        0..3 => Fate::answer(300_000 * (number + 1)),
        _ => Fate::PASS,
    })
    .await;
    let mut events = http(proxy.address).subscribe(&c, &l, SubscribeOptions::default());
    let text = "漢\u{0}\r\n\"x".repeat(150_000);
    direct.broadcast(&c, Message::of("large", &text).unwrap()).await.unwrap();
    direct.broadcast(&c, Message::of("small", &1).unwrap()).await.unwrap();
    assert_eq!(serde_json::from_str::<String>(&next_payload(&mut events).await).unwrap(), text);
    assert_eq!(next_payload(&mut events).await, "1");
    assert_eq!(proxy.cuts(), 3);
}

async fn hub_with_listener() -> Hub {
    let hub = Hub::in_memory();
    let settings = ChannelSettings { retry_ms: 100, ..ChannelSettings::in_memory() };
    let channel = hub.channels().create(id("c"), settings).await.unwrap();
    channel.ensure_listener(listener("l")).await.unwrap();
    hub
}

async fn published(client: &HttpClient, payload: u64) {
    client.broadcast(&id("c"), Message::of("n", &payload).unwrap()).await.unwrap();
}

/// What `events` tell until they told this message.
async fn told_until(events: &mut Events, payload: &str) -> VecDeque<String> {
    let mut told = VecDeque::new();
    loop {
        let event = crate::hub::next(events).await.unwrap().unwrap();
        told.push_back(match event {
            Event::Connected => "connected".to_owned(),
            Event::Gap(gap) => format!("gap {}", gap.reason),
            Event::Disconnected { .. } => "disconnected".to_owned(),
            Event::Message(received) if received.payload == payload => return told,
            other => format!("{other:?}"),
        });
    }
}

#[tokio::test]
async fn a_restart_of_the_hub_is_told_as_a_gap_and_the_stream_goes_on() {
    let mut hub = TestHub::start_at(([127, 0, 0, 1], 0).into(), hub_with_listener().await);
    let client = hub.http();
    let mut listening = client.subscribe(&id("c"), &listener("l"), SubscribeOptions::default());
    let mut watching = client.watch(&id("c"), WatchOptions::default());
    connected(&mut watching).await;
    published(&client, 1).await;
    assert_eq!(next_payload(&mut listening).await, "1");
    assert_eq!(next_payload(&mut watching).await, "1");
    hub.stop().await;
    let again = TestHub::start_at(hub.address, hub_with_listener().await);
    published(&again.http(), 2).await;
    for events in [&mut listening, &mut watching] {
        let mut told = told_until(events, "2").await;
        assert_eq!(told.pop_front().as_deref(), Some("disconnected"));
        assert_eq!(told.pop_back().as_deref(), Some("gap epoch"));
        assert_eq!(told.pop_back().as_deref(), Some("connected"));
    }
    published(&client, 3).await;
    assert_eq!(next_payload(&mut listening).await, "3");
    assert_eq!(next_payload(&mut watching).await, "3");
}

#[tokio::test]
async fn what_retention_dropped_is_told_where_it_is_missing() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let settings = eric_client::SettingsPatch { max_messages: Some(2), ..Default::default() };
    client.ensure_channel(&c, &settings).await.unwrap();
    for number in 0..5 {
        published(&client, number).await;
    }
    let mut events = client.subscribe(&c, &l, SubscribeOptions::default());
    let Event::Gap(gap) = next_told(&mut events).await else { panic!("a gap comes first") };
    assert_eq!((gap.reason, gap.missed), (GapReason::Trimmed, Some(3)));
    assert_eq!(next_payload(&mut events).await, "3");
    assert_eq!(gap.to.unwrap().offset.next(), events.position().unwrap().offset);
}

#[tokio::test]
async fn a_stream_begins_where_it_is_told_to() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    for number in 0..4 {
        published(&client, number).await;
    }
    let subscribe = |after| client.subscribe(&c, &l, SubscribeOptions { after, ..Default::default() });
    let mut events = subscribe(ReadFrom::Cursor);
    assert_eq!(next_payload(&mut events).await, "0");
    let first = events.position().unwrap();
    assert_eq!(next_payload(&mut subscribe(ReadFrom::Earliest)).await, "0");
    let mut events = subscribe(ReadFrom::After(first));
    assert_eq!(events.position(), Some(first));
    assert_eq!(next_payload(&mut events).await, "1");
    let mut events = subscribe(ReadFrom::Latest);
    connected(&mut events).await;
    let begun = events.position().unwrap();
    published(&client, 4).await;
    assert_eq!(next_payload(&mut events).await, "4");
    assert_eq!(begun.offset.next(), events.position().unwrap().offset);
    let after = ReadFrom::Earliest;
    let mut watching = client.watch(&c, WatchOptions { after, ..WatchOptions::default() });
    assert_eq!(next_payload(&mut watching).await, "0");
}
