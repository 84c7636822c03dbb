//! Publishers that live through kills, and what became of everything that they tried.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use eric_client::{Error, HttpClient, Message, Position};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::reading::READERS;
use super::stage::{NEWS, Stage, channel, listener};

/// How a publisher goes about it. Each keeps its connection for as long as the hub does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// The client tries again, with a key of its own.
    Client,
    /// The publisher tries again, with an id; now and then something that was answered long ago.
    Again,
    /// What is not answered is left alone.
    Once,
    /// The same without any key.
    Bare,
}

impl Manner {
    pub(super) const ALL: [Self; 4] = [Self::Client, Self::Again, Self::Once, Self::Bare];
}

/// Something that was to be published.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// One for each message; they are different in all the run.
    pub(super) labels: Vec<String>,
    /// Whom it is for: a number of [`READERS`], or all.
    pub(super) to: Option<usize>,
    is_batch: bool,
    has_ids: bool,
    /// Where it stands; none where the hub did not say.
    pub(super) answer: Option<Vec<Position>>,
}

/// What one publisher did.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) attempts: Vec<Attempt>,
    /// Answers that said that the hub had it already.
    pub(super) repetitions: u64,
}

/// The payload that goes with a label: one that tells if anything in it has changed.
fn payload(label: &str) -> String {
    let (_, bytes) = label.rsplit_once('/').expect("a label ends with a length");
    let letter = char::from(b'a' + label.bytes().fold(0, u8::wrapping_add) % 26);
    let bytes = bytes.parse().expect("it is a number");
    format!("{label} {}", std::iter::repeat_n(letter, bytes).collect::<String>())
}

/// The label of a payload as it came from the hub.
pub(super) fn label(json: &str) -> String {
    let text: String = serde_json::from_str(json).expect("the payload is a text");
    let (label, _) = text.split_once(' ').unwrap_or_else(|| panic!("no label in {text}"));
    assert_eq!(text, payload(label), "the payload is what was published");
    label.to_owned()
}

impl Attempt {
    fn draw(rng: &mut Rng, name: &str, number: usize, has_ids: bool) -> Self {
        let is_batch = rng.u8(..4) == 0;
        let labels = (0..if is_batch { rng.usize(1..40) } else { 1 }).map(|line| {
            let bytes = if !is_batch && rng.u8(..8) == 0 { rng.u32(..100_000) } else { rng.u32(..200) };
            format!("{name}/{number}/{line}/{bytes}")
        });
        let labels = labels.collect();
        let listeners = READERS.iter().enumerate().filter(|(_, (name, _))| name.is_some());
        let listeners: Vec<usize> = listeners.map(|(number, _)| number).collect();
        let to = rng.bool().then(|| rng.choice(&listeners).copied()).flatten();
        Self { labels, to, is_batch, has_ids, answer: None }
    }

    /// One message for everybody, without a key.
    pub(super) fn of(label: &str) -> Self {
        Self { labels: vec![label.to_owned()], to: None, is_batch: false, has_ids: false, answer: None }
    }

    fn message(&self, label: &str) -> Message {
        let message = Message::of("t", &payload(label)).expect("it is a message");
        match self.has_ids {
            true => message.with_id(label.parse().expect("a label is an id")),
            false => message,
        }
    }

    /// Publishes it by a client. Says where it is, and whether it was there already.
    pub(super) async fn send(&self, client: &HttpClient) -> Result<(Vec<Position>, bool), Error> {
        let news = channel(NEWS);
        let to = self.to.map(|number| listener(READERS[number].0.expect("only listeners are written to")));
        let mut messages: Vec<Message> = self.labels.iter().map(|label| self.message(label)).collect();
        if self.is_batch {
            let taken = match to {
                Some(to) => client.dispatch_lines(&news, &to, &messages).await?,
                None => client.broadcast_lines(&news, &messages).await?,
            };
            return Ok((taken.ids, taken.are_repetitions));
        }
        let message = messages.remove(0);
        let taken = match to {
            Some(to) => client.dispatch(&news, &to, message).await?,
            None => client.broadcast(&news, message).await?,
        };
        Ok((vec![taken.id], taken.is_repetition))
    }

    /// Publishes it by hand, without a key. An error is a connection that was lost.
    async fn post(&self, wire: &mut Wire) -> io::Result<Option<Vec<Position>>> {
        let mut path = format!("/v1/channels/{NEWS}");
        if let Some(name) = self.to.and_then(|number| READERS[number].0) {
            write!(path, "/listeners/{name}").expect("a string takes everything");
        }
        path.push_str("/messages");
        let mut body = String::new();
        for label in &self.labels {
            let message = json!({"type": "t", "payload": payload(label)});
            writeln!(body, "{message}").expect("a string takes everything");
        }
        let media_type = if self.is_batch { "application/x-ndjson" } else { "application/json" };
        let (status, answer) = wire.post(&path, media_type, &body).await?;
        if status == 503 {
            return Ok(None);
        }
        assert_eq!(status, 201, "{answer}");
        let position = |id: &Value| id.as_str().and_then(|id| id.parse().ok()).expect("it is a position");
        let ids = if self.is_batch {
            answer["ids"].as_array().expect("they are ids")
        } else {
            &vec![answer["id"].clone()]
        };
        Ok(Some(ids.iter().map(position).collect()))
    }
}

/// A connection that is kept for as long as the hub keeps it.
struct Wire {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Wire {
    async fn post(&mut self, path: &str, media_type: &str, body: &str) -> io::Result<(u16, Value)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(self.address).await?),
        };
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some(status) = status else {
                status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
                continue;
            };
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            if line == "\r\n" {
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await?;
                self.stream = Some(stream);
                return Ok((status, serde_json::from_slice(&body).expect("an answer is JSON")));
            }
        }
    }
}

/// Publishes until the run comes to its end.
pub(super) async fn publish(stage: Stage, manner: Manner, name: String, seed: u64) -> Published {
    let mut rng = Rng::with_seed(seed);
    let client = if manner == Manner::Client { stage.patient_client() } else { stage.client() };
    let mut wire = Wire { address: stage.address, stream: None };
    let mut published = Published::default();
    while !stage.is_ending() {
        let number = published.attempts.len();
        let mut attempt = Attempt::draw(&mut rng, &name, number, manner == Manner::Again);
        attempt.answer = match manner {
            Manner::Client | Manner::Again => {
                let sent = stage.until_answered(|| attempt.send(&client)).await;
                let (positions, was_there) = sent.expect("it is taken in the end");
                published.repetitions += u64::from(was_there);
                Some(positions)
            }
            Manner::Once => match attempt.send(&client).await {
                Ok((positions, was_there)) => {
                    assert!(!was_there, "it is sent once");
                    Some(positions)
                }
                Err(error) if error.is_temporary() => None,
                Err(error) => panic!("{error} {attempt:?}"),
            },
            Manner::Bare => attempt.post(&mut wire).await.unwrap_or(None),
        };
        match attempt.answer {
            Some(_) => stage.answered().await,
            None => stage.back().await,
        }
        published.attempts.push(attempt);
        if manner == Manner::Again && rng.u8(..10) == 0 {
            let earlier = &published.attempts[rng.usize(number.saturating_sub(100)..=number)];
            let sent = stage.until_answered(|| earlier.send(&client)).await;
            let (positions, was_there) = sent.expect("it is known in the end");
            assert!(was_there, "{earlier:?} was answered, and is there");
            assert_eq!(Some(&positions), earlier.answer.as_ref(), "{earlier:?} is where it was");
            published.repetitions += 1;
        }
    }
    published
}
