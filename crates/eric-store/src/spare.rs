//! Segments to be: files that are allocated and written once before they are needed, and files of segments in
//! which nothing is alive any more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::checkpoint::Opened;
use crate::disk::DiskFile;
use crate::format::segment::{HEAD_BYTES, Head};
use crate::plan::Current;
use crate::segments::{Segment, name_of};
use crate::shared::Shared;
use crate::writer::PAGE_BYTES;

/// What the name of a spare begins with.
pub(crate) const SPARE_PREFIX: &str = "spare-";
/// Spares that are kept: one is made ahead, and what is given back while it waits is the one after it. Where segments
/// come and go none has to be made then, which would cost the disk as much as what is written to it.
const SPARES_MAX: usize = 2;
/// A new segment is as large as this part of what there is, within the limits.
const SEGMENT_PART: u64 = 4;

/// A file that may become a segment.
#[derive(Debug)]
pub(crate) struct Spare {
    name: String,
    file: Arc<dyn DiskFile>,
    size: u64,
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl Shared {
    fn name_spare(&self) -> String {
        format!("{SPARE_PREFIX}{}", self.spares_named.fetch_add(1, Ordering::Relaxed))
    }

    /// Bytes of the next segment.
    fn segment_bytes(&self) -> u64 {
        let present = self.state.lock().segments.bytes();
        let (min, max) = (self.settings.segment_bytes_min, self.settings.segment_bytes_max);
        (present / SEGMENT_PART).next_power_of_two().clamp(min, max)
    }

    /// A file of at least `needed` bytes.
    pub(crate) fn take_spare(&self, needed: u64) -> io::Result<Spare> {
        // One that is being made, or given back, is waited for.
        let _making = self.making_spare.lock();
        let found = {
            let mut spares = self.spares.lock();
            let fits = spares.iter().position(|spare| spare.size >= needed);
            fits.map(|index| spares.swap_remove(index))
        };
        match found {
            Some(spare) => Ok(spare),
            None => self.make_spare(needed),
        }
    }

    /// Makes a file: as large as the next segment should be, or where there is no room for that, as small as it may.
    fn make_spare(&self, needed: u64) -> io::Result<Spare> {
        let name = self.name_spare();
        let smallest = needed.max(self.settings.segment_bytes_min);
        let mut size = smallest.max(self.segment_bytes());
        loop {
            match self.disk.create(&name, size) {
                Ok(file) => return Ok(Spare { name, file, size }),
                Err(error) if is_full(&error) && size > smallest => size = smallest.max(size / 2),
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a spare ahead of time, if none is there. Where there is no room that is no harm yet.
    pub(crate) fn prepare_spare(&self) -> io::Result<()> {
        let _making = self.making_spare.lock();
        if !self.spares.lock().is_empty() {
            return Ok(());
        }
        match self.make_spare(0) {
            Ok(spare) => self.spares.lock().push(spare),
            Err(error) if is_full(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Makes a spare the segment `number`, and the one that is written to.
    pub(crate) fn begin_segment(&self, spare: Spare, number: u64) -> io::Result<()> {
        let Spare { name, file, size } = spare;
        let head = Head { number, store: self.number, is_rewritten: false };
        // A whole page, which nobody has to read from the disk then.
        let mut page = head.encode().to_vec();
        page.resize(usize::try_from(size.min(u64::from(PAGE_BYTES))).expect("a page is small"), 0);
        file.write(&page, 0)?;
        file.sync()?;
        self.disk.rename(&name, &name_of(number))?;
        self.disk.sync_names()?;
        let who = Opened { is_synced: self.syncs(), at_ms: self.clock.now().as_ms() };
        let mut state = self.state.lock();
        state.segments.insert(number, file, size);
        let size = u32::try_from(size).expect("segments are smaller than 4 GiB");
        state.end.current = Current { number, size, end: HEAD_BYTES, durable: HEAD_BYTES };
        state.end.go_to(HEAD_BYTES);
        state.consider_checkpoint(who);
        Ok(())
    }

    /// Takes segments out of use whose release is durable.
    pub(crate) fn retire(&self, released: &[u64]) {
        if released.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.releasing.retain(|number| !released.contains(number));
        let retired: Vec<(u64, Segment)> =
            released.iter().filter_map(|number| Some((*number, state.segments.remove(*number)?))).collect();
        drop(state);
        self.retired.lock().extend(retired);
        self.wake_housekeeper();
    }

    /// Gives back the room of segments that are out of use: they become spares where those are wanted, or go. What
    /// cannot be renamed or removed stays until the store is opened again.
    pub(crate) fn give_back(&self) -> io::Result<()> {
        let _making = self.making_spare.lock();
        let retired = std::mem::take(&mut *self.retired.lock());
        if retired.is_empty() {
            return Ok(());
        }
        let (mut spares, mut outcome) = (Vec::new(), Ok(()));
        for (number, segment) in retired {
            // Whoever still reads an entry of it must find that entry there.
            let is_read = Arc::strong_count(&segment.file) > 1;
            // Where there is less than there was, smaller segments will do.
            let is_usual =
                (self.settings.segment_bytes_min..=2 * self.segment_bytes()).contains(&segment.size);
            let is_usable = is_usual && !is_read && segment.has_its_name;
            let is_wanted = is_usable && self.spares.lock().len() + spares.len() < SPARES_MAX;
            let name = self.name_spare();
            let done = match is_wanted {
                true => self.disk.rename(&name_of(number), &name),
                false => self.disk.remove(&name_of(number)),
            };
            match done {
                Ok(()) if is_wanted => spares.push(Spare { name, file: segment.file, size: segment.size }),
                Ok(()) => {}
                Err(error) => outcome = Err(error),
            }
        }
        // Nothing is written to them before that: a crash may bring their old names back, and what those say of them
        // must be true then.
        if let Err(error) = self.disk.sync_names() {
            spares.iter().for_each(|spare| drop(self.disk.remove(&spare.name)));
            return Err(error);
        }
        self.spares.lock().extend(spares);
        outcome
    }
}
