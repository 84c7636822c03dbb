//! Answers to requests: the head, and where the body ends.

use anyhow::{Context as _, bail, ensure};
use memchr::memmem;

use crate::chunks::Chunks;
use crate::limits::CARRY_BYTES_MAX;

/// What a head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// Whether the body is a stream of events.
    pub(crate) is_event_stream: bool,
    /// Whether the server closes the connection after the body.
    pub(crate) closes: bool,
}

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Chunked(Chunks),
    Bytes(u64),
    UntilClose,
}

/// One answer that is being read.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    carry: Vec<u8>,
    head: Option<Head>,
}

/// Where the head at the start of `bytes` ends, if it does.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

impl Head {
    /// Stands for a connection that the server closed while nothing was asked.
    pub(crate) const CLOSED: Self =
        Self { status: 204, body: Body::Bytes(0), is_event_stream: false, closes: true };

    /// Reads a complete head.
    pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut lines = bytes.split(|&byte| byte == b'\n').map(|line| line.trim_ascii_end());
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let status =
            status.with_context(|| format!("no HTTP answer: {:?}", String::from_utf8_lossy(first)))?;
        let has_no_body = matches!(status, 100..200 | 204 | 304);
        let body = if has_no_body { Body::Bytes(0) } else { Body::UntilClose };
        let closes = first.starts_with(b"HTTP/1.0");
        let mut head = Self { status, body, is_event_stream: false, closes };
        for line in lines.take_while(|line| !line.is_empty()) {
            let colon = memchr::memchr(b':', line).context("a header without a colon")?;
            head.header(&line[..colon], line[colon + 1..].trim_ascii())?;
        }
        head.closes |= head.body == Body::UntilClose;
        Ok(head)
    }

    fn header(&mut self, name: &[u8], value: &[u8]) -> anyhow::Result<()> {
        if name.eq_ignore_ascii_case(b"content-length") && self.body == Body::UntilClose {
            let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            self.body = Body::Bytes(length.context("Content-Length is no number")?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
            self.body = Body::Chunked(Chunks::start());
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.closes |= value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"content-type") {
            self.is_event_stream = value.to_ascii_lowercase().starts_with(b"text/event-stream");
        }
        Ok(())
    }

    /// Whether the request succeeded.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Answer {
    /// Takes further bytes of one answer, handing out pieces of its body; returns the head once all of it was read.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        mut piece: impl FnMut(&[u8]),
    ) -> anyhow::Result<Option<Head>> {
        let mut head = match self.head.take() {
            Some(head) => head,
            None => {
                let Some((head, used)) = self.head(bytes)? else { return Ok(None) };
                bytes = &bytes[used..];
                head
            }
        };
        let is_done = match &mut head.body {
            Body::Chunked(chunks) => {
                while let Some(content) = chunks.next(&mut bytes)? {
                    piece(content);
                }
                *chunks == Chunks::Done
            }
            Body::Bytes(left) => {
                let (content, rest) = bytes.split_at((bytes.len() as u64).min(*left) as usize);
                piece(content);
                *left -= content.len() as u64;
                bytes = rest;
                *left == 0
            }
            Body::UntilClose => {
                piece(std::mem::take(&mut bytes));
                false
            }
        };
        ensure!(bytes.is_empty(), "{} bytes after an answer", bytes.len());
        if is_done {
            return Ok(Some(head));
        }
        self.head = Some(head);
        Ok(None)
    }

    /// The connection was closed: that ends an answer whose body goes on until then.
    pub(crate) fn close(&mut self) -> anyhow::Result<Head> {
        match self.head.take() {
            Some(head) if head.body == Body::UntilClose => Ok(head),
            _ => bail!("the server closed a connection instead of answering"),
        }
    }

    /// The head, and how many of `bytes` belong to it.
    fn head(&mut self, bytes: &[u8]) -> anyhow::Result<Option<(Head, usize)>> {
        if self.carry.is_empty()
            && let Some(end) = head_end(bytes)
        {
            return Ok(Some((Head::parse(&bytes[..end])?, end)));
        }
        let before = self.carry.len();
        self.carry.extend_from_slice(bytes);
        ensure!(
            self.carry.len() <= CARRY_BYTES_MAX,
            "an answer's head has more than {CARRY_BYTES_MAX} bytes"
        );
        let Some(end) = head_end(&self.carry) else { return Ok(None) };
        let head = Head::parse(&self.carry[..end])?;
        self.carry.clear();
        Ok(Some((head, end - before)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, status: u16, body: &str) {
        for size in 1..=bytes.len() {
            let (mut answer, mut content, mut head) = (Answer::default(), Vec::new(), None);
            for piece in bytes.as_bytes().chunks(size) {
                assert!(head.is_none(), "the end was not seen");
                head = answer.take(piece, |part| content.extend_from_slice(part)).unwrap();
            }
            let head = head.unwrap_or_else(|| answer.close().unwrap());
            assert_eq!((head.status, content.as_slice()), (status, body.as_bytes()), "in pieces of {size}");
        }
    }

    #[test]
    fn answers_are_read_to_their_end_wherever_they_are_cut() {
        check("HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhello", 201, "hello");
        check("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200, "hi");
        check("HTTP/1.1 503 Away\r\nConnection: close\r\n\r\nsorry", 503, "sorry");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert!(Head::parse(b"SSH-2.0\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n").is_err());
        let mut answer = Answer::default();
        assert!(answer.take(b"HTTP/1.1 204 No Content\r\n\r\nmore", |_| ()).is_err());
        assert!(Answer::default().close().is_err());
    }
}
