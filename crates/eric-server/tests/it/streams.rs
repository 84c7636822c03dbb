//! Streams on real sockets: what is on the wire, who is acknowledged, how they end.

use std::time::Duration;

use eric_sse::limits::{COMMIT_LAG_ENTRIES_MAX, COMMIT_LAG_MS_MAX};
use eric_sse::{Channel, ChannelSettings, Message};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};

use crate::server::{SOON, TestServer};

const LISTENER: &str = "/v1/channels/c/listeners/l";

async fn hub_with_listener(settings: ChannelSettings) -> (TestServer, Channel) {
    let server = TestServer::start();
    let channel = server.hub.channels().create("c".parse().unwrap(), settings).await.unwrap();
    channel.ensure_listener("l".parse().unwrap()).await.unwrap();
    (server, channel)
}

async fn publish(channel: &Channel, numbers: std::ops::Range<u64>) {
    for number in numbers {
        channel.broadcast(Message::of("n", &number).unwrap()).await.unwrap();
    }
}

async fn info(server: &TestServer) -> Value {
    server.expect(200, "GET", LISTENER, "").await
}

/// Asks until the listener is as `condition` says.
async fn until(server: &TestServer, condition: impl Fn(&Value) -> bool) -> Value {
    let ask = async {
        loop {
            let info = info(server).await;
            if condition(&info) {
                return info;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, ask).await.expect("the listener comes to be so")
}

#[tokio::test]
async fn a_stream_begins_at_once_with_plain_lines_and_an_event_is_whole() {
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    let mut stream = server.stream("/v1/channels/c/events?prime=1", "").await;
    stream.wait_for(":ok\nretry: 3000\nid: ").await;
    assert!(stream.event().await.ends_with("-0"), "prime plants the tail and nothing else");
    channel.broadcast(Message::of("greeting", &json!({"a": [1, "x\ny"]})).unwrap()).await.unwrap();
    let event = stream.event().await;
    let epoch = server.hub.tail().epoch;
    assert_eq!(event, format!("id: {epoch}-1\nevent: greeting\ndata: {{\"a\":[1,\"x\\ny\"]}}"));
}

#[tokio::test]
async fn what_the_peers_kernel_took_is_consumed_within_a_second() {
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    let mut stream = server.stream(&format!("{LISTENER}/events"), "").await;
    publish(&channel, 0..3).await;
    let start = Instant::now();
    for number in 0..3 {
        assert_eq!(stream.data().await, number.to_string());
    }
    until(&server, |info| info["backlog"] == 0).await;
    assert!(start.elapsed() < Duration::from_millis(COMMIT_LAG_MS_MAX), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_thousand_entries_are_committed_before_it_is_time() {
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    let mut stream = server.stream(&format!("{LISTENER}/events"), "").await;
    stream.wait_for(":ok\n").await;
    // The machine may be busy: one round of five has to be quick.
    let mut took = Vec::new();
    for round in 1..=5 {
        let (start, count) = (Instant::now(), 2 * COMMIT_LAG_ENTRIES_MAX);
        let batch = (0..count).map(|number| Message::of("t", &number).unwrap().into()).collect();
        channel.broadcast_batch(batch).await.unwrap();
        for number in 0..count {
            assert_eq!(stream.data().await, number.to_string());
        }
        // What was written had not reached the peer when it was asked; with one more it has.
        publish(&channel, 0..1).await;
        assert_eq!(stream.data().await, "0");
        until(&server, |info| info["backlog"].as_u64().unwrap() <= COMMIT_LAG_ENTRIES_MAX as u64).await;
        took.push(start.elapsed());
        until(&server, |info| info["backlog"] == 0).await;
        assert_eq!(server.hub.tail().offset.get(), (round * (count + 1)) as u64);
    }
    let quickest = took.iter().min().unwrap();
    assert!(*quickest < Duration::from_millis(COMMIT_LAG_MS_MAX / 2), "{took:?}");
}

#[tokio::test]
async fn the_cursor_of_a_slow_client_moves_while_a_large_message_is_written() {
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    publish(&channel, 0..3).await;
    channel.broadcast(Message::of("large", &"x".repeat(15 << 20)).unwrap()).await.unwrap();
    let mut stream = server.stream(&format!("{LISTENER}/events"), "").await;
    let epoch = server.hub.tail().epoch;
    let cursor = format!("{epoch}-3");
    until(&server, |info| info["cursor"] == cursor.as_str()).await;
    assert_eq!(info(&server).await["backlog"], 1, "the large one is not consumed");
    for number in 0..3 {
        assert_eq!(stream.data().await, number.to_string());
    }
    assert_eq!(stream.data().await.len(), (15 << 20) + 2);
    until(&server, |info| info["backlog"] == 0).await;
}

#[tokio::test]
async fn a_listener_resumes_after_its_last_event_id_in_both_directions() {
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    publish(&channel, 0..10).await;
    let epoch = server.hub.tail().epoch;
    let mut stream = server.stream(&format!("{LISTENER}/events"), "").await;
    for number in 0..10 {
        assert_eq!(stream.data().await, number.to_string());
    }
    drop(stream);
    until(&server, |info| info["backlog"] == 0 && info["connected"] == false).await;
    let mut back = server
        .stream(&format!("{LISTENER}/events?after=latest"), &format!("Last-Event-ID: {epoch}-4\r\n"))
        .await;
    assert_eq!(back.data().await, "4", "the header wins over the query");
    drop(back);
    let mut forward = server.stream(&format!("{LISTENER}/events?after={epoch}-9"), "").await;
    assert_eq!(forward.data().await, "9");
}

#[tokio::test]
async fn with_manual_acknowledgement_only_an_ack_moves_the_cursor() {
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    publish(&channel, 0..3).await;
    let path = format!("{LISTENER}/events?ack=manual");
    for _ in 0..2 {
        let mut stream = server.stream(&path, "").await;
        for number in 0..3 {
            assert_eq!(stream.data().await, number.to_string());
        }
    }
    let epoch = server.hub.tail().epoch;
    let ack = json!({"id": format!("{epoch}-2")}).to_string();
    server.expect(204, "POST", &format!("{LISTENER}/ack"), &ack).await;
    let mut stream = server.stream(&path, "").await;
    assert_eq!(stream.data().await, "2");
    let mut elsewhere = server.stream(&path, &format!("Last-Event-ID: {epoch}-0\r\n")).await;
    assert_eq!(elsewhere.data().await, "0");
    assert_eq!(info(&server).await["backlog"], 1, "where a stream begins moves nothing");
}

#[tokio::test]
async fn a_newer_stream_replaces_the_older_unless_it_refuses_to() {
    let (server, _channel) = hub_with_listener(ChannelSettings::default()).await;
    let mut older = server.stream(&format!("{LISTENER}/events"), "").await;
    let refused = server.expect(409, "GET", &format!("{LISTENER}/events?conflict=refuse"), "").await;
    assert_eq!(refused["code"], "conflict");
    let _newer = server.stream(&format!("{LISTENER}/events"), "").await;
    let rest = older.rest().await;
    assert!(rest.ends_with("event: eric.replaced\nretry: 60000\ndata: {}\n\n"), "{rest}");
}

#[tokio::test]
async fn removal_ends_streams_and_a_reconnect_is_404() {
    let (server, _channel) = hub_with_listener(ChannelSettings::default()).await;
    let mut listener = server.stream(&format!("{LISTENER}/events"), "").await;
    let mut watcher = server.stream("/v1/channels/c/events", "").await;
    server.expect(204, "DELETE", LISTENER, "").await;
    assert!(listener.rest().await.ends_with("event: eric.removed\ndata: {}\n\n"));
    server.expect(404, "GET", &format!("{LISTENER}/events"), "").await;
    server.expect(204, "DELETE", "/v1/channels/c", "").await;
    assert!(watcher.rest().await.ends_with("event: eric.removed\ndata: {}\n\n"));
}

#[tokio::test]
async fn a_gap_is_told_to_whom_it_concerns_with_what_is_missing() {
    let settings = ChannelSettings { max_messages: 4, ..ChannelSettings::default() };
    let (server, channel) = hub_with_listener(settings).await;
    publish(&channel, 0..10).await;
    let epoch = server.hub.tail().epoch;
    let mut stream = server.stream(&format!("{LISTENER}/events"), "").await;
    let gap = stream.event().await;
    let expected =
        format!("{{\"reason\":\"trimmed\",\"from\":\"{epoch}-0\",\"to\":\"{epoch}-6\",\"missed\":6}}");
    assert_eq!(gap, format!("event: eric.gap\ndata: {expected}"));
    for number in 6..10 {
        assert_eq!(stream.data().await, number.to_string());
    }
    let mut past = server.stream("/v1/channels/c/events", "Last-Event-ID: past-3\r\n").await;
    assert_eq!(past.data().await, r#"{"reason":"epoch","from":"past-3","to":null,"missed":null}"#);
    assert_eq!(past.data().await, "6");
    let mut ahead = server.stream(&format!("/v1/channels/c/events?after={epoch}-99"), "").await;
    assert!(ahead.data().await.contains("ahead"));
    let mut exact = server.stream(&format!("/v1/channels/c/events?after={epoch}-6"), "").await;
    assert_eq!(exact.data().await, "6", "nothing was missed, nothing is told");
}

#[tokio::test]
async fn an_envelope_tells_everything_of_a_message() {
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    let message =
        Message::of("t", &[1]).unwrap().with_id("k".parse().unwrap()).with_sender("s".parse().unwrap());
    channel.broadcast(message).await.unwrap();
    let mut stream = server.stream(&format!("{LISTENER}/events?data=envelope"), "").await;
    let envelope: Value = serde_json::from_str(&stream.data().await).unwrap();
    assert_eq!((&envelope["type"], &envelope["payload"]), (&json!("t"), &json!([1])));
    assert_eq!((&envelope["message_id"], &envelope["sender_id"]), (&json!("k"), &json!("s")));
}

#[tokio::test]
async fn a_client_that_leaves_by_fin_or_reset_is_released_within_a_second() {
    let (server, _channel) = hub_with_listener(ChannelSettings::default()).await;
    for is_reset in [false, true] {
        let stream = server.stream(&format!("{LISTENER}/events"), "").await;
        assert_eq!(info(&server).await["connected"], true);
        let start = Instant::now();
        if is_reset {
            stream.socket.set_zero_linger().unwrap();
        }
        drop(stream);
        until(&server, |info| info["connected"] == false).await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    let mut half = server.stream(&format!("{LISTENER}/events"), "").await;
    half.socket.shutdown().await.unwrap();
    until(&server, |info| info["connected"] == false).await;
}

#[tokio::test]
async fn what_a_vanished_client_had_not_taken_comes_again() {
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    let stream = server.stream(&format!("{LISTENER}/events"), "").await;
    let large = Message::of("t", &"x".repeat(15 << 20)).unwrap();
    for _ in 0..2 {
        channel.broadcast(large.clone()).await.unwrap();
    }
    stream.socket.readable().await.unwrap();
    stream.socket.set_zero_linger().unwrap();
    drop(stream);
    until(&server, |info| info["connected"] == false).await;
    assert_eq!(info(&server).await["backlog"], 2);
}

#[tokio::test]
async fn a_paced_stream_keeps_its_distance_and_adds_none_when_idle() {
    let settings = ChannelSettings { stream_delay_ms: 200, ..ChannelSettings::default() };
    let (server, channel) = hub_with_listener(settings).await;
    let mut stream = server.stream(&format!("{LISTENER}/events"), "").await;
    let start = Instant::now();
    publish(&channel, 0..3).await;
    assert_eq!(stream.data().await, "0");
    assert!(start.elapsed() < Duration::from_millis(195), "{:?}", start.elapsed());
    stream.data().await;
    stream.data().await;
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
}

/// A stream whose client takes nothing, and is owed more than kernels hold.
async fn stuck(server: &TestServer, channel: &Channel, path: &str) -> crate::server::TestStream {
    let stream = server.stream(path, "").await;
    let message = Message::of("t", &"x".repeat(12 << 20)).unwrap();
    channel.broadcast(message.clone()).await.unwrap();
    channel.broadcast(message).await.unwrap();
    stream
}

#[tokio::test]
async fn who_is_behind_when_it_is_replaced_is_told_so() {
    let (server, channel) = hub_with_listener(ChannelSettings::in_memory()).await;
    let mut behind = stuck(&server, &channel, &format!("{LISTENER}/events")).await;
    let mut successor = server.stream(&format!("{LISTENER}/events"), "").await;
    let (rest, data) = tokio::join!(behind.rest(), successor.data());
    assert!(
        rest.ends_with("event: eric.replaced\nretry: 60000\ndata: {}\n\n"),
        "{}",
        &rest[rest.len() - 100..]
    );
    assert!(data.len() > 12 << 20, "and what it had not taken comes to the other");
}

#[tokio::test]
async fn who_took_nothing_for_a_while_is_told_of_the_end_when_it_goes_on() {
    let (server, channel) = hub_with_listener(ChannelSettings::in_memory()).await;
    let mut watcher = stuck(&server, &channel, "/v1/channels/c/events").await;
    // Longer than it is waited for once there is a reason to end.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.expect(204, "DELETE", "/v1/channels/c", "").await;
    assert!(watcher.rest().await.ends_with("event: eric.removed\ndata: {}\n\n"));
}

#[tokio::test]
async fn a_paced_stream_ends_at_once_while_it_pauses() {
    let settings = ChannelSettings { stream_delay_ms: 60_000, ..ChannelSettings::in_memory() };
    let (server, channel) = hub_with_listener(settings).await;
    publish(&channel, 1..3).await;
    let path = "/v1/channels/c/listeners/l/events";
    let mut first = server.stream(path, "").await;
    assert_eq!(first.data().await, "1");
    let mut second = server.stream(path, "").await;
    assert!(first.rest().await.contains("eric.replaced"));
    assert_eq!(second.data().await, "2", "what the first had sent was consumed");
    server.expect(204, "DELETE", "/v1/channels/c/listeners/l", "").await;
    assert!(second.rest().await.contains("eric.removed"));
}

#[tokio::test]
async fn http_1_0_streams_are_not_chunked() {
    use tokio::io::AsyncReadExt as _;
    let (server, channel) = hub_with_listener(ChannelSettings::default()).await;
    let mut socket = server.connect().await;
    socket.write_all(format!("GET {LISTENER}/events HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    publish(&channel, 0..1).await;
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"data: 0\n\n") {
        assert!(timeout(SOON, socket.read_buf(&mut bytes)).await.unwrap().unwrap() > 0);
    }
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.to_ascii_lowercase().contains("transfer-encoding"), "{text}");
    assert!(text.contains("\r\n\r\n:ok\nretry: 3000\nid: "), "{text}");
}

#[tokio::test]
async fn a_stopping_server_tells_every_stream_and_ends() {
    let (mut server, _channel) = hub_with_listener(ChannelSettings::default()).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(server.stream("/v1/channels/c/events", "").await);
    }
    server.stop();
    for stream in &mut streams {
        let rest = stream.rest().await;
        assert!(rest.contains("event: eric.shutdown\nretry: ") && rest.ends_with("data: {}\n\n"), "{rest}");
    }
    drop(streams);
    let cut = timeout(SOON, server.running.take().unwrap()).await.unwrap().unwrap();
    assert_eq!(cut, 0);
}
