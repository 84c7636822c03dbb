//! Logs: to standard error, and where it is wished for to a channel of the hub's own.
//!
//! A record becomes a broadcast whose type is its level, as Python names it, and whose payload is its text. Records
//! wait in a bounded queue; those that find it full are counted, and the channel is told how many there were.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eric_sse::limits::{LOG_RECORD_BYTES_MAX, LOG_RECORDS_QUEUED_MAX};
use eric_sse::{ChannelId, Hub, Message, Publish, SettingsPatch};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, filter, fmt};

use crate::serve::LogFormat;

/// What publishing records says itself goes to standard error alone, or it would never end.
const OWN_TARGET: &str = "eric::logging";

/// Records on their way to a channel.
#[derive(Debug)]
pub(crate) struct Records {
    records: Receiver<Record>,
    skipped: Arc<AtomicU64>,
}

#[derive(Debug, PartialEq, Eq)]
struct Record {
    level: &'static str,
    text: String,
}

/// Starts logging to standard error, and into the records that it returns where `to_channel`.
pub(crate) fn start(filter: EnvFilter, format: LogFormat, to_channel: bool) -> Option<Records> {
    let to_terminal = fmt::layer().with_writer(io::stderr);
    let to_terminal = match format {
        LogFormat::Text => to_terminal.with_ansi(std::io::IsTerminal::is_terminal(&io::stderr())).boxed(),
        LogFormat::Json => to_terminal.json().boxed(),
    };
    let (queue, records) = queue();
    let to_records = to_channel.then(|| {
        let layer = fmt::layer().with_ansi(false).with_level(false).without_time().with_writer(queue);
        layer.with_filter(filter::filter_fn(|metadata| metadata.target() != OWN_TARGET))
    });
    tracing_subscriber::registry().with(filter).with(to_terminal).with(to_records).init();
    to_channel.then_some(records)
}

fn queue() -> (Queue, Records) {
    let (sender, records) = mpsc::channel(LOG_RECORDS_QUEUED_MAX);
    let skipped = Arc::new(AtomicU64::new(0));
    (Queue { sender, skipped: skipped.clone() }, Records { records, skipped })
}

/// Broadcasts records on the channel `id`, which is made where it is not there, until it is dropped.
///
/// # Cancel safety
/// If dropped, records that wait are lost.
pub(crate) async fn publish(hub: Hub, id: ChannelId, mut records: Records) {
    loop {
        let batch = records.next().await;
        let published = async {
            let (channel, _) = hub.channels().ensure(id.clone(), &SettingsPatch::default()).await?;
            channel.broadcast_batch(batch).await
        };
        if let Err(error) = published.await {
            tracing::warn!(target: OWN_TARGET, channel = %id, %error, "log records are not broadcast");
        }
    }
}

impl Records {
    /// The next records as messages, at least one.
    async fn next(&mut self) -> Vec<Publish> {
        let mut records = Vec::new();
        self.records.recv_many(&mut records, LOG_RECORDS_QUEUED_MAX).await;
        let skipped = self.skipped.swap(0, Ordering::Relaxed);
        if skipped > 0 {
            records.push(Record { level: "WARNING", text: format!("{skipped} log records were skipped") });
        }
        let message = |Record { level, text }| Message::of(level, &text).map(Publish::from);
        records.into_iter().map(|record| message(record).expect("a short text is a message")).collect()
    }
}

/// Where records are written to.
#[derive(Debug, Clone)]
struct Queue {
    sender: Sender<Record>,
    skipped: Arc<AtomicU64>,
}

/// Takes the text of one record.
#[derive(Debug)]
struct RecordWriter<'a> {
    queue: &'a Queue,
    level: &'static str,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = RecordWriter<'a>;

    fn make_writer(&'a self) -> RecordWriter<'a> {
        RecordWriter { queue: self, level: "INFO" }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> RecordWriter<'a> {
        let level = match *metadata.level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        };
        RecordWriter { queue: self, level }
    }
}

impl io::Write for RecordWriter<'_> {
    /// A record comes whole, with a line break at its end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let kept = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let text = String::from_utf8_lossy(&kept[..kept.len().min(LOG_RECORD_BYTES_MAX)]).into_owned();
        if self.queue.sender.try_send(Record { level: self.level, text }).is_err() {
            self.queue.skipped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn texts(batch: &[Publish]) -> Vec<(&str, &str)> {
        batch
            .iter()
            .map(|Publish { message, .. }| (message.kind().as_str(), message.payload().as_json()))
            .collect()
    }

    #[tokio::test]
    async fn records_beyond_the_queue_are_counted_and_told() {
        let (queue, mut records) = queue();
        for _ in 0..LOG_RECORDS_QUEUED_MAX {
            queue.make_writer().write_all(b"taken\n").unwrap();
        }
        let batch = records.next().await;
        assert_eq!(batch.len(), LOG_RECORDS_QUEUED_MAX, "exactly full");
        for _ in 0..LOG_RECORDS_QUEUED_MAX + 1 {
            queue.make_writer().write_all(b"taken\n").unwrap();
        }
        let batch = records.next().await;
        assert_eq!(batch.len(), LOG_RECORDS_QUEUED_MAX + 1);
        assert_eq!(texts(&batch).last(), Some(&("WARNING", r#""1 log records were skipped""#)));
    }

    #[tokio::test]
    async fn a_record_has_at_most_16_kib() {
        let (queue, mut records) = queue();
        for bytes in [LOG_RECORD_BYTES_MAX, LOG_RECORD_BYTES_MAX + 1] {
            queue.make_writer().write_all(&vec![b'x'; bytes]).unwrap();
        }
        let whole = format!("\"{}\"", "x".repeat(LOG_RECORD_BYTES_MAX));
        assert_eq!(texts(&records.next().await), [("INFO", &*whole), ("INFO", &*whole)]);
    }
}
