//! What an application remembers of what it handled: how far it got, and what it answered to the last message.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::entry::Position;
use crate::error::Result;
use crate::id::{ChannelId, ListenerId};
use crate::message::{Message, Payload};
use crate::persist::Record;
use crate::persist::record::{VERSION, corrupt, json, known_version, parse};

/// How far an application got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handled {
    pub(super) channel: ChannelId,
    pub(super) listener: ListenerId,
    /// The last message that was handled.
    pub(super) position: Position,
    /// What was answered to it.
    pub(super) answers: Vec<Message>,
}

impl Handled {
    /// Whether the message at `position` was handled.
    pub(super) fn covers(&self, position: Position) -> bool {
        self.position.epoch == position.epoch && position.offset <= self.position.offset
    }

    /// What was answered to the message at `position`, where that was the last; to those before it, answers were sent
    /// and acknowledged.
    pub(super) fn answers_at(&self, position: Position) -> &[Message] {
        if self.position == position { &self.answers } else { &[] }
    }
}

impl Record for Handled {
    const PREFIX: &'static str = "handled/";

    type Place = (ChannelId, ListenerId);

    fn key((channel, listener): Self::Place) -> String {
        // Ids may be any text: where the one ends must be known.
        format!("{}{}/{channel}/{listener}", Self::PREFIX, channel.as_str().len())
    }

    fn encode(&self) -> (String, Bytes) {
        let stored = StoredHandled {
            version: VERSION,
            channel: self.channel.to_string(),
            listener: self.listener.to_string(),
            position: self.position.to_string(),
            answers: self.answers.iter().map(StoredAnswer::from).collect(),
        };
        (Self::key((self.channel.clone(), self.listener.clone())), json(&stored))
    }

    fn decode(key: &str, value: &[u8]) -> Result<Self> {
        let stored: StoredHandled = parse(key, value)?;
        let answers: Result<Vec<Message>> = stored.answers.iter().map(StoredAnswer::message).collect();
        Ok(Self {
            channel: stored.channel.parse().map_err(|error| corrupt(key, error))?,
            listener: stored.listener.parse().map_err(|error| corrupt(key, error))?,
            position: stored.position.parse().map_err(|error| corrupt(key, error))?,
            answers: answers.map_err(|error| corrupt(key, error))?,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHandled {
    #[serde(deserialize_with = "known_version")]
    version: u32,
    channel: String,
    listener: String,
    position: String,
    answers: Vec<StoredAnswer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAnswer {
    #[serde(rename = "type")]
    kind: String,
    payload: Box<RawValue>,
    id: Option<String>,
    sender_id: Option<String>,
}

impl From<&Message> for StoredAnswer {
    fn from(message: &Message) -> Self {
        let payload = message.payload().as_json().to_owned();
        Self {
            kind: message.kind().to_string(),
            payload: RawValue::from_string(payload).expect("a payload is JSON"),
            id: message.id().map(ToString::to_string),
            sender_id: message.sender().map(ToString::to_string),
        }
    }
}

impl StoredAnswer {
    fn message(&self) -> Result<Message> {
        let mut message = Message::new(self.kind.parse()?, Payload::from_raw(&self.payload)?)?;
        if let Some(id) = &self.id {
            message = message.with_id(id.parse()?);
        }
        if let Some(sender) = &self.sender_id {
            message = message.with_sender(sender.parse()?);
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn handled(channel: &str, listener: &str) -> Handled {
        let answer = Message::of("t", &["an answer"]).unwrap();
        let signed = answer.clone().with_id("re:1:0".parse().unwrap()).with_sender("alice".parse().unwrap());
        Handled {
            channel: channel.parse().unwrap(),
            listener: listener.parse().unwrap(),
            position: "0123456789ab-7".parse().unwrap(),
            answers: vec![answer, signed],
        }
    }

    #[test]
    fn what_was_handled_comes_back() {
        let record = handled("news/eu", "al ice");
        let (key, value) = record.encode();
        assert_eq!(Handled::decode(&key, &value).unwrap(), record);
        let later = String::from_utf8(value.to_vec()).unwrap().replace("\"version\":1", "\"version\":2");
        let error = Handled::decode(&key, later.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(&key) && error.to_string().contains("version=2"), "{error}");
    }

    #[test]
    fn no_two_applications_have_the_same_record() {
        let key = |channel, listener| handled(channel, listener).encode().0;
        assert_ne!(key("a/b", "c"), key("a", "b/c"));
        assert_ne!(key("a", "b"), key("b", "a"));
    }

    #[test]
    fn only_the_last_message_has_answers_that_may_have_to_be_sent_again() {
        let record = handled("c", "l");
        let at = |text: &str| text.parse::<Position>().unwrap();
        assert!(record.covers(at("0123456789ab-7")) && record.covers(at("0123456789ab-6")));
        assert!(!record.covers(at("0123456789ab-8")) && !record.covers(at("0123456789ac-6")));
        assert_eq!(record.answers_at(at("0123456789ab-7")).len(), 2);
        assert_eq!(record.answers_at(at("0123456789ab-6")), []);
    }
}
