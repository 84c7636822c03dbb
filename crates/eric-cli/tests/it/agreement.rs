//! What our encoder writes, our parser, httpx-sse and npm's eventsource-parser read alike, wherever the stream is cut.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use eric_client::Payload;
use eric_sse::sse::encode::{Format, HEARTBEAT, control_frame, event_frame, prologue};
use eric_sse::sse::parse::{Item, Parser};
use eric_sse::{Entry, Message, Offset, Position, Timestamp};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::hub::PATIENCE;
use crate::tools::{client, program, tool};

/// Drawn once; a failure that depends on it is repeatable.
const SEED: u64 = 0x5ee_d0f;
const STREAMS: usize = 300;

/// A text of anything that may be in one: quotes, line ends, what Unicode calls separators, beyond the first plane.
fn text(random: &mut fastrand::Rng) -> String {
    let odd = [
        '"', '\\', '\n', '\r', ':', ' ', '\u{85}', '\u{2028}', '\u{b}', '\u{1c}', '\u{feff}', 'é', '世',
        '🙂', '\0',
    ];
    let length = random.usize(0..12);
    (0..length)
        .map(|_| if random.bool() { odd[random.usize(..odd.len())] } else { random.alphanumeric() })
        .collect()
}

fn value(random: &mut fastrand::Rng, depth: u32) -> Value {
    match random.u32(0..if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(..)),
        3 => json!(random.f64() * 1e9),
        4 => json!(text(random)),
        5 => (0..random.usize(0..4)).map(|_| value(random, depth - 1)).collect(),
        _ => (0..random.usize(0..4)).map(|_| (text(random), value(random, depth - 1))).collect(),
    }
}

/// A type that a message may have.
fn kind(random: &mut fastrand::Rng) -> String {
    let kind = text(random).replace(['\n', '\r', '\0'], "");
    if random.u32(0..4) == 0 { "message".to_owned() } else { kind }
}

/// A stream as the hub writes it: a prologue, events in one format, heartbeats, a control event.
fn stream(random: &mut fastrand::Rng) -> Vec<u8> {
    let format = [Format::Payload, Format::Envelope, Format::Compatible][random.usize(..3)];
    let retry = Duration::from_millis(random.u64(100..10_000));
    let mut stream = prologue(retry).into_bytes();
    for offset in 1..=random.u64(1..8) {
        let payload = Payload::of(&value(random, 3)).expect("a value is JSON");
        let message = Message::new(kind(random).parse().expect("a type"), payload).expect("a small message");
        let position = Position { epoch: "e".parse().expect("an epoch"), offset: Offset::new(offset) };
        let entry = Entry::new(position, eric_sse::lane::Lane::new(1), Timestamp::from_ms(offset), message);
        stream.extend(event_frame(&entry, format, retry));
        match random.u32(0..5) {
            0 => stream.extend(HEARTBEAT),
            1 => stream.extend(control_frame("shutdown", Some(retry))),
            _ => {}
        }
    }
    stream
}

fn chunks(random: &mut fastrand::Rng, mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    while !stream.is_empty() {
        let (chunk, rest) = stream.split_at(random.usize(1..=stream.len().min(40)));
        chunks.push(chunk.to_vec());
        stream = rest;
    }
    chunks
}

/// What our parser reads, as the clients report it.
fn read(chunks: &[Vec<u8>]) -> Value {
    let (mut parser, mut items) = (Parser::new(1 << 20), Vec::new());
    for chunk in chunks {
        parser.feed(chunk, &mut items).expect("a small stream");
    }
    let event = |item: Item| match item {
        Item::Event(event) => Some(json!([event.kind, event.data, event.id])),
        _ => None,
    };
    items.into_iter().filter_map(event).collect()
}

/// What a client's parser reads of each of the streams.
async fn report(mut interpreter: Command, script: &str, streams: &[Vec<Vec<u8>>]) -> Vec<Value> {
    let mut lines = String::new();
    for chunks in streams {
        let hex = |chunk: &Vec<u8>| {
            chunk.iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("a string takes everything");
                hex
            })
        };
        lines.push_str(&json!(chunks.iter().map(hex).collect::<Vec<_>>()).to_string());
        lines.push('\n');
    }
    interpreter.arg(client(script)).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    let mut process = interpreter.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut input = process.stdin.take().expect("standard input is piped");
    let feeding = tokio::spawn(async move { input.write_all(lines.as_bytes()).await });
    let output = timeout(PATIENCE, process.wait_with_output()).await.expect("it ends").expect("it runs");
    feeding.await.expect("nothing panics").expect("it reads everything");
    assert!(output.status.success(), "{script} failed");
    let reports = String::from_utf8(output.stdout).expect("reports are UTF-8");
    reports.lines().map(|line| serde_json::from_str(line).expect("a report is JSON")).collect()
}

fn compare(who: &str, streams: &[Vec<Vec<u8>>], theirs: &[Value]) {
    assert_eq!(theirs.len(), streams.len(), "{who} reports on every stream");
    for (chunks, theirs) in streams.iter().zip(theirs) {
        let stream = chunks.concat();
        assert_eq!(&read(chunks), theirs, "{who} of {:?}", String::from_utf8_lossy(&stream));
    }
}

#[tokio::test]
async fn three_parsers_agree_on_what_is_written_wherever_it_is_cut() {
    let mut random = fastrand::Rng::with_seed(SEED);
    let streams: Vec<Vec<Vec<u8>>> = (0..STREAMS)
        .map(|_| {
            let stream = stream(&mut random);
            chunks(&mut random, &stream)
        })
        .collect();
    let mut events = 0;
    for chunks in &streams {
        let ours = read(chunks);
        assert_eq!(ours, read(&[chunks.concat()]), "where it is cut makes no difference to ours");
        events += ours.as_array().expect("a list").len();
    }
    assert!(events > 3 * STREAMS, "there is something to agree on: {events} events");
    if let Some(python) = tool("ERIC_TEST_PYTHON") {
        let theirs = report(Command::new(python), "parse_httpx_sse.py", &streams).await;
        compare("httpx-sse", &streams, &theirs);
    }
    let node: Option<(PathBuf, PathBuf)> = program("node").zip(tool("ERIC_TEST_NODE_MODULES"));
    if let Some((node, _modules)) = node {
        let theirs = report(Command::new(node), "parse_eventsource.mjs", &streams).await;
        compare("eventsource-parser", &streams, &theirs);
    }
}
