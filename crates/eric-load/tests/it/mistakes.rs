//! Servers that make mistakes, each one of them, and servers that are odd but right.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use eric_load::dialect::Dialect;
use eric_load::scenario::{FanOutClosed, FanOutOpen, Scenario, Target};

use crate::brief;

const DIALECT: &str = r#"{
    "title": "a scripted server",
    "subscribe": {"method": "GET", "path": "/{channel}"},
    "publish": {"method": "POST", "path": "/{channel}", "body": "{message}"},
    "data": "{message}"
}"#;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// What is sent to a stream, by its number, for the messages so far; the last is new.
type Script = fn(stream: usize, messages: &[String]) -> Vec<u8>;

/// How a publish is answered.
#[derive(Clone, Copy)]
struct Manner {
    answer: &'static str,
    /// Whether the connection is closed after the answer.
    closes: bool,
}

const PLAIN: Manner = Manner { answer: "HTTP/1.1 204 No Content\r\n\r\n", closes: false };

/// A server of two streams on threads of its own; it lives as long as the test.
fn serve(script: Script, manner: Manner) -> SocketAddr {
    let acceptor = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = acceptor.local_addr().unwrap();
    let (requests, inbox) = mpsc::channel::<(TcpStream, String)>();
    thread::spawn(move || {
        for socket in acceptor.incoming() {
            let (socket, requests) = (socket.unwrap(), requests.clone());
            thread::spawn(move || read(socket, &requests));
        }
    });
    thread::spawn(move || {
        let (mut streams, mut messages) = (Vec::new(), Vec::new());
        for (mut socket, request) in inbox {
            if request.starts_with("GET") {
                socket.write_all(HEAD.as_bytes()).unwrap();
                streams.push(socket);
                continue;
            }
            messages.push(request.split_once("\r\n\r\n").unwrap().1.to_owned());
            for (number, stream) in streams.iter_mut().enumerate() {
                let bytes = script(number, &messages);
                // The generator may have left.
                let _ = stream.write_all(&bytes);
                if bytes == END {
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                }
            }
            let _ = socket.write_all(manner.answer.as_bytes());
            if manner.closes {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        }
    });
    address
}

/// What a script returns to end a stream.
const END: &[u8] = b":end\n";

/// Hands on every request of a connection.
fn read(mut socket: TcpStream, requests: &mpsc::Sender<(TcpStream, String)>) {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while let Ok(read @ 1..) = socket.read(&mut buffer) {
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let body = if text.starts_with("POST") { brief().payload_bytes } else { 0 };
        while let Some(end) = text.find("\r\n\r\n").filter(|end| text.len() >= end + 4 + body) {
            let request: String = text.drain(..end + 4 + body).collect();
            if requests.send((socket.try_clone().unwrap(), request)).is_err() {
                return;
            }
        }
    }
}

fn event(message: &str) -> Vec<u8> {
    format!("data: {message}\n\n").into_bytes()
}

fn events(messages: &[&String]) -> Vec<u8> {
    messages.iter().flat_map(|message| event(message)).collect()
}

/// Runs a scenario; returns what failed.
fn run(scenario: &Scenario, script: Script, manner: Manner) -> Option<String> {
    let dialect = Dialect::parse(DIALECT).unwrap();
    let target = Target { dialect: &dialect, server: serve(script, manner), pid: None };
    let mut settings = brief();
    settings.patience_s = 2.0;
    scenario.run(target, &settings).failure
}

fn check(expected: &str, script: Script) {
    let failure = run(&Scenario::FanOutClosed(FanOutClosed { listeners: 2, window: 1 }), script, PLAIN);
    let failure = failure.expect("the mistake is found");
    assert!(failure.contains(expected), "{failure}");
}

#[test]
fn a_server_that_makes_none_passes() {
    let closed = Scenario::FanOutClosed(FanOutClosed { listeners: 2, window: 3 });
    let right: Script = |_, messages| event(messages.last().unwrap());
    assert_eq!(run(&closed, right, PLAIN), None);
    let goodbye = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(run(&closed, right, Manner { answer: goodbye, closes: true }), None);
    let until_close = "HTTP/1.1 200 OK\r\n\r\nok";
    assert_eq!(run(&closed, right, Manner { answer: until_close, closes: true }), None);
    let odd: Script =
        |_, messages| format!(":\r\ndata:{}\r\nid: 1\r\n\r\n\r\n", messages.last().unwrap()).into();
    assert_eq!(run(&closed, odd, PLAIN), None);
}

#[test]
fn a_lost_message_is_found() {
    // One stream has all but the fifth; one after the other, so that the next message shows it.
    let script: Script = |stream, messages| match (stream, messages.len()) {
        (1, 5) => Vec::new(),
        _ => event(messages.last().unwrap()),
    };
    let open = Scenario::FanOutOpen(FanOutOpen { listeners: 2, rate: 200.0 });
    let failure = run(&open, script, PLAIN).expect("the mistake is found");
    assert!(failure.contains("lost or out of order: listener"), "{failure}");
    // Nothing comes after it in a closed loop.
    check("lost: listener", script);
}

#[test]
fn a_message_that_nobody_gets_is_found() {
    check("lost: listener 0 expected message 4", |_, messages| match messages.len() {
        5 => Vec::new(),
        _ => event(messages.last().unwrap()),
    });
}

#[test]
fn a_doubled_message_is_found() {
    check("doubled or late: listener", |stream, messages| match (stream, messages) {
        (1, [.., last]) if messages.len() == 5 => events(&[last, last]),
        _ => event(messages.last().unwrap()),
    });
}

#[test]
fn swapped_messages_are_found() {
    let script: Script = |stream, messages| match (stream, messages) {
        (1, [_, _, _, _]) => Vec::new(),
        (1, [_, _, _, fourth, fifth]) => events(&[fifth, fourth]),
        _ => event(messages.last().unwrap()),
    };
    let open = Scenario::FanOutOpen(FanOutOpen { listeners: 2, rate: 200.0 });
    let failure = run(&open, script, PLAIN).expect("the mistake is found");
    assert!(failure.contains("out of order: listener") && failure.contains("message 4"), "{failure}");
}

#[test]
fn a_flipped_byte_is_found() {
    check("corrupt: listener", |_, messages| {
        let mut bytes = event(messages.last().unwrap());
        if messages.len() == 5 {
            bytes[100] ^= 1;
        }
        bytes
    });
}

#[test]
fn a_stream_that_ends_is_found() {
    check("the server ended the stream of listener", |_, messages| match messages.len() {
        5 => END.to_vec(),
        _ => event(messages.last().unwrap()),
    });
}

#[test]
fn an_answer_that_never_comes_is_found() {
    let closed = Scenario::FanOutClosed(FanOutClosed { listeners: 2, window: 1 });
    let script: Script = |_, messages| event(messages.last().unwrap());
    let failure = run(&closed, script, Manner { answer: "", closes: false });
    assert!(failure.unwrap().contains("message 0 was never answered"));
    let failure = run(&closed, script, Manner { answer: "", closes: true });
    assert!(failure.unwrap().contains("closed a connection instead of answering"));
    let sorry = "HTTP/1.1 503 Away\r\nContent-Length: 5\r\n\r\nsorry";
    let failure = run(&closed, script, Manner { answer: sorry, closes: false });
    assert!(failure.unwrap().contains("message 0 was answered with 503: sorry"));
}
