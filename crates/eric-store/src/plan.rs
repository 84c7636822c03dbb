//! Planning: what is asked for becomes records of the group that is written next, in the order of calls.
//!
//! All under the one lock, and without waiting: the state takes the change at once, readers see it once it is
//! durable. What does not fit waits in the inbox, and everything after it, until the writer has made room.

use std::collections::VecDeque;

use eric_sse::cursor::{Commit, Committed, Lease};
use eric_sse::engine::FeedEvent;
use eric_sse::engine::lanes::lanes_of;
use eric_sse::lane::OpenLane;
use eric_sse::limits::{
    STORE_GROUP_BYTES_MAX, STORE_NOTE_LAG_MS_MAX, STORE_RECORD_BYTES_MAX, STORE_WAITING_BYTES_MAX,
    STORE_WAITING_MAX,
};
use eric_sse::log::{NewEntry, Taken};
use eric_sse::{Error, ErrorKind, Result};

use crate::checkpoint::Checkpoint;
use crate::format::change::Change;
use crate::format::frame::{RECORD_OVERHEAD_BYTES, Spot};
use crate::group::{Group, Told};
use crate::places::Place;
use crate::request::{Answer, Request};
use crate::state::{State, stopped};

/// Bytes at the end of a segment that are kept for what says that it ends.
const SEAL_BYTES: u32 = RECORD_OVERHEAD_BYTES as u32;

/// A change that was given back, and why.
pub(crate) type Refusal = Box<(Request, Error)>;

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) number: u64,
    pub(crate) size: u32,
    /// Where the next group goes.
    pub(crate) end: u32,
    /// Where it is synced up to.
    pub(crate) durable: u32,
}

/// The end of the log: what is planned, and what waits to be.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) current: Current,
    /// What is written next.
    pub(crate) group: Group,
    inbox: VecDeque<Request>,
    inbox_bytes: usize,
    /// Whether the segment is about to end, so that nothing may be planned.
    pub(crate) is_rolling: bool,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Bytes that were written since the last checkpoint began, and those of the checkpoint itself.
    pub(crate) since_checkpoint: u64,
    pub(crate) checkpoint_bytes: u64,
    /// When the oldest note that is not written was made.
    pub(crate) noted_ms: Option<u64>,
    /// When room was last sought because the disk had none.
    pub(crate) sought_ms: Option<u64>,
    /// How often the store was opened.
    pub(crate) opening: u64,
    /// The number of the store.
    store: u64,
    /// Whether every group is synced.
    syncs: bool,
}

impl End {
    pub(crate) fn new(store: u64, current: Current, opening: u64, syncs: bool) -> Self {
        let mut end = Self {
            group: Group::new(Vec::new(), Spot { store, segment: current.number, at: 0 }, 0),
            current,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            is_rolling: false,
            checkpoint: None,
            since_checkpoint: 0,
            checkpoint_bytes: 0,
            noted_ms: None,
            sought_ms: None,
            opening,
            store,
            syncs,
        };
        end.go_to(end.current.end);
        end
    }

    /// The group that is planned from here on begins at `at` of the current segment.
    pub(crate) fn go_to(&mut self, at: u32) {
        self.current.end = at;
        // It is written only once everything before it is synced, if that is promised at all.
        let durable = if self.syncs { at } else { self.current.durable };
        self.group.move_to(Spot { store: self.store, segment: self.current.number, at }, durable);
    }

    /// Bytes that are left for a record's body; growth leaves the last eighth to what lets go.
    pub(crate) fn room(&self, is_growth: bool) -> usize {
        let reserve = if is_growth { self.current.size / 8 } else { 0 };
        let room =
            (self.current.size - SEAL_BYTES).saturating_sub(reserve).saturating_sub(self.group.end().at);
        (room as usize).saturating_sub(RECORD_OVERHEAD_BYTES)
    }

    /// Room that the first of what waits needs and does not find.
    pub(crate) fn missing_room(&self) -> Option<usize> {
        let request = self.inbox.front()?;
        (request.room() > self.room(request.is_growth())).then(|| request.room())
    }

    /// The first of what waits.
    pub(crate) fn take_first(&mut self) -> Option<Request> {
        let request = self.inbox.pop_front()?;
        self.inbox_bytes -= request.bytes();
        Some(request)
    }

    /// Everything that waits.
    pub(crate) fn take_all(&mut self) -> VecDeque<Request> {
        self.inbox_bytes = 0;
        std::mem::take(&mut self.inbox)
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Lets a change wait; the error says why it may not.
    fn wait(&mut self, request: Request) -> std::result::Result<(), Refusal> {
        let bytes = request.bytes();
        let limit = if self.inbox.len() >= STORE_WAITING_MAX {
            format!("store_waiting_max={STORE_WAITING_MAX}")
        } else if self.inbox_bytes + bytes > STORE_WAITING_BYTES_MAX {
            format!("store_waiting_bytes_max={STORE_WAITING_BYTES_MAX}")
        } else {
            self.inbox_bytes += bytes;
            self.inbox.push_back(request);
            return Ok(());
        };
        let text = format!("the disk does not keep up: {limit} is reached; try again");
        Err(Box::new((request, Error::new(ErrorKind::Unavailable, text))))
    }
}

impl State {
    /// Takes a change: plans it, or lets it wait. Where it may do neither, it is given back with the reason; where it
    /// need wait for nothing, the answer is returned.
    pub(crate) fn take(
        &mut self,
        request: Request,
        now_ms: u64,
    ) -> std::result::Result<Option<Answer>, Refusal> {
        if let Some(why) = &self.stopped {
            let error = stopped(why);
            return match request {
                // Leases are not written, and without them nobody would read what is kept.
                Request::Lease(listener, conflict, resolver) => {
                    let result = self.lanes.lease(listener, conflict);
                    if let Ok(Lease { fence, .. }) = result {
                        self.tell(FeedEvent::LeaseTaken { listener, fence });
                    }
                    Ok(Some(Answer::Lease(resolver, result)))
                }
                Request::Release(listener, fence, resolver) => {
                    self.lanes.release(listener, fence);
                    Ok(Some(Answer::Nothing(resolver, Ok(()))))
                }
                request => Err(Box::new((request, error))),
            };
        }
        if self.is_closing {
            let error = Error::new(ErrorKind::Unavailable, "the store is closing");
            return Err(Box::new((request, error)));
        }
        if request.room() > STORE_RECORD_BYTES_MAX {
            let text = format!(
                "a batch of {} bytes on the disk is more than store_record_bytes_max={STORE_RECORD_BYTES_MAX}",
                request.room()
            );
            return Err(Box::new((request, Error::new(ErrorKind::TooLarge, text))));
        }
        if !self.end.has_waiting() && self.fits(&request) {
            self.apply(request, now_ms);
            return Ok(None);
        }
        self.end.wait(request).map(|()| None)
    }

    fn fits(&self, request: &Request) -> bool {
        !self.end.is_rolling
            && self.end.group.bytes.len() < STORE_GROUP_BYTES_MAX
            && request.room() <= self.end.room(request.is_growth())
    }

    /// Plans as much of what waits as fits.
    pub(crate) fn plan_waiting(&mut self, now_ms: u64) {
        while self.end.inbox.front().is_some_and(|request| self.fits(request))
            && let Some(request) = self.end.take_first()
        {
            self.apply(request, now_ms);
        }
    }

    /// Plans one change: the state takes it, readers do not see it yet.
    fn apply(&mut self, request: Request, now_ms: u64) {
        let answer = match request {
            Request::Submit(batch, resolver) => Answer::Taken(resolver, self.submit(batch, now_ms)),
            Request::Commit(commits, resolver) => Answer::Committed(resolver, self.commit(&commits)),
            Request::Open(retention, resolver) => {
                let lane = self.lanes.open(retention);
                self.end.group.put(&Change::LaneOpened(lane, retention));
                Answer::Lane(resolver, Ok(lane))
            }
            Request::Retain(channel, retention, resolver) => {
                let result = self.lanes.retain(channel, retention).map(|due| {
                    self.end.group.put(&Change::Retained(channel, retention));
                    self.end.group.due.extend(due);
                });
                Answer::Nothing(resolver, result)
            }
            Request::Close(channel, resolver) => {
                let removed = self.lanes.close(channel);
                if !removed.is_empty() {
                    self.end.group.put(&Change::LaneClosed(channel));
                }
                for (lane, places) in removed {
                    self.bury(lane, &places);
                    self.end.group.told.push(Told::Removed(lane));
                }
                Answer::Nothing(resolver, Ok(()))
            }
            Request::Join(channel, resolver) => {
                let result = self.lanes.join(channel).inspect(|joined| {
                    if let Some(checkpoint) = &mut self.end.checkpoint {
                        checkpoint.add(OpenLane { lane: joined.lane, channel: Some(channel) });
                    }
                    let listener = self.lanes.listener_state(joined.lane).expect("it has just joined");
                    let channel_finished = listener.channel_finished;
                    self.end.group.put(&Change::Joined { channel, joined: *joined, channel_finished });
                });
                Answer::Joined(resolver, result)
            }
            Request::Leave(listener, resolver) => {
                if let Some((channel, places)) = self.lanes.leave(listener) {
                    self.bury(listener, &places);
                    self.end.group.put(&Change::Left(listener));
                    self.end.group.told.push(Told::Removed(listener));
                    self.end.group.due.push(channel);
                }
                Answer::Nothing(resolver, Ok(()))
            }
            Request::Lease(listener, conflict, resolver) => {
                let result = self.lanes.lease(listener, conflict).inspect(|lease| {
                    self.end.group.told.push(Told::LeaseTaken(listener, lease.fence));
                });
                Answer::Lease(resolver, result)
            }
            Request::Release(listener, fence, resolver) => {
                self.lanes.release(listener, fence);
                Answer::Nothing(resolver, Ok(()))
            }
            Request::Upsert(key, value, resolver) => {
                self.end.group.put(&Change::Upserted(&key, &value));
                self.values.insert(key, value);
                Answer::Nothing(resolver, Ok(()))
            }
            Request::Delete(key, resolver) => {
                if self.values.remove(&key).is_some() {
                    self.end.group.put(&Change::Deleted(&key));
                }
                Answer::Nothing(resolver, Ok(()))
            }
        };
        self.end.group.answers.push(answer);
    }

    fn submit(&mut self, batch: Vec<NewEntry>, now_ms: u64) -> Result<Vec<Taken>> {
        let touched = lanes_of(&batch);
        self.enforce(touched.clone(), now_ms);
        let admitted = self.lanes.admit(batch, now_ms)?;
        if admitted.entries.is_empty() {
            return Ok(admitted.taken);
        }
        let segment = self.end.current.number;
        let Self { end, lanes, segments, .. } = self;
        let mut live_bytes = 0;
        end.group.put_batch(&admitted.entries, &admitted.keys, |entry, at, len| {
            live_bytes += u64::from(len);
            lanes.keep(entry.lane(), entry.into(), Place { segment, at, len });
        });
        let segment = segments.get_mut(segment);
        segment.live_bytes += live_bytes;
        if !admitted.keys.is_empty() {
            segment.last_key = lanes.keys(now_ms).0;
        }
        end.group.tell_appended(admitted.entries);
        end.group.due.extend(touched);
        Ok(admitted.taken)
    }

    fn commit(&mut self, commits: &[Commit]) -> Vec<Result<Committed>> {
        let mut cursors = Vec::new();
        let mut answer = |commit: &Commit| {
            let (committed, moved) = self.lanes.commit(commit)?;
            if let Some(moved) = moved {
                self.end.group.due.extend([moved.channel, moved.listener]);
                cursors.push(moved);
            }
            Ok(committed)
        };
        let answers = commits.iter().map(&mut answer).collect();
        if !cursors.is_empty() {
            self.end.group.put(&Change::Moved(cursors));
        }
        answers
    }

    /// Room that notes need which are due, and which they do not find.
    pub(crate) fn missing_room_for_notes(&self, now_ms: u64, is_asked_for: bool) -> Option<usize> {
        let is_due = self
            .end
            .noted_ms
            .is_some_and(|noted_ms| now_ms.saturating_sub(noted_ms) >= STORE_NOTE_LAG_MS_MAX);
        let bytes = self.notes.bytes_max();
        ((is_due || is_asked_for) && !self.notes.is_empty() && bytes > self.end.room(false)).then_some(bytes)
    }

    /// Plans notes of what was let go: with whatever else is planned, or when they have waited for long enough, or
    /// are asked for. Whether no note is left.
    pub(crate) fn plan_notes(&mut self, now_ms: u64, is_asked_for: bool) -> bool {
        if self.notes.is_empty() {
            self.end.noted_ms = None;
            return true;
        }
        let noted_ms = *self.end.noted_ms.get_or_insert(now_ms);
        let is_due = now_ms.saturating_sub(noted_ms) >= STORE_NOTE_LAG_MS_MAX;
        let fits = self.notes.bytes_max() <= self.end.room(false);
        let is_planned = (is_due || is_asked_for || !self.end.group.bytes.is_empty()) && fits;
        if is_planned {
            let notes = self.notes.take();
            self.end.group.put(&Change::Trimmed(notes));
            self.end.noted_ms = None;
        }
        is_planned
    }
}
