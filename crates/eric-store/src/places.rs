//! Where the entries of one lane are: the index, kept small.
//!
//! A few bytes an entry, as differences to the one before, in blocks that can be searched. A block is of one
//! segment, so that a segment that is rewritten changes its blocks and no others.

use std::collections::VecDeque;

use eric_sse::Offset;
use eric_sse::engine::lanes::{Kept, Shelf, Upto};

use crate::format::codec::{Reader, put_varint};

/// Entries of a block: what a search goes through one by one.
const BLOCK_ENTRIES: u32 = 128;

/// Where an entry's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// Where in the file.
    pub(crate) at: u32,
    /// How many bytes.
    pub(crate) len: u32,
}

/// The index of one lane.
#[derive(Debug, Default)]
pub(crate) struct Places {
    blocks: VecDeque<Block>,
    /// Entries, and their bytes, that were taken away.
    gone: Sums,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    entries: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Block {
    segment: u64,
    /// Of all entries that were ever put here, those before `head`.
    before: Sums,
    left: u32,
    head: Item,
    tail: Item,
    /// Where in `data` the item after `head` begins.
    next: u32,
    /// Bytes of the items in the block.
    bytes: u64,
    /// All items but the first that was ever put here, each as its difference to the one before.
    data: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    offset: u64,
    taken_ms: u64,
    bytes: u32,
    at: u32,
    len: u32,
}

impl Item {
    fn new(kept: Kept, place: Place) -> Self {
        let bytes = u32::try_from(kept.bytes).expect("messages are bounded");
        Self { offset: kept.offset.get(), taken_ms: kept.taken_ms, bytes, at: place.at, len: place.len }
    }

    fn kept(&self) -> Kept {
        Kept { offset: Offset::new(self.offset), taken_ms: self.taken_ms, bytes: u64::from(self.bytes) }
    }

    fn place(&self, segment: u64) -> Place {
        Place { segment, at: self.at, len: self.len }
    }

    /// Appends the difference to the item before.
    fn put(&self, out: &mut Vec<u8>, before: &Self) {
        put_varint(out, self.offset - before.offset);
        put_varint(out, u64::from(self.at - (before.at + before.len)));
        put_varint(out, u64::from(self.len));
        put_varint(out, u64::from(self.len - self.bytes));
        put_varint(out, zigzag(self.taken_ms.wrapping_sub(before.taken_ms)));
    }

    fn read(reader: &mut Reader<'_>, before: &Self) -> Self {
        let mut number = || reader.varint().expect("the index was written by its own code");
        let offset = before.offset + number();
        let at = before.at + before.len + number() as u32;
        let len = number() as u32;
        let bytes = len - number() as u32;
        Self { offset, taken_ms: before.taken_ms.wrapping_add(unzigzag(number())), bytes, at, len }
    }
}

/// Small differences in either direction become small numbers.
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ 0_u64.wrapping_sub(difference >> 63)
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ 0_u64.wrapping_sub(number & 1)
}

impl Block {
    fn new(segment: u64, before: Sums, item: Item) -> Self {
        let bytes = u64::from(item.bytes);
        Self { segment, before, left: 1, head: item, tail: item, next: 0, bytes, data: Vec::new() }
    }

    fn push(&mut self, item: Item) {
        item.put(&mut self.data, &self.tail);
        self.tail = item;
        self.left += 1;
        self.bytes += u64::from(item.bytes);
    }

    /// Takes the head away; none is left if it was the last.
    fn pop(&mut self) {
        self.before.entries += 1;
        self.before.bytes += u64::from(self.head.bytes);
        self.bytes -= u64::from(self.head.bytes);
        self.left -= 1;
        if self.left > 0 {
            let mut reader = Reader::new(&self.data[self.next as usize..]);
            self.head = Item::read(&mut reader, &self.head);
            self.next = u32::try_from(self.data.len() - reader.left()).expect("a block is small");
        }
    }

    fn after(&self) -> Sums {
        Sums { entries: self.before.entries + u64::from(self.left), bytes: self.before.bytes + self.bytes }
    }

    fn items(&self) -> impl Iterator<Item = Item> {
        let mut reader = Reader::new(&self.data[self.next as usize..]);
        let mut before = None;
        (0..self.left).map(move |_| {
            let item = before.map_or(self.head, |before| Item::read(&mut reader, &before));
            before = Some(item);
            item
        })
    }
}

impl Places {
    /// The kept entries after `after`, oldest first.
    pub(crate) fn after(&self, after: Offset) -> impl Iterator<Item = (Kept, Place)> {
        let first = self.blocks.partition_point(|block| block.tail.offset <= after.get());
        self.blocks
            .range(first..)
            .flat_map(|block| block.items().map(|item| (item.kept(), item.place(block.segment))))
            .skip_while(move |(kept, _)| kept.offset <= after)
    }

    /// How many bytes there are in which segment.
    pub(crate) fn by_segment(&self) -> impl Iterator<Item = (u64, u64)> {
        self.blocks.iter().map(|block| (block.segment, block.items().map(|item| u64::from(item.len)).sum()))
    }

    /// Where the entry at `offset` is, if it is kept.
    pub(crate) fn find(&self, offset: Offset) -> Option<Place> {
        let index = self.blocks.partition_point(|block| block.tail.offset < offset.get());
        let block = self.blocks.get(index)?;
        let item = block.items().find(|item| item.offset >= offset.get());
        item.filter(|item| item.offset == offset.get()).map(|item| item.place(block.segment))
    }

    /// Finds the entries of some segments elsewhere from now on: those of which `is_old` in `segment`, where `find`
    /// says. Returns how many bytes they have.
    pub(crate) fn relocate(
        &mut self,
        is_old: impl Fn(u64) -> bool,
        segment: u64,
        mut find: impl FnMut(Offset) -> u32,
    ) -> u64 {
        let mut bytes = 0;
        for block in self.blocks.iter_mut().filter(|block| is_old(block.segment)) {
            let mut moved: Option<Block> = None;
            for item in block.items() {
                let item = Item { at: find(Offset::new(item.offset)), ..item };
                bytes += u64::from(item.len);
                match &mut moved {
                    Some(moved) => moved.push(item),
                    None => moved = Some(Block::new(segment, block.before, item)),
                }
            }
            *block = moved.expect("a block has an item");
            block.data.shrink_to_fit();
        }
        bytes
    }

    /// Bytes of memory that this takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let data: usize = self.blocks.iter().map(|block| block.data.capacity()).sum();
        data + self.blocks.capacity() * size_of::<Block>()
    }
}

impl Shelf for Places {
    type Item = Place;

    fn push(&mut self, kept: Kept, place: Place) {
        let item = Item::new(kept, place);
        if let Some(block) = self.blocks.back_mut() {
            if block.segment == place.segment && block.left < BLOCK_ENTRIES && block.data.len() < 1 << 16 {
                block.push(item);
                return;
            }
            block.data.shrink_to_fit();
        }
        let before = self.blocks.back().map_or(self.gone, Block::after);
        if self.blocks.is_empty() {
            self.blocks.reserve_exact(1);
        }
        self.blocks.push_back(Block::new(place.segment, before, item));
    }

    fn pop(&mut self) -> Option<(Kept, Place)> {
        let block = self.blocks.front_mut()?;
        let popped = (block.head.kept(), block.head.place(block.segment));
        block.pop();
        self.gone = block.before;
        if block.left == 0 {
            self.blocks.pop_front();
        }
        Some(popped)
    }

    fn first(&self) -> Option<Kept> {
        self.blocks.front().map(|block| block.head.kept())
    }

    fn last(&self) -> Option<Offset> {
        self.blocks.back().map(|block| Offset::new(block.tail.offset))
    }

    fn len(&self) -> usize {
        let entries = self.blocks.back().map_or(0, |block| block.after().entries - self.gone.entries);
        usize::try_from(entries).expect("what is kept is counted by usize")
    }

    fn bytes(&self) -> u64 {
        self.blocks.back().map_or(0, |block| block.after().bytes - self.gone.bytes)
    }

    fn upto(&self, offset: Offset) -> Upto {
        let through = self.blocks.partition_point(|block| block.head.offset <= offset.get());
        let Some(block) = through.checked_sub(1).map(|index| &self.blocks[index]) else {
            return Upto::default();
        };
        let (mut sums, mut last) = (block.before, block.tail.offset);
        if last <= offset.get() {
            sums = block.after();
        } else {
            for item in block.items().take_while(|item| item.offset <= offset.get()) {
                sums.entries += 1;
                sums.bytes += u64::from(item.bytes);
                last = item.offset;
            }
        }
        let entries =
            usize::try_from(sums.entries - self.gone.entries).expect("what is kept is counted by usize");
        Upto { entries, bytes: sums.bytes - self.gone.bytes, last: Some(Offset::new(last)) }
    }

    fn bytes_of(&self, count: usize) -> u64 {
        let target = self.gone.entries + count as u64;
        let through = self.blocks.partition_point(|block| block.before.entries < target);
        let Some(block) = through.checked_sub(1).map(|index| &self.blocks[index]) else { return 0 };
        let left = usize::try_from(target - block.before.entries).expect("a block is small");
        let within: u64 = if left >= block.left as usize {
            block.bytes
        } else {
            block.items().take(left).map(|item| u64::from(item.bytes)).sum()
        };
        block.before.bytes + within - self.gone.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push { skip: u64, taken_ms: u64, bytes: u32, gap: u32, rolls: bool },
        Pop,
        Relocate,
    }

    fn step() -> impl Strategy<Value = Step> {
        let push = (1_u64..9, any::<u64>(), 0_u32..500, 0_u32..99_999, prop::bool::weighted(0.02));
        let push = push.prop_map(|(skip, taken_ms, bytes, gap, rolls)| Step::Push {
            skip,
            taken_ms,
            bytes,
            gap,
            rolls,
        });
        prop_oneof![8 => push, 2 => Just(Step::Pop), 1 => Just(Step::Relocate)]
    }

    fn check(places: &Places, model: &VecDeque<(Kept, Place)>) -> Result<(), TestCaseError> {
        let all: Vec<_> = places.after(Offset::ZERO).collect();
        prop_assert!(all.iter().eq(model.iter()));
        prop_assert_eq!(places.len(), model.len());
        prop_assert_eq!(places.first(), model.front().map(|(kept, _)| *kept));
        prop_assert_eq!(places.last(), model.back().map(|(kept, _)| kept.offset));
        prop_assert_eq!(places.bytes(), model.iter().map(|(kept, _)| kept.bytes).sum::<u64>());
        let mut sums: FxHashMapOfSums = FxHashMapOfSums::default();
        places.by_segment().for_each(|(segment, bytes)| *sums.entry(segment).or_default() += bytes);
        let mut expected = FxHashMapOfSums::default();
        model
            .iter()
            .for_each(|(_, place)| *expected.entry(place.segment).or_default() += u64::from(place.len));
        prop_assert_eq!(sums, expected);
        Ok(())
    }

    type FxHashMapOfSums = rustc_hash::FxHashMap<u64, u64>;

    proptest! {
        #[test]
        fn an_index_does_what_a_list_does(steps in prop::collection::vec(step(), 0..700), asked in 0_u64..3000) {
            let (mut places, mut model) = (Places::default(), VecDeque::new());
            let (mut offset, mut segment, mut end) = (0, 1, 64);
            for step in steps {
                match step {
                    Step::Push { skip, taken_ms, bytes, gap, rolls } => {
                        offset += skip;
                        if rolls {
                            (segment, end) = (segment + 1, 64);
                        }
                        let kept = Kept { offset: Offset::new(offset), taken_ms, bytes: u64::from(bytes) };
                        let place = Place { segment, at: end + gap, len: bytes + 9 };
                        end = place.at + place.len;
                        places.push(kept, place);
                        model.push_back((kept, place));
                    }
                    Step::Pop => prop_assert_eq!(places.pop(), model.pop_front()),
                    Step::Relocate => {
                        for (kept, place) in &model {
                            prop_assert_eq!(places.find(kept.offset), Some(*place));
                            let next = kept.offset.next();
                            let is_kept = model.iter().any(|(kept, _)| kept.offset == next);
                            prop_assert_eq!(places.find(next).is_some(), is_kept);
                        }
                        let old = segment;
                        segment += 1;
                        end = 64;
                        let mut moved = rustc_hash::FxHashMap::default();
                        for (kept, place) in model.iter_mut().filter(|(_, place)| place.segment == old) {
                            *place = Place { segment, at: end, ..*place };
                            moved.insert(kept.offset, end);
                            end += place.len + 3;
                        }
                        places.relocate(|number| number == old, segment, |offset| moved[&offset]);
                    }
                }
            }
            check(&places, &model)?;
            let asked = Offset::new(asked);
            let within: Vec<_> = model.iter().filter(|(kept, _)| kept.offset <= asked).collect();
            prop_assert_eq!(places.upto(asked), Upto {
                entries: within.len(),
                bytes: within.iter().map(|(kept, _)| kept.bytes).sum(),
                last: within.last().map(|(kept, _)| kept.offset),
            });
            prop_assert_eq!(places.bytes_of(within.len()), within.iter().map(|(kept, _)| kept.bytes).sum::<u64>());
            prop_assert!(places.after(asked).eq(model.iter().skip(within.len()).copied()));
        }
    }

    #[test]
    fn an_entry_among_those_of_64_lanes_takes_less_than_ten_bytes() {
        let mut places = Places::default();
        for n in 0..100_000_u64 {
            let kept = Kept { offset: Offset::new(1 + n * 64), taken_ms: n * 7, bytes: 400 };
            let at = 64 + u32::try_from(n % 2_000).unwrap() * 64 * 430;
            places.push(kept, Place { segment: 1 + n / 2_000, at, len: 425 });
        }
        assert!(places.memory_bytes() < 1_000_000, "{}", places.memory_bytes());
    }
}
