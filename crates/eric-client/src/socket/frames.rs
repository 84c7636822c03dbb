//! A stream on the Unix socket: one line of JSON a message, until the hub ends it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use eric_sse::Position;
use futures_core::Stream;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;

use crate::answer::text;
use crate::error::Error;
use crate::limits::LINE_BYTES_MAX;
use crate::wire::parsed_or_null;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// A message as the socket tells it.
///
/// ```
/// # use std::time::Duration;
/// # use eric_client::Message;
/// # use futures_util::StreamExt as _;
/// # eric_testkit::socket_example(async |hub, news, bob| {
/// hub.dispatch(&news, &bob, &Message::of("note", &["é", "b"])?).await?;
/// let frame = hub.stream(&news, &bob).await?.next().await.expect("it waits there")?;
/// assert_eq!((frame.event.as_str(), frame.retry), ("note", Duration::from_secs(3)));
/// assert_eq!(frame.data, r#"["\u00e9", "b"]"#);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Its type.
    pub event: String,
    /// When to come back once the stream has ended, as the channel suggests.
    pub retry: Duration,
    /// Its payload: the JSON text as it came, ASCII and with spaces.
    pub data: String,
    /// Where it stands, where ids were asked for.
    pub id: Option<Position>,
    /// The id that its publisher gave it, where ids were asked for.
    pub message_id: Option<String>,
    /// Who sent it, where ids were asked for.
    pub sender_id: Option<String>,
}

/// A stream of [`Frame`]s. It ends when the hub ends it, whatever the reason, or after an error; a line that was cut
/// off is discarded. Dropping it closes the connection.
///
/// ```
/// # use eric_client::Message;
/// # use futures_util::StreamExt as _;
/// # eric_testkit::socket_example(async |hub, news, bob| {
/// hub.broadcast_message(&news, &Message::of("tick", &7)?).await?;
/// let mut frames = hub.stream(&news, &bob).await?;
/// while let Some(frame) = frames.next().await {
///     assert_eq!(frame?.event, "tick");
///     hub.remove_listener(&news, &bob).await?; // which ends the stream
/// }
/// assert!(frames.next().await.is_none());
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Frames<R = UnixStream> {
    /// None once it is over.
    socket: Option<R>,
    chunk: Box<[u8]>,
    lines: Lines,
}

impl Frames {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self::over(socket)
    }
}

impl<R> Frames<R> {
    fn over(socket: R) -> Self {
        Self { socket: Some(socket), chunk: vec![0; READ_BYTES].into(), lines: Lines::default() }
    }

    fn end(&mut self, error: Option<Error>) -> Poll<Option<Result<Frame, Error>>> {
        self.socket = None;
        Poll::Ready(error.map(Err))
    }
}

impl<R: AsyncRead + Unpin> Stream for Frames<R> {
    type Item = Result<Frame, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let frames = self.get_mut();
        loop {
            let Some(socket) = &mut frames.socket else { return Poll::Ready(None) };
            // What was not asked for is not read: the hub counts as consumed what was.
            match frames.lines.next().map(frame) {
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => return frames.end(Some(error)),
                None => {}
            }
            match ready!(poll_read(socket, context, &mut frames.chunk)) {
                Ok(0) => {
                    let said = frames.lines.rest().and_then(Error::from_reply);
                    return frames.end(said);
                }
                Ok(read) => {
                    if let Err(error) = frames.lines.feed(&frames.chunk[..read]) {
                        return frames.end(Some(error));
                    }
                }
                Err(error) => {
                    return frames.end(Some(Error::unreachable("the stream was cut").caused_by(error)));
                }
            }
        }
    }
}

fn poll_read(
    socket: &mut (impl AsyncRead + Unpin),
    context: &mut Context<'_>,
    chunk: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(chunk);
    ready!(Pin::new(socket).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Bytes as lines.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// What was handed out.
    start: usize,
    /// Up to here there is no line break that was not handed out.
    scanned: usize,
    has_line: bool,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        let first = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        if self.bytes.len() + first > LINE_BYTES_MAX {
            return Err(Error::malformed(format!(
                "a line has more than line_bytes_max={LINE_BYTES_MAX} bytes"
            )));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next line, without its line break.
    fn next(&mut self) -> Option<&[u8]> {
        let Some(length) = self.bytes[self.scanned..].iter().position(|byte| *byte == b'\n') else {
            self.scanned = self.bytes.len();
            return None;
        };
        let (start, end) = (self.start, self.scanned + length);
        (self.start, self.scanned, self.has_line) = (end + 1, end + 1, true);
        Some(&self.bytes[start..end])
    }

    /// What came instead of any line.
    fn rest(&self) -> Option<&str> {
        if self.has_line { None } else { std::str::from_utf8(&self.bytes[self.start..]).ok() }
    }
}

#[derive(Deserialize)]
struct FrameBody {
    event: String,
    retry: u64,
    data: Box<RawValue>,
    #[serde(default, deserialize_with = "parsed_or_null")]
    id: Option<Position>,
    message_id: Option<String>,
    sender_id: Option<String>,
}

pub(super) fn frame(line: &[u8]) -> Result<Frame, Error> {
    let body: FrameBody = serde_json::from_slice(line)
        .map_err(|error| Error::malformed("a line of the stream is not in a hub's words").caused_by(error))?;
    let FrameBody { event, retry, data, id, message_id, sender_id } = body;
    Ok(Frame { event, retry: Duration::from_millis(retry), data: text(data), id, message_id, sender_id })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// What a stream tells that writes `pieces` and ends.
    async fn told(pieces: Vec<Vec<u8>>) -> Vec<Result<String, String>> {
        let (mut hub, client) = tokio::io::duplex(256);
        let writing = async move {
            for piece in pieces {
                if hub.write_all(&piece).await.is_err() {
                    return;
                }
            }
        };
        let told = Frames::over(client)
            .map(|frame| frame.map(|frame| frame.data).map_err(|error| error.to_string()))
            .collect();
        tokio::join!(writing, told).1
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut_and_one_without_an_end_is_discarded(
            payloads in proptest::collection::vec(".{0,80}", 0..8),
            piece in 1_usize..40,
            rest in "[{a-z]{0,9}",
        ) {
            let payloads: Vec<String> = payloads.iter().map(|text| serde_json::json!([text]).to_string()).collect();
            let line = |data: &String| format!("{{\"event\": \"e\", \"retry\": 5, \"data\": {data}}}\n");
            let text: String = payloads.iter().map(line).chain([rest]).collect();
            let told = run(told(text.as_bytes().chunks(piece).map(<[u8]>::to_vec).collect()));
            prop_assert_eq!(told, payloads.into_iter().map(Ok).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_exception_instead_of_lines_is_an_error_and_after_them_a_cut_line() {
        let exception = "InvalidChannelException('No channel with id x')";
        assert_eq!(run(told(vec![exception.into()])), [Err(exception.to_owned())]);
        let line = "{\"event\": \"e\", \"retry\": 5, \"data\": 1}\n";
        assert_eq!(run(told(vec![line.into(), exception.into()])), [Ok("1".to_owned())]);
        assert!(run(told(vec!["nonsense\n".into(), line.into()]))[0].is_err());
        assert_eq!(run(told(vec!["nonsense\n".into(), line.into()])).len(), 1, "an error ends it");
    }

    #[test]
    fn a_line_has_at_most_line_bytes_max() {
        let mut lines = Lines::default();
        lines.feed(&vec![b' '; LINE_BYTES_MAX]).unwrap();
        assert!(lines.next().is_none());
        lines.feed(b"\nx").unwrap();
        assert_eq!(lines.next().map(<[u8]>::len), Some(LINE_BYTES_MAX));
        assert!(lines.feed(&vec![b' '; LINE_BYTES_MAX]).is_err());
    }
}
