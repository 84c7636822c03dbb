//! The routes of eric-api: what they refuse, how their streams begin, resume and end. What they answer otherwise is in
//! the transcript of `docs/from-eric-api.md`.

use std::time::Duration;

use eric_sse::limits::HEARTBEAT_S;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::{Answer, TestServer};

const JSON: &str = "Content-Type: application/json\r\n";

/// A hub with the channel `c`, and a listener of it.
async fn hub_with_listener() -> (TestServer, String) {
    let server = TestServer::start();
    server.expect(200, "PUT", "/create?channel_id=c", "").await;
    let listener = server.expect(200, "POST", "/subscribe?channel_id=c", "").await;
    let listener = listener["listener_id"].as_str().unwrap().to_owned();
    (server, listener)
}

async fn broadcast(server: &TestServer, kind: &str, payload: Value) {
    let body = json!({"type": kind, "payload": payload}).to_string();
    let answer = server.send_with("POST", "/broadcast?channel_id=c", JSON, &body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "null"));
}

/// The value of a line of an event.
fn field<'a>(block: &'a str, name: &str) -> &'a str {
    block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {block:?}"))
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_names_the_thing() {
    let (server, listener) = hub_with_listener().await;
    let dispatch = format!("/dispatch?channel_id=c&listener_id={listener}");
    let (ok, deep) = (r#"{"type":"t","payload":1}"#, format!("{}{}", "[".repeat(129), "]".repeat(129)));
    let deep = format!(r#"{{"type":"t","payload":{deep}}}"#);
    let large = format!(r#"{{"type":"t","payload":"{}"}}"#, "x".repeat(16 << 20));
    let rows: [(&str, &str, &str, &str, u16, &str); 27] = [
        (
            "PUT",
            "/create?channel_id=c",
            "",
            "",
            400,
            "InvalidChannelException('Channel with id c already exists')",
        ),
        (
            "PUT",
            "/create?channel_id=",
            "",
            "",
            422,
            r#""type":"string_too_short","loc":["query","channel_id"]"#,
        ),
        ("PUT", "/create?channel_id", "", "", 422, "string_too_short"),
        ("PUT", "/create?channel_id=eric.x", "", "", 422, "channel id begins with a reserved prefix"),
        ("PUT", "/create?channel_id=a%0A", "", "", 422, "channel id has a control character"),
        ("POST", "/subscribe?Channel_Id=c", "", "", 422, r#""type":"missing","loc":["query","channel_id"]"#),
        ("POST", "/subscribe?channel_id=", "", "", 422, "string_too_short"),
        (
            "POST",
            "/subscribe?channel_id=it's",
            "",
            "",
            404,
            r#"InvalidChannelException(\"No channel with id it's\")"#,
        ),
        ("POST", "/subscribe?channel_id=a*", "", "", 404, "InvalidChannelException('No channel with id a*')"),
        ("POST", "/subscribe?channel_id=%FF", "", "", 404, "No channel with id \u{fffd}"),
        (
            "POST",
            "/broadcast?channel_id=nope",
            JSON,
            ok,
            404,
            "InvalidChannelException('No channel with id nope')",
        ),
        ("POST", "/broadcast?channel_id=nope", JSON, "{}", 422, "Field required"),
        ("POST", "/broadcast", JSON, "{", 422, r#"{"detail":[{"type":"json_invalid","loc":["body",1]"#),
        ("POST", "/broadcast?channel_id=c", JSON, &deep, 422, "payload nests deeper than 128 levels"),
        (
            "POST",
            "/broadcast?channel_id=c",
            JSON,
            &large,
            413,
            "InvalidMessageFormat('message has 16777219 bytes",
        ),
        ("POST", "/broadcast?channel_id=c", "Content-Type: text/plain\r\n", ok, 422, "model_attributes_type"),
        ("POST", &dispatch, JSON, r#"{"type":"a\nb","payload":1}"#, 422, "message type has a line break"),
        (
            "POST",
            "/dispatch?channel_id=c&listener_id=nope",
            JSON,
            ok,
            404,
            "InvalidListenerException('Invalid listener nope')",
        ),
        ("POST", "/dispatch?channel_id=nope&listener_id=nope", JSON, ok, 404, "InvalidChannelException"),
        ("POST", "/dispatch?channel_id=c&listener_id=", JSON, ok, 422, r#""loc":["query","listener_id"]"#),
        ("GET", "/stream/c/nope", "", "", 404, "InvalidListenerException('Invalid listener nope')"),
        ("GET", "/stream/nope/nope", "", "", 404, "InvalidChannelException('No channel with id nope')"),
        ("GET", "/stream/%FF/nope", "", "", 404, r#"{"detail":"Not Found"}"#),
        ("DELETE", "/listener/c/a*", "", "", 404, "InvalidListenerException('a*')"),
        ("DELETE", "/listener/nope/nope", "", "", 404, "InvalidChannelException('No channel with id nope')"),
        ("DELETE", "/channel/nope", "", "", 400, "InvalidChannelException('No channel with id nope')"),
        ("DELETE", "/channel/", "", "", 404, r#"{"detail":"Not Found"}"#),
    ];
    let state = async || {
        (server.expect(200, "GET", "/", "").await, server.expect(200, "GET", "/v1/channels/c", "").await)
    };
    let before = state().await;
    for (method, path, headers, body, status, text) in rows {
        let answer = server.send_with(method, path, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.body);
        assert!(answer.body.contains(text), "{method} {path} {}", answer.body);
        assert!(
            answer.head.contains("content-type: application/json\r\n"),
            "{method} {path} {}",
            answer.head
        );
        assert_eq!(state().await, before, "{method} {path}");
    }
}

#[tokio::test]
async fn bodies_are_json_where_their_type_says_so_or_nothing() {
    let (server, _) = hub_with_listener().await;
    for (content_type, status) in [
        ("", 200),
        ("Content-Type:\r\n", 200),
        ("Content-Type: application/json; charset=utf-8\r\n", 200),
        ("Content-Type: APPLICATION/JSON\r\n", 200),
        ("Content-Type: application/vnd.x+json\r\n", 200),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 422),
        ("Content-Type: application/jsonx\r\n", 422),
        ("Content-Type: text/json\r\n", 422),
    ] {
        let body = r#"{"type":"t","payload":1,"more":[]}"#;
        let path = "/broadcast?channel_id=nope&channel_id=c&zzz=1";
        let answer = server.send_with("POST", path, content_type, body).await;
        assert_eq!(answer.status, status, "{content_type:?} {}", answer.body);
    }
    let mut unreadable = server.connect().await;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let request = b"POST /broadcast?channel_id=c HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\n\xff";
    unreadable.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    unreadable.read_to_end(&mut answer).await.unwrap();
    let answer = Answer::parse(&answer).unwrap();
    let expected = r#"{"detail":"There was an error parsing the body"}"#;
    assert_eq!((answer.status, answer.body.as_str()), (400, expected));
}

#[tokio::test]
async fn methods_and_slashes_are_minded() {
    let (server, listener) = hub_with_listener().await;
    let stream = format!("/stream/c/{listener}");
    for (path, allowed) in [
        ("/", "GET"),
        ("/channels", "GET"),
        ("/create", "PUT"),
        ("/subscribe", "POST"),
        ("/broadcast", "POST"),
        ("/dispatch", "POST"),
        (&stream, "GET"),
        ("/listener/c/l", "DELETE"),
        ("/channel/c", "DELETE"),
        ("/docs", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
    ] {
        let answer = server.send("PATCH", path, "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (405, r#"{"detail":"Method Not Allowed"}"#),
            "{path}"
        );
        assert!(
            answer.head.contains(&format!("\r\nallow: {}\r\n", allowed.to_ascii_lowercase())),
            "{path} {}",
            answer.head
        );
        let head = server.send("HEAD", path, "").await.status;
        assert_eq!(head, if allowed.contains("HEAD") { 200 } else { 405 }, "{path}");
    }
    for (path, location) in [
        ("/channels/", Some("/channels")),
        ("/create/?channel_id=a%20b", Some("/create?channel_id=a%20b")),
        ("/channel/c/", Some("/channel/c")),
        ("/stream/c/l/", Some("/stream/c/l")),
        ("/docs/", Some("/docs")),
        ("/channels//", None),
        ("/stream/c/", None),
        ("/listener/", None),
        ("/nowhere/", None),
        ("//", None),
    ] {
        let answer = server.send("GET", path, "").await;
        let expected = location.map_or(404, |_| 307);
        assert_eq!(answer.status, expected, "{path}");
        if let Some(location) = location {
            assert!(answer.head.contains(&format!("\r\nlocation: {location}\r\n")), "{path} {}", answer.head);
        }
    }
    let page = server.send("GET", "/docs", "").await;
    assert!(page.head.contains("text/html") && !page.body.contains("http://"), "a page on its own");
    let openapi = server.expect(200, "GET", "/openapi.json", "").await;
    assert_eq!(openapi["paths"].as_object().unwrap().len(), 9);
}

#[tokio::test]
async fn a_stream_begins_with_nothing_and_an_event_has_id_event_data_and_retry() {
    let (server, listener) = hub_with_listener().await;
    let mut stream = server.stream(&format!("/stream/c/{listener}"), "").await;
    for (kind, payload, data) in [
        ("object", json!({"a": 1, "b": null}), "data: {\"a\":1,\"b\":null}"),
        ("text", json!("one\ntwo\r\n"), "data: one\ndata: two\ndata: "),
        ("message", json!(""), "data: "),
        ("", json!(null), "data: null"),
        ("flag", json!(true), "data: true"),
    ] {
        broadcast(&server, kind, payload).await;
        let block = stream.block().await;
        let id = field(&block, "id: ");
        assert_eq!(block, format!("id: {id}\nevent: {kind}\n{data}\nretry: 3000"));
    }
    server.expect(200, "PUT", "/v1/channels/c", r#"{"retry_ms":100}"#).await;
    broadcast(&server, "t", json!(1)).await;
    assert!(stream.block().await.ends_with("retry: 100"));
    let start = Instant::now();
    stream.wait_for(":\n").await;
    assert!(start.elapsed() >= Duration::from_secs(HEARTBEAT_S) && stream.text == ":\n", "{:?}", stream.text);
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_id_and_refuses_what_is_none() {
    let (server, listener) = hub_with_listener().await;
    let path = format!("/stream/c/{listener}");
    for number in 1..=4 {
        broadcast(&server, "t", json!(number)).await;
    }
    let mut ids = Vec::new();
    let mut stream = server.stream(&path, "").await;
    for _ in 0..4 {
        ids.push(field(&stream.block().await, "id: ").to_owned());
    }
    let after = async |id: &str| server.stream(&path, &format!("Last-Event-ID: {id}\r\n")).await;
    for (id, expected) in [(&ids[1], "3"), (&ids[0], "2"), (&ids[2], "4")] {
        assert_eq!(field(&after(id).await.block().await, "data: "), expected);
    }
    // An empty one is none: the stream continues at the cursor.
    let mut stream = server.stream(&path, "Last-Event-ID:\r\n").await;
    broadcast(&server, "t", json!(5)).await;
    assert_eq!(field(&stream.block().await, "data: "), "5");
    for id in ["nonsense", "e-01", "e--1"] {
        let answer = server.send_with("GET", &path, &format!("Last-Event-ID: {id}\r\n"), "").await;
        assert_eq!(answer.status, 400, "{id}");
        assert!(answer.body.contains("InvalidMessageFormat('Last-Event-ID: "), "{}", answer.body);
    }
}

#[tokio::test]
async fn streams_end_without_control_events() {
    let (server, listener) = hub_with_listener().await;
    let path = format!("/stream/c/{listener}");
    let mut first = server.stream(&path, "").await;
    let mut second = server.stream(&path, "").await;
    assert_eq!(first.rest().await, "retry: 60000\n", "no event, and no game of ping-pong");
    server.expect(200, "DELETE", &format!("/listener/c/{listener}"), "").await;
    assert_eq!(second.rest().await, "");
    assert_eq!(server.send("GET", &path, "").await.status, 404);
    let other = server.expect(200, "POST", "/subscribe?channel_id=c", "").await;
    let path = format!("/stream/c/{}", other["listener_id"].as_str().unwrap());
    let mut third = server.stream(&path, "").await;
    server.expect(200, "DELETE", "/channel/c", "").await;
    assert_eq!(third.rest().await, "");
    assert_eq!(server.expect(200, "GET", "/", "").await, json!({}));
}

#[tokio::test]
async fn what_a_full_queue_lost_is_not_told_and_the_rest_comes() {
    let (server, listener) = hub_with_listener().await;
    server.expect(200, "PUT", "/v1/channels/c", r#"{"max_messages":2}"#).await;
    for number in 1..=5 {
        broadcast(&server, "t", json!(number)).await;
    }
    let mut stream = server.stream(&format!("/stream/c/{listener}"), "").await;
    assert_eq!(field(&stream.block().await, "data: "), "4");
    assert_eq!(field(&stream.block().await, "data: "), "5");
}

#[tokio::test]
async fn a_hundred_subscribe_at_once_and_a_long_listing_is_whole() {
    let server = std::sync::Arc::new(TestServer::start());
    server.expect(200, "PUT", "/create?channel_id=c", "").await;
    let subscribing: Vec<_> = (0..100)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.expect(200, "POST", "/subscribe?channel_id=c", "").await })
        })
        .collect();
    for listener in subscribing {
        listener.await.unwrap();
    }
    let channel = server.hub.channels().get(&"c".parse().unwrap()).unwrap();
    for number in 0..5_000 {
        channel.ensure_listener(format!("listener \"{number}\"").parse().unwrap()).await.unwrap();
    }
    let answer = server.send("GET", "/", "").await;
    assert!(answer.head.contains("transfer-encoding: chunked"), "{}", answer.head);
    let body: String = answer.body.split("\r\n").skip(1).step_by(2).collect();
    let listing: Value = serde_json::from_str(&body).unwrap();
    let listeners: Vec<String> = channel.listener_ids().iter().map(ToString::to_string).collect();
    assert_eq!(listing, json!({"c": listeners}));
}
