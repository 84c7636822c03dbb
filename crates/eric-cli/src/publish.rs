//! `eric publish` and `eric dispatch`: a message, or a file of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use eric_client::{ChannelId, HttpClient, ListenerId, Message, MessageId, MessageType, SenderId};
use eric_protocol::message::one;
use eric_sse::limits::{BATCH_MESSAGES_MAX, HTTP_BODY_BYTES_MAX, MESSAGE_BYTES_MAX};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc;

use crate::output::Output;
use crate::payload::payload;
use crate::target::{Door, Target};
use crate::{Failure, block_on};

/// Bytes of a line, with its end: the largest message, and what may stand around it.
const LINE_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// Messages of one request.
const BATCH_MESSAGES: usize = 5_000;
/// Bytes of messages of one request; ids are added to them.
const BATCH_BYTES: usize = HTTP_BODY_BYTES_MAX / 4;
/// Messages that are read before they are handed on, if more can be read at once.
const PIECE_MESSAGES: usize = 500;
/// Pieces that were read and wait to be sent.
const PIECES_WAITING: usize = 8;

const _: () = assert!(BATCH_MESSAGES + PIECE_MESSAGES <= BATCH_MESSAGES_MAX, "a batch fits a request");

/// Publishes to all listeners of a channel
///
/// PAYLOAD is JSON where it is JSON, and else a text; `-` reads it from standard input.
///
/// Examples:
///   eric publish news greeting "hello, world"
///   eric publish news order '{"id": 17}' --id order-17
///   eric publish news --ndjson messages.ndjson
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct PublishCommand {
    /// The channel.
    channel: ChannelId,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    target: Target,
}

/// Publishes to one listener, whether it is there to read or not
///
/// Examples:
///   eric dispatch news bob note "for you"
///   produce | eric dispatch news bob --ndjson
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct DispatchCommand {
    /// The channel.
    channel: ChannelId,
    /// The listener.
    listener: ListenerId,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    target: Target,
}

/// What is published.
#[derive(Debug, Args)]
struct What {
    /// The message's type.
    #[arg(value_name = "TYPE", required_unless_present = "ndjson")]
    kind: Option<MessageType>,
    /// The message's payload; null if there is none.
    payload: Option<String>,
    /// Takes PAYLOAD as a text, whatever it looks like.
    #[arg(long)]
    text: bool,
    /// The message's id: publishing it again changes nothing.
    #[arg(long, value_name = "ID")]
    id: Option<MessageId>,
    /// Who sends it.
    #[arg(long, value_name = "ID")]
    sender: Option<SenderId>,
    /// Reads messages, a JSON object a line, from a file or from standard input:
    /// {"type": …, "payload"?: …, "id"?: …, "sender_id"?: …}.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-",
          conflicts_with_all = ["kind", "payload", "text", "id", "sender"])]
    ndjson: Option<PathBuf>,
}

/// Whom it is for.
struct Address {
    channel: ChannelId,
    listener: Option<ListenerId>,
}

impl PublishCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        publish(Address { channel: self.channel, listener: None }, self.what, &self.target)
    }
}

impl DispatchCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        publish(Address { channel: self.channel, listener: Some(self.listener) }, self.what, &self.target)
    }
}

fn publish(address: Address, what: What, target: &Target) -> Result<(), Failure> {
    match &what.ndjson {
        Some(path) => {
            let hub = target.patient_http("publishing many messages")?;
            let source = Source::open(path)?;
            block_on(all(&hub, &address, source))
        }
        None => {
            let message = what.message()?;
            block_on(single(target.door()?, &address, message))
        }
    }
}

impl What {
    fn message(self) -> Result<Message, Failure> {
        let kind = self.kind.expect("there is a type where there are no lines");
        let payload = payload(self.payload.as_deref(), self.text)?;
        let message = Message::new(kind, payload).map_err(|error| Failure::Usage(error.to_string()))?;
        let message = self.id.into_iter().fold(message, Message::with_id);
        Ok(self.sender.into_iter().fold(message, Message::with_sender))
    }
}

async fn single(door: Door, address: &Address, message: Message) -> Result<(), Failure> {
    let mut output = Output::new();
    let Address { channel, listener } = address;
    match door {
        Door::Http(hub) => {
            let taken = match listener {
                Some(listener) => hub.dispatch(channel, listener, message).await?,
                None => hub.broadcast(channel, message).await?,
            };
            let id = taken.id.to_string();
            let note = if taken.is_repetition { " (it was there already)" } else { "" };
            output.done(&format!("{id}{note}"), &json!({"id": id}))?;
        }
        Door::Socket(hub) => {
            match listener {
                Some(listener) => hub.dispatch(channel, listener, &message).await?,
                None => hub.broadcast_message(channel, &message).await?,
            }
            output.done("published", &json!({}))?;
        }
    }
    Ok(output.flush()?)
}

/// Where lines come from.
struct Source {
    reader: Box<dyn Read + Send>,
    bytes: Option<u64>,
}

impl Source {
    fn open(path: &PathBuf) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self { reader: Box::new(io::stdin()), bytes: None });
        }
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let bytes = file.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
        Ok(Self { reader: Box::new(file), bytes })
    }

    /// How far it got, for people who watch.
    fn progress(&self) -> ProgressBar {
        if !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let (bar, template) = match self.bytes {
            Some(bytes) => {
                (ProgressBar::new(bytes), "{bar:30} {bytes}/{total_bytes} {msg} messages, {eta} to go")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg} messages"),
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
        bar
    }
}

/// Messages that were read, and how many bytes they were.
struct Piece {
    messages: Vec<Message>,
    bytes: usize,
}

/// Reads messages as fast as they are taken, and hands them on as soon as no more can be read at once. What is before
/// a bad line is handed on, so that what follows can be sent again from there.
fn read(reader: impl Read, pieces: &mpsc::Sender<anyhow::Result<Piece>>) {
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let mut piece = Piece { messages: Vec::new(), bytes: 0 };
    for line in 1_u64.. {
        let message = match read_line(&mut reader).with_context(|| format!("line {line}")) {
            Ok(Some(Line { message, bytes })) => {
                piece.bytes += bytes;
                message
            }
            end => {
                let _ = pieces.blocking_send(Ok(piece));
                let _ = end.map_err(|error| pieces.blocking_send(Err(error)));
                return;
            }
        };
        piece.messages.extend(message);
        let is_full = piece.messages.len() >= PIECE_MESSAGES || piece.bytes >= BATCH_BYTES / 8;
        if is_full || reader.buffer().is_empty() {
            let full = std::mem::replace(&mut piece, Piece { messages: Vec::new(), bytes: 0 });
            if pieces.blocking_send(Ok(full)).is_err() {
                return;
            }
        }
    }
}

/// A line that was read; a blank one holds nothing.
struct Line {
    message: Option<Message>,
    bytes: usize,
}

/// The next line; none at the end.
fn read_line(reader: &mut impl BufRead) -> anyhow::Result<Option<Line>> {
    let mut text = String::new();
    // One byte more than a line may have tells that it has too many.
    let bytes = reader.take(LINE_BYTES_MAX as u64 + 1).read_line(&mut text)?;
    anyhow::ensure!(bytes <= LINE_BYTES_MAX, "it has more than line_bytes_max={LINE_BYTES_MAX} bytes");
    if text.trim().is_empty() {
        return Ok((bytes > 0).then_some(Line { message: None, bytes }));
    }
    let publish = one(&text, None).map_err(|problem| anyhow::anyhow!(problem.detail))?;
    Ok(Some(Line { message: Some(publish.message), bytes }))
}

async fn all(hub: &HttpClient, address: &Address, source: Source) -> Result<(), Failure> {
    let progress = source.progress();
    let (sender, mut pieces) = mpsc::channel(PIECES_WAITING);
    std::thread::spawn(move || read(source.reader, &sender));
    let (mut published, mut last) = (0_u64, None);
    let started = tokio::time::Instant::now();
    let mut failed = None;
    while failed.is_none()
        && let Some(piece) = pieces.recv().await
    {
        let mut batch = match piece {
            Ok(piece) => piece,
            Err(error) => {
                failed = Some(Failure::Failed(error));
                break;
            }
        };
        // What has been read meanwhile goes along.
        while batch.messages.len() < BATCH_MESSAGES && batch.bytes < BATCH_BYTES && failed.is_none() {
            match pieces.try_recv() {
                Ok(Ok(more)) => {
                    batch.messages.extend(more.messages);
                    batch.bytes += more.bytes;
                }
                Ok(Err(error)) => failed = Some(Failure::Failed(error)),
                Err(_) => break,
            }
        }
        if !batch.messages.is_empty() {
            let count = batch.messages.len() as u64;
            let taken = match &address.listener {
                Some(listener) => hub.dispatch_lines(&address.channel, listener, &batch.messages).await,
                None => hub.broadcast_lines(&address.channel, &batch.messages).await,
            };
            match taken {
                Ok(taken) => last = taken.ids.last().map(ToString::to_string).or(last),
                Err(error) => {
                    failed = Some(error.into());
                    break;
                }
            }
            published += count;
        }
        progress.inc(batch.bytes as u64);
        progress.set_message(published.to_string());
    }
    progress.finish_and_clear();
    if let Some(failure) = failed {
        return Err(failure.after(&format!("{published} messages were published before")));
    }
    let elapsed = started.elapsed().max(Duration::from_millis(1));
    let rate = published as f64 / elapsed.as_secs_f64();
    let sentence = format!("{published} messages in {:.1} s, {rate:.0} a second", elapsed.as_secs_f64());
    let mut output = Output::new();
    output.done(&sentence, &json!({"messages": published, "last": last}))?;
    Ok(output.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages are read of `text`, and why no more.
    fn outcome(text: Vec<u8>) -> (usize, Option<String>) {
        let (sender, mut pieces) = mpsc::channel(PIECES_WAITING);
        let reading = std::thread::spawn(move || read(io::Cursor::new(text), &sender));
        let (mut messages, mut error) = (0, None);
        while let Some(piece) = pieces.blocking_recv() {
            match piece {
                Ok(piece) => messages += piece.messages.len(),
                Err(why) => error = Some(format!("{why:#}")),
            }
        }
        reading.join().unwrap();
        (messages, error)
    }

    #[test]
    fn a_line_has_at_most_32_mib() {
        let of_bytes = |bytes: usize| {
            let mut line = br#"{"type":"t"}"#.to_vec();
            line.resize(bytes - 1, b' ');
            line.push(b'\n');
            line
        };
        assert_eq!(outcome(of_bytes(LINE_BYTES_MAX)), (1, None));
        let (messages, error) = outcome(of_bytes(LINE_BYTES_MAX + 1));
        assert_eq!(messages, 0);
        assert!(error.unwrap().starts_with("line 1: it has more than line_bytes_max="));
    }

    #[test]
    fn what_is_before_a_bad_line_is_read_and_blank_lines_are_nothing() {
        let text = b"{\"type\":\"a\"}\n\n \t\r\n{\"type\":\"b\"}\n{\"kind\":1}\n{\"type\":\"c\"}".to_vec();
        let (messages, error) = outcome(text);
        assert_eq!(messages, 2);
        assert!(error.unwrap().starts_with("line 5: body: unknown field `kind`"));
        assert_eq!(outcome(b"{\"type\":\"without an end\"}".to_vec()), (1, None));
        assert!(outcome(b"\xff\n".to_vec()).1.unwrap().contains("line 1"));
    }
}
