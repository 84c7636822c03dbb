//! A reel: the bytes that all streams of one look in a group are sent, encoded once. Each stream is somewhere in them.
//!
//! What is appended in one turn is a chunk of the response, so that chunks end at the same places for everybody. Large
//! messages are not copied. What all streams have passed is cut off.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use eric_sse::Offset;
use eric_sse::sse::encode::Format;
use tokio::time::Instant;

/// Bytes of a chunk; one message is always whole.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Reel {
    pub(super) format: Format,
    blocks: VecDeque<Block>,
    /// Bytes that were ever appended.
    end: u64,
    /// Bytes that are kept.
    bytes: usize,
    /// Where entries end, for those that streams may not have consumed.
    marks: VecDeque<(u64, Offset)>,
    /// The last entry before the marks.
    before: Offset,
    /// The next chunk: frames, and where entries end among them.
    open: Vec<Bytes>,
    open_bytes: usize,
    open_marks: Vec<(usize, Offset)>,
    /// The last entry's frame, and the entry before it.
    last: Option<(Bytes, Offset)>,
    before_last: Offset,
    /// When a chunk was closed last.
    pub(super) closed_at: Instant,
}

#[derive(Debug)]
struct Block {
    end: u64,
    bytes: Bytes,
    /// Whether a chunk begins, and ends, with it.
    is_first: bool,
    is_last: bool,
}

impl Reel {
    /// An empty reel, whose streams were handed everything up to `before`.
    pub(super) fn new(format: Format, before: Offset) -> Self {
        Self {
            format,
            blocks: VecDeque::new(),
            end: 0,
            bytes: 0,
            marks: VecDeque::new(),
            before,
            open: Vec::new(),
            open_bytes: 0,
            open_marks: Vec::new(),
            last: None,
            before_last: before,
            closed_at: Instant::now(),
        }
    }

    /// Where the next chunk begins.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries that streams may not have consumed.
    pub(super) fn marks(&self) -> usize {
        self.marks.len()
    }

    /// Adds a frame to the next chunk; with `offset`, of an entry.
    pub(super) fn push(&mut self, frame: Bytes, offset: Option<Offset>) {
        if self.open_bytes > 0 && self.open_bytes + frame.len() > CHUNK_BYTES_MAX {
            self.close();
        }
        self.open_bytes += frame.len();
        if let Some(offset) = offset {
            self.open_marks.push((self.open_bytes, offset));
            self.before_last = self.last.as_ref().map_or(self.before_last, |(_, offset)| *offset);
            self.last = Some((frame.clone(), offset));
        }
        self.open.push(frame);
    }

    /// Closes the chunk, if there is anything in it.
    pub(super) fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let head = chunk_head(self.open_bytes);
        let begin = self.end + head.len() as u64;
        self.marks.extend(self.open_marks.drain(..).map(|(end, offset)| (begin + end as u64, offset)));
        if self.open_bytes > CHUNK_BYTES_MAX {
            self.append(head, true, false);
            let frames = std::mem::take(&mut self.open);
            frames.into_iter().for_each(|frame| self.append(frame, false, false));
            self.append(Bytes::from_static(b"\r\n"), false, true);
        } else {
            let block = chunk(&head, &self.open, self.open_bytes);
            self.append(block, true, true);
            self.open.clear();
        }
        self.open_bytes = 0;
        self.closed_at = Instant::now();
    }

    fn append(&mut self, bytes: Bytes, is_first: bool, is_last: bool) {
        self.end += bytes.len() as u64;
        self.bytes += bytes.len();
        self.blocks.push_back(Block { end: self.end, bytes, is_first, is_last });
    }

    /// Adds what is between `from` and `to` to `slices`, from the `filled`-th on; returns how many are filled then.
    pub(super) fn slices<'a>(
        &'a self,
        from: u64,
        to: u64,
        slices: &mut [IoSlice<'a>],
        mut filled: usize,
    ) -> usize {
        if from >= to {
            return filled;
        }
        let first = self.blocks.partition_point(|block| block.end <= from);
        for block in self.blocks.range(first..) {
            let begin = block.end - block.bytes.len() as u64;
            debug_assert!(filled > 0 || begin <= from, "what is not sent is not cut off");
            if begin >= to || filled == slices.len() {
                break;
            }
            let skip = from.saturating_sub(begin) as usize;
            let take = (to.min(block.end) - begin) as usize;
            slices[filled] = IoSlice::new(&block.bytes[skip..take]);
            filled += 1;
        }
        filled
    }

    /// What is left of the chunk that `at` is in; nothing where a chunk begins there.
    pub(super) fn rest(&self, at: u64) -> Vec<Bytes> {
        let first = self.blocks.partition_point(|block| block.end <= at);
        let Some(block) = self.blocks.get(first) else { return Vec::new() };
        let skip = (at + block.bytes.len() as u64 - block.end) as usize;
        if skip == 0 && block.is_first {
            return Vec::new();
        }
        let mut rest = Vec::new();
        for block in self.blocks.range(first..) {
            rest.push(block.bytes.clone());
            if block.is_last {
                break;
            }
        }
        rest[0] = rest[0].slice(skip..);
        rest
    }

    /// The last entry that ends at or before `at`.
    pub(super) fn offset_at(&self, at: u64) -> Offset {
        match self.marks.partition_point(|(end, _)| *end <= at) {
            0 => self.before,
            count => self.marks[count - 1].1,
        }
    }

    /// The entries that end after `from`, up to `to`, with where they end; the last first.
    pub(super) fn marks_back(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, Offset)> {
        let upto = self.marks.partition_point(|(end, _)| *end <= to);
        self.marks.range(..upto).rev().take_while(move |(end, _)| *end > from).copied()
    }

    /// Entries that end after `from`, up to `to`.
    pub(super) fn count(&self, from: u64, to: u64) -> u64 {
        let before = |at: u64| self.marks.partition_point(|(end, _)| *end <= at);
        before(to).saturating_sub(before(from)) as u64
    }

    /// The last entry's frame.
    pub(super) fn last(&self) -> Option<&(Bytes, Offset)> {
        self.last.as_ref()
    }

    /// The entry before the last.
    pub(super) fn before_last(&self) -> Offset {
        self.before_last
    }

    /// Where the oldest of the last `count` marks is.
    pub(super) fn mark_before_last(&self, count: usize) -> Option<u64> {
        self.marks.len().checked_sub(count + 1).map(|index| self.marks[index].0)
    }

    /// Lets go of the bytes before `at`.
    pub(super) fn cut(&mut self, at: u64) {
        while let Some(block) = self.blocks.pop_front_if(|block| block.end <= at) {
            self.bytes -= block.bytes.len();
        }
        if self.blocks.is_empty() {
            // A silent channel holds no buffer.
            self.blocks.shrink_to(1);
            self.open.shrink_to(1);
            self.open_marks.shrink_to(1);
        }
    }

    /// Lets go of the marks up to `at`: their entries were consumed.
    pub(super) fn cut_marks(&mut self, at: u64) {
        while let Some((_, offset)) = self.marks.pop_front_if(|(end, _)| *end <= at) {
            self.before = offset;
        }
        if self.marks.is_empty() {
            self.marks.shrink_to(1);
        }
    }
}

fn chunk_head(bytes: usize) -> Bytes {
    Bytes::from(format!("{bytes:x}\r\n"))
}

fn chunk(head: &[u8], frames: &[Bytes], bytes: usize) -> Bytes {
    let mut block = Vec::with_capacity(head.len() + bytes + 2);
    block.extend_from_slice(head);
    frames.iter().for_each(|frame| block.extend_from_slice(frame));
    block.extend_from_slice(b"\r\n");
    block.into()
}

/// One frame as a chunk of its own.
pub(crate) fn chunk_of(frame: &Bytes) -> Bytes {
    chunk(&chunk_head(frame.len()), std::slice::from_ref(frame), frame.len())
}

#[cfg(test)]
mod tests {
    use eric_sse::limits::REEL_ENTRIES_MAX;

    use super::*;

    #[test]
    fn a_reel_remembers_16_384_entries_that_were_not_taken() {
        let mut reel = Reel::new(Format::Payload, Offset::ZERO);
        for offset in 1..=REEL_ENTRIES_MAX as u64 {
            reel.push(Bytes::from_static(b"e"), Some(Offset::new(offset)));
        }
        reel.close();
        assert_eq!(reel.mark_before_last(REEL_ENTRIES_MAX), None);
        reel.push(Bytes::from_static(b"e"), Some(Offset::new(REEL_ENTRIES_MAX as u64 + 1)));
        reel.close();
        let oldest = reel.mark_before_last(REEL_ENTRIES_MAX).expect("one is too many");
        assert_eq!(reel.offset_at(oldest), Offset::new(1), "who has not taken the first is not waited for");
    }
}
