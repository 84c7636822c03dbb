//! What a broken engine does to its reports on their way to the hub.

use std::collections::HashMap;
use std::sync::Arc;

use eric_sse::engine::{Feed, FeedEvent};
use eric_sse::lane::Lane;
use eric_sse::{Entry, Evicted, EvictedBy, Offset};
use parking_lot::Mutex;

use super::Fault;

/// The feed between the memory engine and whoever is attached to the broken one.
pub(super) struct Tap {
    fault: Fault,
    outer: Mutex<Option<Arc<dyn Feed>>>,
    known: Mutex<Known>,
}

/// What a tap saw go by.
#[derive(Default)]
struct Known {
    entries: Vec<Entry>,
    channels: HashMap<Lane, Lane>,
    hidden: HashMap<Lane, Offset>,
    late: Vec<Entry>,
    appends: usize,
}

impl Tap {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, outer: Mutex::default(), known: Mutex::default() }
    }

    pub(super) fn attach(&self, feed: Arc<dyn Feed>) {
        *self.outer.lock() = Some(feed);
    }

    /// Takes note of a listener and its channel.
    pub(super) fn joined(&self, listener: Lane, channel: Lane) {
        self.known.lock().channels.insert(listener, channel);
    }

    /// Every entry of every lane after `after`.
    pub(super) fn entries_after(&self, after: Offset) -> Vec<Entry> {
        let known = self.known.lock();
        known.entries.iter().filter(|entry| entry.offset() > after).cloned().collect()
    }

    /// Up to where the entries of `lane` are hidden.
    pub(super) fn hidden_to(&self, lane: Lane) -> Offset {
        self.known.lock().hidden.get(&lane).copied().unwrap_or(Offset::ZERO)
    }

    /// Claims that a lane is gone.
    pub(super) fn pretend_removed(&self, lane: Lane) {
        self.pass(FeedEvent::Removed { lane });
        self.settle();
    }

    fn pass(&self, event: FeedEvent<'_>) {
        let outer = self.outer.lock().clone();
        if let Some(outer) = outer {
            outer.event(event);
        }
    }

    fn appended(&self, entries: &[Entry]) {
        let (mut reported, appends) = {
            let mut known = self.known.lock();
            known.entries.extend_from_slice(entries);
            known.appends += 1;
            (entries.to_vec(), known.appends)
        };
        match self.fault {
            Fault::LosesReports if appends.is_multiple_of(3) => return,
            Fault::ReversesReports => reported.reverse(),
            Fault::RepeatsReports => self.pass(FeedEvent::Appended(entries)),
            Fault::ReportsLate => {
                reported = std::mem::replace(&mut self.known.lock().late, reported);
            }
            Fault::WakesEverybody => {
                let known = self.known.lock();
                for entry in &mut reported {
                    let lane = *known.channels.get(&entry.lane()).unwrap_or(&entry.lane());
                    *entry = Entry::new(entry.position(), lane, entry.taken_at(), entry.message().clone());
                }
            }
            _ => {}
        }
        if !reported.is_empty() {
            self.pass(FeedEvent::Appended(&reported));
        }
    }
}

impl Feed for Tap {
    fn event(&self, event: FeedEvent<'_>) {
        match (event, self.fault) {
            (FeedEvent::Appended(entries), _) => self.appended(entries),
            (FeedEvent::LeaseTaken { .. }, Fault::HidesLeases) => {}
            (FeedEvent::Removed { .. }, Fault::HidesRemovals) => {}
            (FeedEvent::Trimmed { lane, to, .. }, Fault::HidesUnread) => {
                self.pass(FeedEvent::Trimmed { lane, to, unread: Evicted::default() });
            }
            (FeedEvent::Trimmed { lane, to, unread }, Fault::BlamesAge) => {
                let mut blamed = Evicted::default();
                blamed.add(EvictedBy::Age, unread.sum());
                self.pass(FeedEvent::Trimmed { lane, to, unread: blamed });
            }
            (FeedEvent::Trimmed { lane, to, .. }, Fault::FloodsOthers) => {
                let mut known = self.known.lock();
                if let Some(channel) = known.channels.get(&lane).copied() {
                    known.hidden.insert(channel, to);
                }
                drop(known);
                self.pass(event);
            }
            _ => self.pass(event),
        }
    }

    fn settle(&self) {
        let outer = self.outer.lock().clone();
        if let Some(outer) = outer.filter(|_| self.fault != Fault::NeverSettles) {
            outer.settle();
        }
    }
}
