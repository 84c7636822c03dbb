//! One file: what the process sees, what is on stable storage, and which sectors are between the two.
//!
//! ```text
//! pages   ┌────────────┬────────────┬─────     each 4 KiB, twice: now and durable; shared until one changes
//! dirty   │ 0010 0001  │ 0000 0000  │          a bit per sector: written since the last sync
//! lost    │ 0000 0000  │ 0001 0000  │          a bit per sector: a failed sync forgot it; written again, it is dirty
//!         └────────────┴────────────┴─────
//! ```
//!
//! Names, handles and room are the business of `platter`.

use std::io;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use fastrand::Rng;

/// Bytes that reach stable storage together or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

const SECTORS: usize = 8;

const PAGE_BYTES: usize = SECTORS * SECTOR_BYTES;

type Block = [u8; PAGE_BYTES];

/// What every new page shares.
static ZEROS: LazyLock<Arc<Block>> = LazyLock::new(|| Arc::new([0; PAGE_BYTES]));

/// A file. Cloning is cheap: pages are shared until they are written.
#[derive(Clone)]
pub(super) struct Inode {
    /// As many as `len` needs. Beyond the end they are zero.
    pages: Vec<Page>,
    len: u64,
    durable_len: u64,
    /// The pages with a dirty sector, in the order of their first write.
    dirty: Vec<usize>,
    has_lost: bool,
}

#[derive(Clone)]
struct Page {
    now: Arc<Block>,
    durable: Arc<Block>,
    dirty: u8,
    lost: u8,
}

impl Inode {
    /// `len` zero bytes that are durable.
    pub(super) fn zeros(len: u64) -> Self {
        Self { durable_len: len, ..Self::half_made(len) }
    }

    /// `len` zero bytes whose length is not durable: the machine died while the file was made.
    pub(super) fn half_made(len: u64) -> Self {
        let mut inode =
            Self { pages: Vec::new(), len: 0, durable_len: 0, dirty: Vec::new(), has_lost: false };
        inode.grow(len);
        inode
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (place, piece) in pieces(at, buffer.len()) {
            let block = &self.pages[place.page].now;
            buffer[piece].copy_from_slice(&block[place.from..place.to]);
        }
        Ok(())
    }

    /// Writes to the cache: the sectors are dirty until they are synced.
    pub(super) fn write(&mut self, data: &[u8], at: u64) {
        let end = at + data.len() as u64;
        if end > self.len && !data.is_empty() {
            self.grow(end);
        }
        for (place, piece) in pieces(at, data.len()) {
            let page = &mut self.pages[place.page];
            Arc::make_mut(&mut page.now)[place.from..place.to].copy_from_slice(&data[piece]);
            if page.dirty == 0 {
                self.dirty.push(place.page);
            }
            page.dirty |= place.sectors();
            page.lost &= !place.sectors();
        }
    }

    pub(super) fn sync(&mut self) {
        for index in self.dirty.drain(..) {
            self.pages[index].sync();
        }
        self.durable_len = self.len;
    }

    /// What is dirty is taken for clean, and is not durable.
    pub(super) fn forget_dirty(&mut self) {
        for index in self.dirty.drain(..) {
            let page = &mut self.pages[index];
            page.lost |= page.dirty;
            page.dirty = 0;
            self.has_lost = true;
        }
    }

    /// Whether all that was written is durable.
    pub(super) fn is_durable(&self) -> bool {
        self.dirty.is_empty() && self.len == self.durable_len && !self.has_lost
    }

    /// The sectors whose content is not durable, in their order.
    pub(super) fn volatile_sectors(&self) -> Vec<u64> {
        let of_page = |(index, page): (usize, &Page)| {
            let volatile = page.dirty | page.lost;
            let sectors = (0..SECTORS).filter(move |sector| volatile & (1 << sector) != 0);
            sectors.map(move |sector| (index * SECTORS + sector) as u64)
        };
        self.pages.iter().enumerate().flat_map(of_page).collect()
    }

    /// Power is gone. Without `torn` nothing survives that is not durable; with it, some sectors do, and some of the
    /// length.
    pub(super) fn lose(&mut self, torn: Option<&mut Rng>) {
        if let Some(rng) = torn {
            self.save_some(rng);
        }
        self.dirty.clear();
        self.has_lost = false;
        self.len = self.durable_len;
        self.pages.truncate(page_count(self.len));
        let tail = index(self.len % PAGE_BYTES as u64);
        if let Some(last) = self.pages.last_mut()
            && tail != 0
            && last.durable[tail..].iter().any(|byte| *byte != 0)
        {
            Arc::make_mut(&mut last.durable)[tail..].fill(0);
        }
        for page in &mut self.pages {
            page.dirty = 0;
            page.lost = 0;
            if !Arc::ptr_eq(&page.now, &page.durable) {
                page.now = Arc::clone(&page.durable);
            }
        }
    }

    /// Draws what becomes durable on the last breath. How likely a sector survives is drawn as well, so that none and
    /// all are not rare.
    fn save_some(&mut self, rng: &mut Rng) {
        let of_eight = rng.u8(0..=8);
        self.dirty.sort_unstable();
        for index in self.dirty.drain(..) {
            let page = &mut self.pages[index];
            let survivors = (0..SECTORS).filter(|_| rng.u8(0..8) < of_eight);
            let drawn = survivors.fold(0, |drawn, sector| drawn | 1 << sector);
            page.lost |= page.dirty & !drawn;
            page.dirty &= drawn;
            page.sync();
        }
        if self.durable_len < self.len {
            let sector = SECTOR_BYTES as u64;
            self.durable_len = match rng.u8(0..3) {
                0 => self.durable_len,
                1 => self.len,
                _ => (rng.u64(self.durable_len..=self.len) / sector * sector).max(self.durable_len),
            };
        }
    }

    /// Turns one bit, in the cache and on stable storage.
    pub(super) fn flip(&mut self, byte: u64, bit: u8) {
        let place = Place::new(byte, 1);
        let page = &mut self.pages[place.page];
        for block in [&mut page.now, &mut page.durable] {
            Arc::make_mut(block)[place.from] ^= 1 << bit;
        }
    }

    pub(super) fn content(&self) -> Vec<u8> {
        collect(self.pages.iter().map(|page| &page.now), self.len)
    }

    pub(super) fn durable_content(&self) -> Vec<u8> {
        collect(self.pages.iter().map(|page| &page.durable), self.durable_len)
    }

    fn grow(&mut self, len: u64) {
        self.len = len;
        let page = || Page { now: Arc::clone(&ZEROS), durable: Arc::clone(&ZEROS), dirty: 0, lost: 0 };
        self.pages.resize_with(page_count(len), page);
    }
}

impl Page {
    /// Makes the dirty sectors durable.
    fn sync(&mut self) {
        if self.dirty == 0 {
            return;
        }
        match Arc::get_mut(&mut self.durable) {
            // A block of its own is mended: it stays its own, and so the next write need not copy.
            Some(durable) => copy_sectors(durable, &self.now, self.dirty),
            // What is not dirty is the same in both, unless it is lost.
            None if self.lost == 0 => self.durable = Arc::clone(&self.now),
            None => copy_sectors(Arc::make_mut(&mut self.durable), &self.now, self.dirty),
        }
        self.dirty = 0;
    }
}

fn copy_sectors(to: &mut Block, from: &Block, sectors: u8) {
    for sector in (0..SECTORS).filter(|sector| sectors & (1 << sector) != 0) {
        let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
        to[range.clone()].copy_from_slice(&from[range]);
    }
}

/// A stretch of one page.
#[derive(Clone, Copy)]
struct Place {
    page: usize,
    from: usize,
    to: usize,
}

impl Place {
    /// From `at` on, `len` bytes or what the page has of them.
    fn new(at: u64, len: usize) -> Self {
        let page = index(at / PAGE_BYTES as u64);
        let from = index(at % PAGE_BYTES as u64);
        Self { page, from, to: PAGE_BYTES.min(from + len) }
    }

    /// A bit for each sector it touches.
    fn sectors(self) -> u8 {
        let (first, last) = (self.from / SECTOR_BYTES, (self.to - 1) / SECTOR_BYTES);
        u8::MAX << first & u8::MAX >> (SECTORS - 1 - last)
    }
}

/// The stretches of pages that `len` bytes from `at` on are, each with its range of those bytes.
fn pieces(at: u64, len: usize) -> impl Iterator<Item = (Place, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < len).then(|| {
            let place = Place::new(at + done as u64, len - done);
            let piece = done..done + (place.to - place.from);
            done = piece.end;
            (place, piece)
        })
    })
}

fn page_count(len: u64) -> usize {
    index(len.div_ceil(PAGE_BYTES as u64))
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("what is in memory has an address")
}

fn collect<'a>(blocks: impl Iterator<Item = &'a Arc<Block>>, len: u64) -> Vec<u8> {
    let mut content: Vec<u8> = blocks.flat_map(|block| block.iter().copied()).collect();
    content.truncate(index(len));
    content
}
