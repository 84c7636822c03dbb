//! Rewriting segments that are mostly dead: what is alive goes to a new file, which takes the segment's place.
//!
//! In two steps, with the writer in between: first the new file is made; then, once everything on whose ground
//! something was left out is durable, it is renamed over the segment and the index is told. Nobody waits for either.

use std::io;
use std::sync::Arc;

use eric_sse::Offset;
use eric_sse::lane::Lane;
use rustc_hash::FxHashMap;

use crate::disk::DiskFile;
use crate::format::change::{Change, UsedKey, kind};
use crate::format::codec::Reader;
use crate::format::entry::RawEntry;
use crate::format::frame::{FRAME_BYTES, Spot, put_record};
use crate::format::segment::{HEAD_BYTES, Head};
use crate::places::Place;
use crate::scan::{Record, Scan};
use crate::segments::{Segment, name_of};
use crate::shared::Shared;
use crate::state::State;

/// Bytes of a record of a rewritten segment, about.
const RECORD_BYTES: usize = 1 << 20;
/// A segment of which less than this part is alive is rewritten even where most of what there is is alive.
const WORTH_WITHOUT_NEED: u64 = 8;
/// Small neighbours that are worth one file.
const NEIGHBOURS: usize = 4;

/// How far a rewriting has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    /// None is under way.
    #[default]
    None,
    /// The new file waits for what it left out to be durable.
    Prepared,
    /// It may take the segment's place.
    Ready,
}

/// A new file that is to take the place of some segments.
#[derive(Debug)]
pub(crate) struct Rewrite {
    /// The segments, oldest first; the new file takes the name of the first.
    victims: Vec<u64>,
    temporary: String,
    file: Arc<dyn DiskFile>,
    size: u64,
    key_bytes: u64,
    /// Where the entries of each lane are now, in order.
    moves: FxHashMap<Lane, Vec<(Offset, u32)>>,
}

impl Shared {
    /// Takes the next step of rewriting, if one can be taken. Whether one was.
    pub(crate) fn rewrite(&self) -> io::Result<bool> {
        let stage = self.state.lock().rewrite;
        match stage {
            Stage::Prepared => Ok(false),
            Stage::Ready => {
                let rewrite = self.rewriting.lock().take().expect("what is ready was prepared");
                let outcome = self.switch(&rewrite);
                let mut state = self.state.lock();
                state.rewrite = Stage::None;
                state.rewriting.clear();
                outcome.map(|()| true)
            }
            Stage::None => {
                let victims = choose(&mut self.state.lock(), self.clock.now().as_ms(), &self.settings);
                if victims.is_empty() {
                    return Ok(false);
                }
                let prepared = self.prepare(victims);
                let mut state = self.state.lock();
                match prepared {
                    Ok(Some(rewrite)) => {
                        *self.rewriting.lock() = Some(rewrite);
                        state.rewrite = Stage::Prepared;
                        drop(state);
                        self.wake_writer();
                        Ok(true)
                    }
                    other => {
                        state.rewriting.clear();
                        other.map(|_| false)
                    }
                }
            }
        }
    }

    /// Makes the new file; none where nothing is alive after all.
    fn prepare(&self, victims: Vec<u64>) -> io::Result<Option<Rewrite>> {
        let number = victims[0];
        let mut draft = Draft::new(Spot { store: self.number, segment: number, at: 0 });
        for victim in &victims {
            let file = self.state.lock().segments.file(*victim).clone();
            let scan = Scan::read(*victim, &file).map_err(|fault| io::Error::other(fault.to_string()))?;
            scan.walk(false, |record| {
                draft.take(*victim, record, &self.state);
                Ok(())
            })
            .map_err(|fault| io::Error::other(fault.to_string()))?;
        }
        let Draft { bytes, moves, key_bytes, .. } = draft.seal();
        if moves.is_empty() && key_bytes == 0 {
            return Ok(None);
        }
        let temporary = format!("{}.tmp", name_of(number));
        let made = self.disk.create(&temporary, 0).and_then(|file| {
            file.write(&bytes, 0)?;
            file.sync()?;
            Ok(file)
        });
        match made {
            Ok(file) => {
                let size = bytes.len() as u64;
                Ok(Some(Rewrite { victims, temporary, file, size, key_bytes, moves }))
            }
            Err(error) => {
                let _ = self.disk.remove(&temporary);
                Err(error)
            }
        }
    }

    /// Puts the new file in the place of the old ones.
    fn switch(&self, rewrite: &Rewrite) -> io::Result<()> {
        let number = rewrite.victims[0];
        let renamed = self.disk.rename(&rewrite.temporary, &name_of(number));
        if let Err(error) = renamed.and_then(|()| self.disk.sync_names()) {
            let _ = self.disk.remove(&rewrite.temporary);
            // Either file may have the name, now and after a crash, and either will do: the index stays as it is.
            self.state.lock().segments.get_mut(number).has_its_name = false;
            return Err(error);
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let last_key = rewrite.victims.iter().map(|victim| state.segments.get(*victim).last_key).max();
        for victim in &rewrite.victims {
            let segment = state.segments.get_mut(*victim);
            (segment.live_bytes, segment.last_key, segment.key_bytes) = (0, 0, 0);
        }
        for (lane, moves) in &rewrite.moves {
            // A lane that was removed meanwhile has nothing to be found.
            let Ok(places) = state.lanes.shelf_mut(*lane) else { continue };
            let mut moves = moves.iter();
            let is_old = |segment: u64| rewrite.victims.contains(&segment);
            let live = places.relocate(is_old, number, |offset| {
                let moved = moves.find(|(moved, _)| *moved == offset);
                moved.expect("what is alive was alive then, and was taken along").1
            });
            state.segments.add_live(number, live);
        }
        let segment = state.segments.get_mut(number);
        segment.file = rewrite.file.clone();
        segment.size = rewrite.size;
        segment.has_its_name = true;
        segment.key_bytes = rewrite.key_bytes;
        segment.last_key = last_key.unwrap_or(0);
        Ok(())
    }
}

/// Which segments are worth rewriting, neighbours together; they are marked.
fn choose(state: &mut State, now_ms: u64, settings: &crate::settings::StoreSettings) -> Vec<u64> {
    let (_, forgotten) = state.lanes.keys(now_ms);
    let useful = |segment: &Segment| {
        segment.live_bytes + if segment.last_key > forgotten { segment.key_bytes } else { 0 }
    };
    let is_alive = |segment: &Segment| segment.live_bytes > 0 || segment.last_key > forgotten;
    let old: Vec<(u64, &Segment)> = state
        .segments
        .iter()
        .filter(|(number, segment)| *number < state.checkpoint && is_alive(segment))
        .collect();
    let all: u64 = old.iter().map(|(_, segment)| segment.size).sum();
    let all_useful: u64 = old.iter().map(|(_, segment)| useful(segment)).sum();
    // Where old entries go one after the other, what is half dead will be dead soon: there it is not worth it, nor
    // where it was less dead a moment ago.
    let has_need = all_useful < all / 2;
    let worth = if has_need { 2 } else { WORTH_WITHOUT_NEED };
    let is_wasteful = |segment: &Segment| {
        let useful = useful(segment);
        useful < segment.size / worth
            && segment.size - useful >= settings.segment_bytes_min / 2
            && (has_need || segment.live_bytes == segment.live_bytes_seen)
    };
    let run_from = |first: usize, belongs: &dyn Fn(&Segment) -> bool| {
        let mut sum = 0;
        let fits = |(_, segment): &&(u64, &Segment)| {
            sum += useful(segment);
            belongs(segment) && sum <= settings.segment_bytes_max / 2
        };
        old[first..].iter().take_while(fits).map(|(number, _)| *number).collect::<Vec<u64>>()
    };
    let wasteful = old.iter().position(|(_, segment)| is_wasteful(segment));
    let mut victims = wasteful.map(|first| run_from(first, &is_wasteful)).unwrap_or_default();
    if victims.is_empty() {
        let is_small = |segment: &Segment| segment.size <= settings.segment_bytes_max / 8;
        let runs = (0..old.len()).map(|first| run_from(first, &is_small));
        victims = runs.into_iter().find(|run| run.len() >= NEIGHBOURS).unwrap_or_default();
    }
    state.segments.iter_mut().for_each(|segment| segment.live_bytes_seen = segment.live_bytes);
    state.rewriting.clone_from(&victims);
    victims
}

/// A segment in the making.
struct Draft {
    spot: Spot,
    bytes: Vec<u8>,
    /// The body of the record that is being filled.
    kept: Vec<u8>,
    keys: Vec<UsedKey>,
    moves: FxHashMap<Lane, Vec<(Offset, u32)>>,
    key_bytes: u64,
}

impl Draft {
    fn new(spot: Spot) -> Self {
        let head = Head { number: spot.segment, store: spot.store, is_rewritten: true };
        let bytes = head.encode().to_vec();
        assert!(bytes.len() == HEAD_BYTES as usize, "records come after the head");
        Self { spot, bytes, kept: Vec::new(), keys: Vec::new(), moves: FxHashMap::default(), key_bytes: 0 }
    }

    /// Takes over what is alive of a record.
    fn take(&mut self, segment: u64, record: Record<'_>, state: &parking_lot::Mutex<State>) {
        let Ok(change) = Change::decode(record.kind, record.body) else { return };
        match change {
            Change::Batch(body) | Change::Kept(body) => {
                let mut reader = Reader::new(body);
                let mut state = state.lock();
                while !reader.is_empty() {
                    let begin = body.len() - reader.left();
                    let Ok(raw) = RawEntry::read(&mut reader) else { return };
                    let bytes = &body[begin..body.len() - reader.left()];
                    let within = |bytes: usize| u32::try_from(bytes).expect("records are bounded");
                    let place =
                        Place { segment, at: record.body_at() + within(begin), len: within(bytes.len()) };
                    self.take_entry(&raw, place, bytes, &mut state);
                }
            }
            Change::Keys(keys) => {
                let state = state.lock();
                let is_known = |used: &UsedKey| {
                    state.lanes.recall(used.lane, &used.key).is_some_and(|(offset, _)| offset == used.offset)
                };
                self.keys.extend(keys.into_iter().filter(is_known));
            }
            _ => {}
        }
        if self.kept.len() >= RECORD_BYTES {
            self.put_kept();
        }
    }

    fn take_entry(&mut self, raw: &RawEntry<'_>, place: Place, bytes: &[u8], state: &mut State) {
        let found = state.lanes.shelf(raw.lane).ok().and_then(|(places, _)| places.find(raw.offset));
        if found == Some(place) {
            let at = self.bytes.len() + FRAME_BYTES + self.kept.len();
            let at = u32::try_from(at).expect("a rewritten segment is not larger");
            self.moves.entry(raw.lane).or_default().push((raw.offset, at));
            self.kept.extend_from_slice(bytes);
        } else if let Ok(Some(key)) = raw.key()
            && let Some((offset, digest)) = state.lanes.recall(raw.lane, &key)
            && offset == raw.offset
        {
            self.keys.push(UsedKey { lane: raw.lane, offset, used_ms: raw.taken_ms, digest, key });
        }
    }

    fn put(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        let at = u32::try_from(self.bytes.len()).expect("a rewritten segment is not larger");
        put_record(&mut self.bytes, Spot { at, ..self.spot }, 0, kind, body);
    }

    fn put_kept(&mut self) {
        if !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            self.put(kind::KEPT, |out| out.extend_from_slice(&kept));
        }
    }

    fn seal(mut self) -> Self {
        self.put_kept();
        for keys in std::mem::take(&mut self.keys).chunks(RECORD_BYTES / 1024) {
            let before = self.bytes.len();
            let keys = Change::Keys(keys.to_vec());
            self.put(kind::KEYS, |out| keys.put(out));
            self.key_bytes += (self.bytes.len() - before) as u64;
        }
        self.put(kind::SEALED, |_| ());
        self
    }
}
