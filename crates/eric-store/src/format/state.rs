//! The state of lanes in its bytes: how they are kept, what they let go, how far listeners got.

use eric_sse::engine::lanes::{ChannelState, ListenerState, TrimmedState};
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::{Epoch, Offset, Position};

use super::codec::{Decoded, Malformed, Reader, put_text, put_varint};

const IS_STALE: u8 = 1;

pub(crate) fn put_retention(out: &mut Vec<u8>, retention: &Retention) {
    for number in [
        retention.max_messages,
        retention.max_bytes,
        retention.max_age_s,
        retention.history,
        retention.max_unread_per_listener,
        retention.max_unread_bytes_per_listener,
    ] {
        put_varint(out, number);
    }
    out.push(u8::from(retention.overflow == Overflow::Reject));
}

pub(crate) fn read_retention(reader: &mut Reader<'_>) -> Decoded<Retention> {
    Ok(Retention {
        max_messages: reader.varint()?,
        max_bytes: reader.varint()?,
        max_age_s: reader.varint()?,
        history: reader.varint()?,
        max_unread_per_listener: reader.varint()?,
        max_unread_bytes_per_listener: reader.varint()?,
        overflow: match reader.byte()? {
            0 => Overflow::DropOldest,
            1 => Overflow::Reject,
            _ => return Err(Malformed("an overflow is neither drop-oldest nor reject")),
        },
    })
}

/// Appends stretches of offsets, which grow: each as its distance from the one before, and its length less one.
pub(crate) fn put_runs(out: &mut Vec<u8>, runs: &[(u64, u64)]) {
    put_varint(out, runs.len() as u64);
    let mut end = 0;
    for (first, last) in runs {
        assert!(*first > end && last >= first, "stretches grow and do not touch zero");
        put_varint(out, first - end);
        put_varint(out, last - first);
        end = *last;
    }
}

pub(crate) fn read_runs(reader: &mut Reader<'_>) -> Decoded<Vec<(u64, u64)>> {
    let count = reader.count()?;
    let mut runs = Vec::with_capacity(count);
    let mut end: u64 = 0;
    for _ in 0..count {
        let (gap, more) = (reader.number()?, reader.number()?);
        let first = end.checked_add(gap).filter(|first| *first > end);
        let run = first.and_then(|first| Some((first, first.checked_add(more)?)));
        let run = run.ok_or(Malformed("stretches of offsets do not grow"))?;
        runs.push(run);
        end = run.1;
    }
    Ok(runs)
}

fn put_trimmed(out: &mut Vec<u8>, trimmed: &TrimmedState) {
    for number in [trimmed.total, trimmed.first.get(), trimmed.to.get()] {
        put_varint(out, number);
    }
    put_runs(out, &trimmed.runs);
}

fn read_trimmed(reader: &mut Reader<'_>) -> Decoded<TrimmedState> {
    let (total, first, to) = (reader.number()?, reader.number()?, reader.number()?);
    let runs = read_runs(reader)?;
    let state = TrimmedState { total, first: Offset::new(first), to: Offset::new(to), runs };
    check_trimmed(&state)?;
    Ok(state)
}

/// Whether what a lane let go adds up, stretch after stretch.
pub(crate) fn check_trimmed(state: &TrimmedState) -> Decoded<()> {
    let TrimmedState { total, first, to, runs } = state;
    let in_runs = runs.iter().try_fold((0_u64, 0_u64), |(sum, end), (first, last)| {
        let more = last.checked_sub(*first)?.checked_add(1)?;
        (*first > end).then_some((sum.checked_add(more)?, *last))
    });
    let is_consistent = first <= to
        && in_runs.is_some_and(|(entries, _)| entries <= *total)
        && runs.last().is_none_or(|(_, last)| *last == to.get())
        && (*total == 0) == runs.is_empty();
    if is_consistent { Ok(()) } else { Err(Malformed("what a lane let go does not add up")) }
}

pub(crate) fn put_channel(out: &mut Vec<u8>, state: &ChannelState) {
    put_varint(out, state.lane.get());
    put_retention(out, &state.retention);
    put_trimmed(out, &state.trimmed);
}

pub(crate) fn read_channel(reader: &mut Reader<'_>) -> Decoded<ChannelState> {
    Ok(ChannelState {
        lane: Lane::new(reader.number()?),
        retention: read_retention(reader)?,
        trimmed: read_trimmed(reader)?,
    })
}

pub(crate) fn put_listener(out: &mut Vec<u8>, state: &ListenerState) {
    for number in [
        state.lane.get(),
        state.channel.get(),
        state.floor.get(),
        state.floor_rank,
        state.cursor.get(),
        state.finished,
        state.channel_finished,
    ] {
        put_varint(out, number);
    }
    out.push(if state.stale.is_some() { IS_STALE } else { 0 });
    if let Some(stale) = &state.stale {
        put_text(out, stale.epoch.as_str());
        put_varint(out, stale.offset.get());
    }
    put_trimmed(out, &state.trimmed);
}

pub(crate) fn read_listener(reader: &mut Reader<'_>) -> Decoded<ListenerState> {
    let (lane, channel) = (Lane::new(reader.number()?), Lane::new(reader.number()?));
    let (floor, floor_rank) = (Offset::new(reader.number()?), reader.number()?);
    let (cursor, finished) = (Offset::new(reader.number()?), reader.number()?);
    let channel_finished = reader.number()?;
    let stale = match reader.byte()? {
        0 => None,
        IS_STALE => Some(Position { epoch: read_epoch(reader)?, offset: Offset::new(reader.number()?) }),
        _ => return Err(Malformed("a listener has something that this version does not know")),
    };
    let trimmed = read_trimmed(reader)?;
    Ok(ListenerState { lane, channel, floor, floor_rank, cursor, finished, channel_finished, stale, trimmed })
}

pub(crate) fn read_epoch(reader: &mut Reader<'_>) -> Decoded<Epoch> {
    reader.text()?.parse().map_err(|_| Malformed("an epoch is none"))
}
