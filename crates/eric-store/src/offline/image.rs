//! A whole store, written at once: keys and entries as they come, then everything else as one checkpoint.
//!
//! What is written stands under other names until it was read again as a whole. Then it is renamed, the last segment
//! first: without its first segment no store opens, so a crash in between leaves nothing that could be taken for one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use eric_sse::engine::lanes::{Lanes, Shelf as _};
use eric_sse::lane::Lane;
use eric_sse::{Error, ErrorKind, Offset, Result};

use super::{Files, Watch, recovered};
use crate::damage::{Found, Trying as _};
use crate::disk::{Disk, DiskFile};
use crate::format::change::{Change, Counters, UsedKey, kind};
use crate::format::frame::{FRAME_BYTES, RECORD_OVERHEAD_BYTES, Spot, put_record};
use crate::format::segment::{HEAD_BYTES, Head};
use crate::places::{Place, Places};
use crate::segments::name_of;
use crate::settings::StoreSettings;

/// Bytes of a record of entries, keys or values, about.
const RECORD_BYTES: usize = 1 << 20;
/// Lanes and keys of one record.
const RECORD_ROWS: usize = 256;
/// What the names of segments that are not finished end with.
const TEMPORARY: &str = ".tmp";
/// What else may be in a directory where a store is made.
const LOCK: &str = "lock";

/// A store in the making. Dropped before it is finished it leaves nothing behind.
pub(super) struct Image<'a> {
    disk: &'a dyn Disk,
    /// The number of the store.
    store: u64,
    segment_bytes_max: usize,
    files: Files,
    /// Where the next record goes in the last of them.
    at: u32,
    /// The entries of the record that is being filled.
    kept: Vec<u8>,
    keys: Vec<UsedKey>,
    buffer: Vec<u8>,
    is_finished: bool,
}

/// Everything but entries and keys.
pub(super) struct Content {
    /// With the entries that were written.
    pub(super) lanes: Lanes<Places>,
    pub(super) values: BTreeMap<String, Bytes>,
    /// The last lane that was ever opened.
    pub(super) lanes_opened: u64,
    pub(super) opening: u64,
}

/// What is compared of a store that was written and what is read of it again.
#[derive(Debug, PartialEq, Eq)]
struct Sum {
    epoch: eric_sse::Epoch,
    tail: Offset,
    values: usize,
    lanes: usize,
    entries: u64,
    bytes: u64,
}

impl Sum {
    fn of(lanes: &Lanes<Places>, values: &BTreeMap<String, Bytes>) -> Self {
        let list = lanes.list();
        let shelves = || list.iter().filter_map(|open| lanes.shelf(open.lane).ok());
        Self {
            epoch: lanes.epoch(),
            tail: lanes.tail(),
            values: values.len(),
            lanes: list.len(),
            entries: shelves().map(|(places, _)| places.len() as u64).sum(),
            bytes: shelves().map(|(places, _)| places.bytes()).sum(),
        }
    }
}

impl<'a> Image<'a> {
    /// Begins a store in an empty directory.
    pub(super) fn begin(disk: &'a dyn Disk, settings: &StoreSettings) -> Result<Self> {
        let names = disk.list().trying("the directory cannot be listed")?;
        let is_other = |name: &&String| *name != LOCK && !name.ends_with(&format!(".log{TEMPORARY}"));
        if let Some(name) = names.iter().find(is_other) {
            let text =
                format!("the directory is not empty: name={name}; a store is made in an empty one only");
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        for name in names.iter().filter(|name| *name != LOCK) {
            disk.remove(name).trying("what an earlier attempt left cannot be removed")?;
        }
        let segment_bytes_max = usize::try_from(settings.segment_bytes_max).unwrap_or(usize::MAX);
        Ok(Self {
            disk,
            store: uuid::Uuid::new_v4().as_u64_pair().0,
            // Places in a segment have 32 bits, and one entry or value goes to a segment whatever its size.
            segment_bytes_max: segment_bytes_max.min(1 << 30),
            files: Files::new(),
            at: 0,
            kept: Vec::new(),
            keys: Vec::new(),
            buffer: Vec::new(),
            is_finished: false,
        })
    }

    /// Writes an entry, in its bytes; where each stands must be beyond the one before. Returns where it is found.
    pub(super) fn entry(&mut self, bytes: &[u8]) -> Found<Place> {
        if !self.kept.is_empty() && self.kept.len() + bytes.len() > self.record_bytes() {
            self.put_kept()?;
        }
        if !self.has_room(self.kept.len() + bytes.len()) {
            self.put_kept()?;
            self.roll(true)?;
        }
        let within = |bytes: usize| u32::try_from(bytes).expect("records are bounded");
        let at = self.at + within(FRAME_BYTES + self.kept.len());
        self.kept.extend_from_slice(bytes);
        Ok(Place { segment: self.number(), at, len: within(bytes.len()) })
    }

    /// Writes a key whose entry was let go.
    pub(super) fn key(&mut self, used: UsedKey) -> Found<()> {
        self.keys.push(used);
        if self.keys.len() >= RECORD_ROWS { self.put_keys() } else { Ok(()) }
    }

    /// Writes everything else, reads all of it again, and gives it its names.
    pub(super) fn finish(mut self, content: Content, now_ms: u64, watch: Watch<'_>) -> Result<()> {
        self.put_keys()?;
        self.put_kept()?;
        let segments: Vec<u64> = self.files.keys().copied().collect();
        self.roll(false)?;
        let Content { lanes, values, lanes_opened, opening } = content;
        let counters = Counters { epoch: lanes.epoch(), tail: lanes.tail(), lanes_opened, opening };
        self.put(&Change::CheckpointBegun { counters, segments })?;
        self.put_lanes(&lanes)?;
        self.put_values(&values)?;
        self.put(&Change::CheckpointEnded)?;
        self.seal()?;
        let written = Sum::of(&lanes, &values);
        // Before it is read again: both would be there at once.
        drop((lanes, values));
        let found = recovered(&self.files, now_ms, "verifying", watch)?;
        let read = Sum::of(&found.lanes, &found.values);
        if read != written {
            let text = format!("what was written is not what is read again: {written:?}, {read:?}");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        drop(found);
        for number in self.files.keys().rev() {
            let name = name_of(*number);
            self.disk.rename(&temporary(*number), &name).trying("a segment cannot be given its name")?;
        }
        self.disk.sync_names().trying("the directory cannot be synced")?;
        self.is_finished = true;
        Ok(())
    }

    fn put_lanes(&mut self, lanes: &Lanes<Places>) -> Found<()> {
        let list = lanes.list();
        let of_kind = |is_channel: bool| {
            list.iter().filter(move |open| open.channel.is_none() == is_channel).map(|open| open.lane)
        };
        let (channels, listeners): (Vec<Lane>, Vec<Lane>) =
            (of_kind(true).collect(), of_kind(false).collect());
        for some in channels.chunks(RECORD_ROWS) {
            let states = some.iter().filter_map(|lane| lanes.channel_state(*lane)).collect();
            self.put(&Change::Channels(states))?;
        }
        for some in listeners.chunks(RECORD_ROWS) {
            let states = some.iter().filter_map(|lane| lanes.listener_state(*lane)).collect();
            self.put(&Change::Listeners(states))?;
        }
        Ok(())
    }

    fn put_values(&mut self, values: &BTreeMap<String, Bytes>) -> Found<()> {
        let (mut some, mut bytes) = (Vec::new(), 0);
        for (key, value) in values {
            if key.len() + value.len() > self.record_bytes() {
                // A large one goes by itself, as it was written first: so it fits a record.
                self.put(&Change::Upserted(key, value))?;
                continue;
            }
            if bytes + key.len() + value.len() > self.record_bytes() || some.len() >= RECORD_ROWS {
                self.put(&Change::Values(std::mem::take(&mut some)))?;
                bytes = 0;
            }
            bytes += key.len() + value.len();
            some.push((key.as_str().into(), value.as_ref().into()));
        }
        if some.is_empty() { Ok(()) } else { self.put(&Change::Values(some)) }
    }

    fn put_kept(&mut self) -> Found<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let kept = std::mem::take(&mut self.kept);
        let result = self.write(kind::KEPT, &kept);
        self.kept = kept;
        self.kept.clear();
        result
    }

    fn put_keys(&mut self) -> Found<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        // The entries that wait were promised their place.
        self.put_kept()?;
        let change = Change::Keys(std::mem::take(&mut self.keys));
        let mut body = Vec::new();
        change.put(&mut body);
        if !self.has_room(body.len()) {
            self.roll(true)?;
        }
        self.write(kind::KEYS, &body)
    }

    /// Writes a record of the checkpoint, in another segment where there is no room.
    fn put(&mut self, change: &Change<'_>) -> Found<()> {
        let mut body = Vec::new();
        change.put(&mut body);
        if !self.has_room(body.len()) {
            self.roll(false)?;
        }
        self.write(change.kind(), &body)
    }

    fn number(&self) -> u64 {
        self.files.len() as u64
    }

    fn record_bytes(&self) -> usize {
        RECORD_BYTES.min(self.segment_bytes_max / 4)
    }

    /// Whether the segment takes a record with a body of so many bytes, and the one that says that it ends.
    fn has_room(&self, body: usize) -> bool {
        let end = self.at as usize + body + 2 * RECORD_OVERHEAD_BYTES;
        !self.files.is_empty() && (end <= self.segment_bytes_max || self.at == HEAD_BYTES)
    }

    /// Ends the segment, if there is one, and begins the next.
    fn roll(&mut self, is_rewritten: bool) -> Found<()> {
        self.seal()?;
        let number = self.number() + 1;
        let file = self.disk.create(&temporary(number), 0).trying("a segment cannot be made")?;
        let head = Head { number, store: self.store, is_rewritten };
        // From here on it is removed where something fails.
        self.files.insert(number, file);
        self.file(number).write(&head.encode(), 0).trying("a segment cannot be written")?;
        self.at = HEAD_BYTES;
        Ok(())
    }

    fn seal(&mut self) -> Found<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        self.write(kind::SEALED, &[])?;
        self.file(self.number()).sync().trying("a segment cannot be synced")
    }

    fn file(&self, number: u64) -> &Arc<dyn DiskFile> {
        &self.files[&number]
    }

    fn write(&mut self, kind: u8, body: &[u8]) -> Found<()> {
        let spot = Spot { store: self.store, segment: self.number(), at: self.at };
        self.buffer.clear();
        put_record(&mut self.buffer, spot, 0, kind, |out| out.extend_from_slice(body));
        self.file(spot.segment)
            .write(&self.buffer, u64::from(self.at))
            .trying("a segment cannot be written")?;
        self.at += u32::try_from(self.buffer.len()).expect("records are bounded");
        Ok(())
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        // The first one first: what is left if this ends early is no store either.
        for number in self.files.keys() {
            let _ = self.disk.remove(&name_of(*number));
            let _ = self.disk.remove(&temporary(*number));
        }
        let _ = self.disk.sync_names();
    }
}

fn temporary(number: u64) -> String {
    format!("{}{TEMPORARY}", name_of(number))
}
