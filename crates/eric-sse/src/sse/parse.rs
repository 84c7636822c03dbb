//! The parser of event streams, by the rules of the WHATWG HTML standard (server-sent events).
//!
//! Feed it bytes in any pieces; it gives back events. It keeps the last event id as a browser does, and what it
//! buffers is bounded.

use crate::error::{Error, ErrorKind, Result};

/// An event as a browser would dispatch it.
///
/// ```
/// use eric_sse::sse::parse::{Event, Item, Parser};
///
/// let mut items = Vec::new();
/// Parser::new(1024).feed(b"id: 7\ndata: hello\n\n", &mut items)?;
/// let event = Event { kind: "message".into(), data: "hello".into(), id: "7".into() };
/// assert_eq!(items, [Item::Event(event)]);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` where the stream named none.
    pub kind: String,
    /// Its data lines, joined with line feeds.
    pub data: String,
    /// The last event id at this point of the stream.
    pub id: String,
}

/// What a stream holds.
///
/// ```
/// use eric_sse::sse::parse::{Item, Parser};
///
/// let mut items = Vec::new();
/// Parser::new(1024).feed(b":ok\nretry: 3000\n", &mut items)?;
/// assert_eq!(items, [Item::Comment("ok".into()), Item::RetryMs(3000)]);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// A reconnection time, in milliseconds.
    RetryMs(u64),
    /// A comment, heartbeats included.
    Comment(String),
}

/// The state between two pieces of a stream.
///
/// ```
/// use eric_sse::sse::parse::{Item, Parser};
///
/// let mut parser = Parser::new(1024);
/// let mut items = Vec::new();
/// for piece in ["id: 7\r", "\ndata: a\ndata", ": b\n\n"] {
///     parser.feed(piece.as_bytes(), &mut items)?;
/// }
/// let [Item::Event(event)] = &items[..] else { panic!() };
/// assert_eq!((event.id.as_str(), event.data.as_str()), ("7", "a\nb"));
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug)]
pub struct Parser {
    event_bytes_max: usize,
    line: Vec<u8>,
    data: String,
    kind: String,
    /// The id as read; it becomes the last event id at the end of the block.
    id: String,
    last_id: String,
    has_data: bool,
    is_first_line: bool,
    is_after_cr: bool,
}

impl Parser {
    /// A parser at the beginning of a stream that refuses a block of more than `event_bytes_max` bytes.
    ///
    /// ```
    /// use eric_sse::{ErrorKind, sse::parse::Parser};
    ///
    /// let error = Parser::new(8).feed(b"data: too much", &mut Vec::new()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TooLarge);
    /// ```
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            line: Vec::new(),
            data: String::new(),
            kind: String::new(),
            id: String::new(),
            last_id: String::new(),
            has_data: false,
            is_first_line: true,
            is_after_cr: false,
        }
    }

    /// The last event id, to send when reconnecting.
    ///
    /// ```
    /// use eric_sse::sse::parse::Parser;
    ///
    /// let mut parser = Parser::new(1024);
    /// parser.feed(b"id: 7\n\nid: 8\n", &mut Vec::new())?;
    /// assert_eq!(parser.last_id(), "7", "the block of the other is not over");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// Takes the next bytes of the stream and adds what they complete to `items`.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] where a block is larger than allowed; the parser is not to be used further.
    ///
    /// ```
    /// use eric_sse::sse::parse::Parser;
    ///
    /// let (mut parser, mut items) = (Parser::new(1024), Vec::new());
    /// parser.feed(b"data: hel", &mut items)?;
    /// assert!(items.is_empty());
    /// parser.feed(b"lo\n\n", &mut items)?;
    /// assert_eq!(items.len(), 1);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn feed(&mut self, bytes: &[u8], items: &mut Vec<Item>) -> Result<()> {
        let mut rest = bytes;
        if self.is_after_cr && !rest.is_empty() {
            self.is_after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            self.take(&rest[..end])?;
            self.end_line(items);
            let is_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if is_cr {
                self.is_after_cr = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.take(rest)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if self.line.len() + self.data.len() + bytes.len() > self.event_bytes_max {
            let text = format!("event has more than event_bytes_max={} bytes", self.event_bytes_max);
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, items: &mut Vec<Item>) {
        let line = std::mem::take(&mut self.line);
        let mut bytes = &line[..];
        if std::mem::take(&mut self.is_first_line) {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        let text = String::from_utf8_lossy(bytes);
        if text.is_empty() {
            self.end_block(items);
        } else if let Some(comment) = text.strip_prefix(':') {
            items.push(Item::Comment(comment.to_owned()));
        } else {
            let (field, value) = text.split_once(':').unwrap_or((&text, ""));
            self.field(field, value.strip_prefix(' ').unwrap_or(value), items);
        }
        self.line = line;
        self.line.clear();
    }

    fn field(&mut self, field: &str, value: &str, items: &mut Vec<Item>) {
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                items.extend(value.parse().ok().map(Item::RetryMs));
            }
            _ => {}
        }
    }

    fn end_block(&mut self, items: &mut Vec<Item>) {
        self.id.clone_into(&mut self.last_id);
        let kind = std::mem::take(&mut self.kind);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            let kind = if kind.is_empty() { "message".to_owned() } else { kind };
            items.push(Item::Event(Event { kind, data, id: self.last_id.clone() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(pieces: &[&[u8]]) -> Vec<Item> {
        let mut parser = Parser::new(1 << 20);
        let mut items = Vec::new();
        for piece in pieces {
            parser.feed(piece, &mut items).unwrap();
        }
        items
    }

    fn check(stream: &str, expected: &[(&str, &str, &str)]) {
        let events: Vec<_> = items(&[stream.as_bytes()])
            .into_iter()
            .filter_map(|item| match item {
                Item::Event(event) => Some((event.kind, event.data, event.id)),
                _ => None,
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(kind, data, id)| ((*kind).into(), (*data).into(), (*id).into())).collect();
        assert_eq!(events, expected, "{stream:?}");
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        check("data\n\ndata\ndata\n\ndata:test", &[("message", "", ""), ("message", "\n", "")]);
        check("data:  a\n\n", &[("message", " a", "")]);
        check("\u{feff}data: a\n\n\u{feff}data: b\n\n", &[("message", "a", "")]);
        check("id: 1\nevent: x\ndata: a\n\ndata: b\n\n", &[("x", "a", "1"), ("message", "b", "1")]);
        check("id: 1\n\ndata: a\n\nid\ndata: b\n\n", &[("message", "a", "1"), ("message", "b", "")]);
        check("id: a\0b\ndata: a\n\n", &[("message", "a", "")]);
        check("event: x\n\ndata: a\n\n", &[("message", "a", "")]);
        check("nonsense: 1\ndata: a\r\rdata: b\r\n\r\n", &[("message", "a", ""), ("message", "b", "")]);
    }

    #[test]
    fn retry_and_comments_are_told_apart_from_events() {
        let expected = [Item::Comment("ok".into()), Item::RetryMs(3000)];
        assert_eq!(items(&[b":ok\nretry: 3000\nretry: 3x\nretry: -1\n"]), expected);
    }

    #[test]
    fn a_block_at_the_limit_is_read_and_one_past_it_refused() {
        let feed = |data: usize| {
            Parser::new(100).feed(format!("data: {}\n", "x".repeat(data)).as_bytes(), &mut vec![])
        };
        assert!(feed(94).is_ok());
        assert_eq!(feed(95).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(stream in "(data|id|event|retry|:)?[: ab\u{feff}\r\n]{0,40}", cut in 0_usize..80) {
            let bytes = stream.as_bytes();
            let cut = cut.min(bytes.len());
            let byte_by_byte: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(items(&[bytes]), items(&[&bytes[..cut], &bytes[cut..]]));
            prop_assert_eq!(items(&[bytes]), items(&byte_by_byte));
        }
    }
}
