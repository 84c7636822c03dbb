//! The routes of eric-api, end to end: through the clients that people have, and what they must not do to the hub.
//!
//! F-1, F-4 and so on are the flaws of that package's own service that the hub must not have. What every answer has to
//! be is tested beside the page for those who move, `docs/from-eric-api.md`; here is what clients see and cost.

mod flow;
mod puppet;
mod resets;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::hub::{Hub, PATIENCE};
use crate::idle::{descriptors, processor_seconds};

/// The time for which processor time is counted.
const INTERVAL: Duration = Duration::from_secs(1);
/// The share of a processor that a hub without work may take; a busy loop beside other tests takes more.
const IDLE_SHARE_MAX: f64 = 0.1;
/// What the last chunk of a response is.
const END: &str = "0\r\n\r\n";

/// A hub with a channel `news`.
async fn hub_with_news() -> Hub {
    hub_and_its_descriptors().await.0
}

/// The same, and how many descriptors it has open while nobody is connected.
async fn hub_and_its_descriptors() -> (Hub, usize) {
    let hub = Hub::start(&[]).await;
    let before = descriptors(hub.pid());
    ask(&hub, "PUT", "/create?channel_id=news").await;
    (hub, before)
}

async fn ask(hub: &Hub, method: &str, path: &str) -> Value {
    hub.json(method, path, &Value::Null).await
}

async fn subscribe(hub: &Hub) -> String {
    let answer = ask(hub, "POST", "/subscribe?channel_id=news").await;
    answer["listener_id"].as_str().expect("a listener has an id").to_owned()
}

/// The payload is JSON, sent as it stands.
async fn broadcast(hub: &Hub, payload: &str) {
    let body = format!(r#"{{"type": "test", "payload": {payload}}}"#);
    let headers = [("content-type", "application/json")];
    let answer = hub.request("POST", "/broadcast?channel_id=news", &headers, body).await;
    assert_eq!((answer.status, answer.json()), (200, Value::Null), "{answer:?}");
}

/// A listener's stream, as bytes; its head has come.
async fn open(hub: &Hub, listener: &str) -> TcpStream {
    open_with_head(hub, listener).await.0
}

async fn open_with_head(hub: &Hub, listener: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(hub.address()).await.unwrap();
    let request = format!("GET /stream/news/{listener} HTTP/1.1\r\nHost: h\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let head = until(&mut socket, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "nothing but a head: {head}");
    (socket, head)
}

/// So many listeners and their streams.
async fn open_many(hub: &Hub, streams: usize) -> Vec<TcpStream> {
    let mut opened = Vec::with_capacity(streams);
    for _ in 0..streams {
        opened.push(open(hub, &subscribe(hub).await).await);
    }
    opened
}

async fn until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if text.contains(wanted) {
            return text.into_owned();
        }
        let read = timeout(PATIENCE, socket.read_buf(&mut bytes)).await;
        let size = read.unwrap_or_else(|_| panic!("no {wanted:?} but {:?}", String::from_utf8_lossy(&bytes)));
        assert!(size.unwrap() > 0, "it ended before {wanted:?}: {:?}", String::from_utf8_lossy(&bytes));
    }
}

/// What comes until the hub ends the stream, and it ends it in order.
async fn rest(mut socket: TcpStream) -> String {
    let mut rest = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut rest)).await.expect("it ends in time").expect("in order");
    rest
}

/// Waits until the hub has so many descriptors open, and returns how long that took.
async fn descriptors_are(hub: &Hub, wanted: usize) -> Duration {
    let start = Instant::now();
    while descriptors(hub.pid()) != wanted {
        assert!(start.elapsed() < PATIENCE, "{} descriptors, not {wanted}", descriptors(hub.pid()));
        tokio::task::yield_now().await;
    }
    start.elapsed()
}

/// Nothing happens that could be waited for; what is measured is time.
async fn is_idle(hub: &Hub) {
    let (start, spent) = (Instant::now(), processor_seconds(hub.pid()));
    sleep(INTERVAL).await;
    let share = (processor_seconds(hub.pid()) - spent) / start.elapsed().as_secs_f64();
    assert!(share < IDLE_SHARE_MAX, "{:.1} % of a processor", share * 100.0);
}

/// F-26, F-27, F-28: there, `{'a': None}`, no `data` at all, and `inf`.
#[tokio::test]
async fn payloads_are_streamed_as_json_with_numbers_as_they_were_written() {
    let hub = hub_with_news().await;
    let mut stream = open(&hub, &subscribe(&hub).await).await;
    for (payload, data) in [
        (r#"{"a": 1, "b": [null, true]}"#, r#"{"a":1,"b":[null,true]}"#),
        ("null", "null"),
        ("true", "true"),
        ("1e400", "1e400"),
        ("-1.50E+400", "-1.50E+400"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ] {
        broadcast(&hub, payload).await;
        let event = until(&mut stream, "\n\n").await;
        let (id, event) = event.split_once("\r\nid: ").and_then(|(_, event)| event.split_once('\n')).unwrap();
        assert!(!id.is_empty());
        assert_eq!(event, format!("event: test\ndata: {data}\nretry: 3000\n\n\r\n"), "{payload}");
    }
}

/// The hub closes it. A client that keeps connections for later must know before it sends its next request there, as
/// Node's `fetch` does as soon as a stream has ended.
#[tokio::test]
async fn a_stream_says_beforehand_that_its_connection_ends_with_it() {
    let hub = hub_with_news().await;
    let (_stream, head) = open_with_head(&hub, &subscribe(&hub).await).await;
    assert!(head.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{head}");
}

/// F-4: there, the client is flooded, and when it leaves the service answers nothing any more, not even SIGTERM.
#[tokio::test]
async fn a_listener_removed_while_it_streams_ends_its_stream_and_the_hub_goes_on() {
    let hub = hub_with_news().await;
    let (removed, other) = (subscribe(&hub).await, subscribe(&hub).await);
    let (ending, mut going_on) = (open(&hub, &removed).await, open(&hub, &other).await);
    assert_eq!(ask(&hub, "DELETE", &format!("/listener/news/{removed}")).await, Value::Null);
    assert_eq!(rest(ending).await, END, "nothing else is said");
    is_idle(&hub).await;
    assert_eq!(ask(&hub, "GET", "/").await, json!({"news": [other]}));
    broadcast(&hub, "1").await;
    until(&mut going_on, "data: 1\n").await;
    let ended = hub.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
}

/// F-32: there, they stay open for as long as their clients do.
#[tokio::test]
async fn a_removed_channel_ends_all_its_streams() {
    let (hub, before) = hub_and_its_descriptors().await;
    let streams = open_many(&hub, 20).await;
    assert_eq!(ask(&hub, "DELETE", "/channel/news").await, Value::Null);
    for stream in streams {
        assert_eq!(rest(stream).await, END, "nothing else is said");
    }
    descriptors_are(&hub, before).await;
    assert_eq!(ask(&hub, "GET", "/channels").await, json!([]));
}

/// F-31: there, the service waits until the last client has left.
#[tokio::test]
async fn sigterm_ends_streams_within_the_grace() {
    let grace = Duration::from_secs(5);
    let hub = hub_with_news().await;
    let mut streams = open_many(&hub, 50).await;
    broadcast(&hub, "1").await;
    for stream in &mut streams {
        until(stream, "\n\n\r\n").await;
    }
    let start = Instant::now();
    let ended = tokio::spawn(hub.terminate());
    for stream in streams {
        let goodbye = rest(stream).await;
        let words = goodbye.split_once("\r\nretry: ").and_then(|(_, rest)| rest.split_once("\n\r\n"));
        let is_retry = |(retry, end): (&str, &str)| retry.parse::<u64>().is_ok() && end == END;
        assert!(words.is_some_and(is_retry), "when to come back, and no event: {goodbye:?}");
    }
    let ended = ended.await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert!(start.elapsed() < grace, "{:?}", start.elapsed());
}

/// F-1, F-33: there, each open stream keeps a processor busy, and leaves a descriptor behind.
#[tokio::test]
async fn a_hundred_idle_streams_cost_next_to_nothing_and_leave_nothing_behind() {
    let (hub, before) = hub_and_its_descriptors().await;
    for leaves_by_reset in [false, true] {
        let streams = open_many(&hub, 100).await;
        descriptors_are(&hub, before + streams.len()).await;
        is_idle(&hub).await;
        if leaves_by_reset {
            streams.iter().for_each(|stream| stream.set_zero_linger().unwrap());
        }
        drop(streams);
        let took = descriptors_are(&hub, before).await;
        assert!(took < Duration::from_secs(1), "descriptors are released after {took:?}");
    }
    is_idle(&hub).await;
}

/// F-33: there, each rewrites what is known of all, and a hundred take more than four seconds.
#[tokio::test]
async fn a_hundred_who_subscribe_at_once_are_answered_at_once() {
    let hub = Arc::new(hub_with_news().await);
    let start = Instant::now();
    let mut subscribing = JoinSet::new();
    for _ in 0..100 {
        let hub = Arc::clone(&hub);
        subscribing.spawn(async move { subscribe(&hub).await });
    }
    let listeners: HashSet<String> = subscribing.join_all().await.into_iter().collect();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(listeners.len(), 100, "each has an id of its own");
    let listed = ask(&hub, "GET", "/").await;
    let listed: HashSet<String> = serde_json::from_value(listed["news"].clone()).unwrap();
    assert_eq!(listed, listeners);
}
