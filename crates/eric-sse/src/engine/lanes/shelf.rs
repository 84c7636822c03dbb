//! The seam to what an engine remembers of a lane's entries: enough to count and to find them.

use crate::entry::{Entry, Offset};

/// What the rules of a lane ask of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Where it stands.
    pub offset: Offset,
    /// When it was taken, in milliseconds since 1970.
    pub taken_ms: u64,
    /// Bytes that count against limits.
    pub bytes: u64,
}

impl From<&Entry> for Kept {
    fn from(entry: &Entry) -> Self {
        Self { offset: entry.offset(), taken_ms: entry.taken_at().as_ms(), bytes: entry.bytes() as u64 }
    }
}

/// The entries that one lane keeps, oldest first, offsets growing.
pub trait Shelf: Default {
    /// What finds an entry again: the entry itself, or a place on a disk.
    type Item;

    /// Adds the newest entry.
    fn push(&mut self, kept: Kept, item: Self::Item);

    /// Takes the oldest entry away.
    fn pop(&mut self) -> Option<(Kept, Self::Item)>;

    /// The oldest entry.
    fn first(&self) -> Option<Kept>;

    /// Where the newest entry stands.
    fn last(&self) -> Option<Offset>;

    /// Entries that are kept.
    fn len(&self) -> usize;

    /// Whether none is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all entries that are kept.
    fn bytes(&self) -> u64;

    /// How many entries stand at or before `offset`, their bytes, and where the last of them stands.
    fn upto(&self, offset: Offset) -> Upto;

    /// Bytes of the oldest `count` entries, at most as many as there are.
    fn bytes_of(&self, count: usize) -> u64;
}

/// The entries of a shelf at or before an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Upto {
    /// How many.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Where the last of them stands.
    pub last: Option<Offset>,
}
