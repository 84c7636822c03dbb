//! The segments of a store: their files, and how much of each is alive.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::DiskFile;

/// What is known of one segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn DiskFile>,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Bytes of entries that are alive.
    pub(crate) live_bytes: u64,
    /// The latest idempotency key in it, counted over all that were ever remembered; 0 where there is none.
    pub(crate) last_key: u64,
    /// Bytes of keys that stand there without their entries.
    pub(crate) key_bytes: u64,
    /// What was alive when it was last considered for rewriting.
    pub(crate) live_bytes_seen: u64,
    /// Whether its name is surely that of this file.
    pub(crate) has_its_name: bool,
}

/// All segments, by number.
#[derive(Debug, Default)]
pub(crate) struct Segments(BTreeMap<u64, Segment>);

impl Segments {
    pub(crate) fn insert(&mut self, number: u64, file: Arc<dyn DiskFile>, size: u64) {
        let segment = Segment {
            file,
            size,
            live_bytes: 0,
            last_key: 0,
            key_bytes: 0,
            live_bytes_seen: 0,
            has_its_name: true,
        };
        let before = self.0.insert(number, segment);
        assert!(before.is_none(), "a segment's number is given once");
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Segment> {
        self.0.remove(&number)
    }

    pub(crate) fn file(&self, number: u64) -> &Arc<dyn DiskFile> {
        &self.get(number).file
    }

    pub(crate) fn get(&self, number: u64) -> &Segment {
        self.0.get(&number).expect("the index names segments that are there")
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> &mut Segment {
        self.0.get_mut(&number).expect("the index names segments that are there")
    }

    pub(crate) fn add_live(&mut self, number: u64, bytes: u64) {
        self.get_mut(number).live_bytes += bytes;
    }

    pub(crate) fn remove_live(&mut self, number: u64, bytes: u64) {
        let segment = self.get_mut(number);
        segment.live_bytes = segment.live_bytes.checked_sub(bytes).expect("what goes was alive");
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Segment)> {
        self.0.iter().map(|(number, segment)| (*number, segment))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.0.values_mut()
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.0.keys().copied().collect()
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.values().map(|segment| segment.size).sum()
    }
}

/// The name of a segment's file.
pub(crate) fn name_of(number: u64) -> String {
    format!("{number:020}.log")
}

/// The number of the segment with this name, if it is one.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let number = digits.parse().ok()?;
    (name_of(number) == name).then_some(number)
}
