//! A group: the streams of one channel in one shard.
//!
//! It hears once for all of them, puts what it heard on the reels, and goes round: each stream is sent all that is
//! pending, in one write. A round is cut into slices, and what is heard meanwhile is sent with the rest of it.

use std::task::Waker;

use bytes::Bytes;
use eric_protocol::Slow;
use eric_sse::limits::{
    COMMIT_LAG_ENTRIES_MAX, HEARTBEAT_S, REEL_BYTES_MAX, REEL_ENTRIES_MAX, STREAM_MAIL_BYTES_MAX,
    STREAM_MAIL_ENTRIES_MAX, WRITE_STALL_S,
};
use eric_sse::log::Budget;
use eric_sse::sse::encode::{Format, HEARTBEAT, gap_frame};
use eric_sse::{Audience, Channel, End, Framed, Gap, GapReason, Heard, Hearing, Item, Position};
use tokio::time::{Duration, Instant};

use super::Arrival;
use super::reel::{Reel, chunk_of};
use super::stream::{Owed, Stream};
use crate::session::{COMMIT_LAG, Handoff, SLOW, Untaken};

/// What one turn heard of which room is kept for the next.
const HEARD_KEPT: usize = 64;
/// Cursors that are moved in one call.
const COMMITS: usize = 1_024;

#[derive(Debug)]
pub(super) struct Group {
    audience: Audience,
    /// By seat.
    streams: Vec<Option<Stream>>,
    reels: Vec<Reel>,
    /// Streams that something came for alone.
    addressed: Vec<usize>,
    /// The next stream of the round, and how many are left.
    next: usize,
    left: usize,
    /// Streams whose peers have no room, since when.
    blocked: Vec<(usize, Instant)>,
    /// Some of them have room again.
    has_unblocked: bool,
    /// When cursors are due to move.
    commit_at: Option<Instant>,
    /// Broadcasts since they moved.
    uncommitted: usize,
    heard: Vec<Heard>,
    /// Streams that are to leave.
    leaving: Vec<(usize, Why)>,
    /// The reels were full before all was heard.
    has_more: bool,
    /// Something came.
    pub(super) is_woken: bool,
    /// It waits for its turn.
    pub(super) is_busy: bool,
}

/// Why a stream leaves its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its peer left.
    Gone,
    /// It has to be served by itself.
    Slow,
    /// Its peer takes nothing.
    Stalled,
    /// Its subscription is over.
    Ended(End),
    /// The server stops.
    Stopping,
}

/// What a round may still do before others have their turn.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) sends: usize,
    pub(super) until: Instant,
}

impl Slice {
    pub(super) fn is_over(&self) -> bool {
        // The clock costs less than a hundredth of a write.
        self.sends == 0 || Instant::now() >= self.until
    }
}

impl Group {
    /// A group without streams. `waker` is woken when there is something to hear.
    pub(super) fn new(channel: &Channel, waker: Waker) -> eric_sse::Result<Self> {
        Ok(Self {
            audience: channel.audience(waker)?,
            streams: Vec::new(),
            reels: Vec::new(),
            addressed: Vec::new(),
            next: 0,
            left: 0,
            blocked: Vec::new(),
            has_unblocked: false,
            commit_at: None,
            uncommitted: 0,
            heard: Vec::new(),
            leaving: Vec::new(),
            has_more: false,
            is_woken: true,
            is_busy: false,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.audience.is_empty()
    }

    pub(super) fn channel(&self) -> &Channel {
        self.audience.channel()
    }

    pub(super) fn stream(&self, seat: usize) -> Option<&Stream> {
        self.streams.get(seat)?.as_ref()
    }

    /// Takes a stream in, and returns its seat.
    ///
    /// # Errors
    /// The arrival, where it cannot be served with the others now.
    pub(super) fn admit(&mut self, arrival: Arrival) -> Result<usize, Box<Arrival>> {
        // It is not to be ahead of the others.
        self.is_woken = true;
        self.hear();
        let Arrival { socket, handoff, untaken, first, place } = arrival;
        let Handoff { subscription, manner } = handoff;
        let (from, is_auto) = (subscription.position().offset, subscription.is_auto());
        let mut items: Vec<Item> = Vec::new();
        let seat = match self.audience.join(subscription, &mut items) {
            Ok(seat) => seat,
            Err(subscription) => {
                let handoff = Handoff { subscription, manner };
                return Err(Box::new(Arrival { socket, handoff, untaken, first, place }));
            }
        };
        let reel = self.reel(manner.format());
        let at = self.reels[usize::from(reel)].end();
        let mut stream = Stream::new((socket, place, manner), (reel, at), from, is_auto);
        stream.remember(untaken.marks);
        first.into_iter().for_each(|piece| stream.post(at, piece, None));
        for item in items {
            if let Item::Entry(framed) = item {
                let frame = self.frame(&framed, manner.format());
                stream.post(at, chunk_of(&frame), Some(framed.entry().offset()));
            }
        }
        if self.streams.len() <= seat {
            self.streams.resize_with(seat + 1, || None);
            // The round goes through all of them, wherever it is.
            self.left = if self.left > 0 { self.streams.len() } else { 0 };
        }
        self.streams[seat] = Some(stream);
        self.addressed.push(seat);
        self.note_entries();
        Ok(seat)
    }

    /// The number of the reel for `format`.
    fn reel(&mut self, format: Format) -> u8 {
        let present = self.reels.iter().position(|reel| reel.format == format);
        let index = present.unwrap_or_else(|| {
            self.reels.push(Reel::new(format, self.audience.position()));
            self.reels.len() - 1
        });
        index as u8
    }

    fn frame(&self, framed: &Framed, format: Format) -> Bytes {
        framed.frame(format, self.channel().settings().retry(), self.audience.stats())
    }

    /// Puts what came on the reels, as far as there is room.
    pub(super) fn hear(&mut self) {
        self.unblock();
        if !std::mem::take(&mut self.is_woken) && !self.has_more {
            return;
        }
        self.has_more = true;
        if self.channel().settings().stream_delay_ms > 0 {
            return self.dismiss(Why::Slow);
        }
        while self.reels.iter().all(|reel| reel.bytes() < REEL_BYTES_MAX) {
            let mut heard = std::mem::take(&mut self.heard);
            let hearing = self.audience.hear(Budget::default(), &mut heard);
            let has_broadcasts = heard.iter().any(|heard| matches!(heard, Heard::All(_)));
            let has_any = !heard.is_empty();
            heard.drain(..).for_each(|heard| self.take(heard));
            self.reels.iter_mut().for_each(Reel::close);
            self.heard = heard;
            if has_any {
                self.note_entries();
                self.conflate();
            }
            if has_broadcasts {
                self.left = self.streams.len();
            }
            match hearing {
                Hearing::Something => {}
                Hearing::Silence => {
                    self.has_more = false;
                    break;
                }
                Hearing::Behind => {
                    self.dismiss(Why::Slow);
                    break;
                }
            }
        }
        if self.heard.capacity() > HEARD_KEPT {
            self.heard = Vec::new();
        }
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::All(framed) => {
                self.uncommitted += 1;
                for index in 0..self.reels.len() {
                    let frame = self.frame(&framed, self.reels[index].format);
                    self.reels[index].push(frame, Some(framed.entry().offset()));
                }
            }
            Heard::One(seat, framed) => {
                let Some(stream) = self.streams.get(seat).and_then(Option::as_ref) else { return };
                let frame = self.frame(&framed, stream.manner.format());
                let Some(stream) = &mut self.streams[seat] else { return };
                let reel = &mut self.reels[usize::from(stream.reel)];
                reel.close();
                stream.post(reel.end(), chunk_of(&frame), Some(framed.entry().offset()));
                let (entries, bytes) = stream.waiting();
                if stream.is_blocked && (entries > STREAM_MAIL_ENTRIES_MAX || bytes > STREAM_MAIL_BYTES_MAX) {
                    let is_welcome = stream.manner.slow() != Slow::Disconnect;
                    self.leaving.push((seat, if is_welcome { Why::Slow } else { Why::Stalled }));
                }
                self.addressed.push(seat);
            }
            Heard::Ended(seat, end) => self.leaving.push((seat, Why::Ended(end))),
        }
    }

    fn note_entries(&mut self) {
        self.commit_at.get_or_insert_with(|| Instant::now() + COMMIT_LAG);
    }

    /// Sends what is pending, within `slice`. False when nothing is left to do.
    pub(super) fn serve(&mut self, slice: &mut Slice) -> bool {
        while let Some(seat) = self.addressed.pop() {
            self.send(seat, slice);
            if slice.is_over() {
                return true;
            }
        }
        while self.left > 0 {
            if self.next >= self.streams.len() {
                self.next = 0;
            }
            self.left -= 1;
            self.next += 1;
            self.send(self.next - 1, slice);
            if slice.is_over() {
                return true;
            }
        }
        self.cut();
        // Counted since the last time, or one peer that takes nothing would have all others asked with every message.
        if self.uncommitted > COMMIT_LAG_ENTRIES_MAX {
            self.commit();
        }
        self.has_more
    }

    /// Sends what is pending for the stream in `seat`.
    fn send(&mut self, seat: usize, slice: &mut Slice) {
        let Some(stream) = self.streams.get_mut(seat).and_then(Option::as_mut) else { return };
        if stream.is_blocked {
            return;
        }
        slice.sends -= 1;
        match stream.send(&self.reels[usize::from(stream.reel)]) {
            Ok(()) if stream.is_blocked => self.blocked.push((seat, Instant::now())),
            Ok(()) => {}
            Err(_) => self.leaving.push((seat, Why::Gone)),
        }
    }

    /// The socket in `seat` has room again, or news of its peer.
    pub(super) fn ready(&mut self, seat: usize, has_room: bool, may_have_left: bool) {
        let Some(stream) = self.streams.get_mut(seat).and_then(Option::as_mut) else { return };
        if may_have_left && stream.has_left() {
            self.leaving.push((seat, Why::Gone));
        } else if has_room && stream.is_blocked {
            stream.is_blocked = false;
            self.has_unblocked = true;
            self.addressed.push(seat);
        }
    }

    /// Forgets who has room again: once for all of them, for thousands may have it at the same time.
    fn unblock(&mut self) {
        if std::mem::take(&mut self.has_unblocked) {
            let streams = &self.streams;
            self.blocked.retain(|(seat, _)| streams[*seat].as_ref().is_some_and(|stream| stream.is_blocked));
        }
    }

    /// Lets go of what all streams have passed. Who is too far behind is not waited for.
    fn cut(&mut self) {
        for index in 0..self.reels.len() {
            let end = self.reels[index].end();
            let least = end.saturating_sub(REEL_BYTES_MAX as u64 / 2);
            let mut upto = end;
            for blocked in 0..self.blocked.len() {
                let seat = self.blocked[blocked].0;
                if self.streams[seat].as_ref().is_none_or(|stream| usize::from(stream.reel) != index) {
                    continue;
                }
                if self.streams[seat].as_ref().is_some_and(|stream| stream.needs() < least) {
                    self.fall_behind(seat);
                }
                // Who leaves is there until then.
                let needs = self.streams[seat].as_ref().map_or(end, Stream::needs);
                upto = upto.min(needs);
            }
            self.reels[index].cut(upto);
        }
    }

    /// What its client has chosen happens to a slow stream.
    fn fall_behind(&mut self, seat: usize) {
        let Some(stream) = self.streams[seat].as_mut() else { return };
        match stream.manner.slow() {
            Slow::Spill => self.leaving.push((seat, Why::Slow)),
            Slow::Disconnect => self.leaving.push((seat, Why::Stalled)),
            Slow::Drop => self.skip(seat, false),
            Slow::Latest => self.skip(seat, true),
        }
    }

    /// Leaves out what the stream in `seat` has not been sent.
    fn skip(&mut self, seat: usize, is_latest: bool) {
        let epoch = self.audience.epoch();
        let Some(stream) = self.streams[seat].as_mut() else { return };
        let tell = |from, to, missed| {
            let position = |offset| Some(Position { epoch, offset });
            let reason = GapReason::Slow;
            gap_frame(&Gap { reason, from: position(from), to: position(to), missed: Some(missed) })
        };
        let left_out = stream.skip(&self.reels[usize::from(stream.reel)], is_latest, tell);
        if left_out > 0 {
            self.audience.skipped(left_out);
        }
    }

    /// Of what came, only the latest waits for those who want no more and have no room.
    fn conflate(&mut self) {
        for index in 0..self.blocked.len() {
            let seat = self.blocked[index].0;
            if self.streams[seat].as_ref().is_some_and(|stream| stream.manner.slow() == Slow::Latest) {
                self.skip(seat, true);
            }
        }
    }

    /// What the time asks for: cursors that are due, heartbeats, streams that were blocked for too long. Returns whether
    /// it is to have a turn.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        self.unblock();
        if self.commit_at.is_some_and(|due| now >= due) {
            self.commit();
        }
        for reel in &mut self.reels {
            if now >= reel.closed_at + Duration::from_secs(HEARTBEAT_S) {
                reel.push(Bytes::from_static(HEARTBEAT), None);
                reel.close();
                self.left = self.streams.len();
            }
        }
        for index in 0..self.blocked.len() {
            let (seat, since) = self.blocked[index];
            if now >= since + Duration::from_secs(WRITE_STALL_S) {
                self.leaving.push((seat, Why::Stalled));
            } else if now >= since + SLOW {
                self.fall_behind(seat);
            }
        }
        self.left > 0 || !self.leaving.is_empty()
    }

    /// Moves the cursors to what peers have taken.
    fn commit(&mut self) {
        self.uncommitted = 0;
        let mut least: Vec<u64> = self.reels.iter().map(Reel::end).collect();
        let mut is_all = true;
        let mut commits = 0;
        for (seat, stream) in self.streams.iter_mut().enumerate() {
            let Some(stream) = stream else { continue };
            let reel = &self.reels[usize::from(stream.reel)];
            if reel.marks() == 0 && !stream.has_own() {
                continue;
            }
            let least = &mut least[usize::from(stream.reel)];
            if !stream.is_auto {
                *least = (*least).min(stream.at);
                stream.forget();
                continue;
            }
            let (at, offset) = stream.take_note(reel);
            *least = (*least).min(at);
            is_all &= !stream.has_own();
            self.audience.consumed(seat, offset);
            commits += 1;
            if commits % COMMITS == 0 {
                self.audience.commit();
            }
        }
        self.audience.commit();
        for (index, reel) in self.reels.iter_mut().enumerate() {
            reel.cut_marks(least[index]);
            is_all &= reel.marks() == 0;
            let Some(oldest) = reel.mark_before_last(REEL_ENTRIES_MAX) else { continue };
            for (seat, stream) in self.streams.iter_mut().enumerate() {
                let Some(stream) = stream.as_mut().filter(|stream| usize::from(stream.reel) == index) else {
                    continue;
                };
                let at = if stream.is_auto { stream.take_note(reel).0 } else { stream.at };
                if at <= oldest {
                    self.leaving.push((seat, Why::Slow));
                }
            }
        }
        self.commit_at = (!is_all).then(|| Instant::now() + COMMIT_LAG);
    }

    /// The stream in `seat` is to leave.
    pub(super) fn leave(&mut self, seat: usize, why: Why) {
        self.leaving.push((seat, why));
    }

    /// All streams are to leave.
    pub(super) fn dismiss(&mut self, why: Why) {
        let seats = self.streams.iter().enumerate().filter(|(_, stream)| stream.is_some());
        self.leaving.extend(seats.map(|(seat, _)| (seat, why)));
    }

    /// The next stream that leaves, with what it owes its peer.
    pub(super) fn next_leaving(&mut self) -> Option<(Arrival, Why)> {
        loop {
            let (seat, why) = self.leaving.pop()?;
            let Some(mut stream) = self.streams.get_mut(seat).and_then(Option::take) else { continue };
            // Who was blocked last leaves first, where all do.
            let blocked = self.blocked.iter().rposition(|(blocked, _)| *blocked == seat);
            let stalled_since =
                blocked.map(|index| self.blocked.swap_remove(index).1).filter(|_| stream.is_blocked);
            let reel = &self.reels[usize::from(stream.reel)];
            if stream.is_auto {
                let consumed = stream.take_note(reel).1;
                self.audience.consumed(seat, consumed);
            }
            let owed =
                if matches!(why, Why::Gone | Why::Stalled) { Owed::default() } else { stream.owed(reel) };
            let Owed { rest, untaken, marks, at } = owed;
            let subscription = self.audience.leave(seat, at);
            let handoff = Handoff { subscription, manner: stream.manner };
            let marks = if stream.is_auto { marks } else { Default::default() };
            let untaken = Untaken { bytes: untaken, marks, stalled_since };
            let Stream { socket, place, .. } = stream;
            return Some((Arrival { socket, handoff, untaken, first: rest, place }, why));
        }
    }
}
