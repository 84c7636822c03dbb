//! Readers that live through kills, and what they saw.

use std::pin::Pin;

use eric_client::{
    Ack, Event, Events, HttpClient, Position, ReadFrom, Received, SubscribeOptions, WatchOptions,
};
use eric_sse::sse::parse::{Item, Parser};
use fastrand::Rng;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::publishing::label;
use super::stage::{NEWS, Stage, channel, listener};
use crate::hub::PATIENCE;

/// The last message of a run.
pub(super) const END: &str = "end/0";
/// Bytes of the largest event.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// How a reader goes on after a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// After the last event that it saw; the cursor follows by itself.
    Resuming,
    /// At the cursor, which it moves itself, now and then, to something that it saw.
    Acking,
    /// At the cursor, which follows what its kernel took.
    Plain,
    /// After the last event that it saw; it is nobody whom the hub knows.
    Watching,
}

/// Everybody who reads: listeners by their names, and one that only watches.
pub(super) const READERS: [(Option<&str>, Reader); 6] = [
    (Some("resuming"), Reader::Resuming),
    (Some("resuming-too"), Reader::Resuming),
    (Some("acking"), Reader::Acking),
    (Some("acking-too"), Reader::Acking),
    (Some("plain"), Reader::Plain),
    (None, Reader::Watching),
];

/// A message that came: where it stands, and its label.
pub(super) type Seen = (Position, String);

/// One stretch of reading in which every message follows the one before.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// What the reader had acknowledged when it began, as far as the hub had said so.
    pub(super) acked: Option<Position>,
    /// What it had asked to acknowledge.
    pub(super) asked: Vec<Position>,
    pub(super) seen: Vec<Seen>,
}

fn seen(received: &Received) -> Seen {
    (received.id, label(&received.payload))
}

/// A reader's stream from `after` on.
fn stream(client: &HttpClient, number: usize, ack: Ack, after: ReadFrom) -> Pin<Box<Events>> {
    let news = channel(NEWS);
    Box::pin(match READERS[number].0 {
        Some(name) => {
            let options = SubscribeOptions { after, ack, ..SubscribeOptions::default() };
            client.subscribe(&news, &listener(name), options)
        }
        None => client.watch(&news, WatchOptions { after, ..WatchOptions::default() }),
    })
}

/// Everything that there is for a reader, from the beginning to the end of the run.
pub(super) async fn everything(stage: &Stage, number: usize) -> Vec<Seen> {
    let mut events = stream(&stage.client(), number, Ack::Manual, ReadFrom::Earliest);
    let mut all = Vec::new();
    while all.last().is_none_or(|(_, label)| label != END) {
        let event = timeout(PATIENCE, events.next()).await.expect("it comes to the end").expect("it goes on");
        match event.expect("nothing fails any more") {
            Event::Message(received) => all.push(seen(&received)),
            Event::Connected => {}
            event => panic!("{number}: {event:?}"),
        }
    }
    all
}

/// Reads until the end of the run.
pub(super) async fn read(stage: Stage, number: usize, seed: u64) -> Vec<Session> {
    let rng = Rng::with_seed(seed);
    match READERS[number].1 {
        Reader::Resuming | Reader::Watching => vec![resume(&stage, number).await],
        Reader::Acking => acknowledge(&stage, number, rng).await,
        Reader::Plain => read_plainly(&stage, number).await,
    }
}

/// One stream over all cuts.
async fn resume(stage: &Stage, number: usize) -> Session {
    let after = if READERS[number].0.is_some() { ReadFrom::Cursor } else { ReadFrom::Earliest };
    let mut events = stream(&stage.client(), number, Ack::Auto, after);
    let mut session = Session::default();
    loop {
        match events.next().await.expect("it goes on").expect("it comes back") {
            Event::Connected => stage.connected(number),
            Event::Message(received) => session.seen.push(seen(&received)),
            Event::Disconnected { .. } => {}
            event => panic!("{number}: {event:?}"),
        }
        if session.is_over() {
            return session;
        }
    }
}

/// A stream for every hub, and acknowledging as it likes.
async fn acknowledge(stage: &Stage, number: usize, mut rng: Rng) -> Vec<Session> {
    let (client, news) = (stage.client(), channel(NEWS));
    let listener = listener(READERS[number].0.expect("it is a listener"));
    let (mut acked, mut asked) = (None, Vec::new());
    let mut sessions = Vec::new();
    loop {
        let mut session = Session { acked, asked: asked.clone(), seen: Vec::new() };
        let mut events = stream(&client, number, Ack::Manual, ReadFrom::Cursor);
        loop {
            match events.next().await.expect("it goes on").expect("it comes back") {
                Event::Connected => stage.connected(number),
                Event::Message(received) => session.seen.push(seen(&received)),
                Event::Disconnected { .. } => break,
                event => panic!("{number}: {event:?}"),
            }
            if session.is_over() {
                sessions.push(session);
                return sessions;
            }
            if rng.u8(..20) == 0
                && let Some((position, _)) = rng.choice(&session.seen)
            {
                asked.push(*position);
                match client.ack(&news, &listener, *position).await {
                    // What is below the cursor changes nothing.
                    Ok(()) => acked = further(acked, *position),
                    Err(error) => assert!(error.is_temporary(), "{error} {position}"),
                }
            }
        }
        sessions.push(session);
        stage.back().await;
    }
}

/// A connection for every hub, without a word of where it stopped.
async fn read_plainly(stage: &Stage, number: usize) -> Vec<Session> {
    let mut sessions = Vec::new();
    loop {
        let mut session = Session::default();
        // However it ends: what came before counts.
        let _ = read_once(stage, number, &mut session).await;
        let is_over = session.is_over();
        sessions.push(session);
        if is_over {
            return sessions;
        }
        stage.back().await;
    }
}

async fn read_once(stage: &Stage, number: usize, session: &mut Session) -> std::io::Result<()> {
    let name = READERS[number].0.expect("it is a listener");
    let mut socket = TcpStream::connect(stage.address).await?;
    // Without chunks.
    let request = format!("GET /v1/channels/{NEWS}/listeners/{name}/events HTTP/1.0\r\nhost: h\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let (mut bytes, mut items) = (Vec::new(), Vec::new());
    let mut parser = Parser::new(EVENT_BYTES_MAX);
    let mut has_head = false;
    while !session.is_over() && socket.read_buf(&mut bytes).await? > 0 {
        if !has_head {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{:?}", String::from_utf8_lossy(&bytes));
            bytes.drain(..end + 4);
            has_head = true;
            stage.connected(number);
        }
        parser.feed(&bytes, &mut items).expect("it is a stream of events");
        bytes.clear();
        for item in items.drain(..) {
            match item {
                Item::Event(event) if event.kind == "t" => {
                    let position = event.id.parse().expect("every message has a position");
                    session.seen.push((position, label(&event.data)));
                }
                Item::Event(event) => assert_eq!(event.kind, "eric.shutdown", "{event:?}"),
                Item::RetryMs(_) | Item::Comment(_) => {}
            }
        }
    }
    Ok(())
}

impl Session {
    fn is_over(&self) -> bool {
        self.seen.last().is_some_and(|(_, label)| label == END)
    }
}

/// The further of two positions of one epoch.
fn further(reached: Option<Position>, position: Position) -> Option<Position> {
    reached.filter(|reached| reached.offset >= position.offset).or(Some(position))
}
