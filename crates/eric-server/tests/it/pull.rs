//! Pulling: a worker's queue without a stream.

use std::time::Duration;

use eric_sse::limits::PULL_WAIT_S_MAX;
use eric_sse::{Channel, ChannelSettings, Message};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::server::{SOON, TestServer};

const LISTENER: &str = "/v1/channels/c/listeners/l";
const MESSAGES: &str = "/v1/channels/c/listeners/l/messages";

async fn hub_with_listener(settings: ChannelSettings) -> (std::sync::Arc<TestServer>, Channel) {
    let server = TestServer::start();
    let channel = server.hub.channels().create("c".parse().unwrap(), settings).await.unwrap();
    channel.ensure_listener("l".parse().unwrap()).await.unwrap();
    (std::sync::Arc::new(server), channel)
}

async fn publish(channel: &Channel, numbers: std::ops::Range<u64>) {
    for number in numbers {
        channel.broadcast(Message::of("n", &number).unwrap()).await.unwrap();
    }
}

async fn pull(server: &TestServer, query: &str) -> Value {
    server.expect(200, "GET", &format!("{MESSAGES}{query}"), "").await
}

fn payloads(page: &Value) -> Vec<u64> {
    page["messages"].as_array().unwrap().iter().map(|message| message["payload"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn what_was_pulled_comes_again_until_it_is_acknowledged() {
    let (server, channel) = hub_with_listener(ChannelSettings::in_memory()).await;
    assert_eq!(
        pull(&server, "").await,
        json!({"messages": [], "gaps": []}),
        "nothing is there, and nothing is waited for"
    );
    publish(&channel, 1..6).await;
    let page = pull(&server, "?limit=3").await;
    assert_eq!(payloads(&page), [1, 2, 3]);
    assert_eq!(payloads(&pull(&server, "?limit=2").await), [1, 2]);
    let ack = json!({"id": page["messages"][1]["id"]}).to_string();
    server.expect(204, "POST", &format!("{LISTENER}/ack"), &ack).await;
    assert_eq!(payloads(&pull(&server, "?wait_s=5").await), [3, 4, 5]);
    let after = page["messages"][2]["id"].as_str().unwrap();
    assert_eq!(payloads(&pull(&server, &format!("?after={after}")).await), [4, 5]);
    assert_eq!(page["messages"][0]["type"], "n");
    assert!(page["messages"][0]["taken_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_pull_waits_for_the_next_message_and_no_longer_than_it_may() {
    let (server, channel) = hub_with_listener(ChannelSettings::in_memory()).await;
    let waiting = tokio::spawn({
        let server = server.clone();
        async move { pull(&server, &format!("?wait_s={PULL_WAIT_S_MAX}")).await }
    });
    while server.expect(200, "GET", LISTENER, "").await["connected"] == false {}
    publish(&channel, 7..8).await;
    let page = timeout(SOON, waiting).await.expect("a message ends the wait").unwrap();
    assert_eq!(payloads(&page), [7]);
    let after = page["messages"][0]["id"].as_str().unwrap();
    let start = Instant::now();
    assert_eq!(payloads(&pull(&server, &format!("?wait_s=1&after={after}")).await), [0; 0]);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(4), "{waited:?}");
    for (query, reason) in [
        (format!("?wait_s={}", PULL_WAIT_S_MAX + 1), "wait_s=61 is not 0 to 60"),
        ("?wait_s=soon".into(), "wait_s=soon"),
        ("?limit=0".into(), "limit=0"),
        ("?limit=1001".into(), "limit=1001"),
        ("?after=now".into(), "after"),
        ("?conflict=fight".into(), "conflict=fight"),
    ] {
        let answer = server.send("GET", &format!("{MESSAGES}{query}"), "").await;
        assert!(answer.status == 400 && answer.body.contains(reason), "{query} {}", answer.body);
    }
}

#[tokio::test]
async fn one_reads_at_a_time() {
    let (server, channel) = hub_with_listener(ChannelSettings::in_memory()).await;
    let mut stream = server.stream(&format!("{LISTENER}/events"), "").await;
    let busy = server.expect(409, "GET", MESSAGES, "").await;
    assert_eq!(busy["code"], "conflict");
    publish(&channel, 1..2).await;
    assert_eq!(stream.data().await, "1");
    assert_eq!(payloads(&pull(&server, "?conflict=replace").await), [0; 0], "the stream had consumed it");
    assert!(stream.rest().await.contains("eric.replaced"));
    // A stream takes over from a pull that waits, and a puller that vanished holds nothing.
    let waiting = tokio::spawn({
        let server = server.clone();
        async move { server.send("GET", &format!("{MESSAGES}?wait_s=60"), "").await }
    });
    while server.expect(200, "GET", LISTENER, "").await["connected"] == false {}
    let mut stream = server.stream(&format!("{LISTENER}/events"), "").await;
    let ended = timeout(SOON, waiting).await.expect("it is told").unwrap();
    assert!(ended.status == 409 && ended.body.contains("replaced"), "{}", ended.body);
    server.expect(204, "DELETE", LISTENER, "").await;
    assert!(stream.rest().await.contains("eric.removed"));
    server.expect(404, "GET", MESSAGES, "").await;
}

#[tokio::test]
async fn a_puller_that_vanishes_is_released_and_a_stop_ends_the_wait() {
    use tokio::io::AsyncWriteExt as _;
    let (server, _channel) = hub_with_listener(ChannelSettings::in_memory()).await;
    let mut socket = server.connect().await;
    let request = format!("GET {MESSAGES}?wait_s=60 HTTP/1.1\r\nHost: h\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    while server.expect(200, "GET", LISTENER, "").await["connected"] == false {}
    drop(socket);
    let start = Instant::now();
    while server.expect(200, "GET", LISTENER, "").await["connected"] == true {
        assert!(start.elapsed() < SOON);
    }
    let waiting = tokio::spawn({
        let server = server.clone();
        async move { pull(&server, "?wait_s=60").await }
    });
    while server.expect(200, "GET", LISTENER, "").await["connected"] == false {}
    server.stop();
    assert_eq!(payloads(&timeout(SOON, waiting).await.expect("it ends").unwrap()), [0; 0]);
}

#[tokio::test]
async fn what_is_missing_is_told_where_it_is_missing() {
    let settings = ChannelSettings { max_messages: 2, ..ChannelSettings::in_memory() };
    let (server, channel) = hub_with_listener(settings).await;
    publish(&channel, 1..6).await;
    let page = pull(&server, "").await;
    assert_eq!(payloads(&page), [4, 5]);
    assert_eq!((&page["gaps"][0]["reason"], &page["gaps"][0]["missed"]), (&json!("trimmed"), &json!(3)));
}
