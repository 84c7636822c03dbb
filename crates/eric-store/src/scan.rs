//! Reading a segment from its beginning to where it ends, and telling its end from damage.

use std::sync::Arc;

use memchr::memchr_iter;

use crate::damage::{Damage, Fault, Found, Trying as _};
use crate::disk::DiskFile;
use crate::format::change::kind;
use crate::format::frame::{BEGIN, FRAME_BYTES, Frame, RECORD_OVERHEAD_BYTES, Spot, is_one_bit_off};
use crate::format::segment::{HEAD_BYTES, Head};

/// A segment in memory.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) head: Head,
    bytes: Vec<u8>,
}

/// A record, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Where it stands.
    pub(crate) at: u32,
    pub(crate) kind: u8,
    /// Where the segment was synced up to when it was written.
    pub(crate) durable: u32,
    pub(crate) body: &'a [u8],
}

impl Record<'_> {
    /// Where its body stands.
    pub(crate) fn body_at(&self) -> u32 {
        self.at + u32::try_from(FRAME_BYTES).expect("a frame is small")
    }

    /// Where the next record stands.
    pub(crate) fn end(&self) -> u32 {
        self.at + u32::try_from(RECORD_OVERHEAD_BYTES + self.body.len()).expect("records are bounded")
    }
}

/// Where a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// After the last record.
    pub(crate) at: u32,
    /// Whether its last record says that it ends.
    pub(crate) is_sealed: bool,
    /// Where the last record ends that was torn; what is between was never acknowledged.
    pub(crate) torn_to: u32,
    /// What is after this may not have been synced.
    pub(crate) durable: u32,
}

/// What stands at a place of a segment that may be damaged.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Record(Record<'a>),
    Bad(Bad<'a>),
}

/// A place without a record where one was.
#[derive(Debug)]
pub(crate) struct Bad<'a> {
    pub(crate) damage: Damage,
    /// Where the next record stands, or nothing more does.
    pub(crate) to: u32,
    /// The kind of the record and what is left of its body, where its frame is whole.
    pub(crate) rest: Option<(u8, &'a [u8])>,
}

impl Scan {
    /// Reads a whole segment.
    pub(crate) fn read(number: u64, file: &Arc<dyn DiskFile>) -> Found<Self> {
        let bytes = read_bytes(number, file)?;
        let head = bytes.first_chunk().ok_or(Damage::new(number, 0_u64, "it is smaller than its head"))?;
        let head = Head::decode(head).map_err(|malformed| Damage::malformed(number, 0_u64, malformed))?;
        if head.number != number {
            return Err(Damage::new(number, 16_u64, "its name says another number than its head").into());
        }
        Ok(Self { head, bytes })
    }

    /// Reads a segment although its head may be damaged: then the head is made good if one bit of it has turned, and
    /// else is what the file's name and `store`, the number of the store that other segments tell, say.
    pub(crate) fn read_damaged(
        number: u64,
        file: &Arc<dyn DiskFile>,
        store: Option<u64>,
    ) -> Found<(Self, Option<Damage>)> {
        let bytes = read_bytes(number, file)?;
        let Some(head) = bytes.first_chunk() else {
            return Err(Damage::new(number, 0_u64, "it is smaller than its head").into());
        };
        let (found, damage) = match Head::decode(head) {
            Ok(head) if head.number != number => {
                return Err(Damage::new(number, 16_u64, "its name says another number than its head").into());
            }
            Ok(head) if store.is_some_and(|store| store != head.store) => {
                return Err(Damage::new(number, 24_u64, "it belongs to another store").into());
            }
            Ok(head) => (Some(head), None),
            Err(malformed) => (Head::mended(head), Some(Damage::malformed(number, 0_u64, malformed))),
        };
        let named = |store| Head { number, store, is_rewritten: false };
        let head = found.filter(|head| head.number == number).or(store.map(named));
        match head {
            Some(head) => Ok((Self { head, bytes }, damage)),
            None => Err(damage.expect("a head that is whole was found").into()),
        }
    }

    fn spot(&self, at: u32) -> Spot {
        Spot { store: self.head.store, segment: self.head.number, at }
    }

    /// The record at `at`, if one is there.
    fn record(&self, at: u32) -> Option<Record<'_>> {
        let rest = self.bytes.get(at as usize..)?;
        let (frame, rest) = rest.split_first_chunk::<FRAME_BYTES>()?;
        let frame = Frame::decode(frame, self.spot(at))?;
        let body = frame.body(rest)?;
        Some(Record { at, kind: frame.kind, durable: frame.durable, body })
    }

    /// Visits the records from the first on, and says where they end; damage where they cannot end there.
    pub(crate) fn walk(
        &self,
        is_last: bool,
        mut visit: impl FnMut(Record<'_>) -> Found<()>,
    ) -> Found<SegmentEnd> {
        let (mut at, mut durable) = (HEAD_BYTES, HEAD_BYTES);
        while let Some(record) = self.record(at) {
            at = record.end();
            durable = durable.max(record.durable);
            visit(record)?;
            if record.kind == kind::SEALED {
                return Ok(SegmentEnd { at, is_sealed: true, torn_to: at, durable });
            }
        }
        let torn_to = self.end(at, is_last)?;
        Ok(SegmentEnd { at, is_sealed: false, torn_to, durable })
    }

    /// Visits what stands in a segment that may be damaged: after a bad place it goes on with the next record that is
    /// whole.
    pub(crate) fn walk_damaged(
        &self,
        is_last: bool,
        mut visit: impl FnMut(Piece<'_>) -> Found<()>,
    ) -> Found<SegmentEnd> {
        let (mut at, mut durable) = (HEAD_BYTES, HEAD_BYTES);
        loop {
            if let Some(record) = self.record(at) {
                at = record.end();
                durable = durable.max(record.durable);
                visit(Piece::Record(record))?;
                if record.kind == kind::SEALED {
                    return Ok(SegmentEnd { at, is_sealed: true, torn_to: at, durable });
                }
                continue;
            }
            let next = self.next_record(at);
            let damage = match self.end(at, is_last) {
                Ok(torn_to) => return Ok(SegmentEnd { at, is_sealed: false, torn_to, durable }),
                Err(Fault::Damaged(damage)) => damage,
                Err(fault) => return Err(fault),
            };
            let to = next.map_or_else(|| self.written_to(at), |record| record.at);
            visit(Piece::Bad(Bad { damage, to, rest: self.rest(at) }))?;
            at = match next {
                Some(record) => record.at,
                None => return Ok(SegmentEnd { at: to, is_sealed: false, torn_to: to, durable }),
            };
        }
    }

    /// The frames from `at` on that were written for the place where they are.
    fn frames(&self, at: u32) -> impl Iterator<Item = (u32, Frame)> {
        let rest = &self.bytes[at as usize..];
        memchr_iter(BEGIN, rest).filter_map(move |index| {
            let place = at + u32::try_from(index).expect("segments are smaller than 4 GiB");
            let frame = Frame::decode(rest[index..].first_chunk()?, self.spot(place))?;
            Some((place, frame))
        })
    }

    /// The next whole record after `at`.
    fn next_record(&self, at: u32) -> Option<Record<'_>> {
        self.frames(at + 1).find_map(|(place, _)| self.record(place))
    }

    /// What is left of the body of the record at `at`, where its frame is whole and its body is not.
    fn rest(&self, at: u32) -> Option<(u8, &[u8])> {
        let (frame, rest) = self.bytes.get(at as usize..)?.split_first_chunk::<FRAME_BYTES>()?;
        let frame = Frame::decode(frame, self.spot(at))?;
        Some((frame.kind, &rest[..rest.len().min(frame.len as usize)]))
    }

    fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("segments are smaller than 4 GiB")
    }

    /// Where the last byte after `at` is that is not zero.
    fn written_to(&self, at: u32) -> u32 {
        let written =
            self.bytes[at as usize..].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        at + u32::try_from(written).expect("segments are smaller than 4 GiB")
    }

    /// Whether the records may end at `at`; returns where the last record ends that was torn. What an earlier use of
    /// the file left behind is none.
    fn end(&self, at: u32, is_last: bool) -> Found<u32> {
        let number = self.head.number;
        if !is_last {
            return Err(Damage::new(number, at, "a record is missing in a segment that was finished").into());
        }
        let rest = &self.bytes[at as usize..];
        if is_one_bit_off(rest, self.spot(at)) {
            return Err(Damage::new(number, at, "one bit of a record has turned").into());
        }
        let mut torn_to = at;
        for (place, frame) in self.frames(at) {
            if frame.durable > at {
                let what = "a record is missing, and what follows says that it was on the disk";
                return Err(Damage::new(number, at, what).into());
            }
            let bytes = u32::try_from(RECORD_OVERHEAD_BYTES).expect("a frame is small") + frame.len;
            torn_to = torn_to.max(place.saturating_add(bytes).min(self.len()));
        }
        Ok(torn_to)
    }
}

fn read_bytes(number: u64, file: &Arc<dyn DiskFile>) -> Found<Vec<u8>> {
    let size = file.size().trying("a segment cannot be read")?;
    let len = usize::try_from(size).ok().filter(|_| size < u64::from(u32::MAX));
    let len = len.ok_or(Damage::new(number, 0_u64, "it is larger than a segment can be"))?;
    let mut bytes = vec![0; len];
    file.read(&mut bytes, 0).trying("a segment cannot be read")?;
    Ok(bytes)
}
