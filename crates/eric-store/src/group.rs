//! A group: what one write brings to the disk, and what is told once it is there.

use eric_sse::cursor::Fence;
use eric_sse::lane::Lane;
use eric_sse::{Entry, IdempotencyKey, Offset};

use crate::format::change::Change;
use crate::format::entry::put_entry;
use crate::format::frame::{FRAME_BYTES, Spot, put_record};
use crate::request::Answer;

/// Records on their way to the current segment.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) bytes: Vec<u8>,
    /// The place of the first byte.
    pub(crate) start: Spot,
    /// Where the segment is synced up to.
    pub(crate) durable: u32,
    /// Bytes of the segment.
    pub(crate) size: u32,
    pub(crate) answers: Vec<Answer>,
    pub(crate) told: Vec<Told>,
    /// Lanes whose rules are to be looked at.
    pub(crate) due: Vec<Lane>,
    /// The last offset that was given when it was taken.
    pub(crate) tail: Offset,
    /// The segment in which the checkpoint begins that ends here.
    pub(crate) checkpoint: Option<u64>,
    /// Segments in which nothing is alive.
    pub(crate) released: Vec<u64>,
}

/// What the hub is told, in order.
#[derive(Debug)]
pub(crate) enum Told {
    Appended(Vec<Entry>),
    LeaseTaken(Lane, Fence),
    Removed(Lane),
}

impl Group {
    pub(crate) fn new(bytes: Vec<u8>, start: Spot, durable: u32) -> Self {
        Self {
            bytes,
            start,
            durable,
            size: 0,
            answers: Vec::new(),
            told: Vec::new(),
            due: Vec::new(),
            tail: Offset::ZERO,
            checkpoint: None,
            released: Vec::new(),
        }
    }

    /// Goes to another place, before there is any record.
    pub(crate) fn move_to(&mut self, start: Spot, durable: u32) {
        assert!(self.bytes.is_empty(), "records hold for their place only");
        (self.start, self.durable) = (start, durable);
    }

    /// Whether there is nothing to write, and nobody to answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.answers.is_empty() && self.released.is_empty()
    }

    /// Where the next byte goes.
    pub(crate) fn end(&self) -> Spot {
        let at = self.start.at + u32::try_from(self.bytes.len()).expect("a group fits its segment");
        Spot { at, ..self.start }
    }

    /// Appends a record.
    pub(crate) fn put(&mut self, change: &Change<'_>) {
        let spot = self.end();
        put_record(&mut self.bytes, spot, self.durable, change.kind(), |out| change.put(out));
    }

    /// Appends a batch; `place` is told where each entry stands, and how long it is.
    pub(crate) fn put_batch(
        &mut self,
        entries: &[Entry],
        keys: &[Option<IdempotencyKey>],
        mut place: impl FnMut(&Entry, u32, u32),
    ) {
        let spot = self.end();
        let first = spot.at + u32::try_from(FRAME_BYTES).expect("a frame is small");
        put_record(&mut self.bytes, spot, self.durable, Change::Batch(&[]).kind(), |out| {
            let body = out.len();
            for (index, entry) in entries.iter().enumerate() {
                let begin = out.len();
                put_entry(out, entry, keys.get(index).and_then(Option::as_ref));
                let within = |bytes: usize| u32::try_from(bytes).expect("records are bounded");
                place(entry, first + within(begin - body), within(out.len() - begin));
            }
        });
    }

    /// The hub is told of new entries.
    pub(crate) fn tell_appended(&mut self, entries: Vec<Entry>) {
        match self.told.last_mut() {
            Some(Told::Appended(before)) => before.extend(entries),
            _ => self.told.push(Told::Appended(entries)),
        }
    }
}
