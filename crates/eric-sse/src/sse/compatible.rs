//! An entry as an event for the clients of eric-api: `id`, `event`, `data`, `retry`, a blank line.
//!
//! Strings come verbatim, one `data` line for each of their lines; everything else is JSON, null included.

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::encode::put_id;
use crate::entry::Entry;
use crate::json::units;

/// Puts `entry` as one event.
pub(super) fn put_event(frame: &mut BytesMut, entry: &Entry, retry: Duration) {
    let message = entry.message();
    let payload = message.payload();
    put_id(frame, entry.position());
    frame.put_slice(b"event: ");
    frame.put_slice(message.kind().as_str().as_bytes());
    frame.put_u8(b'\n');
    match payload.as_json().starts_with('"') {
        true => put_text(frame, &text(payload.as_json())),
        false => put_data(frame, payload.bytes()),
    }
    frame.put_slice(b"retry: ");
    frame.put_slice(itoa::Buffer::new().format(retry.as_millis()).as_bytes());
    frame.put_slice(b"\n\n");
}

/// The text that a JSON string spells; half of a surrogate pair, which no UTF-8 can spell, becomes U+FFFD.
fn text(quoted: &str) -> String {
    char::decode_utf16(units(quoted)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Puts `text` as one `data` line for each of its lines; they end as in an event stream, by CR, LF or both.
fn put_text(frame: &mut BytesMut, mut text: &str) {
    while let Some(end) = text.find(['\r', '\n']) {
        put_data(frame, &text.as_bytes()[..end]);
        text = &text[end..];
        text = text.strip_prefix("\r\n").unwrap_or_else(|| &text[1..]);
    }
    put_data(frame, text.as_bytes());
}

fn put_data(frame: &mut BytesMut, line: &[u8]) {
    frame.put_slice(b"data: ");
    frame.put_slice(line);
    frame.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::{Format, event_frame};
    use super::super::parse::{Event, Item, Parser};
    use super::*;
    use crate::clock::Timestamp;
    use crate::entry::{Offset, Position};
    use crate::lane::Lane;
    use crate::message::{Message, Payload};

    fn encoded(kind: &str, payload: &str) -> String {
        let message = Message::new(kind.parse().unwrap(), Payload::from_json(payload).unwrap()).unwrap();
        let position = Position { epoch: "e".parse().unwrap(), offset: Offset::new(7) };
        let entry = Entry::new(position, Lane::new(1), Timestamp::from_ms(0), message);
        let frame = event_frame(&entry, Format::Compatible, Duration::from_secs(3));
        String::from_utf8(frame.to_vec()).unwrap()
    }

    fn check(payload: &str, data: &str) {
        assert_eq!(encoded("t", payload), format!("id: e-7\nevent: t\n{data}retry: 3000\n\n"), "{payload}");
    }

    #[test]
    fn strings_come_verbatim_and_everything_else_as_json() {
        check(r#""hi there""#, "data: hi there\n");
        check(r#""""#, "data: \n");
        check(r#""a\nb\r\nc\rd\n""#, "data: a\ndata: b\ndata: c\ndata: d\ndata: \n");
        check(r#""\r\r\n\n""#, "data: \ndata: \ndata: \ndata: \n");
        check(r#""\"\\\/\t\u00e9é\ud83d\ude42🙂""#, "data: \"\\/\té\u{e9}🙂🙂\n");
        check(r#""\ud800x""#, "data: \u{fffd}x\n");
        check("null", "data: null\n");
        check("true", "data: true\n");
        check(r#"{"a": [1.50, null], "b": "x\ny"}"#, "data: {\"a\":[1.50,null],\"b\":\"x\\ny\"}\n");
        check("123456789012345678901234567890", "data: 123456789012345678901234567890\n");
        assert!(
            encoded("", "1").contains("\nevent: \n")
                && encoded("message", "1").contains("\nevent: message\n")
        );
    }

    proptest! {
        #[test]
        fn a_text_is_read_back_with_its_line_ends_made_equal(text in "(\\PC|[\r\n])*") {
            let frame = encoded("t", &serde_json::to_string(&text).unwrap());
            let mut items = Vec::new();
            Parser::new(1 << 20).feed(frame.as_bytes(), &mut items).unwrap();
            let data = text.replace("\r\n", "\n").replace('\r', "\n");
            let event = Event { kind: "t".into(), data, id: "e-7".into() };
            prop_assert!(items.contains(&Item::Event(event)), "{:?}", items);
        }
    }
}
