//! An open stream, and the numbered messages in what comes on it.
//!
//! The type of such a message is [`TYPE`], its payload the number, which is the same text on all servers; they write
//! other payloads differently.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context as _, bail, ensure};
use rustix::io::Errno;
use serde_json::Value;

/// The type of numbered messages.
pub(crate) const TYPE: &str = "tick";

/// How messages are told apart in the bytes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A JSON object a line.
    Lines,
    /// Server-Sent Events.
    Events,
    /// Server-Sent Events in HTTP's chunks.
    ChunkedEvents,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: OwnedFd,
    framing: Framing,
    chunk: Chunk,
    /// The line that is not complete yet.
    line: Vec<u8>,
    event: String,
    data: String,
}

/// What comes next of HTTP's chunks.
#[derive(Debug)]
enum Chunk {
    /// The line with the size.
    Size(String),
    /// As many bytes, and the line's end that follows them.
    Content(usize),
}

impl Stream {
    /// A stream on a socket that does not block.
    pub(crate) fn new(socket: OwnedFd, framing: Framing) -> Self {
        let chunk = Chunk::Size(String::new());
        Self { socket, framing, chunk, line: Vec::new(), event: String::new(), data: String::new() }
    }

    /// Reads what is there, and hands out the numbers of the messages in it.
    pub(crate) fn read(&mut self, each: &mut dyn FnMut(u64) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut bytes = [0; 4096];
        match rustix::io::read(&self.socket, &mut bytes) {
            Ok(0) => bail!("the server ended a stream"),
            Ok(read) => self.take(&bytes[..read], each),
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("a stream broke"),
        }
    }

    /// Decodes further bytes.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if self.framing != Framing::ChunkedEvents {
            return self.take_content(bytes, each);
        }
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.chunk {
                Chunk::Size(digits) if first == b'\n' => {
                    let size = usize::from_str_radix(digits.trim_end(), 16);
                    let size = size.with_context(|| format!("{digits:?} is no chunk's size"))?;
                    ensure!(size > 0, "the server ended a stream");
                    self.chunk = Chunk::Content(size + 2);
                    bytes = rest;
                }
                Chunk::Size(digits) => {
                    digits.push(char::from(first));
                    bytes = rest;
                }
                Chunk::Content(left) => {
                    let (here, rest) = bytes.split_at(bytes.len().min(*left));
                    let content = &here[..here.len().min(left.saturating_sub(2))];
                    *left -= here.len();
                    if *left == 0 {
                        self.chunk = Chunk::Size(String::new());
                    }
                    bytes = rest;
                    self.take_content(content, each)?;
                }
            }
        }
        Ok(())
    }

    fn take_content(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = std::str::from_utf8(&line).context("a line is not text")?;
            let number = match self.framing {
                Framing::Lines => object(line).map(Some),
                Framing::Events | Framing::ChunkedEvents => self.field(line.trim_end_matches('\r')),
            };
            if let Some(number) = number? {
                each(number)?;
            }
        }
        Ok(())
    }

    /// A line of an event; the empty one ends it.
    fn field(&mut self, line: &str) -> anyhow::Result<Option<u64>> {
        match line.split_once(": ") {
            Some(("event", event)) => event.clone_into(&mut self.event),
            Some(("data", data)) => data.clone_into(&mut self.data),
            _ => {}
        }
        if !line.is_empty() || (self.event.is_empty() && self.data.is_empty()) {
            return Ok(None);
        }
        let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        ensure!(event == TYPE, "an event that nobody sent: {event:?} {data:?}");
        data.parse().map(Some).with_context(|| format!("data that nobody sent: {data:?}"))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A message as an object.
fn object(line: &str) -> anyhow::Result<u64> {
    let object: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}"))?;
    let number = object["data"].as_u64().filter(|_| object["event"] == TYPE);
    number.with_context(|| format!("a message that nobody sent: {object}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `bytes`, cut into pieces of every size.
    fn check(framing: Framing, bytes: &str, expected: &[u64]) {
        for size in 1..=bytes.len() {
            let socket = std::os::unix::net::UnixStream::pair().unwrap().0;
            let mut stream = Stream::new(socket.into(), framing);
            let mut numbers = Vec::new();
            for piece in bytes.as_bytes().chunks(size) {
                stream
                    .take(piece, &mut |number| {
                        numbers.push(number);
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(numbers, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn every_framing_is_decoded_wherever_it_is_cut() {
        let lines = "{\"event\": \"tick\", \"retry\": 5, \"data\": 1}\n{\"event\": \"tick\", \"retry\": 5, \"data\": 2}\n";
        check(Framing::Lines, lines, &[1, 2]);
        let events = ":\n\nevent: tick\ndata: 1\nretry: 5\n\n:\n\nid: 1\nevent: tick\ndata: 2\n\n";
        check(Framing::Events, events, &[1, 2]);
        let chunks = [
            "event: tick\r\ndata: 1\r\nretry: 5\r\n\r\n",
            ": ping\r\n\r\n",
            "event: tick\r\ndata: 12\r\n\r\n",
        ];
        let chunks = chunks.map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).concat();
        check(Framing::ChunkedEvents, &chunks, &[1, 12]);
    }

    #[test]
    fn what_nobody_sent_is_an_error() {
        let socket = std::os::unix::net::UnixStream::pair().unwrap().0;
        let mut stream = Stream::new(socket.into(), Framing::Events);
        assert!(stream.take(b"event: error\ndata: 1\n\n", &mut |_| Ok(())).is_err());
    }
}
