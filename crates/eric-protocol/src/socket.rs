//! Requests of the Unix socket: one JSON object, `{"v": verb, "c": channel, "r": listener, "t": type, "p": payload}`.
//!
//! As in the reference, white space around the object and unknown fields are ignored, and of a field that is given
//! twice the last counts. Everything else that is malformed is refused with a reason, and is not echoed. What the
//! reference does not have, ids, is there only with `"e": 1`.

use eric_sse::{Error, Message, Payload};
use serde_json::value::RawValue;

use crate::exception::Exception;
use crate::object::fields;

/// What a client of the socket asks for. Ids are texts still: one that cannot be an id is an unknown one.
///
/// ```
/// use eric_protocol::socket::{Request, parse};
///
/// let watch = Request::Watch { channel: "news".into(), has_ids: true };
/// assert_eq!(parse(br#"{"v": "w", "c": "news", "e": 1}"#), Ok(watch));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `c`: makes a channel; the answer is its id.
    CreateChannel,
    /// `r`: adds a listener; the answer is its id.
    Register {
        /// On this channel.
        channel: String,
    },
    /// `d`: publishes to one listener.
    Dispatch {
        /// Of this channel.
        channel: String,
        /// To this listener.
        listener: String,
        /// The message, with the ids that it was given.
        message: Message,
    },
    /// `b`: publishes to all listeners.
    Broadcast {
        /// Of this channel.
        channel: String,
        /// The message, with the ids that it was given.
        message: Message,
    },
    /// `l`: a listener's stream.
    Listen {
        /// Of this channel.
        channel: String,
        /// This listener's.
        listener: String,
        /// Whether lines tell position, message id and sender.
        has_ids: bool,
    },
    /// `w`: a watcher's stream.
    Watch {
        /// Of this channel.
        channel: String,
        /// Whether lines tell position, message id and sender.
        has_ids: bool,
    },
    /// `rl`: removes a listener.
    RemoveListener {
        /// Of this channel.
        channel: String,
        /// This one.
        listener: String,
    },
    /// `rc`: removes a channel.
    RemoveChannel {
        /// This one.
        channel: String,
    },
}

/// Every verb.
pub const VERBS: [&str; 8] = ["c", "r", "d", "b", "l", "w", "rl", "rc"];

/// Reads a request.
///
/// # Errors
/// An [`Exception`] of the class `InvalidMessageFormat` that names what is wrong.
///
/// ```
/// use eric_protocol::socket::{Request, parse};
///
/// assert_eq!(parse(br#"{"v": "rc", "c": "x"}"#)?, Request::RemoveChannel { channel: "x".into() });
/// let refused = parse(br#"{"v": "b", "c": "x"}"#).unwrap_err();
/// assert_eq!(refused.to_string(), r#"InvalidMessageFormat("field 't' is missing")"#);
/// # Ok::<(), eric_protocol::Exception>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<Request, Exception> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Exception::invalid_format(format!("request is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() {
        return Err(Exception::invalid_format("request is empty"));
    }
    if !text.starts_with('{') {
        return Err(Exception::invalid_format("request is not a JSON object"));
    }
    // What serde_json says of malformed JSON shows nothing of it.
    let names = ["v", "c", "r", "t", "p", "e", "message_id", "sender_id"];
    let [verb, channel, listener, kind, payload, ids, message_id, sender_id] = fields(text, names)
        .map_err(|error| Exception::invalid_format(format!("request is not JSON: {error}")))?;
    Fields { verb, channel, listener, kind, payload, ids, message_id, sender_id }.request()
}

/// The values of the fields that are known, as they were written.
#[derive(Debug)]
struct Fields<'a> {
    verb: Option<&'a RawValue>,
    channel: Option<&'a RawValue>,
    listener: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    ids: Option<&'a RawValue>,
    message_id: Option<&'a RawValue>,
    sender_id: Option<&'a RawValue>,
}

impl Fields<'_> {
    fn request(&self) -> Result<Request, Exception> {
        let verb = text("v", self.verb)?;
        let channel = || id("c", self.channel);
        let listener = || id("r", self.listener);
        let has_ids = || switch("e", self.ids);
        Ok(match verb.as_str() {
            "c" => Request::CreateChannel,
            "r" => Request::Register { channel: channel()? },
            "d" => Request::Dispatch { channel: channel()?, listener: listener()?, message: self.message()? },
            "b" => Request::Broadcast { channel: channel()?, message: self.message()? },
            "l" => Request::Listen { channel: channel()?, listener: listener()?, has_ids: has_ids()? },
            "w" => Request::Watch { channel: channel()?, has_ids: has_ids()? },
            "rl" => Request::RemoveListener { channel: channel()?, listener: listener()? },
            "rc" => Request::RemoveChannel { channel: channel()? },
            _ => {
                let verbs = VERBS.join(", ");
                return Err(Exception::invalid_format(format!("verb is not one of {verbs}")));
            }
        })
    }

    fn message(&self) -> Result<Message, Exception> {
        let refuse = |error: Error| Exception::invalid_format(error.to_string());
        let kind = text("t", self.kind)?.parse().map_err(refuse)?;
        let payload = self.payload.map_or_else(|| Ok(Payload::null()), Payload::from_raw).map_err(refuse)?;
        let mut message = Message::new(kind, payload).map_err(refuse)?;
        // To the reference's clients these two are unknown fields.
        if switch("e", self.ids)? {
            if let Some(id) = optional_text("message_id", self.message_id)? {
                message = message.with_id(id.parse().map_err(refuse)?);
            }
            if let Some(sender) = optional_text("sender_id", self.sender_id)? {
                message = message.with_sender(sender.parse().map_err(refuse)?);
            }
        }
        Ok(message)
    }
}

/// The text of a field that must be one.
fn text(name: &str, value: Option<&RawValue>) -> Result<String, Exception> {
    let value = value.ok_or_else(|| Exception::invalid_format(format!("field '{name}' is missing")))?;
    serde_json::from_str(value.get())
        .map_err(|_| Exception::invalid_format(format!("field '{name}' is not a string of Unicode")))
}

/// The text of a field that may be left out or null.
fn optional_text(name: &str, value: Option<&RawValue>) -> Result<Option<String>, Exception> {
    match value {
        None => Ok(None),
        Some(null) if null.get() == "null" => Ok(None),
        value => text(name, value).map(Some),
    }
}

/// The text of a field that names something. A string that is no Unicode names nothing, as the empty one does.
fn id(name: &str, value: Option<&RawValue>) -> Result<String, Exception> {
    match value {
        Some(value) if value.get().starts_with('"') => Ok(text(name, Some(value)).unwrap_or_default()),
        value => text(name, value),
    }
}

/// A field that is on with 1 or true, and off with 0, false, null or where it is missing.
fn switch(name: &str, value: Option<&RawValue>) -> Result<bool, Exception> {
    match value.map_or("0", RawValue::get) {
        "1" | "true" => Ok(true),
        "0" | "false" | "null" => Ok(false),
        _ => Err(Exception::invalid_format(format!("field '{name}' is neither 0 nor 1"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(request: &str, expected: Request) {
        assert_eq!(parse(request.as_bytes()).unwrap(), expected, "{request}");
    }

    fn message(kind: &str, payload: &str) -> Message {
        Message::new(kind.parse().unwrap(), Payload::from_json(payload).unwrap()).unwrap()
    }

    #[test]
    fn every_verb_is_read() {
        let (channel, listener) = (|| "x".to_owned(), || "y".to_owned());
        check(r#"{"v":"c","c":"ignored"}"#, Request::CreateChannel);
        check(" {\"v\": \"r\", \"c\": \"x\"}\n", Request::Register { channel: channel() });
        check(
            r#"{"v":"d","c":"x","r":"y","t":"k","p":{"a": [1, null]}}"#,
            Request::Dispatch {
                channel: channel(),
                listener: listener(),
                message: message("k", r#"{"a":[1,null]}"#),
            },
        );
        check(
            r#"{"v":"b","c":"x","t":""}"#,
            Request::Broadcast { channel: channel(), message: message("", "null") },
        );
        check(
            r#"{"v":"l","c":"x","r":"y"}"#,
            Request::Listen { channel: channel(), listener: listener(), has_ids: false },
        );
        check(
            r#"{"v":"l","c":"x","r":"y","e":1}"#,
            Request::Listen { channel: channel(), listener: listener(), has_ids: true },
        );
        check(r#"{"v":"w","c":"x"}"#, Request::Watch { channel: channel(), has_ids: false });
        check(
            r#"{"v":"rl","c":"x","r":"y"}"#,
            Request::RemoveListener { channel: channel(), listener: listener() },
        );
        check(r#"{"v":"rc","c":"x"}"#, Request::RemoveChannel { channel: channel() });
    }

    #[test]
    fn ids_of_a_message_count_where_they_are_asked_for() {
        let request = |fields: &str| format!(r#"{{"v":"b","c":"x","t":"k"{fields}}}"#);
        let broadcast = |message| Request::Broadcast { channel: "x".to_owned(), message };
        let bare = || message("k", "null");
        let signed = || bare().with_id("é 1".parse().unwrap()).with_sender("s".parse().unwrap());
        let ids = r#","message_id":"\u00e9 1","sender_id":"s""#;
        check(&request(&format!(r#"{ids},"e":1"#)), broadcast(signed()));
        for off in ["", r#","e":0"#, r#","e":false"#, r#","e":null"#] {
            check(&request(&format!("{ids}{off}")), broadcast(bare()));
            check(&request(&format!(r#","message_id":"","sender_id":[1]{off}"#)), broadcast(bare()));
        }
        check(&request(r#","e":1"#), broadcast(bare()));
        check(&request(r#","e":true,"message_id":null,"sender_id":null"#), broadcast(bare()));
        for (fields, reason) in [
            (r#","message_id":7"#, "field 'message_id' is not a string of Unicode"),
            (r#","message_id":"\ud800""#, "field 'message_id' is not a string of Unicode"),
            (r#","sender_id":["s"]"#, "field 'sender_id' is not a string of Unicode"),
            (r#","message_id":"""#, "message id is empty"),
            (r#","sender_id":"a\nb""#, "sender id"),
        ] {
            let refused = parse(request(&format!(r#"{fields},"e":1"#)).as_bytes()).unwrap_err();
            assert_eq!(refused.class(), crate::exception::Class::InvalidMessageFormat);
            assert!(refused.to_string().contains(reason), "{fields} {refused}");
        }
        assert!(parse(request(r#","e":2"#).as_bytes()).is_err(), "neither on nor off");
    }

    #[test]
    fn what_is_unknown_is_ignored_and_of_two_the_last_counts() {
        let nested = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        check(&format!(r#"{{"v":"c","z":{nested},"Infinity":"NaN"}}"#), Request::CreateChannel);
        check(r#"{"v":7,"\u0076":"rc","c":"a","c":"x"}"#, Request::RemoveChannel { channel: "x".into() });
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_every_refusal_is_of_one_class(bytes: Vec<u8>) {
            if let Err(refused) = parse(&bytes) {
                prop_assert_eq!(refused.class(), crate::exception::Class::InvalidMessageFormat);
            }
        }

        #[test]
        fn ids_types_and_payloads_come_as_they_were_sent(channel in ".*", kind in "[^\r\n\0]{0,20}", payload in ".*") {
            prop_assume!(!kind.starts_with("eric."));
            let request = serde_json::json!({"v": "b", "c": channel, "t": kind, "p": [payload]}).to_string();
            let expected = message(&kind, &serde_json::json!([payload]).to_string());
            prop_assert_eq!(parse(request.as_bytes()).unwrap(), Request::Broadcast { channel, message: expected });
        }
    }
}
