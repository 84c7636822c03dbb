//! What a store knows in memory, behind one short lock: the lanes with their index, the segments, what the hub
//! remembers, and notes of what was let go that are not written yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use eric_sse::engine::lanes::Lanes;
use eric_sse::engine::{Feed, FeedEvent};
use eric_sse::lane::Lane;
use eric_sse::{Error, ErrorKind};
use rustc_hash::FxHashMap;

use crate::format::change::Trim;
use crate::places::Places;
use crate::plan::End;
use crate::rewrite::Stage;
use crate::segments::Segments;

/// The state of a store.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) lanes: Lanes<Places>,
    pub(crate) segments: Segments,
    pub(crate) values: BTreeMap<String, Bytes>,
    pub(crate) notes: Notes,
    pub(crate) feed: Option<Tell>,
    /// Why the store takes nothing any more.
    pub(crate) stopped: Option<Arc<str>>,
    /// The segment in which the last complete checkpoint begins.
    pub(crate) checkpoint: u64,
    /// Segments that are being rewritten.
    pub(crate) rewriting: Vec<u64>,
    pub(crate) rewrite: Stage,
    /// Segments whose release is planned.
    pub(crate) releasing: Vec<u64>,
    /// The end of the log.
    pub(crate) end: End,
    /// Whether nothing more is taken.
    pub(crate) is_closing: bool,
    /// Whether the writer waits for somebody to ask for something.
    pub(crate) is_writer_waiting: bool,
    /// Whether the writer is to look for something that nobody asked for.
    pub(crate) is_nudged: bool,
    /// The bug `RecycleEarly`, if it is planted.
    pub(crate) recycles_early: bool,
}

/// Whom the engine reports to.
#[derive(Clone)]
pub(crate) struct Tell(pub(crate) Arc<dyn Feed>);

impl std::fmt::Debug for Tell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tell").finish_non_exhaustive()
    }
}

/// What was let go and is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    trims: FxHashMap<Lane, Vec<(u64, u64)>>,
    stretches: usize,
}

impl Notes {
    fn add(&mut self, lane: Lane, offset: u64) {
        let runs = self.trims.entry(lane).or_default();
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == offset => *last = offset,
            _ => {
                runs.push((offset, offset));
                self.stretches += 1;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.trims.is_empty()
    }

    /// Bytes that they take in the log at most.
    pub(crate) fn bytes_max(&self) -> usize {
        self.trims.len() * 20 + self.stretches * 20
    }

    /// Takes all of them, in the order of lanes.
    pub(crate) fn take(&mut self) -> Vec<Trim> {
        self.stretches = 0;
        let mut trims: Vec<Trim> = self.trims.drain().map(|(lane, runs)| Trim { lane, runs }).collect();
        trims.sort_unstable_by_key(|trim| trim.lane);
        trims
    }
}

impl State {
    /// Reports to the hub, if one is attached.
    pub(crate) fn tell(&self, event: FeedEvent<'_>) {
        if let Some(feed) = &self.feed {
            feed.0.event(event);
        }
    }

    /// Lets go of what the rules of `lanes` no longer keep, says so, and notes it. Whether anything went.
    pub(crate) fn enforce(&mut self, lanes: impl IntoIterator<Item = Lane>, now_ms: u64) -> bool {
        let mut has_trimmed = false;
        for lane in lanes {
            let (segments, notes) = (&mut self.segments, &mut self.notes);
            let gone = self.lanes.enforce(lane, now_ms, |kept, place| {
                segments.remove_live(place.segment, u64::from(place.len));
                notes.add(lane, kept.offset.get());
            });
            if let Some(gone) = gone {
                has_trimmed = true;
                self.tell(FeedEvent::Trimmed { lane, to: gone.to, unread: gone.unread });
            }
        }
        has_trimmed
    }

    /// Takes note that all that a removed lane kept is dead.
    pub(crate) fn bury(&mut self, lane: Lane, places: &Places) {
        if let Some(runs) = self.notes.trims.remove(&lane) {
            self.notes.stretches -= runs.len();
        }
        for (segment, bytes) in places.by_segment() {
            self.segments.remove_live(segment, bytes);
        }
    }
}

/// What callers hear once the store has stopped.
pub(crate) fn stopped(why: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the store has stopped and takes nothing until it is opened again: {why}"),
    )
}
