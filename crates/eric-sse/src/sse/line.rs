//! An entry as a line of JSON, as the Unix socket writes it: `{"event": …, "retry": …, "data": …}`.
//!
//! The style is that of Python's `json.dumps`: `, ` and `: `, ASCII only, `\u` with lower-case digits. Numbers stay
//! as they were written.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use serde::Serialize;

use crate::entry::Entry;
use crate::json::{string_end, units};

/// Puts `entry` as one line.
pub(super) fn put_line(frame: &mut BytesMut, entry: &Entry, retry: Duration, has_ids: bool) {
    let message = entry.message();
    frame.put_slice(b"{\"event\": ");
    put_text(frame, message.kind().as_str());
    frame.put_slice(b", \"retry\": ");
    frame.put_slice(itoa::Buffer::new().format(retry.as_millis()).as_bytes());
    frame.put_slice(b", \"data\": ");
    put_styled(frame, message.payload().as_json());
    if has_ids {
        frame.put_slice(b", \"id\": ");
        put_text(frame, &entry.position().to_string());
        frame.put_slice(b", \"message_id\": ");
        put_text(frame, &message.id().map(|id| id.as_str()));
        frame.put_slice(b", \"sender_id\": ");
        put_text(frame, &message.sender().map(|sender| sender.as_str()));
    }
    frame.put_slice(b"}\n");
}

fn put_text(frame: &mut BytesMut, text: &(impl Serialize + ?Sized)) {
    put_styled(frame, &serde_json::to_string(text).expect("a text is JSON"));
}

/// Puts `json`, which is minified, in the style of Python's `json.dumps`.
fn put_styled(frame: &mut BytesMut, json: &str) {
    let bytes = json.as_bytes();
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                frame.put_slice(&bytes[copied..at]);
                let end = string_end(bytes, at);
                put_string(frame, &json[at..end]);
                (at, copied) = (end, end);
            }
            b',' | b':' => {
                at += 1;
                frame.put_slice(&bytes[copied..at]);
                frame.put_u8(b' ');
                copied = at;
            }
            _ => at += 1,
        }
    }
    frame.put_slice(&bytes[copied..]);
}

fn put_string(frame: &mut BytesMut, quoted: &str) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    if quoted.as_bytes().iter().all(is_plain) {
        frame.put_slice(quoted.as_bytes());
        return;
    }
    frame.put_u8(b'"');
    for unit in units(quoted) {
        match unit {
            0x22 => frame.put_slice(b"\\\""),
            0x5c => frame.put_slice(b"\\\\"),
            0x08 => frame.put_slice(b"\\b"),
            0x0c => frame.put_slice(b"\\f"),
            0x0a => frame.put_slice(b"\\n"),
            0x0d => frame.put_slice(b"\\r"),
            0x09 => frame.put_slice(b"\\t"),
            0x20..=0x7e => frame.put_u8(unit as u8),
            _ => {
                frame.put_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    frame.put_u8(b"0123456789abcdef"[usize::from(unit >> shift & 0xf)]);
                }
            }
        }
    }
    frame.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::{Format, event_frame};
    use super::*;
    use crate::clock::Timestamp;
    use crate::entry::{Offset, Position};
    use crate::lane::Lane;
    use crate::message::{Message, Payload};

    fn styled(json: &str) -> String {
        let mut frame = BytesMut::new();
        put_styled(&mut frame, json);
        String::from_utf8(frame.to_vec()).unwrap()
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        for (json, expected) in [
            (r#"{"a":[1,null],"b":{}}"#, r#"{"a": [1, null], "b": {}}"#),
            (r#"{"a,b:":"c:d,"}"#, r#"{"a,b:": "c:d,"}"#),
            (r#""é\u00E9🙂\ud83d\ude42""#, r#""\u00e9\u00e9\ud83d\ude42\ud83d\ude42""#),
            (r#""\/\"\\\b\f\n\r\t\u0041\u0000\u001f""#, r#""/\"\\\b\f\n\r\tA\u0000\u001f""#),
            ("\"\u{7f}\u{2028}\"", r#""\u007f\u2028""#),
            (r#""\ud800""#, r#""\ud800""#),
            ("[1.50,1E5,-0.0,12345678901234567890123]", "[1.50, 1E5, -0.0, 12345678901234567890123]"),
        ] {
            assert_eq!(styled(json), expected);
        }
    }

    #[test]
    fn a_line_has_event_retry_and_data_and_ids_where_they_are_asked_for() {
        let message = Message::new("tÿ".parse().unwrap(), Payload::from_json(r#"{"a":1}"#).unwrap()).unwrap();
        let position = Position { epoch: "e".parse().unwrap(), offset: Offset::new(7) };
        let entry = |message| Entry::new(position, Lane::new(1), Timestamp::from_ms(0), message);
        let signed = message.clone().with_id("k\"".parse().unwrap()).with_sender("s".parse().unwrap());
        for (message, format, expected) in [
            (&message, Format::Line, r#"{"event": "t\u00ff", "retry": 5, "data": {"a": 1}}"#),
            (
                &message,
                Format::LineWithIds,
                r#"{"event": "t\u00ff", "retry": 5, "data": {"a": 1}, "id": "e-7", "message_id": null, "sender_id": null}"#,
            ),
            (
                &signed,
                Format::LineWithIds,
                r#"{"event": "t\u00ff", "retry": 5, "data": {"a": 1}, "id": "e-7", "message_id": "k\"", "sender_id": "s"}"#,
            ),
        ] {
            let line = event_frame(&entry(message.clone()), format, Duration::from_millis(5));
            assert_eq!(line, format!("{expected}\n"));
        }
    }

    proptest! {
        #[test]
        fn what_is_styled_means_the_same_and_is_ascii(texts in proptest::collection::vec(".*", 0..4), number: i64) {
            let value = serde_json::json!({"texts": texts, "number": number, "none": null});
            let styled = styled(&serde_json::to_string(&value).unwrap());
            prop_assert!(styled.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&styled).unwrap(), value);
        }
    }
}
