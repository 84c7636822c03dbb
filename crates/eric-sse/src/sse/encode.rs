//! The encoder of event streams. Every function returns bytes that are whole lines.
//!
//! An entry becomes one event: `id`, `event` (left out where the type is empty or `message`), `data` on one line,
//! a blank line. Types and ids cannot contain line breaks and payloads are minified JSON, by their types, so there
//! is nothing to escape. What the clients of the Python packages expect instead is in `compatible` and `line`.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use super::{compatible, line};
use crate::entry::{Entry, Position};
use crate::follow::{End, Gap};

/// How an entry is written to a client.
///
/// ```
/// # use std::time::Duration;
/// # use eric_sse::{Entry, Message, Timestamp, lane::Lane};
/// use eric_sse::sse::encode::{Format, event_frame};
///
/// # let (position, tick) = ("7f3a-42".parse()?, Message::of("tick", &7)?);
/// # let entry = Entry::new(position, Lane::new(1), Timestamp::from_ms(0), tick);
/// let as_line = event_frame(&entry, Format::Line, Duration::from_secs(3));
/// assert_eq!(as_line, "{\"event\": \"tick\", \"retry\": 3000, \"data\": 7}\n");
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// An event with the payload.
    #[default]
    Payload,
    /// An event with an object of type, payload, id, sender and time.
    Envelope,
    /// An event as eric-api's clients expect it: strings verbatim, the type and the reconnection time in each.
    Compatible,
    /// A line of JSON, `{"event","retry","data"}`, in the style of Python's `json.dumps`.
    Line,
    /// The same with `id`, `message_id` and `sender_id`.
    LineWithIds,
}

impl Format {
    pub(crate) const COUNT: usize = 5;

    /// Whether its streams tell of gaps and ends by events of their own.
    ///
    /// ```
    /// use eric_sse::sse::encode::Format;
    ///
    /// assert!(Format::Payload.has_control_events());
    /// assert!(!Format::Compatible.has_control_events(), "eric-api's clients know none");
    /// ```
    pub fn has_control_events(self) -> bool {
        matches!(self, Self::Payload | Self::Envelope)
    }

    /// Whether the reconnection time is part of every entry.
    pub(crate) fn tells_retry(self) -> bool {
        !self.has_control_events()
    }
}

/// The time after which a client that was replaced tries again: long enough not to play ping-pong.
pub const REPLACED_RETRY: Duration = Duration::from_secs(60);

/// An idle stream's sign of life: a comment line, without a blank line after it.
pub const HEARTBEAT: &[u8] = b":\n";

/// `entry` in `format`; formats that tell the reconnection time tell `retry`.
///
/// ```
/// # use std::time::Duration;
/// # use eric_sse::{Entry, Message, Timestamp, lane::Lane};
/// use eric_sse::sse::encode::{Format, event_frame};
///
/// # let (position, tick) = ("7f3a-42".parse()?, Message::of("tick", &7)?);
/// # let entry = Entry::new(position, Lane::new(1), Timestamp::from_ms(0), tick);
/// let frame = event_frame(&entry, Format::Payload, Duration::ZERO);
/// assert_eq!(frame, "id: 7f3a-42\nevent: tick\ndata: 7\n\n");
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub fn event_frame(entry: &Entry, format: Format, retry: Duration) -> Bytes {
    let mut frame = BytesMut::with_capacity(128 + entry.bytes());
    match format {
        Format::Payload | Format::Envelope => put_event(&mut frame, entry, format),
        Format::Compatible => compatible::put_event(&mut frame, entry, retry),
        Format::Line => line::put_line(&mut frame, entry, retry, false),
        Format::LineWithIds => line::put_line(&mut frame, entry, retry, true),
    }
    frame.freeze()
}

fn put_event(frame: &mut BytesMut, entry: &Entry, format: Format) {
    let message = entry.message();
    let kind = message.kind().as_str();
    put_id(frame, entry.position());
    if !matches!(kind, "" | "message") {
        frame.put_slice(b"event: ");
        frame.put_slice(kind.as_bytes());
        frame.put_u8(b'\n');
    }
    frame.put_slice(b"data: ");
    match format {
        Format::Envelope => put_envelope(frame, entry),
        _ => frame.put_slice(message.payload().bytes()),
    }
    frame.put_slice(b"\n\n");
}

/// What a stream begins with: a comment and the reconnection time, as plain lines without a blank line after them
/// (some clients turn such blocks into events).
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(eric_sse::sse::encode::prologue(Duration::from_secs(3)), ":ok\nretry: 3000\n");
/// ```
pub fn prologue(retry: Duration) -> String {
    format!(":ok\n{}", retry_line(retry))
}

/// The line that tells when to reconnect; by itself it is no event.
///
/// ```
/// use std::time::Duration;
/// use eric_sse::sse::encode::retry_line;
///
/// assert_eq!(retry_line(Duration::from_secs(3)), "retry: 3000\n");
/// ```
pub fn retry_line(retry: Duration) -> String {
    format!("retry: {}\n", retry.as_millis())
}

/// A block that plants `position` as the last event id and fires nothing.
///
/// ```
/// use eric_sse::sse::encode::prime;
///
/// assert_eq!(prime("7f3a-42".parse()?), "id: 7f3a-42\n\n");
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub fn prime(position: Position) -> String {
    format!("id: {position}\n\n")
}

/// The control event that tells of a gap. Control events carry no id.
///
/// ```
/// use eric_sse::{Gap, GapReason, sse::encode::gap_frame};
///
/// let gap = Gap { reason: GapReason::Epoch, from: Some("7f3a-42".parse()?), to: None, missed: None };
/// let data = r#"{"reason":"epoch","from":"7f3a-42","to":null,"missed":null}"#;
/// assert_eq!(gap_frame(&gap), format!("event: eric.gap\ndata: {data}\n\n"));
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub fn gap_frame(gap: &Gap) -> Bytes {
    let position =
        |position: Option<Position>| position.map_or("null".into(), |position| format!("\"{position}\""));
    let missed = gap.missed.map_or("null".into(), |missed| missed.to_string());
    let (reason, from, to) = (gap.reason, position(gap.from), position(gap.to));
    format!(
        "event: eric.gap\ndata: {{\"reason\":\"{reason}\",\"from\":{from},\"to\":{to},\"missed\":{missed}}}\n\n"
    )
    .into()
}

/// A control event that says no more than its name (`replaced`, `removed`, `shutdown`), perhaps with a
/// reconnection time.
///
/// ```
/// use std::time::Duration;
/// use eric_sse::sse::encode::control_frame;
///
/// assert_eq!(control_frame("removed", None), "event: eric.removed\ndata: {}\n\n");
/// ```
pub fn control_frame(name: &str, retry: Option<Duration>) -> Bytes {
    let retry = retry.map_or(String::new(), retry_line);
    format!("event: eric.{name}\n{retry}data: {{}}\n\n").into()
}

/// The last words of a stream that is over for this reason; none where it says nothing, and its client comes back.
///
/// ```
/// use eric_sse::End;
/// use eric_sse::sse::encode::end_frame;
///
/// let replaced = end_frame(End::Replaced).unwrap();
/// assert_eq!(replaced, "event: eric.replaced\nretry: 60000\ndata: {}\n\n");
/// assert_eq!(end_frame(End::Stopped), None);
/// ```
pub fn end_frame(end: End) -> Option<Bytes> {
    match end {
        End::Replaced => Some(control_frame("replaced", Some(REPLACED_RETRY))),
        End::Removed => Some(control_frame("removed", None)),
        End::Stopped => None,
    }
}

pub(super) fn put_id(frame: &mut BytesMut, position: Position) {
    frame.put_slice(b"id: ");
    frame.put_slice(position.epoch.as_str().as_bytes());
    frame.put_u8(b'-');
    frame.put_slice(itoa::Buffer::new().format(position.offset.get()).as_bytes());
    frame.put_u8(b'\n');
}

/// The envelope: `{"type","payload","message_id"?,"sender_id"?,"taken_at"}`.
fn put_envelope(frame: &mut BytesMut, entry: &Entry) {
    let message = entry.message();
    frame.put_slice(b"{\"type\":");
    put_json(frame, message.kind().as_str());
    frame.put_slice(b",\"payload\":");
    frame.put_slice(message.payload().bytes());
    if let Some(id) = message.id() {
        frame.put_slice(b",\"message_id\":");
        put_json(frame, id.as_str());
    }
    if let Some(sender) = message.sender() {
        frame.put_slice(b",\"sender_id\":");
        put_json(frame, sender.as_str());
    }
    write!(frame, ",\"taken_at\":\"{}\"}}", entry.taken_at()).expect("a buffer grows");
}

fn put_json(frame: &mut BytesMut, text: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(frame.writer(), text).expect("a string is JSON");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::entry::Offset;
    use crate::lane::Lane;
    use crate::message::Message;

    fn entry(message: Message) -> Entry {
        let position = Position { epoch: "e".parse().unwrap(), offset: Offset::new(7) };
        Entry::new(position, Lane::new(1), Timestamp::from_ms(0), message)
    }

    fn check(message: Message, format: Format, expected: &str) {
        assert_eq!(event_frame(&entry(message), format, Duration::ZERO), expected);
    }

    #[test]
    fn an_event_is_id_type_and_data() {
        check(Message::of("tick", &1).unwrap(), Format::Payload, "id: e-7\nevent: tick\ndata: 1\n\n");
        check(Message::of("message", "a\nb").unwrap(), Format::Payload, "id: e-7\ndata: \"a\\nb\"\n\n");
        check(Message::of("", &()).unwrap(), Format::Payload, "id: e-7\ndata: null\n\n");
        check(Message::of(" x", &()).unwrap(), Format::Payload, "id: e-7\nevent:  x\ndata: null\n\n");
    }

    #[test]
    fn an_envelope_holds_what_the_message_has() {
        let signed = Message::of("t\"", &[1]).unwrap().with_id("k".parse().unwrap());
        check(
            signed.with_sender("s".parse().unwrap()),
            Format::Envelope,
            "id: e-7\nevent: t\"\ndata: {\"type\":\"t\\\"\",\"payload\":[1],\"message_id\":\"k\",\"sender_id\":\"s\",\
             \"taken_at\":\"1970-01-01T00:00:00.000Z\"}\n\n",
        );
    }
}
