//! How records look: JSON with a version, written out apart from the domain's types so that neither freezes the other.
//!
//! ```text
//! channel/<lane>            {"version":1,"id":"orders","lane":7,"settings":{"retry_ms":3000,…}}
//! listener/<channel>/<lane> {"version":1,"id":"bob","channel":7,"lane":9,"is_generated":false,"seen_ms":1795…}
//! ```
//! A key has its lanes with 20 digits each, so that the order of keys is that of lanes: a channel's listeners are
//! next to each other, in the order of their registration. Ids are in values alone, and so may be any text.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use crate::channel::ChannelSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChannelId, ListenerId};
use crate::lane::{Lane, Overflow};

/// What all keys of channels begin with.
pub(crate) const CHANNELS: &str = "channel/";
/// What all keys of listeners begin with.
pub(crate) const LISTENERS: &str = "listener/";

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Where the record of a channel is.
pub(crate) fn channel_key(lane: Lane) -> String {
    format!("{CHANNELS}{:020}", lane.get())
}

/// Where the record of a listener is.
pub(crate) fn listener_key(channel: Lane, lane: Lane) -> String {
    format!("{LISTENERS}{:020}/{:020}", channel.get(), lane.get())
}

/// What is remembered of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelRecord {
    pub(crate) id: ChannelId,
    pub(crate) lane: Lane,
    pub(crate) settings: ChannelSettings,
}

/// What is remembered of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenerRecord {
    pub(crate) id: ListenerId,
    pub(crate) channel: Lane,
    pub(crate) lane: Lane,
    pub(crate) is_generated: bool,
    pub(crate) seen_ms: u64,
}

impl ChannelRecord {
    pub(crate) fn encode(&self) -> (String, Bytes) {
        let Self { id, lane, settings } = self;
        let stored = StoredChannel {
            version: VERSION,
            id: id.as_str().into(),
            lane: lane.get(),
            settings: StoredSettings::from(settings),
        };
        (channel_key(*lane), json(&stored))
    }

    /// # Errors
    /// [`ErrorKind::Corrupt`] that names the key.
    pub(crate) fn decode(key: &str, value: &[u8]) -> Result<Self> {
        let stored: StoredChannel<'_> = parse(key, value)?;
        let record = Self {
            id: stored.id.parse().map_err(|error| corrupt(key, error))?,
            lane: Lane::new(stored.lane),
            settings: stored.settings.into(),
        };
        record.settings.check().map_err(|error| corrupt(key, error))?;
        has_its_key(key, &channel_key(record.lane))?;
        Ok(record)
    }
}

impl ListenerRecord {
    pub(crate) fn encode(&self) -> (String, Bytes) {
        let Self { id, channel, lane, is_generated, seen_ms } = self;
        let stored = StoredListener {
            version: VERSION,
            id: id.as_str().into(),
            channel: channel.get(),
            lane: lane.get(),
            is_generated: *is_generated,
            seen_ms: *seen_ms,
        };
        (listener_key(*channel, *lane), json(&stored))
    }

    /// # Errors
    /// [`ErrorKind::Corrupt`] that names the key.
    pub(crate) fn decode(key: &str, value: &[u8]) -> Result<Self> {
        let stored: StoredListener<'_> = parse(key, value)?;
        let record = Self {
            id: stored.id.parse().map_err(|error| corrupt(key, error))?,
            channel: Lane::new(stored.channel),
            lane: Lane::new(stored.lane),
            is_generated: stored.is_generated,
            seen_ms: stored.seen_ms,
        };
        has_its_key(key, &listener_key(record.channel, record.lane))?;
        Ok(record)
    }
}

fn json(stored: &impl Serialize) -> Bytes {
    serde_json::to_vec(stored).expect("numbers and text become JSON").into()
}

fn parse<'a, T: Deserialize<'a>>(key: &str, value: &'a [u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| corrupt(key, error))
}

fn has_its_key(key: &str, expected: &str) -> Result<()> {
    if key == expected { Ok(()) } else { Err(corrupt(key, format!("it is of key={expected}"))) }
}

fn corrupt(key: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("record key={key} cannot be read: {reason}"))
}

/// The version of a record, which comes first, so that a later one is found out before what is new in it.
fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => {
            let text = format!("version={other} is unknown, {VERSION} is read");
            Err(serde::de::Error::custom(text))
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredChannel<'a> {
    #[serde(deserialize_with = "known_version")]
    version: u32,
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    lane: u64,
    settings: StoredSettings,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredListener<'a> {
    #[serde(deserialize_with = "known_version")]
    version: u32,
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    channel: u64,
    lane: u64,
    is_generated: bool,
    seen_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSettings {
    retry_ms: u64,
    stream_delay_ms: u64,
    max_messages: u64,
    max_bytes: u64,
    max_age_s: u64,
    history: u64,
    max_unread_per_listener: u64,
    max_unread_bytes_per_listener: u64,
    listener_expires_s: Option<u64>,
    generated_listener_expires_s: Option<u64>,
    overflow: StoredOverflow,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredOverflow {
    DropOldest,
    Reject,
}

impl From<&ChannelSettings> for StoredSettings {
    fn from(settings: &ChannelSettings) -> Self {
        let ChannelSettings {
            retry_ms,
            stream_delay_ms,
            max_messages,
            max_bytes,
            max_age_s,
            history,
            max_unread_per_listener,
            max_unread_bytes_per_listener,
            listener_expires_s,
            generated_listener_expires_s,
            overflow,
        } = *settings;
        Self {
            retry_ms,
            stream_delay_ms,
            max_messages,
            max_bytes,
            max_age_s,
            history,
            max_unread_per_listener,
            max_unread_bytes_per_listener,
            listener_expires_s,
            generated_listener_expires_s,
            overflow: match overflow {
                Overflow::DropOldest => StoredOverflow::DropOldest,
                Overflow::Reject => StoredOverflow::Reject,
            },
        }
    }
}

impl From<StoredSettings> for ChannelSettings {
    fn from(stored: StoredSettings) -> Self {
        Self {
            retry_ms: stored.retry_ms,
            stream_delay_ms: stored.stream_delay_ms,
            max_messages: stored.max_messages,
            max_bytes: stored.max_bytes,
            max_age_s: stored.max_age_s,
            history: stored.history,
            max_unread_per_listener: stored.max_unread_per_listener,
            max_unread_bytes_per_listener: stored.max_unread_bytes_per_listener,
            listener_expires_s: stored.listener_expires_s,
            generated_listener_expires_s: stored.generated_listener_expires_s,
            overflow: match stored.overflow {
                StoredOverflow::DropOldest => Overflow::DropOldest,
                StoredOverflow::Reject => Overflow::Reject,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings() -> impl Strategy<Value = ChannelSettings> {
        let expiry = || proptest::option::of(1..=u64::MAX);
        let numbers = (1..=u64::MAX, 1..=u64::MAX, 1..=u64::MAX, any::<u64>(), 1..=u64::MAX, 1..=u64::MAX);
        (100..=3_600_000_u64, 0..=60_000_u64, numbers, expiry(), expiry(), any::<bool>()).prop_map(
            |(retry_ms, stream_delay_ms, numbers, named, generated, rejects)| ChannelSettings {
                retry_ms,
                stream_delay_ms,
                max_messages: numbers.0,
                max_bytes: numbers.1,
                max_age_s: numbers.2,
                history: numbers.3,
                max_unread_per_listener: numbers.4,
                max_unread_bytes_per_listener: numbers.5,
                listener_expires_s: named,
                generated_listener_expires_s: generated,
                overflow: if rejects { Overflow::Reject } else { Overflow::DropOldest },
            },
        )
    }

    /// Ids of any characters, quotes and backslashes among them more often than chance would have it.
    fn id() -> impl Strategy<Value = String> {
        let text = proptest::collection::vec(prop_oneof![any::<char>(), Just('"'), Just('\\')], 1..40);
        text.prop_map(String::from_iter).prop_filter("an id", |text| text.parse::<ChannelId>().is_ok())
    }

    proptest! {
        #[test]
        fn records_of_channels_come_back(id in id(), lane: u64, settings in settings()) {
            let record = ChannelRecord { id: id.parse().unwrap(), lane: Lane::new(lane), settings };
            let (key, value) = record.encode();
            prop_assert_eq!(ChannelRecord::decode(&key, &value).unwrap(), record);
        }

        #[test]
        fn records_of_listeners_come_back(id in id(), lanes: (u64, u64), is_generated: bool, seen_ms: u64) {
            let (channel, lane) = (Lane::new(lanes.0), Lane::new(lanes.1));
            let record = ListenerRecord { id: id.parse().unwrap(), channel, lane, is_generated, seen_ms };
            let (key, value) = record.encode();
            prop_assert_eq!(ListenerRecord::decode(&key, &value).unwrap(), record);
        }

        #[test]
        fn keys_are_in_the_order_of_lanes(one: (u64, u64), other: (u64, u64)) {
            let key = |(channel, lane)| listener_key(Lane::new(channel), Lane::new(lane));
            prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
            let key = |lane| channel_key(Lane::new(lane));
            prop_assert_eq!(key(one.0).cmp(&key(other.0)), one.0.cmp(&other.0));
        }

        #[test]
        fn what_is_no_record_is_corrupt_and_never_a_panic(value: Vec<u8>) {
            prop_assert_eq!(ListenerRecord::decode("k", &value).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    fn check_corrupt(value: &str, reason: &str) {
        let key = listener_key(Lane::new(1), Lane::new(2));
        let error = ListenerRecord::decode(&key, value.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let text = error.to_string();
        assert!(text.contains(&key) && text.contains(reason), "{text}");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_corrupt_and_names_its_key() {
        let record = |version: u32, id: &str, lane: u64| {
            format!(
                r#"{{"version":{version},"id":"{id}","channel":1,"lane":{lane},"is_generated":true,"seen_ms":7}}"#
            )
        };
        let key = listener_key(Lane::new(1), Lane::new(2));
        assert!(ListenerRecord::decode(&key, record(1, "bob", 2).as_bytes()).is_ok());
        check_corrupt(&record(2, "bob", 2), "version=2 is unknown");
        check_corrupt(r#"{"version":2,"what":"the future"}"#, "version=2 is unknown");
        check_corrupt(&record(1, "a*b", 2), "has a '*' or '>'");
        check_corrupt(
            &record(1, "bob", 3),
            "it is of key=listener/00000000000000000001/00000000000000000003",
        );
        check_corrupt(&record(1, "bob", 2).replace("seen_ms", "seen_us"), "unknown field");
        check_corrupt("", "EOF");
    }

    #[test]
    fn settings_out_of_range_are_corrupt() {
        let record = ChannelRecord {
            id: "c".parse().unwrap(),
            lane: Lane::new(1),
            settings: ChannelSettings { retry_ms: 99, ..ChannelSettings::default() },
        };
        let (key, value) = record.encode();
        assert_eq!(ChannelRecord::decode(&key, &value).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    /// What version 1 wrote is read by every later release.
    #[test]
    fn the_written_shape_is_the_documented_one() {
        let (lane, settings) = (Lane::new(7), ChannelSettings::default());
        let channel = ChannelRecord { id: "orders".parse().unwrap(), lane, settings };
        let (key, value) = channel.encode();
        assert_eq!(key, "channel/00000000000000000007");
        assert_eq!(
            str::from_utf8(&value).unwrap(),
            concat!(
                r#"{"version":1,"id":"orders","lane":7,"settings":{"retry_ms":3000,"stream_delay_ms":0,"#,
                r#""max_messages":1000000,"max_bytes":1073741824,"max_age_s":604800,"history":1000,"#,
                r#""max_unread_per_listener":100000,"max_unread_bytes_per_listener":268435456,"#,
                r#""listener_expires_s":null,"generated_listener_expires_s":604800,"overflow":"drop-oldest"}}"#
            )
        );
        let bob = ListenerRecord {
            id: "bob".parse().unwrap(),
            channel: lane,
            lane: Lane::new(9),
            is_generated: false,
            seen_ms: 12,
        };
        let (key, value) = bob.encode();
        assert_eq!(key, "listener/00000000000000000007/00000000000000000009");
        assert_eq!(
            str::from_utf8(&value).unwrap(),
            r#"{"version":1,"id":"bob","channel":7,"lane":9,"is_generated":false,"seen_ms":12}"#
        );
    }
}
