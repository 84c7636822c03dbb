//! The Unix socket: what it answers, what its streams keep and how they end. `docs/socket.md` holds the table of
//! malformed requests.

use std::time::Duration;

use eric_server::{Server, ServerSettings};
use eric_sse::Hub;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use crate::bad_input::bytes;
use crate::server::{SOON, TestLines, TestServer};

const DOCUMENT: &str = include_str!("../../../../docs/socket.md");

/// A hub with a channel and a listener, made over the socket.
async fn hub_with_listener() -> (TestServer, String, String) {
    let server = TestServer::start();
    let channel = server.ask(br#"{"v": "c"}"#).await;
    let listener = server.ask(json!({"v": "r", "c": channel}).to_string().as_bytes()).await;
    (server, channel, listener)
}

/// Everything that the hub holds, as clients see it.
async fn state(server: &TestServer, channel: &str) -> Vec<Value> {
    let mut state = vec![server.expect(200, "GET", "/v1/channels", "").await];
    for path in ["messages", "listeners"] {
        state.push(server.expect(200, "GET", &format!("/v1/channels/{channel}/{path}"), "").await);
    }
    state
}

/// Waits until the listener is as wanted.
async fn until(server: &TestServer, channel: &str, listener: &str, is_wanted: impl Fn(&Value) -> bool) {
    let start = Instant::now();
    loop {
        let info =
            server.expect(200, "GET", &format!("/v1/channels/{channel}/listeners/{listener}"), "").await;
        if is_wanted(&info) {
            return;
        }
        assert!(start.elapsed() < SOON, "{info}");
    }
}

#[tokio::test]
async fn every_malformed_request_is_answered_as_documented_and_changes_nothing() {
    let (server, channel, listener) = hub_with_listener().await;
    let before = state(&server, &channel).await;
    let table = DOCUMENT.split("| what | request | answer |").nth(1).expect("the table is there");
    let mut rows = 0;
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, what, request, answer, _] = cells[..] else { panic!("three cells: {line}") };
        let cell = |text: &str| text.trim_matches('`').replace("{c}", &channel).replace("{l}", &listener);
        let answered = server.ask(&bytes(&cell(request), "")).await;
        assert_eq!(answered.as_bytes(), bytes(&cell(answer), ""), "{what}");
        assert_eq!(state(&server, &channel).await, before, "{what}");
        rows += 1;
    }
    assert!(rows > 40, "the table was found: {rows} rows");
}

#[tokio::test]
async fn every_verb_does_what_it_says_on_both_doors() {
    let (server, channel, listener) = hub_with_listener().await;
    let other = server.ask(br#" {"v": "c", "c": "ignored", "x": [1]} "#).await;
    assert!(other.len() == 36 && other != channel);
    let mut watched = server.lines(json!({"v": "w", "c": channel})).await;
    let mut http = server.stream(&format!("/v1/channels/{channel}/events"), "").await;
    until_watched(&server, &mut watched, &channel).await;
    server
        .ask_for_ack(json!({"v": "d", "c": channel, "r": listener, "t": "ty", "p": {"a": [1, null]}}))
        .await;
    server.ask_for_ack(json!({"v": "d", "c": channel, "r": listener, "t": "no payload"})).await;
    server.ask_for_ack(json!({"v": "b", "c": channel, "t": "", "p": "é\n🙂"})).await;
    let mut lines = server.lines(json!({"v": "l", "c": channel, "r": listener})).await;
    for expected in [
        r#"{"event": "ready", "retry": 3000, "data": null}"#,
        r#"{"event": "ty", "retry": 3000, "data": {"a": [1, null]}}"#,
        r#"{"event": "no payload", "retry": 3000, "data": null}"#,
        r#"{"event": "", "retry": 3000, "data": "\u00e9\n\ud83d\ude42"}"#,
    ] {
        assert_eq!(lines.line().await, format!("{expected}\n"));
    }
    assert_eq!(watched.data().await, "é\n🙂", "a watcher sees broadcasts only");
    assert_eq!(http.data().await, "null");
    assert_eq!(http.data().await, r#""é\n🙂""#);
    server
        .expect(201, "POST", &format!("/v1/channels/{channel}/messages"), r#"{"type":"t","payload":1.50}"#)
        .await;
    assert_eq!(lines.line().await, "{\"event\": \"t\", \"retry\": 3000, \"data\": 1.50}\n");
    server.expect(200, "PUT", &format!("/v1/channels/{channel}"), r#"{"retry_ms":500}"#).await;
    server.ask_for_ack(json!({"v": "b", "c": channel, "t": "t"})).await;
    assert_eq!(lines.line().await, "{\"event\": \"t\", \"retry\": 500, \"data\": null}\n");
    server.ask_for_ack(json!({"v": "rl", "c": channel, "r": listener})).await;
    server.ask_for_ack(json!({"v": "rc", "c": other})).await;
    assert_eq!(server.expect(200, "GET", "/channels", "").await, json!([channel]));
}

/// A watcher sees what is broadcast from when its request was served; this broadcasts until it does.
async fn until_watched(server: &TestServer, watched: &mut TestLines, channel: &str) {
    let waiting = Duration::from_millis(200);
    loop {
        server.ask_for_ack(json!({"v": "b", "c": channel, "t": "ready"})).await;
        if let Ok(seen) = timeout(waiting, watched.0.fill_buf()).await {
            assert!(!seen.unwrap().is_empty(), "the stream ended");
            break;
        }
    }
    assert!(watched.line().await.contains("ready"));
}

#[tokio::test]
async fn lines_tell_position_message_id_and_sender_where_they_are_asked_for() {
    let (server, channel, listener) = hub_with_listener().await;
    let path = format!("/v1/channels/{channel}/listeners/{listener}/messages");
    let signed = r#"{"type":"t","payload":1,"id":"k","sender_id":"bob"}"#;
    let taken = server.expect(201, "POST", &path, signed).await;
    let id = taken["id"].as_str().unwrap();
    let mut lines = server.lines(json!({"v": "l", "c": channel, "r": listener, "e": 1})).await;
    let expected = format!(
        r#"{{"event": "t", "retry": 3000, "data": 1, "id": "{id}", "message_id": "k", "sender_id": "bob"}}"#
    );
    assert_eq!(lines.line().await, expected + "\n");
}

#[tokio::test]
async fn what_is_published_with_an_id_is_taken_once_and_signed_where_ids_are_asked_for() {
    let (server, channel, listener) = hub_with_listener().await;
    let publish = |verb: &str, payload: u64, ids: Value| {
        let mut request = json!({"v": verb, "c": channel, "r": listener, "t": "t", "p": payload});
        request.as_object_mut().unwrap().extend(ids.as_object().unwrap().clone());
        request
    };
    let signed = || json!({"e": 1, "message_id": "k", "sender_id": "bob"});
    for verb in ["d", "b"] {
        for _ in 0..3 {
            server.ask_for_ack(publish(verb, 1, signed())).await;
        }
        let refused = server.ask(publish(verb, 2, signed()).to_string().as_bytes()).await;
        assert_eq!(refused, "InvalidMessageFormat('key=k was used for a message with other content')");
    }
    // To clients of the reference they are unknown fields.
    server.ask_for_ack(publish("d", 3, json!({"message_id": "k", "sender_id": 7}))).await;
    server.ask_for_ack(publish("b", 4, json!({"e": 0, "message_id": "", "sender_id": "x"}))).await;
    // What came over the one door is not doubled over the other.
    let path = format!("/v1/channels/{channel}/listeners/{listener}/messages");
    let again = r#"{"type":"t","payload":1,"id":"k","sender_id":"bob"}"#;
    server.expect(200, "POST", &path, again).await;
    let mut lines = server.lines(json!({"v": "l", "c": channel, "r": listener, "e": 1})).await;
    for (payload, message_id, sender_id) in
        [(1, json!("k"), json!("bob")), (1, json!("k"), json!("bob")), (3, json!(null), json!(null))]
    {
        let line: Value = serde_json::from_str(&lines.line().await).unwrap();
        assert_eq!(
            (&line["data"], &line["message_id"], &line["sender_id"]),
            (&json!(payload), &message_id, &sender_id)
        );
    }
    assert_eq!(lines.data().await, 4);
}

#[tokio::test]
async fn mail_is_kept_while_a_listener_is_away_and_comes_once() {
    let (server, channel, listener) = hub_with_listener().await;
    let listen = json!({"v": "l", "c": channel, "r": listener});
    for round in 0..3 {
        for number in 0..10 {
            server
                .ask_for_ack(
                    json!({"v": "d", "c": channel, "r": listener, "t": "t", "p": round * 10 + number}),
                )
                .await;
        }
        let mut lines = server.lines(listen.clone()).await;
        for number in 0..10 {
            assert_eq!(lines.data().await, round * 10 + number);
        }
        // All was read: leaving consumes it, at once and for good.
        drop(lines);
        until(&server, &channel, &listener, |info| info["connected"] == false && info["backlog"] == 0).await;
    }
}

#[tokio::test]
async fn what_a_client_had_not_read_when_it_left_goes_to_the_next_stream() {
    let (server, channel, listener) = hub_with_listener().await;
    let listen = json!({"v": "l", "c": channel, "r": listener});
    let publish = async |number: u64| {
        server.ask_for_ack(json!({"v": "d", "c": channel, "r": listener, "t": "t", "p": number})).await;
    };
    publish(1).await;
    let mut lines = server.lines(listen.clone()).await;
    assert_eq!(lines.data().await, 1);
    publish(2).await;
    timeout(SOON, lines.0.get_ref().readable()).await.expect("the second is there").unwrap();
    drop(lines);
    let mut lines = server.lines(listen).await;
    assert_eq!(lines.data().await, 2, "the first was read, the second was not");
    publish(3).await;
    assert_eq!(lines.data().await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_one_message_and_leaves_gets_the_next_one_each_time() {
    let (server, channel, listener) = hub_with_listener().await;
    for number in 0..50 {
        let payload = json!([number, "x".repeat(20_000)]);
        server.ask_for_ack(json!({"v": "d", "c": channel, "r": listener, "t": "t", "p": payload})).await;
    }
    for number in 0..50 {
        let mut lines = server.lines(json!({"v": "l", "c": channel, "r": listener})).await;
        assert_eq!(lines.data().await[0], number);
    }
}

#[tokio::test]
async fn a_second_stream_ends_the_first_and_each_message_goes_to_one_of_them() {
    let (server, channel, listener) = hub_with_listener().await;
    let mut expected = 0;
    let mut before: Option<TestLines> = None;
    for _ in 0..20 {
        let mut lines = server.lines(json!({"v": "l", "c": channel, "r": listener})).await;
        for _ in 0..2 {
            server.ask_for_ack(json!({"v": "d", "c": channel, "r": listener, "t": "t", "p": expected})).await;
            assert_eq!(lines.data().await, expected);
            expected += 1;
        }
        if let Some(mut before) = before.replace(lines) {
            assert_eq!(before.line().await, "", "an end, and nothing else");
        }
    }
}

#[tokio::test]
async fn removal_ends_streams_with_nothing_but_their_end() {
    let (server, channel, listener) = hub_with_listener().await;
    let mut lines = server.lines(json!({"v": "l", "c": channel, "r": listener})).await;
    until(&server, &channel, &listener, |info| info["connected"] == true).await;
    server.ask_for_ack(json!({"v": "rl", "c": channel, "r": listener})).await;
    assert_eq!(lines.line().await, "");
    let mut watched = server.lines(json!({"v": "w", "c": channel})).await;
    until_watched(&server, &mut watched, &channel).await;
    server.ask_for_ack(json!({"v": "rc", "c": channel})).await;
    assert_eq!(watched.line().await, "");
    let mut refused = server.lines(json!({"v": "l", "c": channel, "r": listener})).await;
    let expected = format!("InvalidChannelException('No channel with id {channel}')");
    assert_eq!((refused.line().await, refused.line().await), (expected, String::new()));
}

#[tokio::test]
async fn a_stopping_server_ends_its_streams_and_removes_its_file() {
    let (mut server, channel, listener) = hub_with_listener().await;
    let mut lines = server.lines(json!({"v": "l", "c": channel, "r": listener})).await;
    until(&server, &channel, &listener, |info| info["connected"] == true).await;
    let mut idle = server.ask_open(b"{").await;
    server.stop();
    assert_eq!(lines.line().await, "");
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "an unfinished request holds nothing up");
    assert_eq!(server.running.take().unwrap().await.unwrap(), 0, "nothing was cut");
    assert!(!server.socket.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stays_gets_every_broadcast_while_others_come_and_go() {
    let (server, channel, listener) = hub_with_listener().await;
    let server = std::sync::Arc::new(server);
    let mut lines = server.lines(json!({"v": "l", "c": channel, "r": listener})).await;
    let coming_and_going = tokio::spawn({
        let (server, channel) = (server.clone(), channel.clone());
        async move {
            for _ in 0..100 {
                let listener = server.ask(json!({"v": "r", "c": channel}).to_string().as_bytes()).await;
                server.ask_for_ack(json!({"v": "rl", "c": channel, "r": listener})).await;
            }
        }
    });
    for number in 0..300 {
        server.ask_for_ack(json!({"v": "b", "c": channel, "t": "t", "p": number})).await;
    }
    for number in 0..300 {
        assert_eq!(lines.data().await, number);
    }
    coming_and_going.await.unwrap();
}

#[tokio::test]
async fn two_servers_of_a_process_share_nothing() {
    let (one, other) = (TestServer::start(), TestServer::start());
    let channel = one.ask(br#"{"v": "c"}"#).await;
    let answer = other.ask(json!({"v": "r", "c": channel}).to_string().as_bytes()).await;
    assert_eq!(answer, format!("InvalidChannelException('No channel with id {channel}')"));
}

/// Binds a server to `path` alone.
fn bind(path: &std::path::Path) -> std::io::Result<Server> {
    let settings = ServerSettings { listen: None, socket: Some(path.to_owned()), ..Default::default() };
    Server::bind(Hub::in_memory(), settings)
}

#[tokio::test]
async fn a_path_is_taken_only_from_the_dead() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("eric.sock");
    let refused = |path: &std::path::Path, reason: &str| {
        let error = bind(path).expect_err("it is taken").to_string();
        assert!(error.contains(reason) && error.contains(&path.display().to_string()), "{error}");
    };
    std::fs::write(&path, "mine").unwrap();
    refused(&path, "not a socket");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    std::fs::remove_file(&path).unwrap();
    // A socket whose owner is gone.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = bind(&path).unwrap();
    assert_eq!(server.socket(), Some(&*path));
    refused(&path, "lives");
    drop(server);
    assert!(!path.exists(), "its owner removes it");
    let server = bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let successor = bind(&path).unwrap();
    drop(server);
    assert!(path.exists(), "and nobody else's");
    drop(successor);
    refused(&folder.path().join("none").join("eric.sock"), "No such file");
    let of_bytes = |bytes: usize| folder.path().join("x".repeat(bytes - folder.path().as_os_str().len() - 1));
    refused(&of_bytes(108), "107 bytes");
    let longest = bind(&of_bytes(107)).unwrap();
    UnixStream::connect(longest.socket().unwrap()).await.expect("it can be reached");
    drop(longest);
    refused(&folder.path().join("a\nb"), "control character");
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
    refused(&path, "not a socket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_starts_while_another_stops_keeps_its_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("eric.sock");
    let mut server = bind(&path).unwrap();
    for _ in 0..300 {
        let stopping = tokio::task::spawn_blocking(move || drop(server));
        let starting = tokio::spawn({
            let path = path.clone();
            async move {
                loop {
                    if let Ok(server) = bind(&path) {
                        return server;
                    }
                }
            }
        });
        server = timeout(SOON, starting).await.expect("it starts").unwrap();
        stopping.await.unwrap();
        UnixStream::connect(&path).await.expect("it is reached");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_start_at_once_one_gets_the_path() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("eric.sock");
    for _ in 0..20 {
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let starting: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move { bind(&path) })
            })
            .collect();
        let mut bound = Vec::new();
        for start in starting {
            bound.extend(start.await.unwrap());
        }
        assert_eq!(bound.len(), 1);
        UnixStream::connect(&path).await.expect("it is the one that is reached");
        drop(bound);
        assert!(!path.exists());
    }
}
