//! Reading entries: where they are is asked of the index, what they are of the disk.
//!
//! What the machine's cache holds is read at once. Else the read goes to a thread of its own, so that no caller
//! waits for a disk.

use std::sync::Arc;

use bytes::Bytes;
use eric_sse::lane::Lane;
use eric_sse::log::{Budget, Page};
use eric_sse::{Entry, Epoch, Error, ErrorKind, MessageType, Offset, Result};

use crate::disk::DiskFile;
use crate::format::codec::Reader;
use crate::format::entry::RawEntry;
use crate::places::Place;
use crate::shared::Shared;

/// Bytes between two entries that are read along rather than read around.
const GAP_BYTES_MAX: u32 = 4096;

/// What is to be read for one page.
#[derive(Debug)]
pub(crate) struct Fetch {
    lane: Lane,
    epoch: Epoch,
    wanted: Vec<(Offset, Place)>,
    stretches: Vec<Stretch>,
    searched_to: Offset,
    trimmed_to: Offset,
}

/// Neighbours that are read at once.
#[derive(Debug)]
struct Stretch {
    file: Arc<dyn DiskFile>,
    segment: u64,
    at: u32,
    len: u32,
    entries: usize,
}

impl Shared {
    /// Finds the entries of `lane` after `after` within `budget`.
    pub(crate) fn find(&self, lane: Lane, after: Offset, budget: Budget) -> Result<Fetch> {
        let now_ms = self.clock.now().as_ms();
        let mut state = self.state.lock();
        let has_trimmed = state.enforce([lane], now_ms);
        let shown = state.lanes.shown();
        let (places, trimmed_to) = state.lanes.shelf(lane)?;
        let (mut wanted, mut bytes, mut searched_to) = (Vec::new(), 0, shown.offset);
        let mut stretches: Vec<Stretch> = Vec::new();
        for (kept, place) in places.after(after).take_while(|(kept, _)| kept.offset <= shown.offset) {
            let is_full = wanted.len() >= budget.entries || bytes >= budget.bytes;
            if is_full && let Some((last, _)) = wanted.last() {
                searched_to = *last;
                break;
            }
            bytes += usize::try_from(kept.bytes).expect("messages are bounded");
            wanted.push((kept.offset, place));
            match stretches.last_mut() {
                Some(stretch) if stretch.takes(&place) => {
                    stretch.len = place.at + place.len - stretch.at;
                    stretch.entries += 1;
                }
                _ => stretches.push(Stretch {
                    file: state.segments.file(place.segment).clone(),
                    segment: place.segment,
                    at: place.at,
                    len: place.len,
                    entries: 1,
                }),
            }
        }
        drop(state);
        if has_trimmed {
            self.note(now_ms);
        }
        Ok(Fetch { lane, epoch: shown.epoch, wanted, stretches, searched_to, trimmed_to })
    }
}

impl Stretch {
    fn takes(&self, place: &Place) -> bool {
        let end = self.at + self.len;
        self.segment == place.segment && place.at >= end && place.at - end <= GAP_BYTES_MAX
    }
}

impl Fetch {
    /// A page without entries.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        Self {
            lane: Lane::new(0),
            epoch: Epoch::generate(),
            wanted: Vec::new(),
            stretches: Vec::new(),
            searched_to: Offset::ZERO,
            trimmed_to: Offset::ZERO,
        }
    }

    /// The page, if no disk has to be waited for.
    pub(crate) fn read_cached(&self) -> Result<Option<Page>> {
        self.read(|file, buffer, at| file.read_if_cached(buffer, at))
    }

    /// The page; blocks.
    pub(crate) fn read_disk(&self) -> Result<Page> {
        let page = self.read(|file, buffer, at| file.read(buffer, at).map(|()| true))?;
        Ok(page.expect("it was read"))
    }

    fn read(
        &self,
        mut read: impl FnMut(&dyn DiskFile, &mut [u8], u64) -> std::io::Result<bool>,
    ) -> Result<Option<Page>> {
        let len: usize = self.stretches.iter().map(|stretch| stretch.len as usize).sum();
        let mut buffer = vec![0; len];
        let mut rest = buffer.as_mut_slice();
        for stretch in &self.stretches {
            let (piece, after) = rest.split_at_mut(stretch.len as usize);
            rest = after;
            let is_read = read(&*stretch.file, piece, u64::from(stretch.at)).map_err(|error| {
                Error::new(ErrorKind::Unavailable, format!("the log cannot be read: {error}"))
                    .caused_by(error)
            })?;
            if !is_read {
                return Ok(None);
            }
        }
        self.entries(&Bytes::from(buffer))
            .map(|entries| Some(Page { entries, searched_to: self.searched_to, trimmed_to: self.trimmed_to }))
    }

    /// What the bytes of all stretches hold.
    fn entries(&self, bytes: &Bytes) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.wanted.len());
        let mut wanted = self.wanted.iter();
        let mut begin = 0;
        for stretch in &self.stretches {
            for (offset, place) in wanted.by_ref().take(stretch.entries) {
                let at = begin + (place.at - stretch.at) as usize;
                let mut reader = Reader::new(&bytes[at..at + place.len as usize]);
                let before: Option<&MessageType> = entries.last().map(|entry| entry.message().kind());
                let read = RawEntry::read(&mut reader).and_then(|raw| {
                    reader.end()?;
                    raw.entry(self.epoch, bytes, before)
                });
                let is_wanted = |entry: &Entry| entry.offset() == *offset && entry.lane() == self.lane;
                match read {
                    Ok(entry) if is_wanted(&entry) => entries.push(entry),
                    Ok(_) => return Err(damaged(place, "it is another entry")),
                    Err(malformed) => return Err(damaged(place, malformed.0)),
                }
            }
            begin += stretch.len as usize;
        }
        Ok(entries)
    }
}

fn damaged(place: &Place, what: &str) -> Error {
    let segment = crate::segments::name_of(place.segment);
    let text =
        format!("an entry is damaged: segment {segment} byte {}: {what}; see `eric store check`", place.at);
    Error::new(ErrorKind::Corrupt, text)
}
