//! What answers and is no hub, or not a healthy one: scripted bytes instead of a hub.

use std::net::SocketAddr;
use std::time::Duration;

use eric_client::limits::{ANSWER_BYTES_MAX, EVENT_BYTES_MAX, SILENCE_S};
use eric_client::{Code, ErrorKind, Event, Message, RetryPolicy, WatchOptions};
use eric_protocol::Problem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::hub::{http, id, next};

/// Answers each connection with the next of `answers` and closes it; the last one stays open.
async fn script(answers: Vec<String>) -> SocketAddr {
    let acceptor = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = acceptor.local_addr().unwrap();
    tokio::spawn(async move {
        let last = answers.len() - 1;
        let mut open = Vec::new();
        for (number, answer) in answers.into_iter().enumerate() {
            let (mut socket, _) = acceptor.accept().await.unwrap();
            read_request(&mut socket).await;
            let _ = socket.write_all(answer.as_bytes()).await;
            match number == last {
                true => open.push(socket),
                false => drop(socket),
            }
        }
        std::future::pending::<()>().await;
    });
    address
}

async fn read_request(socket: &mut TcpStream) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return;
            }
        }
        assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "a request comes whole");
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}

fn problem(code: Code, headers: &str) -> String {
    let headers = format!("Content-Type: {}\r\n{headers}", Problem::MEDIA_TYPE);
    answer(&format!("{} X", code.status()), &headers, &Problem::new(code, "why").to_json())
}

fn stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{events}")
}

const TAKEN: &str = r#"{"id":"e-1"}"#;

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let publish = async |answers: Vec<String>| {
        let retry = RetryPolicy { first: Duration::from_millis(1), ..RetryPolicy::default() };
        let client = http(script(answers).await).with_retry(retry);
        client.broadcast(&id("c"), Message::of("n", &1).unwrap()).await
    };
    let taken = || answer("201 Created", "", TAKEN);
    for passing in [
        problem(Code::Unavailable, "Retry-After: 1\r\n"),
        problem(Code::LimitExceeded, "Retry-After: 1\r\n"),
        problem(Code::Timeout, ""),
        answer("502 Bad Gateway", "Content-Type: text/html\r\n", "<html>"),
        "HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{\"id\":".to_owned(),
        String::new(),
    ] {
        assert_eq!(publish(vec![passing, taken()]).await.unwrap().id.to_string(), "e-1");
    }
    for (lasting, kind) in [
        (problem(Code::LimitExceeded, ""), ErrorKind::Refused(Code::LimitExceeded)),
        (problem(Code::NoSpace, ""), ErrorKind::Refused(Code::NoSpace)),
        (problem(Code::Forbidden, ""), ErrorKind::Refused(Code::Forbidden)),
        (answer("404 Not Found", "Content-Type: text/html\r\n", "<html>"), ErrorKind::Malformed),
        (answer("301 Moved", "Location: /elsewhere\r\n", ""), ErrorKind::Malformed),
        (answer("200 OK", "Content-Type: text/html\r\n", "<html>"), ErrorKind::Malformed),
        (answer("201 Created", "", r#"{"id":"no position"}"#), ErrorKind::Malformed),
    ] {
        assert_eq!(publish(vec![lasting, taken()]).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up() {
    let address = script(vec![answer("200 OK", "", &" ".repeat(ANSWER_BYTES_MAX + 1))]).await;
    let error = http(address).channel(&id("c")).await.unwrap_err();
    assert!(error.to_string().contains("answer_bytes_max"), "{error}");
    let address = script(vec![answer("200 OK", "", &" ".repeat(ANSWER_BYTES_MAX))]).await;
    let error = http(address).channel(&id("c")).await.unwrap_err();
    assert!(error.to_string().contains("is it one?"), "{error}");
}

async fn last_error(stream: String) -> eric_client::Error {
    let mut events = http(script(vec![stream]).await).watch(&id("c"), WatchOptions::default());
    loop {
        if let Err(error) = next(&mut events).await.expect("it fails before it ends") {
            assert!(next(&mut events).await.is_none(), "nothing follows");
            return error;
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_none_or_not_a_hub_s_is_given_up() {
    for odd in [
        answer("200 OK", "Content-Type: text/html\r\n", "<html>"),
        answer("204 No Content", "", ""),
        stream("id: e-1\ndata: no JSON\n\n"),
        stream("id: no position\ndata: {\"type\":\"t\",\"payload\":1,\"taken_at\":\"\"}\n\n"),
        stream("event: eric.gap\ndata: {}\n\n"),
        stream(&format!("data: {}", "x".repeat(EVENT_BYTES_MAX))),
    ] {
        assert_eq!(last_error(odd).await.kind(), ErrorKind::Malformed);
    }
}

#[tokio::test]
async fn what_a_later_hub_adds_is_ignored() {
    let envelope = r#"{"type":"t","payload":[1, 2],"taken_at":"","color":1}"#;
    let events = format!(
        "retry: 1\nid: e-4\n\nevent: eric.news\ndata: {{}}\n\nevent: eric.gap\ndata: {{\"reason\":\"moon\",\"from\":null,\
         \"to\":null,\"missed\":null,\"color\":1}}\n\nid: e-7\nevent: t\ndata: {envelope}\n\n"
    );
    let mut events = http(script(vec![stream(&events)]).await).watch(&id("c"), WatchOptions::default());
    assert!(matches!(next(&mut events).await, Some(Ok(Event::Connected))));
    assert_eq!(events.position().unwrap().to_string(), "e-4");
    let Some(Ok(Event::Gap(gap))) = next(&mut events).await else { panic!("a gap") };
    assert_eq!(gap.reason.to_string(), "moon");
    let Some(Ok(Event::Message(received))) = next(&mut events).await else { panic!("a message") };
    assert_eq!((received.payload.as_str(), received.id.to_string().as_str()), ("[1, 2]", "e-7"));
}

#[tokio::test]
async fn a_busy_hub_is_asked_again_for_a_stream() {
    let answers = vec![
        problem(Code::Unavailable, ""),
        problem(Code::LimitExceeded, ""),
        answer("504 Gateway Timeout", "", ""),
        stream("retry: 1\nid: e-1\n\n"),
    ];
    let client = http(script(answers).await);
    let mut events = client.watch(&id("c"), WatchOptions::default());
    tokio::time::pause();
    for _ in 0..3 {
        let Some(Ok(Event::Disconnected { error, .. })) = next(&mut events).await else { panic!() };
        assert!(error.is_temporary(), "{error}");
    }
    assert!(matches!(next(&mut events).await, Some(Ok(Event::Connected))));
}

#[tokio::test]
async fn a_stream_that_is_silent_for_silence_s_is_dead() {
    let address = script(vec![stream("retry: 100\nid: e-1\n\n")]).await;
    let mut events = http(address).watch(&id("c"), WatchOptions::default());
    assert!(matches!(next(&mut events).await, Some(Ok(Event::Connected))));
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    // Not `next`: its own time-out is shorter.
    let event = futures_util::StreamExt::next(&mut events).await;
    let Some(Ok(Event::Disconnected { error, .. })) = event else { panic!("{event:?}") };
    assert!(error.to_string().contains("silence_s"), "{error}");
    let silent = start.elapsed().as_secs_f64();
    assert!((silent - SILENCE_S as f64).abs() < 2.0, "{silent}");
}
