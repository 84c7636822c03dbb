//! The writer: takes what waits, in order, and makes it durable, one write and one sync for all of it.
//!
//! It alone changes the log. A **turn** plans changes against the state, encodes them, writes, syncs, and only then
//! shows them to readers, tells the hub, and answers. Callers are in `store.rs`; threads in `threads.rs`.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use eric_sse::cursor::Commit;
use eric_sse::engine::FeedEvent;
use eric_sse::engine::lanes::lanes_of;
use eric_sse::lane::OpenLane;
use eric_sse::limits::{STORE_GROUP_BYTES_MAX, STORE_NOTE_LAG_MS_MAX, STORE_RECORD_BYTES_MAX};
use eric_sse::log::NewEntry;
use eric_sse::{Error, ErrorKind, Result};

use crate::checkpoint::Checkpoint;
use crate::format::change::{Change, Counters};
use crate::format::frame::{RECORD_OVERHEAD_BYTES, Spot};
use crate::group::{Group, Told};
use crate::places::Place;
use crate::request::{Answer, Request};
use crate::rewrite::Stage;
use crate::settings::Sabotage;
use crate::shared::Shared;
use crate::spare::is_full;
use crate::state::State;

/// Bytes at the end of a segment that are kept for what says that it ends.
const SEAL_BYTES: u32 = RECORD_OVERHEAD_BYTES as u32;

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) number: u64,
    pub(crate) size: u32,
    /// Where the next record goes.
    pub(crate) end: u32,
    /// Where it is synced up to.
    pub(crate) durable: u32,
}

impl Current {
    /// Bytes that are left for records; growth leaves the last eighth to those that let go.
    pub(crate) fn room(&self, is_growth: bool) -> usize {
        let reserve = if is_growth { self.size / 8 } else { 0 };
        (self.size - SEAL_BYTES).saturating_sub(reserve).saturating_sub(self.end) as usize
    }
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There may be more to do.
    Worked,
    /// Nothing waits.
    Idle,
}

/// The one owner of the log's end.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) current: Current,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Bytes that were written since the last checkpoint began, and those of the checkpoint itself.
    pub(crate) since_checkpoint: u64,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) opening: u64,
    inbox: VecDeque<Request>,
    /// The buffer of the last group, to be used again.
    buffer: Vec<u8>,
    /// When the oldest note that is not written was made.
    noted_ms: Option<u64>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, current: Current, opening: u64) -> Self {
        Self {
            shared,
            current,
            checkpoint: None,
            since_checkpoint: 0,
            checkpoint_bytes: 0,
            opening,
            inbox: VecDeque::new(),
            buffer: Vec::new(),
            noted_ms: None,
        }
    }

    /// Takes what waits and makes it durable. Never fails: what went wrong is answered, and stops the store where
    /// it must.
    pub(crate) fn turn(&mut self) -> Turn {
        self.shared.take_requests(&mut self.inbox);
        if let Err(error) = self.shared.state.lock().health() {
            let text = error.to_string();
            self.inbox.drain(..).for_each(|request| request.refuse(Error::new(error.kind(), text.clone())));
            return Turn::Idle;
        }
        let is_rewrite_waiting = self.shared.state.lock().rewrite == Stage::Prepared;
        let mut group = self.begin();
        if let Err(error) = self.plan(&mut group) {
            self.shared.stop(&format!("a segment could not be begun: {error}"));
            self.withhold(group);
            return Turn::Worked;
        }
        group.is_noted = self.plan_notes(&mut group, is_rewrite_waiting);
        group.is_rewrite_waiting = is_rewrite_waiting;
        self.plan_checkpoint(&mut group);
        self.plan_release(&mut group);
        let has_worked = !group.bytes.is_empty() || !group.answers.is_empty();
        self.finish(group);
        if has_worked || !self.inbox.is_empty() { Turn::Worked } else { Turn::Idle }
    }

    /// Milliseconds after which a turn is due although nobody asks for anything.
    pub(crate) fn due_in_ms(&self) -> Option<u64> {
        let due_ms = self.noted_ms? + STORE_NOTE_LAG_MS_MAX;
        Some(due_ms.saturating_sub(self.now_ms()))
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.clock.now().as_ms()
    }

    fn spot(&self) -> Spot {
        Spot { store: self.shared.number, segment: self.current.number, at: self.current.end }
    }

    pub(crate) fn begin(&mut self) -> Group {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        Group::new(buffer, self.spot(), self.current.durable, self.shared.state.lock().lanes.tail())
    }

    /// Plans as many of the waiting changes as belong into one group.
    fn plan(&mut self, group: &mut Group) -> io::Result<()> {
        let mut state_full = None;
        while let Some(request) = self.inbox.front() {
            let room = request.room();
            if room > STORE_RECORD_BYTES_MAX {
                let text = format!(
                    "a batch of {room} bytes is more than store_record_bytes_max={STORE_RECORD_BYTES_MAX}"
                );
                self.refuse_first(Error::new(ErrorKind::TooLarge, text));
                continue;
            }
            let is_growth = request.is_growth();
            if group.bytes.len() + room > self.current.room(is_growth) {
                if !group.bytes.is_empty() {
                    return Ok(());
                }
                if state_full.is_none()
                    && let Err(error) = self.roll(room)
                {
                    if !is_full(&error) {
                        return Err(error);
                    }
                    state_full = Some(error);
                }
                if let Some(error) = &state_full {
                    let text = format!("there is no room for another segment: {error}");
                    self.refuse_first(Error::new(ErrorKind::NoSpace, text));
                    continue;
                }
                group.move_to(self.spot(), self.current.durable);
            }
            let request = self.inbox.pop_front().expect("it was looked at");
            self.apply(request, group);
            if group.bytes.len() >= STORE_GROUP_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }

    fn refuse_first(&mut self, error: Error) {
        self.inbox.pop_front().expect("it was looked at").refuse(error);
    }

    /// Plans one change: the state takes it, readers do not see it yet.
    fn apply(&mut self, request: Request, group: &mut Group) {
        let shared = self.shared.clone();
        let state = &mut *shared.state.lock();
        let answer = match request {
            Request::Submit(batch, resolver) => Answer::Taken(resolver, self.submit(batch, state, group)),
            Request::Commit(commits, resolver) => Answer::Committed(resolver, commit(&commits, state, group)),
            Request::Open(retention, resolver) => {
                let lane = state.lanes.open(retention);
                group.put(&Change::LaneOpened(lane, retention));
                Answer::Lane(resolver, Ok(lane))
            }
            Request::Retain(channel, retention, resolver) => {
                let result = state.lanes.retain(channel, retention).map(|due| {
                    group.put(&Change::Retained(channel, retention));
                    group.due.extend(due);
                });
                Answer::Nothing(resolver, result)
            }
            Request::Close(channel, resolver) => {
                let removed = state.lanes.close(channel);
                if !removed.is_empty() {
                    group.put(&Change::LaneClosed(channel));
                }
                for (lane, places) in removed {
                    state.bury(lane, &places);
                    group.told.push(Told::Removed(lane));
                }
                Answer::Nothing(resolver, Ok(()))
            }
            Request::Join(channel, resolver) => {
                let result = state.lanes.join(channel).inspect(|joined| {
                    if let Some(checkpoint) = &mut self.checkpoint {
                        checkpoint.add(OpenLane { lane: joined.lane, channel: Some(channel) });
                    }
                    let listener = state.lanes.listener_state(joined.lane).expect("it has just joined");
                    let channel_finished = listener.channel_finished;
                    group.put(&Change::Joined { channel, joined: *joined, channel_finished });
                });
                Answer::Joined(resolver, result)
            }
            Request::Leave(listener, resolver) => {
                if let Some((channel, places)) = state.lanes.leave(listener) {
                    state.bury(listener, &places);
                    group.put(&Change::Left(listener));
                    group.told.push(Told::Removed(listener));
                    group.due.push(channel);
                }
                Answer::Nothing(resolver, Ok(()))
            }
            Request::Lease(listener, conflict, resolver) => {
                let result = state.lanes.lease(listener, conflict).inspect(|lease| {
                    group.told.push(Told::LeaseTaken(listener, lease.fence));
                });
                Answer::Lease(resolver, result)
            }
            Request::Release(listener, fence, resolver) => {
                state.lanes.release(listener, fence);
                Answer::Nothing(resolver, Ok(()))
            }
            Request::Upsert(key, value, resolver) => {
                group.put(&Change::Upserted(&key, &value));
                state.values.insert(key, value);
                Answer::Nothing(resolver, Ok(()))
            }
            Request::Delete(key, resolver) => {
                if state.values.remove(&key).is_some() {
                    group.put(&Change::Deleted(&key));
                }
                Answer::Nothing(resolver, Ok(()))
            }
        };
        group.answers.push(answer);
    }

    fn submit(
        &self,
        batch: Vec<NewEntry>,
        state: &mut State,
        group: &mut Group,
    ) -> Result<Vec<eric_sse::log::Taken>> {
        let now_ms = self.now_ms();
        let touched = lanes_of(&batch);
        state.enforce(touched.clone(), now_ms);
        let admitted = state.lanes.admit(batch, now_ms)?;
        if admitted.entries.is_empty() {
            return Ok(admitted.taken);
        }
        let segment = self.current.number;
        group.put_batch(&admitted.entries, |entry, at, len| {
            state.keep(entry.lane(), entry.into(), Place { segment, at, len });
        });
        if admitted.entries.iter().any(|new| new.key.is_some()) {
            state.segments.get_mut(segment).last_key = state.lanes.keys(now_ms).0;
        }
        group.tell_appended(admitted.entries.into_iter().map(|new| new.entry));
        group.tail = state.lanes.tail();
        group.due.extend(touched);
        Ok(admitted.taken)
    }

    /// Notes what was let go: with the next group, or when it has waited for long enough.
    /// Whether no note is left.
    fn plan_notes(&mut self, group: &mut Group, is_asked_for: bool) -> bool {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        if state.notes.is_empty() {
            self.noted_ms = None;
            return true;
        }
        let noted_ms = *self.noted_ms.get_or_insert(shared.clock.now().as_ms());
        let is_due = self.now_ms().saturating_sub(noted_ms) >= STORE_NOTE_LAG_MS_MAX;
        let fits =
            group.bytes.len() + RECORD_OVERHEAD_BYTES + state.notes.bytes_max() <= self.current.room(false);
        let is_written = (is_due || is_asked_for || !group.bytes.is_empty()) && fits;
        if is_written {
            group.put(&Change::Trimmed(state.notes.take()));
            self.noted_ms = None;
        }
        is_written
    }

    /// Writes the group, syncs it, shows and tells what is in it, and answers.
    pub(crate) fn finish(&mut self, mut group: Group) {
        if self.shared.is_planted(Sabotage::AnswerEarly) {
            group.answers.drain(..).for_each(Answer::give);
        }
        let written = match group.is_rewrite_waiting {
            true => self.write_synced(&group),
            false if group.bytes.is_empty() => Ok(()),
            false => self.write(&group),
        };
        if let Err(error) = written {
            self.shared.stop(&format!("the log could not be written: {error}"));
            self.withhold(group);
            return;
        }
        let now_ms = self.now_ms();
        group.due.sort_unstable();
        group.due.dedup();
        let (feed, has_news) = {
            let mut state = self.shared.state.lock();
            state.lanes.show(group.tail);
            let has_news = !group.told.is_empty();
            for told in &group.told {
                match told {
                    Told::Appended(entries) => state.tell(FeedEvent::Appended(entries)),
                    Told::LeaseTaken(listener, fence) => {
                        state.tell(FeedEvent::LeaseTaken { listener: *listener, fence: *fence });
                    }
                    Told::Removed(lane) => state.tell(FeedEvent::Removed { lane: *lane }),
                }
            }
            let has_trimmed = state.enforce(group.due.drain(..), now_ms);
            if has_trimmed && self.noted_ms.is_none() {
                self.noted_ms = Some(now_ms);
            }
            if let Some(segment) = group.checkpoint {
                state.checkpoint = segment;
            }
            if group.is_rewrite_waiting && group.is_noted {
                state.rewrite = Stage::Ready;
            }
            (state.feed.clone(), has_news || has_trimmed)
        };
        self.shared.retire(&group.released);
        if group.checkpoint.is_some() || group.is_rewrite_waiting {
            self.shared.wake_housekeeper();
        }
        if let Some(feed) = feed.filter(|_| has_news) {
            feed.0.settle();
        }
        group.answers.drain(..).for_each(Answer::give);
        self.buffer = group.bytes;
    }

    fn write(&mut self, group: &Group) -> io::Result<()> {
        let file = self.shared.state.lock().segments.file(self.current.number).clone();
        file.write(&group.bytes, u64::from(group.start.at))?;
        self.current.end = group.end().at;
        self.since_checkpoint += group.bytes.len() as u64;
        if self.shared.syncs() {
            if !self.shared.is_planted(Sabotage::SkipSync) {
                file.sync()?;
            }
            self.current.durable = self.current.end;
        }
        Ok(())
    }

    /// Writes a group and syncs it, whatever is promised of single groups.
    pub(crate) fn write_synced(&mut self, group: &Group) -> io::Result<()> {
        if !group.bytes.is_empty() {
            self.write(group)?;
        }
        if self.current.durable < self.current.end {
            self.shared.state.lock().segments.file(self.current.number).clone().sync()?;
            self.current.durable = self.current.end;
        }
        Ok(())
    }

    fn withhold(&mut self, group: Group) {
        let error = self.shared.state.lock().health().err();
        let text = error.map_or_else(|| "the store has stopped".to_owned(), |error| error.to_string());
        let error = || Error::new(ErrorKind::Unavailable, text.clone());
        group.answers.into_iter().for_each(|answer| answer.withhold(error()));
        self.inbox.drain(..).for_each(|request| request.refuse(error()));
    }

    /// Ends the current segment and begins another with room for at least `room` bytes.
    ///
    /// Where there is no room on the disk nothing has changed.
    pub(crate) fn roll(&mut self, room: usize) -> io::Result<()> {
        let number = self.current.number + 1;
        let needed = room as u64 + u64::from(room as u32 / 7) + 4096;
        let spare = self.shared.take_spare(needed)?;
        self.seal()?;
        self.current = self.shared.begin_segment(spare, number)?;
        self.consider_checkpoint();
        self.shared.wake_housekeeper();
        Ok(())
    }

    /// Says that the current segment ends, and makes it durable whatever is promised of single groups.
    fn seal(&mut self) -> io::Result<()> {
        let mut group = self.begin();
        group.put(&Change::Sealed);
        self.write_synced(&group)
    }

    /// The last turn: what waits is made durable, and the log says that it was closed.
    pub(crate) fn close(&mut self) {
        while self.turn() == Turn::Worked {}
        if self.shared.state.lock().health().is_err() {
            return;
        }
        if self.shared.state.lock().notes.bytes_max() + 2 * RECORD_OVERHEAD_BYTES > self.current.room(false) {
            // Where there is no room for notes, what they say is found out anew.
            let _ = self.roll(0);
        }
        let mut group = self.begin();
        self.plan_notes(&mut group, true);
        if self.current.room(false) > group.bytes.len() + RECORD_OVERHEAD_BYTES {
            group.put(&Change::Closed);
        }
        let written = self.write_synced(&group);
        if let Err(error) = written {
            self.shared.stop(&format!("the log could not be closed: {error}"));
        }
    }

    /// What a checkpoint begins with.
    pub(crate) fn counters(&self, state: &State) -> Counters {
        Counters {
            epoch: state.lanes.epoch(),
            tail: state.lanes.tail(),
            lanes_opened: state.lanes.counters().0,
            opening: self.opening,
        }
    }
}

fn commit(
    commits: &[Commit],
    state: &mut State,
    group: &mut Group,
) -> Vec<Result<eric_sse::cursor::Committed>> {
    let mut cursors = Vec::new();
    let mut answer = |commit: &Commit| {
        let (committed, moved) = state.lanes.commit(commit)?;
        if let Some(moved) = moved {
            group.due.extend([moved.channel, moved.listener]);
            cursors.push(moved);
        }
        Ok(committed)
    };
    let answers = commits.iter().map(&mut answer).collect();
    if !cursors.is_empty() {
        group.put(&Change::Moved(cursors));
    }
    answers
}
