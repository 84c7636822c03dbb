//! The records, by kind: what each says, to bytes and back.

use std::borrow::Cow;

use eric_sse::cursor::Joined;
use eric_sse::engine::lanes::{ChannelState, ListenerState, Moved};
use eric_sse::lane::{Lane, Retention};
use eric_sse::{Epoch, IdempotencyKey, Offset};

use super::codec::{Decoded, Malformed, Reader, put_text, put_varint};
use super::state::{
    put_channel, put_listener, put_retention, put_runs, read_channel, read_epoch, read_listener,
    read_retention, read_runs,
};

/// The kinds of records.
pub(crate) mod kind {
    pub(crate) const OPENED: u8 = 1;
    pub(crate) const CLOSED: u8 = 2;
    pub(crate) const SEALED: u8 = 3;
    pub(crate) const BATCH: u8 = 4;
    pub(crate) const LANE_OPENED: u8 = 5;
    pub(crate) const RETAINED: u8 = 6;
    pub(crate) const LANE_CLOSED: u8 = 7;
    pub(crate) const JOINED: u8 = 8;
    pub(crate) const LEFT: u8 = 9;
    pub(crate) const MOVED: u8 = 10;
    pub(crate) const TRIMMED: u8 = 11;
    pub(crate) const UPSERTED: u8 = 12;
    pub(crate) const DELETED: u8 = 13;
    pub(crate) const CHECKPOINT_BEGUN: u8 = 14;
    pub(crate) const CHANNELS: u8 = 15;
    pub(crate) const LISTENERS: u8 = 16;
    pub(crate) const VALUES: u8 = 17;
    pub(crate) const CHECKPOINT_ENDED: u8 = 18;
    pub(crate) const KEPT: u8 = 19;
    pub(crate) const KEYS: u8 = 20;
    pub(crate) const RELEASED: u8 = 21;
}

/// Stretches of a lane that were let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trim {
    pub(crate) lane: Lane,
    pub(crate) runs: Vec<(u64, u64)>,
}

/// A key that outlives its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsedKey {
    pub(crate) lane: Lane,
    pub(crate) offset: Offset,
    pub(crate) used_ms: u64,
    pub(crate) digest: u128,
    pub(crate) key: IdempotencyKey,
}

/// How the log goes on when it is opened, or what a checkpoint begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) epoch: Epoch,
    pub(crate) tail: Offset,
    pub(crate) lanes_opened: u64,
    pub(crate) opening: u64,
}

/// What a record says. Entries stay in their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    Opened {
        epoch: Epoch,
        opening: u64,
        is_synced: bool,
        at_ms: u64,
    },
    Closed,
    Sealed,
    Batch(&'a [u8]),
    LaneOpened(Lane, Retention),
    Retained(Lane, Retention),
    LaneClosed(Lane),
    Joined {
        channel: Lane,
        joined: Joined,
        channel_finished: u64,
    },
    Left(Lane),
    /// The channels' lanes are not in it.
    Moved(Vec<Moved>),
    Trimmed(Vec<Trim>),
    Upserted(&'a str, &'a [u8]),
    Deleted(&'a str),
    CheckpointBegun {
        counters: Counters,
        segments: Vec<u64>,
    },
    Channels(Vec<ChannelState>),
    Listeners(Vec<ListenerState>),
    Values(Vec<(Cow<'a, str>, Cow<'a, [u8]>)>),
    CheckpointEnded,
    Kept(&'a [u8]),
    Keys(Vec<UsedKey>),
    Released(Vec<u64>),
}

impl Change<'_> {
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Opened { .. } => kind::OPENED,
            Self::Closed => kind::CLOSED,
            Self::Sealed => kind::SEALED,
            Self::Batch(_) => kind::BATCH,
            Self::LaneOpened(..) => kind::LANE_OPENED,
            Self::Retained(..) => kind::RETAINED,
            Self::LaneClosed(_) => kind::LANE_CLOSED,
            Self::Joined { .. } => kind::JOINED,
            Self::Left(_) => kind::LEFT,
            Self::Moved(_) => kind::MOVED,
            Self::Trimmed(_) => kind::TRIMMED,
            Self::Upserted(..) => kind::UPSERTED,
            Self::Deleted(_) => kind::DELETED,
            Self::CheckpointBegun { .. } => kind::CHECKPOINT_BEGUN,
            Self::Channels(_) => kind::CHANNELS,
            Self::Listeners(_) => kind::LISTENERS,
            Self::Values(_) => kind::VALUES,
            Self::CheckpointEnded => kind::CHECKPOINT_ENDED,
            Self::Kept(_) => kind::KEPT,
            Self::Keys(_) => kind::KEYS,
            Self::Released(_) => kind::RELEASED,
        }
    }

    /// Appends the body.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Closed | Self::Sealed | Self::CheckpointEnded => {}
            Self::Batch(entries) | Self::Kept(entries) => out.extend_from_slice(entries),
            Self::Opened { epoch, opening, is_synced, at_ms } => {
                put_text(out, epoch.as_str());
                put_varint(out, *opening);
                out.push(u8::from(*is_synced));
                put_varint(out, *at_ms);
            }
            Self::LaneOpened(lane, retention) | Self::Retained(lane, retention) => {
                put_varint(out, lane.get());
                put_retention(out, retention);
            }
            Self::LaneClosed(lane) | Self::Left(lane) => put_varint(out, lane.get()),
            Self::Joined { channel, joined, channel_finished } => {
                for number in [joined.lane.get(), channel.get(), joined.floor.get(), *channel_finished] {
                    put_varint(out, number);
                }
            }
            Self::Moved(cursors) => {
                for moved in cursors {
                    let Moved { listener, to, finished, channel_finished, .. } = moved;
                    for number in [listener.get(), to.get(), *finished, *channel_finished] {
                        put_varint(out, number);
                    }
                }
            }
            Self::Trimmed(trims) => {
                for Trim { lane, runs } in trims {
                    put_varint(out, lane.get());
                    put_runs(out, runs);
                }
            }
            Self::Upserted(key, value) => {
                put_text(out, key);
                out.extend_from_slice(value);
            }
            Self::Deleted(key) => put_text(out, key),
            Self::CheckpointBegun { counters, segments } => {
                put_text(out, counters.epoch.as_str());
                for number in [counters.tail.get(), counters.lanes_opened, counters.opening] {
                    put_varint(out, number);
                }
                put_numbers(out, segments);
            }
            Self::Channels(states) => states.iter().for_each(|state| put_channel(out, state)),
            Self::Listeners(states) => states.iter().for_each(|state| put_listener(out, state)),
            Self::Values(values) => {
                for (key, value) in values {
                    put_text(out, key);
                    put_varint(out, value.len() as u64);
                    out.extend_from_slice(value);
                }
            }
            Self::Keys(keys) => {
                for used in keys {
                    for number in [used.lane.get(), used.offset.get(), used.used_ms] {
                        put_varint(out, number);
                    }
                    out.extend_from_slice(&used.digest.to_le_bytes());
                    put_text(out, used.key.as_str());
                }
            }
            Self::Released(segments) => segments.iter().for_each(|number| put_varint(out, *number)),
        }
    }
}

impl<'a> Change<'a> {
    /// What a record of this kind with this body says.
    pub(crate) fn decode(kind: u8, body: &'a [u8]) -> Decoded<Self> {
        let mut reader = Reader::new(body);
        let r = &mut reader;
        let change = match kind {
            kind::OPENED => Self::Opened {
                epoch: read_epoch(r)?,
                opening: r.number()?,
                is_synced: match r.byte()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Malformed("a durability is neither os nor fsync")),
                },
                at_ms: r.number()?,
            },
            kind::CLOSED => Self::Closed,
            kind::SEALED => Self::Sealed,
            kind::BATCH => Self::Batch(r.rest()),
            kind::LANE_OPENED => Self::LaneOpened(read_lane(r)?, read_retention(r)?),
            kind::RETAINED => Self::Retained(read_lane(r)?, read_retention(r)?),
            kind::LANE_CLOSED => Self::LaneClosed(read_lane(r)?),
            kind::JOINED => {
                let (lane, channel) = (read_lane(r)?, read_lane(r)?);
                let joined = Joined { lane, floor: Offset::new(r.number()?) };
                Self::Joined { channel, joined, channel_finished: r.number()? }
            }
            kind::LEFT => Self::Left(read_lane(r)?),
            kind::MOVED => Self::Moved(all(r, read_moved)?),
            kind::TRIMMED => {
                Self::Trimmed(all(r, |r| Ok(Trim { lane: read_lane(r)?, runs: read_runs(r)? }))?)
            }
            kind::UPSERTED => Self::Upserted(r.text()?, r.rest()),
            kind::DELETED => Self::Deleted(r.text()?),
            kind::CHECKPOINT_BEGUN => Self::CheckpointBegun {
                counters: Counters {
                    epoch: read_epoch(r)?,
                    tail: Offset::new(r.number()?),
                    lanes_opened: r.number()?,
                    opening: r.number()?,
                },
                segments: read_numbers(r)?,
            },
            kind::CHANNELS => Self::Channels(all(r, read_channel)?),
            kind::LISTENERS => Self::Listeners(all(r, read_listener)?),
            kind::VALUES => Self::Values(all(r, |r| {
                let key = r.text()?;
                let bytes = r.count()?;
                Ok((key.into(), r.take(bytes)?.into()))
            })?),
            kind::CHECKPOINT_ENDED => Self::CheckpointEnded,
            kind::KEPT => Self::Kept(r.rest()),
            kind::KEYS => Self::Keys(all(r, read_key)?),
            kind::RELEASED => Self::Released(all(r, |r| r.number())?),
            _ => return Err(Malformed("a record is of a kind that this version does not know")),
        };
        reader.end()?;
        Ok(change)
    }
}

/// Everything that is left, as many as there are.
fn all<'a, T>(reader: &mut Reader<'a>, read: impl Fn(&mut Reader<'a>) -> Decoded<T>) -> Decoded<Vec<T>> {
    let mut values = Vec::new();
    while !reader.is_empty() {
        values.push(read(reader)?);
    }
    Ok(values)
}

fn read_lane(reader: &mut Reader<'_>) -> Decoded<Lane> {
    reader.number().map(Lane::new)
}

fn read_moved(reader: &mut Reader<'_>) -> Decoded<Moved> {
    Ok(Moved {
        listener: read_lane(reader)?,
        channel: Lane::new(0),
        to: Offset::new(reader.number()?),
        finished: reader.number()?,
        channel_finished: reader.number()?,
    })
}

fn read_key(reader: &mut Reader<'_>) -> Decoded<UsedKey> {
    Ok(UsedKey {
        lane: read_lane(reader)?,
        offset: Offset::new(reader.number()?),
        used_ms: reader.number()?,
        digest: reader.u128()?,
        key: reader.text()?.parse().map_err(|_| Malformed("a key is none"))?,
    })
}

/// Appends numbers that grow, each as its distance from the one before.
fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    put_varint(out, numbers.len() as u64);
    let mut before = 0;
    for number in numbers {
        put_varint(out, number - before);
        before = *number;
    }
}

fn read_numbers(reader: &mut Reader<'_>) -> Decoded<Vec<u64>> {
    let count = reader.count()?;
    let mut before: u64 = 0;
    let number = |_| {
        before = before.checked_add(reader.number()?).ok_or(Malformed("a number has more than 64 bits"))?;
        Ok(before)
    };
    (0..count).map(number).collect()
}

#[cfg(test)]
mod tests {
    use eric_sse::Position;
    use eric_sse::engine::lanes::TrimmedState;
    use eric_sse::lane::Overflow;
    use proptest::prelude::*;

    use super::*;

    fn retention() -> impl Strategy<Value = Retention> {
        (any::<[u64; 6]>(), any::<bool>()).prop_map(|([a, b, c, d, e, f], rejects)| Retention {
            max_messages: a,
            max_bytes: b,
            max_age_s: c,
            history: d,
            max_unread_per_listener: e,
            max_unread_bytes_per_listener: f,
            overflow: if rejects { Overflow::Reject } else { Overflow::DropOldest },
        })
    }

    fn numbers() -> impl Strategy<Value = [u64; 7]> {
        prop::array::uniform7(0_u64..1 << 62)
    }

    fn runs() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((1_u64..1 << 40, 0_u64..1 << 40), 1..5).prop_map(|gaps| {
            let mut end = 0;
            let mut run = |(gap, more): (u64, u64)| {
                let first = end + gap;
                end = first + more;
                (first, end)
            };
            gaps.into_iter().map(&mut run).collect()
        })
    }

    fn trimmed() -> impl Strategy<Value = TrimmedState> {
        runs().prop_map(|runs| TrimmedState {
            total: runs.iter().map(|(first, last)| last - first + 1).sum::<u64>() + 3,
            first: Offset::new(1),
            to: Offset::new(runs.last().unwrap().1),
            runs,
        })
    }

    fn listener() -> impl Strategy<Value = ListenerState> {
        (numbers(), prop::option::of("[a-z0-9]{1,16}"), trimmed()).prop_map(
            |([lane, channel, floor, floor_rank, cursor, finished, channel_finished], stale, trimmed)| {
                ListenerState {
                    lane: Lane::new(lane),
                    channel: Lane::new(channel),
                    floor: Offset::new(floor),
                    floor_rank,
                    cursor: Offset::new(cursor),
                    finished,
                    channel_finished,
                    stale: stale
                        .map(|epoch| Position { epoch: epoch.parse().unwrap(), offset: Offset::new(cursor) }),
                    trimmed,
                }
            },
        )
    }

    fn check(change: &Change<'_>) -> Result<(), TestCaseError> {
        let mut body = Vec::new();
        change.put(&mut body);
        prop_assert_eq!(&Change::decode(change.kind(), &body), &Ok(change.clone()));
        Ok(())
    }

    proptest! {
        #[test]
        fn every_kind_survives(
            numbers in prop::array::uniform4(0_u64..1 << 62),
            retention in retention(),
            trimmed in trimmed(),
            listener in listener(),
            runs in runs(),
            mut segments in prop::collection::vec(0_u64..1 << 62, 0..9),
            (text, value) in any::<(String, Vec<u8>)>(),
            key in "[a-z]{1,256}",
            digest in any::<u128>(),
        ) {
            segments.sort_unstable();
            let [a, b, c, d] = numbers;
            let (lane, epoch) = (Lane::new(a), "7f3a".parse().unwrap());
            let counters = Counters { epoch, tail: Offset::new(b), lanes_opened: c, opening: d };
            let moved = Moved {
                listener: lane, channel: Lane::new(0), to: Offset::new(b), finished: c, channel_finished: d,
            };
            let used = UsedKey { lane, offset: Offset::new(b), used_ms: c, digest, key: key.parse().unwrap() };
            for change in [
                Change::Opened { epoch, opening: a, is_synced: b % 2 == 0, at_ms: c },
                Change::Closed,
                Change::Sealed,
                Change::Batch(&value),
                Change::LaneOpened(lane, retention),
                Change::Retained(lane, retention),
                Change::LaneClosed(lane),
                Change::Joined {
                    channel: lane, joined: Joined { lane: Lane::new(b), floor: Offset::new(c) }, channel_finished: d,
                },
                Change::Left(lane),
                Change::Moved(vec![moved; 3]),
                Change::Trimmed(vec![Trim { lane, runs }; 2]),
                Change::Upserted(&text, &value),
                Change::Deleted(&text),
                Change::CheckpointBegun { counters, segments: segments.clone() },
                Change::Channels(vec![ChannelState { lane, retention, trimmed }; 2]),
                Change::Listeners(vec![listener; 2]),
                Change::Values(vec![(text.as_str().into(), value.as_slice().into()); 2]),
                Change::CheckpointEnded,
                Change::Kept(&value),
                Change::Keys(vec![used; 2]),
                Change::Released(segments),
            ] {
                check(&change)?;
            }
        }

        #[test]
        fn whatever_the_bytes_decoding_ends(kind: u8, body: Vec<u8>) {
            if let Ok(change) = Change::decode(kind, &body) {
                let mut again = Vec::new();
                change.put(&mut again);
                prop_assert_eq!(Change::decode(kind, &again), Ok(change));
            }
        }
    }
}
