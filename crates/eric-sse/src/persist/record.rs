//! How records look: JSON with a version, written out apart from the domain's types so that neither freezes the other.
//!
//! ```text
//! channel/<lane>            {"version":1,"id":"orders","lane":7,"settings":{"retry_ms":3000,…}}
//! listener/<channel>/<lane> {"version":1,"id":"bob","channel":7,"lane":9,"is_generated":false,"seen_ms":1795…}
//! queue/<channel>/<lane>    {"version":1,"channel":7,"lane":9,"recipe":{"kind":"spool","parameters":…,"values":…}}
//! ```
//! A listener of the user's own has a recipe as well. A key has its lanes with 20 digits each, so that the order of keys
//! is that of lanes: a channel's listeners are next to each other, in the order of their registration. Ids are in values
//! alone, and so may be any text.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::repository::Record;
use super::stored::{StoredChannel, StoredListener, StoredQueue, StoredRecipe, StoredSettings};
use crate::channel::ChannelSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ChannelId, ListenerId};
use crate::lane::Lane;

/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;

/// What is remembered of a channel.
///
/// ```
/// use eric_sse::ChannelSettings;
/// use eric_sse::lane::Lane;
/// use eric_sse::persist::{ChannelRecord, Record as _};
///
/// let settings = ChannelSettings::default();
/// let orders = ChannelRecord { id: "orders".parse()?, lane: Lane::new(7), settings };
/// let (key, value) = orders.encode();
/// assert_eq!(key, "channel/00000000000000000007");
/// assert!(value.starts_with(br#"{"version":1,"id":"orders","lane":7,"settings":{"retry_ms":3000,"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its id.
    pub id: ChannelId,
    /// Its lane, under which it is found.
    pub lane: Lane,
    /// Its settings.
    pub settings: ChannelSettings,
}

/// Where a listener is: its channel's lane and its own.
///
/// ```
/// use eric_sse::lane::Lane;
/// use eric_sse::persist::{ListenerRecord, Record as _, Seat};
///
/// let bob = Seat { channel: Lane::new(7), lane: Lane::new(9) };
/// let carol = Seat { channel: Lane::new(7), lane: Lane::new(10) };
/// assert!(bob < carol && ListenerRecord::key(bob) < ListenerRecord::key(carol));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    /// The channel's lane.
    pub channel: Lane,
    /// The listener's.
    pub lane: Lane,
}

impl Seat {
    /// What the seats of a channel begin with, in a key.
    pub(crate) fn prefix(channel: Lane) -> String {
        format!("{:020}/", channel.get())
    }

    fn key(self, prefix: &str) -> String {
        format!("{prefix}{}{:020}", Self::prefix(self.channel), self.lane.get())
    }
}

/// What is remembered of a listener.
///
/// ```
/// use eric_sse::lane::Lane;
/// use eric_sse::persist::{ListenerRecord, Record as _, Seat};
///
/// let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
/// let bob = ListenerRecord { id: "bob".parse()?, seat, is_generated: false, seen_ms: 12, recipe: None };
/// let (key, value) = bob.encode();
/// assert_eq!(key, "listener/00000000000000000007/00000000000000000009");
/// assert_eq!(ListenerRecord::decode(&key, &value)?, bob);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerRecord {
    /// Its id.
    pub id: ListenerId,
    /// Its lanes, under which it is found.
    pub seat: Seat,
    /// Whether the hub made its id up.
    pub is_generated: bool,
    /// When it was last read for or acknowledged, in milliseconds since 1970; it may lag behind by
    /// [`SEEN_LAG_MS_MAX`](crate::limits::SEEN_LAG_MS_MAX).
    pub seen_ms: u64,
    /// How it is made again, if it is one of the user's own.
    pub recipe: Option<Recipe>,
}

/// What is remembered of a queue of the user's own.
///
/// ```
/// use eric_sse::lane::Lane;
/// use eric_sse::persist::{QueueRecord, Recipe, Record as _, Seat};
///
/// let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
/// let spool = QueueRecord { seat, recipe: Recipe::of("spool") };
/// let (key, value) = spool.encode();
/// assert_eq!(key, "queue/00000000000000000007/00000000000000000009");
/// assert_eq!(QueueRecord::decode(&key, &value)?.recipe.kind, "spool");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QueueRecord {
    /// Its listener's lanes, under which it is found.
    pub seat: Seat,
    /// How it is made again.
    pub recipe: Recipe,
}

/// How something of the user's own is made again.
///
/// ```
/// use eric_sse::persist::Recipe;
///
/// let spool = Recipe { parameters: "/var/spool/news".into(), ..Recipe::of("spool") };
/// assert_eq!(spool.kind, "spool");
/// assert!(spool.values.is_null(), "it needs no setting up");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Names who can make it.
    pub kind: String,
    /// What it is made with.
    pub parameters: Value,
    /// What it is set up with once it is made.
    pub values: Value,
}

impl Recipe {
    /// That of a kind which needs to know nothing more.
    ///
    /// ```
    /// use eric_sse::persist::Recipe;
    ///
    /// let silent = Recipe::of("silent");
    /// assert!(silent.parameters.is_null() && silent.values.is_null());
    /// ```
    pub fn of(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), parameters: Value::Null, values: Value::Null }
    }
}

impl Record for ChannelRecord {
    const PREFIX: &'static str = "channel/";

    type Place = Lane;

    fn key(lane: Lane) -> String {
        format!("{}{:020}", Self::PREFIX, lane.get())
    }

    fn encode(&self) -> (String, Bytes) {
        let Self { id, lane, settings } = self;
        let stored = StoredChannel {
            version: VERSION,
            id: id.as_str().into(),
            lane: lane.get(),
            settings: StoredSettings::from(settings),
        };
        (Self::key(*lane), json(&stored))
    }

    fn decode(key: &str, value: &[u8]) -> Result<Self> {
        let stored: StoredChannel<'_> = parse(key, value)?;
        let record = Self {
            id: stored.id.parse().map_err(|error| corrupt(key, error))?,
            lane: Lane::new(stored.lane),
            settings: stored.settings.into(),
        };
        record.settings.check().map_err(|error| corrupt(key, error))?;
        has_its_key(key, &Self::key(record.lane))?;
        Ok(record)
    }
}

impl Record for ListenerRecord {
    const PREFIX: &'static str = "listener/";

    type Place = Seat;

    fn key(seat: Seat) -> String {
        seat.key(Self::PREFIX)
    }

    fn encode(&self) -> (String, Bytes) {
        let Self { id, seat, is_generated, seen_ms, recipe } = self;
        let stored = StoredListener {
            version: VERSION,
            id: id.as_str().into(),
            channel: seat.channel.get(),
            lane: seat.lane.get(),
            is_generated: *is_generated,
            seen_ms: *seen_ms,
            recipe: recipe.as_ref().map(StoredRecipe::from),
        };
        (Self::key(*seat), json(&stored))
    }

    fn decode(key: &str, value: &[u8]) -> Result<Self> {
        let stored: StoredListener<'_> = parse(key, value)?;
        let record = Self {
            id: stored.id.parse().map_err(|error| corrupt(key, error))?,
            seat: Seat { channel: Lane::new(stored.channel), lane: Lane::new(stored.lane) },
            is_generated: stored.is_generated,
            seen_ms: stored.seen_ms,
            recipe: stored.recipe.map(Recipe::from),
        };
        has_its_key(key, &Self::key(record.seat))?;
        Ok(record)
    }
}

impl Record for QueueRecord {
    const PREFIX: &'static str = "queue/";

    type Place = Seat;

    fn key(seat: Seat) -> String {
        seat.key(Self::PREFIX)
    }

    fn encode(&self) -> (String, Bytes) {
        let Self { seat, recipe } = self;
        let (channel, lane) = (seat.channel.get(), seat.lane.get());
        let stored = StoredQueue { version: VERSION, channel, lane, recipe: recipe.into() };
        (Self::key(*seat), json(&stored))
    }

    fn decode(key: &str, value: &[u8]) -> Result<Self> {
        let StoredQueue { channel, lane, recipe, .. } = parse(key, value)?;
        let seat = Seat { channel: Lane::new(channel), lane: Lane::new(lane) };
        has_its_key(key, &Self::key(seat))?;
        Ok(Self { seat, recipe: recipe.into() })
    }
}

pub(crate) fn json(stored: &impl Serialize) -> Bytes {
    serde_json::to_vec(stored).expect("numbers and text become JSON").into()
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(key: &str, value: &'a [u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| corrupt(key, error))
}

fn has_its_key(key: &str, expected: &str) -> Result<()> {
    if key == expected { Ok(()) } else { Err(corrupt(key, format!("it is of key={expected}"))) }
}

pub(crate) fn corrupt(key: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("record key={key} cannot be read: {reason}"))
}

/// The version of a record, which comes first, so that a later one is found out before what is new in it.
pub(crate) fn known_version<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => {
            let text = format!("version={other} is unknown, {VERSION} is read");
            Err(serde::de::Error::custom(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lane::Overflow;

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

    fn seat() -> impl Strategy<Value = Seat> {
        any::<(u64, u64)>()
            .prop_map(|(channel, lane)| Seat { channel: Lane::new(channel), lane: Lane::new(lane) })
    }

    fn recipe() -> impl Strategy<Value = Recipe> {
        let value =
            || prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), id().prop_map(Value::from)];
        (id(), value(), value()).prop_map(|(kind, parameters, values)| Recipe { kind, parameters, values })
    }

    const HERE: Seat = Seat { channel: Lane::new(1), lane: Lane::new(2) };

    proptest! {
        #[test]
        fn records_of_channels_come_back(id in id(), lane: u64, settings in settings()) {
            let record = ChannelRecord { id: id.parse().unwrap(), lane: Lane::new(lane), settings };
            let (key, value) = record.encode();
            prop_assert_eq!(ChannelRecord::decode(&key, &value).unwrap(), record);
        }

        #[test]
        fn records_of_listeners_come_back(
            id in id(), seat in seat(), is_generated: bool, seen_ms: u64, recipe in proptest::option::of(recipe()),
        ) {
            let record = ListenerRecord { id: id.parse().unwrap(), seat, is_generated, seen_ms, recipe };
            let (key, value) = record.encode();
            prop_assert_eq!(ListenerRecord::decode(&key, &value).unwrap(), record);
        }

        #[test]
        fn records_of_queues_come_back(seat in seat(), recipe in recipe()) {
            let record = QueueRecord { seat, recipe };
            let (key, value) = record.encode();
            prop_assert_eq!(QueueRecord::decode(&key, &value).unwrap(), record);
        }

        #[test]
        fn keys_are_in_the_order_of_lanes(one in seat(), other in seat()) {
            let order = ListenerRecord::key(one).cmp(&ListenerRecord::key(other));
            prop_assert_eq!(order, one.cmp(&other));
            let order = ChannelRecord::key(one.lane).cmp(&ChannelRecord::key(other.lane));
            prop_assert_eq!(order, one.lane.cmp(&other.lane));
        }

        #[test]
        fn what_is_no_record_is_corrupt_and_never_a_panic(value: Vec<u8>) {
            prop_assert_eq!(ListenerRecord::decode("k", &value).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    fn check_corrupt(value: &str, reason: &str) {
        let key = ListenerRecord::key(HERE);
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
        let key = ListenerRecord::key(HERE);
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
            seat: Seat { channel: lane, lane: Lane::new(9) },
            is_generated: false,
            seen_ms: 12,
            recipe: None,
        };
        let (key, value) = bob.encode();
        assert_eq!(key, "listener/00000000000000000007/00000000000000000009");
        assert_eq!(
            str::from_utf8(&value).unwrap(),
            r#"{"version":1,"id":"bob","channel":7,"lane":9,"is_generated":false,"seen_ms":12}"#
        );
    }
}
