//! One stream of a shard: where in its reel it is, and what it is sent alone.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;

use bytes::Bytes;
use eric_sse::Offset;

use super::reel::{Reel, chunk_of};
use crate::acceptor::Place;
use crate::manner::Manner;
use crate::system::untaken_bytes;

/// Pieces of one write.
const PIECES_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) socket: TcpStream,
    pub(super) place: Place,
    pub(super) manner: Manner,
    /// Its reel's number in the group.
    pub(super) reel: u8,
    /// Whether what its peer has taken moves a cursor.
    pub(super) is_auto: bool,
    /// Its peer took less than it was sent, and the kernel has no room.
    pub(super) is_blocked: bool,
    /// Everything of the reel before this was sent.
    pub(super) at: u64,
    /// What was sent to it alone, here or before it came, goes up to here.
    handed: Offset,
    /// What is sent to it alone; none where there is nothing of that kind.
    own: Option<Box<Own>>,
}

/// What one stream is sent that is not on the reel.
#[derive(Debug, Default)]
struct Own {
    waiting: VecDeque<Piece>,
    /// Bytes of `waiting`.
    bytes: usize,
    /// Bytes of the first that were sent.
    sent: usize,
    /// What was sent, and perhaps not taken.
    written: VecDeque<Written>,
}

impl Own {
    /// Nothing is left to send, and nothing that was sent may still have to be taken.
    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.written.is_empty()
    }
}

#[derive(Debug)]
struct Piece {
    kind: Kind,
    /// Sent when the reel was, up to here,
    at: u64,
    /// which goes on there.
    then: u64,
    bytes: Bytes,
    /// Everything up to here was handed out with it, where that is known.
    offset: Option<Offset>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// For this stream alone.
    Own,
    /// The end of a chunk of the reel that was begun when the rest of it was left out.
    Rest,
    /// Says that so many entries after this one were left out.
    Gap(Offset, u64),
    /// The latest entry of those that were left out.
    Latest,
}

#[derive(Debug)]
struct Written {
    at: u64,
    then: u64,
    bytes: u64,
    offset: Option<Offset>,
}

/// What a stream that leaves its shard still owes its peer.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// The end of what was begun.
    pub(super) rest: Vec<Bytes>,
    /// Bytes that the peer's kernel has not acknowledged.
    pub(super) untaken: u64,
    /// Where entries end, in bytes after the last that the peer's kernel has acknowledged.
    pub(super) marks: VecDeque<(u64, Offset)>,
    /// The last entry that is among what was sent and the rest.
    pub(super) at: Offset,
}

impl Stream {
    pub(super) fn new(
        (socket, place, manner): (TcpStream, Place, Manner),
        (reel, at): (u8, u64),
        handed: Offset,
        is_auto: bool,
    ) -> Self {
        Self { socket, place, manner, reel, is_auto, is_blocked: false, at, handed, own: None }
    }

    /// What is to be sent to it alone, after the reel up to `at`.
    pub(super) fn post(&mut self, at: u64, bytes: Bytes, offset: Option<Offset>) {
        let own = self.own.get_or_insert_default();
        own.bytes += bytes.len();
        own.waiting.push_back(Piece { kind: Kind::Own, at, then: at, bytes, offset });
    }

    /// What was written to it before it came: `marks` say where entries end, in bytes from where its peer is.
    pub(super) fn remember(&mut self, marks: impl IntoIterator<Item = (u64, Offset)>) {
        let mut before = 0;
        for (end, offset) in marks {
            let (at, bytes) = (self.at, end - before);
            let written = Written { at, then: at, bytes, offset: Some(offset) };
            before = end;
            self.own.get_or_insert_default().written.push_back(written);
        }
    }

    /// What is left of the chunk of the reel that was begun.
    fn rest(&self, reel: &Reel) -> Vec<Bytes> {
        let next = self.own.as_ref().and_then(|own| own.waiting.front());
        // What comes before the reel goes on comes where a chunk begins.
        if next.is_some_and(|piece| piece.at <= self.at) { Vec::new() } else { reel.rest(self.at) }
    }

    /// Where the reel is still needed.
    pub(super) fn needs(&self) -> u64 {
        let mut needs = self.at;
        for piece in self.own.iter().flat_map(|own| &own.waiting) {
            if piece.at > needs {
                break;
            }
            needs = piece.then;
        }
        needs
    }

    /// Leaves out what is on the reel and was not begun; with `is_latest` all but the last entry. What is for this
    /// stream alone is kept, and `tell` says how what was left out is told. Returns how many entries were.
    pub(super) fn skip(
        &mut self,
        reel: &Reel,
        is_latest: bool,
        tell: impl FnOnce(Offset, Offset, u64) -> Bytes,
    ) -> u64 {
        let begun = self.rest(reel);
        let own = self.own.get_or_insert_default();
        let mut kept = VecDeque::new();
        // What was begun is sent to its end.
        let mut base = self.at;
        if own.sent > 0 {
            kept.extend(own.waiting.pop_front());
            base = kept[0].then;
        }
        for bytes in begun {
            base += bytes.len() as u64;
            let offset = Some(reel.offset_at(base));
            kept.push_back(Piece { kind: Kind::Rest, at: self.at, then: self.at, bytes, offset });
        }
        if let Some(last) = kept.back_mut() {
            last.then = base;
        }
        let (mut on_reel, mut from, mut left_out, mut before) = (base, None, 0, 0);
        for mut piece in own.waiting.drain(..) {
            left_out += reel.count(on_reel, piece.at);
            on_reel = piece.then;
            match piece.kind {
                Kind::Gap(after, entries) => {
                    (from, before) = (Some(after), entries);
                    left_out += entries;
                }
                Kind::Latest => left_out += 1,
                Kind::Rest => {
                    base = piece.then;
                    kept.push_back(piece);
                }
                Kind::Own => {
                    (piece.at, piece.then) = (base, base);
                    kept.push_back(piece);
                }
            }
        }
        let end = reel.end();
        left_out += reel.count(on_reel, end);
        let latest = reel.last().filter(|_| is_latest && left_out > 0);
        left_out -= u64::from(latest.is_some());
        let from = from.unwrap_or_else(|| reel.offset_at(base).max(self.handed));
        let to = match &latest {
            Some(_) => reel.before_last(),
            None => reel.offset_at(end),
        };
        // In log order, also among what is for this stream alone.
        let is_later = |piece: &Piece| latest.is_some_and(|(_, offset)| piece.offset > Some(*offset));
        let mut place = kept.len() - kept.iter().rev().take_while(|piece| is_later(piece)).count();
        if left_out > 0 {
            let bytes = chunk_of(&tell(from, to, left_out));
            let kind = Kind::Gap(from, left_out);
            kept.insert(place, Piece { kind, at: base, then: base, bytes, offset: Some(to) });
            place += 1;
        }
        if let Some((frame, offset)) = latest {
            let (kind, bytes) = (Kind::Latest, chunk_of(frame));
            kept.insert(place, Piece { kind, at: base, then: base, bytes, offset: Some(*offset) });
        }
        match kept.back_mut() {
            Some(last) => last.then = end,
            None => self.at = end,
        }
        own.bytes = kept.iter().map(|piece| piece.bytes.len()).sum();
        own.waiting = kept;
        left_out - before
    }

    /// Entries, and bytes, that wait for this stream alone.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.own.as_ref().map_or((0, 0), |own| (own.waiting.len(), own.bytes))
    }

    /// Whether its peer may still have to take what was sent to it alone.
    pub(super) fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// Sends what there is, until the kernel has no room.
    pub(super) fn send(&mut self, reel: &Reel) -> io::Result<()> {
        self.is_blocked = false;
        loop {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let filled = self.fill(reel, &mut slices);
            let written = match &slices[..filled] {
                [] => return Ok(()),
                [slice] => (&self.socket).write(slice),
                slices => (&self.socket).write_vectored(slices),
            };
            match written {
                Ok(written) => {
                    self.advance(reel.end(), written as u64);
                    self.own.take_if(|own| own.is_over());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn fill<'a>(&'a self, reel: &'a Reel, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut filled, mut at) = (0, self.at);
        if let Some(own) = &self.own {
            let mut skip = own.sent;
            for piece in &own.waiting {
                filled = reel.slices(at, piece.at, slices, filled);
                if filled == slices.len() {
                    return filled;
                }
                slices[filled] = IoSlice::new(&piece.bytes[skip..]);
                filled += 1;
                (skip, at) = (0, piece.then);
            }
        }
        reel.slices(at, reel.end(), slices, filled)
    }

    /// Takes note that the kernel took `written` bytes.
    fn advance(&mut self, end: u64, mut written: u64) {
        let Some(own) = &mut self.own else {
            self.at += written;
            return;
        };
        while written > 0 {
            let until = own.waiting.front().map_or(end, |piece| piece.at);
            let step = written.min(until - self.at);
            self.at += step;
            written -= step;
            if written == 0 {
                return;
            }
            let Some(piece) = own.waiting.front() else { return };
            let step = written.min((piece.bytes.len() - own.sent) as u64);
            own.sent += step as usize;
            written -= step;
            if own.sent == piece.bytes.len() {
                let Piece { at, then, offset, .. } = *piece;
                let written = Written { at, then, bytes: piece.bytes.len() as u64, offset };
                self.at = then;
                self.handed = self.handed.max(piece.offset.unwrap_or(self.handed));
                own.bytes -= piece.bytes.len();
                own.sent = 0;
                own.waiting.pop_front();
                // What holds no entry only tells those before it apart: a stream's head is not kept.
                if offset.is_some() || !own.written.is_empty() {
                    own.written.push_back(written);
                }
            }
        }
    }

    /// What the peer's kernel has acknowledged: where on the reel it is, and the last entry it has whole.
    pub(super) fn take_note(&mut self, reel: &Reel) -> (u64, Offset) {
        let mut untaken = untaken_bytes(self.socket.as_fd()).unwrap_or(u64::MAX);
        let Some(own) = &mut self.own else {
            let taken = self.at.saturating_sub(untaken);
            return (taken, reel.offset_at(taken));
        };
        // The first piece, if any, is sent in part.
        untaken = untaken.saturating_sub(own.sent as u64);
        let (mut at, mut taken) = (self.at, own.written.len());
        while taken > 0 {
            let last = &own.written[taken - 1];
            if untaken <= at - last.then {
                break;
            }
            untaken -= at - last.then;
            at = last.at;
            untaken = untaken.saturating_sub(last.bytes);
            taken -= 1;
        }
        let at = at.saturating_sub(untaken);
        let alone = own.written.drain(..taken).filter_map(|written| written.offset).max();
        self.own.take_if(|own| own.is_over());
        (at, reel.offset_at(at).max(alone.unwrap_or(Offset::ZERO)))
    }

    /// Nobody asks what its peer has taken.
    pub(super) fn forget(&mut self) {
        self.own.take_if(|own| own.waiting.is_empty());
        if let Some(own) = &mut self.own {
            own.written.clear();
        }
    }

    /// Whether the peer has left. What it sends is discarded.
    pub(super) fn has_left(&self) -> bool {
        let mut discarded = [0; 256];
        loop {
            match (&self.socket).read(&mut discarded) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// What it still owes its peer, for whoever goes on with it.
    pub(super) fn owed(&self, reel: &Reel) -> Owed {
        let untaken = untaken_bytes(self.socket.as_fd()).unwrap_or(0);
        let own = self.own.as_deref();
        let sent = own.map_or(0, |own| own.sent);
        let begun = own.and_then(|own| own.waiting.front());
        let mut marks = VecDeque::new();
        let (rest, at) = match begun.filter(|piece| sent > 0 || piece.kind == Kind::Rest) {
            Some(piece) => {
                let mut rest = vec![piece.bytes.slice(sent..)];
                let mut offset = piece.offset;
                for piece in own.into_iter().flat_map(|own| own.waiting.iter().skip(1)) {
                    if piece.kind != Kind::Rest {
                        break;
                    }
                    rest.push(piece.bytes.clone());
                    offset = offset.max(piece.offset);
                }
                let bytes: usize = rest.iter().map(Bytes::len).sum();
                marks.extend(offset.map(|offset| (untaken + bytes as u64, offset)));
                (rest, offset)
            }
            None => {
                let rest = self.rest(reel);
                let end = self.at + rest.iter().map(|piece| piece.len() as u64).sum::<u64>();
                let among =
                    reel.marks_back(self.at, end).map(|(at, offset)| (untaken + at - self.at, offset));
                among.for_each(|mark| marks.push_front(mark));
                (rest, Some(reel.offset_at(end)))
            }
        };
        // Back from the last byte that was sent, as far as the peer has not taken it.
        let (mut at_byte, mut back) = (self.at, sent as u64);
        let written = own.into_iter().flat_map(|own| own.written.iter().rev());
        for written in written {
            let on_reel = reel.marks_back(written.then, at_byte);
            for (end, offset) in on_reel {
                push_untaken(&mut marks, untaken, back + at_byte - end, offset);
            }
            back += at_byte - written.then;
            at_byte = written.at;
            if let Some(offset) = written.offset {
                push_untaken(&mut marks, untaken, back, offset);
            }
            back += written.bytes;
        }
        for (end, offset) in reel.marks_back(0, at_byte) {
            if back + at_byte - end >= untaken {
                break;
            }
            push_untaken(&mut marks, untaken, back + at_byte - end, offset);
        }
        let at = reel.offset_at(self.at).max(self.handed).max(at.unwrap_or(self.handed));
        Owed { rest, untaken, marks, at }
    }
}

/// An entry that ends `back` bytes before the last that was sent, unless the peer has taken it.
fn push_untaken(marks: &mut VecDeque<(u64, Offset)>, untaken: u64, back: u64, offset: Offset) {
    if back < untaken {
        marks.push_front((untaken - back, offset));
    }
}
