//! Messages as publishers send them: one object, or one per line.
//!
//! `{"type": string, "payload"?: any = null, "id"?: string, "sender_id"?: string}`; nothing else. This is the one
//! parsing pass: afterwards a message cannot be malformed.

use std::borrow::Cow;

use eric_sse::limits::BATCH_MESSAGES_MAX;
use eric_sse::{IdempotencyKey, Message, Payload, Publish};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::code::Code;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "present")]
    id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sender_id: Option<String>,
}

/// A field that may be left out, but not null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// `bytes` as text.
///
/// # Errors
/// [`Code::BadRequest`] that says where it stops being UTF-8.
///
/// ```
/// use eric_protocol::message::text;
///
/// assert_eq!(text("é".as_bytes())?, "é");
/// assert_eq!(text(b"caf\xe9").unwrap_err().detail, "body is not UTF-8 at byte 3");
/// # Ok::<(), eric_protocol::Problem>(())
/// ```
pub fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes)
        .map_err(|error| Problem::bad_request(format!("body is not UTF-8 at byte {}", error.valid_up_to())))
}

/// `text` as a JSON object of type `T`.
///
/// # Errors
/// [`Code::BadRequest`] that says what is wrong, and where.
///
/// ```
/// use std::collections::BTreeMap;
/// use eric_protocol::message::object;
///
/// let body: BTreeMap<String, u64> = object(r#"{"limit": 7}"#)?;
/// assert_eq!(body["limit"], 7);
/// assert_eq!(object::<BTreeMap<String, u64>>("[7]").unwrap_err().detail, "body is not a JSON object");
/// # Ok::<(), eric_protocol::Problem>(())
/// ```
pub fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    let start = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if !start.is_empty() && !start.starts_with('{') {
        return Err(Problem::bad_request("body is not a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| Problem::bad_request(format!("body: {error}")))
}

/// One message; `header_key` is the `Idempotency-Key` of its request.
///
/// # Errors
/// [`Code::BadRequest`] and [`Code::TooLarge`], naming the thing and the reason.
///
/// ```
/// let publish = eric_protocol::message::one(r#"{"type": "tick", "payload": 1, "id": "k"}"#, None)?;
/// assert_eq!(publish.key.unwrap().as_str(), "k");
/// # Ok::<(), eric_protocol::Problem>(())
/// ```
pub fn one(text: &str, header_key: Option<IdempotencyKey>) -> Result<Publish, Problem> {
    let body: Body<'_> = object(text)?;
    let payload = body.payload.map_or_else(|| Ok(Payload::null()), Payload::from_raw)?;
    let mut message = Message::new(body.kind.parse()?, payload)?;
    if let Some(id) = body.id {
        message = message.with_id(id.parse()?);
    }
    if let Some(sender) = body.sender_id {
        message = message.with_sender(sender.parse()?);
    }
    let publish = Publish::from(message);
    match (&publish.key, header_key) {
        (Some(id), Some(header)) if *id != header => {
            Err(Problem::bad_request(format!("id={id} and Idempotency-Key={header} differ")))
        }
        (None, header_key) => Ok(Publish { key: header_key, ..publish }),
        _ => Ok(publish),
    }
}

/// One message per line; blank lines are ignored.
///
/// # Errors
/// As [`one`], with the number of the line; [`Code::TooLarge`] for more than [`BATCH_MESSAGES_MAX`];
/// [`Code::BadRequest`] for none.
///
/// ```
/// use eric_protocol::message::lines;
///
/// assert_eq!(lines("{\"type\":\"a\"}\n\n{\"type\":\"b\"}")?.len(), 2);
/// assert_eq!(lines("{\"type\":\"a\"}\n{}").unwrap_err().line, Some(2));
/// # Ok::<(), eric_protocol::Problem>(())
/// ```
pub fn lines(text: &str) -> Result<Vec<Publish>, Problem> {
    let mut batch = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        if line.trim_matches([' ', '\t', '\r']).is_empty() {
            continue;
        }
        if batch.len() == BATCH_MESSAGES_MAX {
            let detail = format!("batch has more than batch_messages_max={BATCH_MESSAGES_MAX} messages");
            return Err(Problem::new(Code::TooLarge, detail).at_line(index + 1));
        }
        batch.push(one(line, None).map_err(|problem| problem.at_line(index + 1))?);
    }
    if batch.is_empty() {
        return Err(Problem::bad_request("body has no message"));
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let outcome = one(text, None).map(|publish| publish.message.payload().as_json().to_owned());
        match (outcome, expected) {
            (Ok(payload), Ok(expected)) => assert_eq!(payload, expected, "{text}"),
            (Err(problem), Err(expected)) => {
                assert!(problem.detail.contains(expected), "{text}: {}", problem.detail)
            }
            (outcome, _) => panic!("{text}: {outcome:?}"),
        }
    }

    #[test]
    fn a_message_is_read_strictly() {
        check(r#"{"type":"t"}"#, Ok("null"));
        check(r#" {"type":"t","payload":null} "#, Ok("null"));
        check(r#"{"type":"t","payload":{"b": 1.50, "a": [1e400]}}"#, Ok(r#"{"b":1.50,"a":[1e400]}"#));
        check(r#"{"type":"\u00e9","payload":"\ud83d\ude42"}"#, Ok(r#""\ud83d\ude42""#));
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "missing field `type`"),
            (r#"["t"]"#, "not a JSON object"),
            (r#"{"type":1}"#, "invalid type"),
            (r#"{"type":null}"#, "invalid type"),
            (r#"{"type":"t","id":null}"#, "invalid type"),
            (r#"{"type":"t","id":7}"#, "invalid type"),
            (r#"{"type":"t","type":"u"}"#, "duplicate field"),
            (r#"{"type":"t","color":1}"#, "unknown field `color`"),
            (r#"{"type":"t","payload":NaN}"#, "expected value"),
            (r#"{"type":"t","payload":[1,]}"#, "expected value"),
            (r#"{"type":"t"} x"#, "trailing characters"),
            (r#"{"type":"a\nb"}"#, "line break"),
            (r#"{"type":"eric.gap"}"#, "reserved"),
            (r#"{"type":"t","id":""}"#, "message id is empty"),
            (r#"{"type":"t","sender_id":"a\nb"}"#, "sender id"),
        ] {
            check(text, Err(reason));
        }
        let deep = format!(r#"{{"type":"t","payload":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        check(&deep, Err("deeper than 128"));
    }

    #[test]
    fn a_key_comes_from_the_id_or_the_header_and_they_agree() {
        let key = |text: &str| Some(text.parse::<IdempotencyKey>().unwrap());
        let of = |body: &str, header| one(body, header).map(|publish| publish.key);
        assert_eq!(of(r#"{"type":"t"}"#, None).unwrap(), None);
        assert_eq!(of(r#"{"type":"t"}"#, key("h")).unwrap(), key("h"));
        assert_eq!(of(r#"{"type":"t","id":"i"}"#, None).unwrap(), key("i"));
        assert_eq!(of(r#"{"type":"t","id":"i"}"#, key("i")).unwrap(), key("i"));
        assert_eq!(of(r#"{"type":"t","id":"i"}"#, key("h")).unwrap_err().code, Code::BadRequest);
    }

    #[test]
    fn a_batch_has_1_to_10_000_messages() {
        let batch = |messages: usize| lines(&"{\"type\":\"t\"}\r\n".repeat(messages));
        assert_eq!(batch(0).unwrap_err().code, Code::BadRequest);
        assert_eq!(batch(BATCH_MESSAGES_MAX).unwrap().len(), BATCH_MESSAGES_MAX);
        assert_eq!(batch(BATCH_MESSAGES_MAX + 1).unwrap_err().code, Code::TooLarge);
    }

    proptest! {
        #[test]
        fn no_input_panics(text in ".*") {
            let _ = one(&text, None);
            let _ = lines(&text);
        }
    }
}
