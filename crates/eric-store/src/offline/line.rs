//! The lines of an export, which `docs/store.md` shows: one JSON object each, its name says what it is.
//!
//! Written out and converted, so that neither the domain nor the format on the disk freezes them.

use std::borrow::Cow;

use eric_sse::engine::lanes::{ChannelState, ListenerState, TrimmedState};
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::{Offset, Position};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::format::codec::{Decoded, Malformed};
use crate::format::state::check_trimmed;

/// The version of the lines that is written.
pub(super) const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadLine<'a> {
    pub(super) eric_export: u32,
    #[serde(borrow)]
    pub(super) epoch: Cow<'a, str>,
    pub(super) tail: u64,
    pub(super) last_lane: u64,
}

/// What every version's first line has.
#[derive(Debug, Deserialize)]
pub(super) struct VersionLine {
    pub(super) eric_export: u32,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    #[serde(borrow)]
    Value(ValueLine<'a>),
    #[serde(borrow)]
    Channel(ChannelLine<'a>),
    #[serde(borrow)]
    Listener(ListenerLine<'a>),
    #[serde(borrow)]
    Key(KeyLine<'a>),
    #[serde(borrow)]
    Entry(EntryLine<'a>),
    End(EndLine),
}

/// What the hub remembers: a text where it is UTF-8, else bytes in hexadecimal digits.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueLine<'a> {
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hex: Option<Cow<'a, str>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelLine<'a> {
    pub(super) lane: u64,
    pub(super) max_messages: u64,
    pub(super) max_bytes: u64,
    pub(super) max_age_s: u64,
    pub(super) history: u64,
    pub(super) max_unread_per_listener: u64,
    pub(super) max_unread_bytes_per_listener: u64,
    #[serde(borrow)]
    pub(super) overflow: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trimmed: Option<TrimmedLine>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerLine<'a> {
    pub(super) lane: u64,
    /// The lane of its channel.
    pub(super) channel: u64,
    pub(super) floor: u64,
    pub(super) floor_rank: u64,
    #[serde(borrow)]
    pub(super) cursor: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trimmed: Option<TrimmedLine>,
}

/// What a lane remembers of the entries that it let go.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrimmedLine {
    pub(super) total: u64,
    pub(super) first: u64,
    pub(super) to: u64,
    pub(super) runs: Vec<(u64, u64)>,
}

/// A key whose entry was let go before it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyLine<'a> {
    pub(super) lane: u64,
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    pub(super) offset: u64,
    pub(super) used_at_ms: u64,
    /// 32 hexadecimal digits.
    #[serde(borrow)]
    pub(super) digest: Cow<'a, str>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryLine<'a> {
    pub(super) offset: u64,
    pub(super) lane: u64,
    pub(super) taken_at_ms: u64,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) payload: &'a RawValue,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sender_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Cow<'a, str>>,
}

/// The last line: how many there were of each, so that what is cut short is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    pub(super) values: u64,
    pub(super) channels: u64,
    pub(super) listeners: u64,
    pub(super) keys: u64,
    pub(super) entries: u64,
}

const DROP_OLDEST: &str = "drop-oldest";
const REJECT: &str = "reject";

impl From<&ChannelState> for ChannelLine<'static> {
    fn from(state: &ChannelState) -> Self {
        let retention = state.retention;
        let overflow = match retention.overflow {
            Overflow::DropOldest => DROP_OLDEST,
            Overflow::Reject => REJECT,
        };
        Self {
            lane: state.lane.get(),
            max_messages: retention.max_messages,
            max_bytes: retention.max_bytes,
            max_age_s: retention.max_age_s,
            history: retention.history,
            max_unread_per_listener: retention.max_unread_per_listener,
            max_unread_bytes_per_listener: retention.max_unread_bytes_per_listener,
            overflow: overflow.into(),
            trimmed: TrimmedLine::of(&state.trimmed),
        }
    }
}

impl ChannelLine<'_> {
    pub(super) fn state(&self) -> Decoded<ChannelState> {
        let overflow = match self.overflow.as_ref() {
            DROP_OLDEST => Overflow::DropOldest,
            REJECT => Overflow::Reject,
            _ => return Err(Malformed("overflow is neither drop-oldest nor reject")),
        };
        let retention = Retention {
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            max_age_s: self.max_age_s,
            history: self.history,
            max_unread_per_listener: self.max_unread_per_listener,
            max_unread_bytes_per_listener: self.max_unread_bytes_per_listener,
            overflow,
        };
        let trimmed = TrimmedLine::state(self.trimmed.as_ref())?;
        Ok(ChannelState { lane: Lane::new(self.lane), retention, trimmed })
    }
}

impl ListenerLine<'_> {
    /// `told` is where the listener is told that it stands.
    pub(super) fn of(state: &ListenerState, told: Position) -> Self {
        Self {
            lane: state.lane.get(),
            channel: state.channel.get(),
            floor: state.floor.get(),
            floor_rank: state.floor_rank,
            cursor: told.to_string().into(),
            trimmed: TrimmedLine::of(&state.trimmed),
        }
    }

    /// A listener that is to begin again at its floor, and to see where it stood.
    pub(super) fn state(&self) -> Decoded<ListenerState> {
        let floor = Offset::new(self.floor);
        let stood = self.cursor.parse().map_err(|_| Malformed("cursor is not <epoch>-<offset>"))?;
        Ok(ListenerState {
            lane: Lane::new(self.lane),
            channel: Lane::new(self.channel),
            floor,
            floor_rank: self.floor_rank,
            cursor: floor,
            finished: 0,
            channel_finished: self.floor_rank,
            stale: Some(stood),
            trimmed: TrimmedLine::state(self.trimmed.as_ref())?,
        })
    }
}

impl TrimmedLine {
    fn of(state: &TrimmedState) -> Option<Self> {
        let TrimmedState { total, first, to, runs } = state;
        (*total > 0).then(|| Self { total: *total, first: first.get(), to: to.get(), runs: runs.clone() })
    }

    fn state(line: Option<&Self>) -> Decoded<TrimmedState> {
        let Some(line) = line else { return Ok(TrimmedState::default()) };
        let state = TrimmedState {
            total: line.total,
            first: Offset::new(line.first),
            to: Offset::new(line.to),
            runs: line.runs.clone(),
        };
        check_trimmed(&state)?;
        Ok(state)
    }
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(u32::from(four), 16).expect("four bits are a digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes that hexadecimal digits spell.
pub(super) fn unhex(text: &str) -> Decoded<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.ok_or(Malformed("hexadecimal digits are not pairs of [0-9a-f]"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_survive_hexadecimal_digits(bytes: Vec<u8>) {
            prop_assert_eq!(unhex(&hex(&bytes)), Ok(bytes));
        }
    }

    #[test]
    fn what_is_not_hexadecimal_is_refused() {
        for text in ["0", "0g", "0A", "é", "0x"] {
            assert!(unhex(text).is_err(), "{text}");
        }
    }
}
