//! Live streams that are served together: everybody gets what is theirs, in order, whatever the others do.

use std::fmt::Write as _;

use eric_server::ServerSettings;
use eric_sse::limits::{REEL_BYTES_MAX, STREAM_MAIL_BYTES_MAX, STREAM_MAIL_ENTRIES_MAX};
use eric_sse::{Channel, Connection, Message};
use tokio::io::Interest;
use tokio::time::timeout;

use crate::server::{SOON, TestServer, TestStream};

async fn channel(server: &TestServer) -> Channel {
    server.hub.channels().create("c".parse().unwrap(), Default::default()).await.unwrap()
}

async fn listener(channel: &Channel, id: &str) -> Connection {
    channel.ensure_listener(id.parse().unwrap()).await.unwrap().0
}

async fn listen(server: &TestServer, id: &str, query: &str) -> TestStream {
    let mut stream = server.stream(&format!("/v1/channels/c/listeners/{id}/events{query}"), "").await;
    stream.wait_for("retry: 3000\n").await;
    stream
}

fn number(n: usize) -> Message {
    Message::of("n", &n).unwrap()
}

/// A message of which few fit the kernel's buffers.
fn large(n: usize) -> Message {
    Message::of("n", &format!("{n}:{}", "x".repeat(100_000))).unwrap()
}

/// What is told of what is missing: the number, and how often it was told.
fn missed(text: &str) -> (usize, usize) {
    let gaps = text.match_indices("\"reason\":\"slow\"");
    let counts = gaps.clone().map(|(at, _)| {
        let (_, rest) = text[at..].split_once("\"missed\":").expect("a gap says how many");
        rest[..rest.find('}').expect("a gap ends")].parse::<usize>().expect("a number")
    });
    (counts.sum(), gaps.count())
}

/// The numbers that begin the payloads.
fn numbers(text: &str) -> Vec<usize> {
    let payloads = text.split("data: \"").skip(1);
    payloads.filter_map(|payload| payload.split(':').next()?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_all_broadcasts_and_their_own_dispatches_in_log_order() {
    let server = TestServer::start_with(ServerSettings { shards: 2, ..ServerSettings::default() });
    let channel = channel(&server).await;
    let (mut streams, mut ids) = (Vec::new(), Vec::new());
    for n in 0..40 {
        ids.push(listener(&channel, &format!("l{n}")).await);
        streams.push(listen(&server, &format!("l{n}"), "").await);
    }
    let mut watcher = server.stream("/v1/channels/c/events?data=envelope", "").await;
    watcher.wait_for("retry: 3000\n").await;
    let encoded = server.hub.stats().frames_encoded.count();
    let mut expected = vec![String::new(); ids.len()];
    for round in 0..50 {
        let everybody = channel.broadcast(number(round)).await.unwrap().position;
        expected.iter_mut().for_each(|all| write!(all, "{} ", everybody.offset.get()).unwrap());
        let one = round % ids.len();
        let alone = channel.dispatch(ids[one].id(), number(round)).await.unwrap().position;
        write!(expected[one], "{} ", alone.offset.get()).unwrap();
    }
    let last = channel.broadcast(number(50)).await.unwrap().position;
    for (stream, expected) in streams.iter_mut().zip(expected) {
        stream.wait_for(&format!("id: {last}\n")).await;
        let text = &stream.text;
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")?.split_once('-'));
        let came: String = ids.map(|(_, offset)| format!("{offset} ")).collect();
        assert_eq!(came, format!("{expected}{} ", last.offset.get()));
    }
    watcher.wait_for(&last.to_string()).await;
    let encoded = server.hub.stats().frames_encoded.count() - encoded;
    assert_eq!(encoded, 2 * 51 + 50, "a broadcast once for each of two formats, a dispatch once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_stream_reads_the_log_at_its_own_pace_and_comes_back() {
    let server = TestServer::start();
    let channel = channel(&server).await;
    for id in ["slow", "quick"] {
        listener(&channel, id).await;
    }
    let (mut slow, mut quick) = (listen(&server, "slow", "").await, listen(&server, "quick", "").await);
    let messages = 20 * REEL_BYTES_MAX / 100_000;
    for n in 0..messages {
        channel.broadcast(large(n)).await.unwrap();
        quick.wait_for(&format!("data: \"{n}:")).await;
        quick.text.clear();
    }
    slow.wait_for(&format!("data: \"{}:", messages - 1)).await;
    assert_eq!(numbers(&slow.text), (0..messages).collect::<Vec<_>>());
    channel.broadcast(large(messages)).await.unwrap();
    slow.wait_for(&format!("data: \"{messages}:")).await;
    assert_eq!(server.hub.stats().gaps_told.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_stream_that_asked_for_it_is_disconnected_and_its_cursor_stays() {
    let server = TestServer::start();
    let channel = channel(&server).await;
    let connection = listener(&channel, "slow").await;
    let stream = listen(&server, "slow", "?slow=disconnect").await;
    let messages = 20 * REEL_BYTES_MAX / 100_000;
    for n in 0..messages {
        channel.broadcast(large(n)).await.unwrap();
    }
    let reset = async { drop(stream.socket.ready(Interest::ERROR).await) };
    timeout(SOON, reset).await.expect("it is reset long before write_stall_s");
    while connection.info().await.unwrap().is_connected {
        tokio::task::yield_now().await;
    }
    let backlog = connection.info().await.unwrap().backlog as usize;
    assert!(backlog > 0 && backlog <= messages, "{backlog}");
}

/// A stream that reads nothing, until `messages` were published; with a dispatch after every tenth.
async fn after_a_pause(query: &str, messages: usize) -> (TestServer, String) {
    let server = TestServer::start();
    let channel = channel(&server).await;
    let id = listener(&channel, "slow").await;
    listener(&channel, "quick").await;
    let mut quick = listen(&server, "quick", "").await;
    let mut stream = listen(&server, "slow", query).await;
    for n in 0..messages {
        channel.broadcast(large(n)).await.unwrap();
        quick.wait_for(&format!("data: \"{n}:")).await;
        quick.text.clear();
        if n % 10 == 0 {
            channel.dispatch(id.id(), Message::of("own", &n).unwrap()).await.unwrap();
        }
    }
    stream.wait_for(&format!("event: own\ndata: {}\n", (messages - 1) / 10 * 10)).await;
    channel.dispatch(id.id(), Message::of("end", &0).unwrap()).await.unwrap();
    stream.wait_for("event: end\n").await;
    let own = (0..messages).step_by(10).map(|n| format!("event: own\ndata: {n}\n"));
    let text = stream.text.clone();
    own.for_each(|own| assert_eq!(text.matches(&own).count(), 1, "no dispatch is left out: {own}"));
    (server, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_stream_that_asked_for_it_misses_broadcasts_and_is_told_how_many() {
    let messages = 30 * REEL_BYTES_MAX / 100_000;
    let (server, text) = after_a_pause("?slow=drop", messages).await;
    let (numbers, (missed, told)) = (numbers(&text), missed(&text));
    assert!(missed > 0 && told > 0, "{missed} {told}");
    assert_eq!(numbers.len() + missed, messages, "what did not come is told");
    assert!(numbers.is_sorted());
    assert_eq!(server.hub.stats().entries_skipped.count(), missed as u64);
    let channel = server.hub.channels().get(&"c".parse().unwrap()).unwrap();
    let connection = listener(&channel, "slow").await;
    while connection.info().await.unwrap().backlog > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_stream_that_asked_for_the_latest_has_it() {
    let messages = 30 * REEL_BYTES_MAX / 100_000;
    let (_server, text) = after_a_pause("?slow=latest", messages).await;
    let (numbers, (missed, _)) = (numbers(&text), missed(&text));
    assert_eq!(numbers.last(), Some(&(messages - 1)), "the latest is never left out");
    assert_eq!(numbers.len() + missed, messages, "what did not come is told");
    assert!(missed > messages / 2, "only the latest waits: {missed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dispatches_to_a_stuck_stream_wait_up_to_a_limit_and_then_in_the_log() {
    let server = TestServer::start();
    let channel = channel(&server).await;
    for (id, message, messages) in [
        ("many", number(7), 2 * STREAM_MAIL_ENTRIES_MAX),
        ("large", large(7), 2 * STREAM_MAIL_BYTES_MAX / 100_000),
    ] {
        let listener = listener(&channel, id).await;
        let mut stream = listen(&server, id, "?slow=drop").await;
        // More than the kernel holds, so that the rest has to wait.
        for _ in 0..80 {
            channel.dispatch(listener.id(), large(1)).await.unwrap();
        }
        for _ in 0..messages {
            channel.dispatch(listener.id(), message.clone()).await.unwrap();
        }
        let last = channel.dispatch(listener.id(), Message::of("end", &0).unwrap()).await.unwrap().position;
        stream.wait_for(&format!("id: {last}\n")).await;
        let events = stream.text.matches("\nevent: ").count();
        assert_eq!(events, 80 + messages + 1, "{id}");
    }
}

#[tokio::test]
async fn a_channel_that_begins_to_pace_its_streams_paces_those_that_are_live() {
    let server = TestServer::start();
    let channel = channel(&server).await;
    let mut stream = server.stream("/v1/channels/c/events", "").await;
    stream.wait_for("retry: 3000\n").await;
    server.expect(200, "PUT", "/v1/channels/c", r#"{"stream_delay_ms":300}"#).await;
    let start = tokio::time::Instant::now();
    for n in 0..4 {
        channel.broadcast(number(n)).await.unwrap();
    }
    stream.wait_for("data: 3\n").await;
    assert!(start.elapsed() >= std::time::Duration::from_millis(900), "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_slow_may_be_is_told() {
    let server = TestServer::start();
    let channel = channel(&server).await;
    listener(&channel, "l").await;
    for (query, word) in
        [("slow=later", "slow"), ("slow=drop&ack=manual", "slow"), ("slow=latest&ack=manual", "slow")]
    {
        let refused = server.send("GET", &format!("/v1/channels/c/listeners/l/events?{query}"), "").await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains(word), "{}", refused.body);
    }
}
