//! One stream: the head, the chunks, and the events in them, as bytes arrive in any pieces.
//!
//! What is complete is handed out where it lies in the buffer of all streams; only what is cut is copied. An event counts
//! when its blank line was read, as for browsers: what was cut before is not there, and comes again after the last id. Some
//! servers put several messages into one event, a line of data each; they are handed out one by one.

use anyhow::ensure;
use memchr::memchr;

use crate::answer::{Body, Head, head_end};
use crate::limits::CARRY_BYTES_MAX;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Event<'a> {
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) name: &'a [u8],
    pub(crate) data: &'a [u8],
}

/// How far a stream was read.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// None until the head was read.
    body: Option<Body>,
    /// What is cut: of the head, or of an event from its first line on.
    carry: Vec<u8>,
}

impl Stream {
    /// Whether the head was read.
    pub(crate) fn is_open(&self) -> bool {
        self.body.is_some()
    }

    /// Takes further bytes, and hands out the events that they complete.
    #[inline]
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        each: &mut impl FnMut(Event<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut body = match self.body {
            Some(body) => body,
            None => match self.head(&mut bytes)? {
                Some(body) => body,
                None => return Ok(()),
            },
        };
        match &mut body {
            Body::Chunked(chunks) => {
                while let Some(content) = chunks.next(&mut bytes)? {
                    self.content(content, each)?;
                }
            }
            Body::Bytes(_) | Body::UntilClose => self.content(bytes, each)?,
        }
        self.body = Some(body);
        Ok(())
    }

    /// Reads the head, and moves `bytes` past it.
    fn head(&mut self, bytes: &mut &[u8]) -> anyhow::Result<Option<Body>> {
        let before = self.carry.len();
        self.carry.extend_from_slice(bytes);
        ensure!(self.carry.len() <= CARRY_BYTES_MAX, "a stream's head has more than {CARRY_BYTES_MAX} bytes");
        let Some(end) = head_end(&self.carry) else { return Ok(None) };
        let text = String::from_utf8_lossy(&self.carry[..end]);
        let head = Head::parse(&self.carry[..end])?;
        ensure!(head.status == 200 && head.is_event_stream, "this is no event stream: {text}");
        *bytes = &bytes[end - before..];
        self.carry = Vec::new();
        self.body = Some(head.body);
        Ok(self.body)
    }

    fn content(
        &mut self,
        mut bytes: &[u8],
        each: &mut impl FnMut(Event<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while !self.carry.is_empty() {
            let Some(end) = memchr(b'\n', bytes) else {
                self.carry.extend_from_slice(bytes);
                return ensure_bounded(&self.carry);
            };
            self.carry.extend_from_slice(&bytes[..=end]);
            ensure_bounded(&self.carry)?;
            bytes = &bytes[end + 1..];
            let ends_event = self.carry.ends_with(b"\n\n") || self.carry.ends_with(b"\n\r\n");
            if ends_event || is_alone(&self.carry) {
                let carry = std::mem::take(&mut self.carry);
                events(&carry, each)?;
            }
        }
        let used = events(bytes, each)?;
        self.carry.extend_from_slice(&bytes[used..]);
        ensure_bounded(&self.carry)
    }
}

fn ensure_bounded(carry: &[u8]) -> anyhow::Result<()> {
    ensure!(carry.len() <= CARRY_BYTES_MAX, "an event has more than {CARRY_BYTES_MAX} bytes");
    Ok(())
}

/// Whether this is one line that belongs to no event: blank, a comment, or a time to wait.
fn is_alone(text: &[u8]) -> bool {
    is_aside(text) && memchr(b'\n', text) == Some(text.len() - 1)
}

/// Whether a line says nothing about an event.
fn is_aside(line: &[u8]) -> bool {
    matches!(line.first(), None | Some(b':' | b'\r' | b'\n')) || line.starts_with(b"retry:")
}

/// Hands out the complete events in `bytes`; returns where the first incomplete one begins.
#[inline]
fn events(bytes: &[u8], each: &mut impl FnMut(Event<'_>) -> anyhow::Result<()>) -> anyhow::Result<usize> {
    let (mut start, mut at) = (0, 0);
    let (mut event, mut data_lines, mut has_begun) = (Event::default(), 0, false);
    while let Some(length) = memchr(b'\n', &bytes[at..]) {
        let line = &bytes[at..at + length];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at += length + 1;
        if line.is_empty() {
            match data_lines {
                0 => {}
                1 => each(event)?,
                _ => one_by_one(&bytes[start..at], event, each)?,
            }
            (event, data_lines, has_begun, start) = (Event::default(), 0, false, at);
        } else if !is_aside(line) {
            has_begun = true;
            match line[0] {
                b'd' if line.starts_with(b"data:") => {
                    data_lines += 1;
                    event.data = value(&line[5..]);
                }
                b'i' if line.starts_with(b"id:") => event.id = Some(value(&line[3..])),
                b'e' if line.starts_with(b"event:") => event.name = value(&line[6..]),
                _ => {}
            }
        } else if !has_begun {
            start = at;
        }
    }
    Ok(start)
}

/// Hands out every line of data that has something on it.
#[cold]
fn one_by_one(
    block: &[u8],
    event: Event<'_>,
    each: &mut impl FnMut(Event<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let lines = block.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    for line in lines {
        let data = value(line.strip_suffix(b"\r").unwrap_or(line));
        if !data.is_empty() {
            each(Event { data, ..event })?;
        }
    }
    Ok(())
}

/// What follows a field's colon, without a single space.
#[inline]
fn value(rest: &[u8]) -> &[u8] {
    rest.strip_prefix(b" ").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `stream` hands out for bytes that arrive in pieces: id, name, data.
    fn read(stream: &mut Stream, pieces: &[&[u8]]) -> Vec<[String; 3]> {
        let mut events = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        for piece in pieces {
            stream
                .take(piece, &mut |event| {
                    events.push([text(event.id.unwrap_or_default()), text(event.name), text(event.data)]);
                    Ok(())
                })
                .unwrap();
        }
        events
    }

    /// `bytes` in pieces that end at `cuts`.
    fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut start = 0;
        ends.into_iter().map(|end| &bytes[std::mem::replace(&mut start, end)..end]).collect()
    }

    fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
        prop::collection::vec(any::<prop::sample::Index>(), 0..20)
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

    proptest! {
        #[test]
        fn events_are_the_same_wherever_chunks_end_and_bytes_are_cut(
            events in prop::collection::vec(("[a-z0-9-]{0,9}", "[a-z.]{0,9}", "[ -~]{1,40}", 0..6_usize), 0..12),
            chunk_ends in cuts(), pieces in cuts(), is_chunked: bool, end in prop::sample::select(vec!["\n", "\r\n"]),
        ) {
            let mut text = format!(":ok{end}retry: 3000{end}");
            let mut expected = Vec::new();
            for (id, name, data, aside) in &events {
                let asides = ["", ":", ": ping\n", "retry: 5\n", "\n", ":\n\n"];
                text.push_str(&asides[*aside].replace('\n', end));
                if *aside == 1 { text.push_str(end); }
                text.push_str(&format!("id: {id}{end}event: {name}{end}data: {data}{end}{end}"));
                expected.push([id.clone(), name.clone(), data.clone()]);
            }
            let bytes = if is_chunked {
                let chunks = cut(text.as_bytes(), &chunk_ends);
                let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
                let chunks: Vec<Vec<u8>> = chunks.map(|chunk| {
                    [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()
                }).collect();
                [format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").into_bytes(), chunks.concat()].concat()
            } else {
                format!("{HEAD}\r\n{text}").into_bytes()
            };
            let mut stream = Stream::default();
            prop_assert_eq!(read(&mut stream, &cut(&bytes, &pieces)), expected);
            prop_assert!(stream.carry.is_empty(), "nothing is left over");
        }

        #[test]
        fn garbage_is_an_error_at_worst(bytes: Vec<u8>) {
            let _ = Stream::default().take(&bytes, &mut |_| Ok(()));
            let open = [HEAD.as_bytes(), b"Transfer-Encoding: chunked\r\n\r\n", &bytes].concat();
            let _ = Stream::default().take(&open, &mut |_| Ok(()));
        }
    }

    #[test]
    fn an_event_counts_only_with_its_blank_line() {
        let mut stream = Stream::default();
        let head = format!("{HEAD}\r\n");
        assert!(read(&mut stream, &[head.as_bytes(), b"id: 1\ndata: x\n"]).is_empty());
        assert_eq!(read(&mut stream, &[b"\n"]).len(), 1);
    }

    #[test]
    fn an_idle_stream_keeps_nothing() {
        let mut stream = Stream::default();
        read(&mut stream, &[HEAD.as_bytes(), b"\r\n:ok\nretry: 3000\n", b":\n", b":\n"]);
        assert_eq!(stream.carry.capacity(), 0);
        assert!(size_of::<Stream>() <= 48, "{}", size_of::<Stream>());
    }

    #[test]
    fn what_is_no_event_stream_is_refused_with_its_head() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        let error = Stream::default().take(answer, &mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("404 Not Found"), "{error}");
    }

    #[test]
    fn several_lines_of_data_are_as_many_messages() {
        let bytes = format!("{HEAD}\r\nid: 1\r\ndata: a\r\ndata: b\r\ndata:\r\n\r\ndata: c\n\n");
        let events = read(&mut Stream::default(), &[bytes.as_bytes()]);
        let data: Vec<&str> = events.iter().map(|event| event[2].as_str()).collect();
        assert_eq!(data, ["a", "b", "c"]);
        assert_eq!(events[1][0], "1");
    }
}
