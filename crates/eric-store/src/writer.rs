//! The writer: makes what was planned durable, one write and one sync for all of it.
//!
//! It alone writes to the log. A **turn** takes the group that callers have planned, writes it, syncs, and only then
//! shows it to readers and the hub. What is left to do then (rules, wake-ups, answers) is [`News`], which another
//! thread tells where there is one. While the writer waits for the disk the next group is planned.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SendError, SyncSender};

use eric_sse::engine::FeedEvent;
use eric_sse::lane::Lane;
use eric_sse::limits::STORE_NOTE_LAG_MS_MAX;
use eric_sse::{Error, ErrorKind};

use crate::disk::DiskFile;
use crate::format::change::Change;
use crate::group::{Group, Told};
use crate::request::Answer;
use crate::rewrite::Stage;
use crate::settings::Sabotage;
use crate::shared::Shared;
use crate::spare::is_full;
use crate::state::State;

/// What the machine's cache is made of.
pub(crate) const PAGE_BYTES: u32 = 4096;

/// Answers that the writer gives itself, because waking another thread would take longer.
const FEW_ANSWERS: usize = 8;

/// Milliseconds between two times that room is sought because the disk has none: it costs more than to refuse.
const SEEK_ROOM_MS: u64 = 1_000;

/// Lanes whose rules are looked at before others may have the state.
const ENFORCE_SLICE: usize = 16;

/// What is left to do once a group is durable and shown.
#[derive(Debug)]
pub(crate) struct News {
    shared: Arc<Shared>,
    /// What the hub was told; let go of here, where nobody waits.
    told: Vec<Told>,
    /// Lanes whose rules are to be looked at.
    due: Vec<Lane>,
    answers: Vec<Answer>,
}

impl News {
    /// Lets go of what the rules no longer keep, wakes whom the group concerns, then answers.
    pub(crate) fn tell(mut self) {
        let now_ms = self.shared.clock.now().as_ms();
        self.due.sort_unstable();
        self.due.dedup();
        let mut has_trimmed = false;
        for lanes in self.due.chunks(ENFORCE_SLICE) {
            has_trimmed |= self.shared.state.lock().enforce(lanes.iter().copied(), now_ms);
        }
        if has_trimmed {
            self.shared.note(now_ms);
        }
        let feed = self.shared.state.lock().feed.clone();
        if let Some(feed) = feed.filter(|_| has_trimmed || !self.told.is_empty()) {
            feed.0.settle();
        }
        self.answers.into_iter().for_each(Answer::give);
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

/// Who writes to the log.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// The buffer of the last group, to be used again.
    buffer: Vec<u8>,
    /// Who tells the news while the next group is written.
    teller: Option<SyncSender<News>>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, buffer: Vec::new(), teller: None }
    }

    /// Leaves it to another thread to tell the news of larger groups.
    pub(crate) fn tell_through(&mut self, teller: SyncSender<News>) {
        self.teller = Some(teller);
    }

    /// Takes what is planned and makes it durable. Never fails: what went wrong is answered, and stops the store where
    /// it must.
    pub(crate) fn turn(&mut self) -> Turn {
        let shared = self.shared.clone();
        let now_ms = shared.clock.now().as_ms();
        let mut state = shared.state.lock();
        if state.stopped.is_some() {
            drop(state);
            shared.give_up();
            return Turn::Idle;
        }
        state.plan_waiting(now_ms);
        let is_rewrite_waiting = state.rewrite == Stage::Prepared;
        if state.end.group.is_empty() {
            let for_notes = state.missing_room_for_notes(now_ms, is_rewrite_waiting);
            if let Some(room) = state.end.missing_room().or(for_notes) {
                state.end.is_rolling = true;
                drop(state);
                return self.make_room(room);
            }
        }
        let is_noted = state.plan_notes(now_ms, is_rewrite_waiting);
        state.plan_checkpoint();
        state.plan_release(now_ms);
        if state.end.group.is_empty() && !is_rewrite_waiting {
            return Turn::Idle;
        }
        let group = self.take_group(&mut state);
        let file = state.segments.file(group.start.segment).clone();
        drop(state);
        self.finish(group, &*file, is_rewrite_waiting.then_some(is_noted));
        Turn::Worked
    }

    /// Takes the group that is planned; the next one begins where it ends.
    fn take_group(&mut self, state: &mut State) -> Group {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let tail = state.lanes.tail();
        let next = Group::new(buffer, state.end.group.start, state.end.group.durable);
        let mut group = std::mem::replace(&mut state.end.group, next);
        group.tail = tail;
        group.size = state.end.current.size.max(group.end().at);
        state.end.go_to(group.end().at);
        group
    }

    /// Milliseconds after which a turn is due although nobody asks for anything.
    pub(crate) fn due_in_ms(&self) -> Option<u64> {
        let noted_ms = self.shared.state.lock().end.noted_ms?;
        Some((noted_ms + STORE_NOTE_LAG_MS_MAX).saturating_sub(self.shared.clock.now().as_ms()))
    }

    /// Writes the group, syncs it, shows and tells what is in it, and answers. A rewriting that waits, and whose
    /// grounds are all noted, may go on.
    fn finish(&mut self, mut group: Group, file: &dyn DiskFile, rewrite: Option<bool>) {
        if self.shared.is_planted(Sabotage::AnswerEarly) {
            group.answers.drain(..).for_each(Answer::give);
        }
        // What makes older segments needless must be there before they go, whatever is promised of single groups.
        let must_sync = rewrite.is_some() || group.checkpoint.is_some() || !group.released.is_empty();
        if let Err(error) = self.write(&mut group, file, must_sync) {
            self.shared.stop(&format!("the log could not be written: {error}"));
            self.withhold(group);
            return;
        }
        {
            let mut state = self.shared.state.lock();
            state.end.since_checkpoint += group.bytes.len() as u64;
            state.lanes.show(group.tail);
            for told in &group.told {
                match told {
                    Told::Appended(entries) => state.tell(FeedEvent::Appended(entries)),
                    Told::LeaseTaken(listener, fence) => {
                        state.tell(FeedEvent::LeaseTaken { listener: *listener, fence: *fence });
                    }
                    Told::Removed(lane) => state.tell(FeedEvent::Removed { lane: *lane }),
                }
            }
            if let Some(segment) = group.checkpoint {
                state.checkpoint = segment;
            }
            if rewrite == Some(true) {
                state.rewrite = Stage::Ready;
            }
        }
        self.shared.retire(&group.released);
        if group.checkpoint.is_some() || rewrite.is_some() {
            self.shared.wake_housekeeper();
        }
        let Group { bytes, answers, told, due, .. } = group;
        let news = News { shared: self.shared.clone(), told, due, answers };
        match &self.teller {
            Some(teller) if news.answers.len() > FEW_ANSWERS => {
                if let Err(SendError(news)) = teller.send(news) {
                    news.tell();
                }
            }
            _ => news.tell(),
        }
        self.buffer = bytes;
    }

    /// Writes a group, and syncs it where that is promised or `must_sync`.
    fn write(&mut self, group: &mut Group, file: &dyn DiskFile, must_sync: bool) -> io::Result<()> {
        if !group.bytes.is_empty() {
            // Zeros up to the end of the page, which nobody has to read from the disk then.
            let len = group.bytes.len();
            let padding = group.end().at.next_multiple_of(PAGE_BYTES).min(group.size) - group.end().at;
            group.bytes.resize(len + padding as usize, 0);
            let written = file.write(&group.bytes, u64::from(group.start.at));
            group.bytes.truncate(len);
            written?;
        }
        let syncs = self.shared.syncs() && !group.bytes.is_empty();
        if must_sync || (syncs && !self.shared.is_planted(Sabotage::SkipSync)) {
            file.sync()?;
        }
        if must_sync || syncs {
            self.shared.state.lock().end.current.durable = group.end().at;
        }
        Ok(())
    }

    /// Answers that it is not known what became of a group, and that nothing else will happen.
    fn withhold(&mut self, group: Group) {
        let error = || {
            let error = self.shared.health().err();
            error.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "the store has stopped"))
        };
        group.answers.into_iter().for_each(|answer| answer.withhold(error()));
        self.shared.give_up();
    }

    /// Begins another segment for the first change that waits; refuses it where there is no room on the disk.
    fn make_room(&mut self, room: usize) -> Turn {
        let outcome = self.roll(room);
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        state.end.is_rolling = false;
        let Err(error) = outcome else { return Turn::Worked };
        if is_full(&error) {
            let now_ms = shared.clock.now().as_ms();
            // What was let go since a segment last began may make room for it.
            let is_sought = state.end.sought_ms.is_none_or(|ms| now_ms.saturating_sub(ms) >= SEEK_ROOM_MS);
            if is_sought {
                state.end.sought_ms = Some(now_ms);
            }
            let refused = if state.end.missing_room().is_some() { state.end.take_first() } else { None };
            if refused.is_none() {
                // Notes can wait for longer.
                state.end.noted_ms = state.end.noted_ms.map(|_| now_ms);
            }
            drop(state);
            if is_sought {
                shared.wake_housekeeper();
            }
            let text = format!("there is no room for another segment: {error}");
            match refused {
                Some(request) => request.refuse(Error::new(ErrorKind::NoSpace, text)),
                None => return Turn::Idle,
            }
        } else {
            drop(state);
            self.shared.stop(&format!("a segment could not be begun: {error}"));
        }
        Turn::Worked
    }

    /// Ends the current segment and begins another with room for a body of at least `room` bytes. Nothing may be
    /// planned meanwhile: the state knows, or the store is not open yet, or not any more.
    ///
    /// Where there is no room on the disk nothing has changed.
    pub(crate) fn roll(&mut self, room: usize) -> io::Result<()> {
        let needed = room as u64 * 8 / 7 + 4096;
        let spare = self.shared.take_spare(needed)?;
        let (mut seal, file) = self.plan_last(|state| state.end.group.put(&Change::Sealed));
        self.write(&mut seal, &*file, true)?;
        // The segment has ended: whatever goes wrong from here on, even for want of room, nothing can follow.
        let begun = self.shared.begin_segment(spare, seal.start.segment + 1);
        begun.map_err(|error| io::Error::other(format!("after the last one had ended: {error}")))?;
        self.shared.wake_housekeeper();
        Ok(())
    }

    /// Writes what is planned and syncs it; for what opens and closes the store.
    pub(crate) fn write_planned(&mut self) -> io::Result<()> {
        let (mut group, file) = self.plan_last(|_| ());
        self.write(&mut group, &*file, true)
    }

    /// Plans what the group ends with, and takes it, with the file that it goes to.
    fn plan_last(&mut self, plan: impl FnOnce(&mut State)) -> (Group, Arc<dyn DiskFile>) {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        plan(&mut state);
        let group = self.take_group(&mut state);
        let file = state.segments.file(group.start.segment).clone();
        (group, file)
    }

    /// The last turn: what waits is made durable, and the log says that it was closed.
    pub(crate) fn close(&mut self) {
        while self.turn() == Turn::Worked {}
        let (mut is_noted, is_stopped) = {
            let mut state = self.shared.state.lock();
            let now_ms = self.shared.clock.now().as_ms();
            (state.plan_notes(now_ms, true), state.stopped.is_some())
        };
        if is_stopped {
            return;
        }
        let mut written = Ok(());
        if !is_noted {
            // Where there is no room for notes either, what they say is found out anew.
            let room = self.shared.state.lock().notes.bytes_max();
            written = self.roll(room);
            is_noted = written.is_ok();
        }
        if is_noted {
            let now_ms = self.shared.clock.now().as_ms();
            let (mut group, file) = self.plan_last(|state| {
                state.plan_notes(now_ms, true);
                if state.end.room(false) > 0 {
                    state.end.group.put(&Change::Closed);
                }
            });
            written = self.write(&mut group, &*file, true);
        }
        if let Err(error) = written {
            self.shared.stop(&format!("the log could not be closed: {error}"));
        }
    }
}
