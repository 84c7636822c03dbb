//! What the writer, the readers and the callers of a store share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use eric_sse::{Clock, Error};
use parking_lot::{Condvar, Mutex};

use crate::disk::Disk;
use crate::request::{Answer, Request};
use crate::rewrite::Rewrite;
use crate::segments::Segment;
use crate::settings::{Sabotage, StoreSettings, Sync};
use crate::spare::Spare;
use crate::state::{State, stopped};

/// What is shared.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: StoreSettings,
    pub(crate) disk: Arc<dyn Disk>,
    /// The number of the store.
    pub(crate) number: u64,
    pub(crate) state: Mutex<State>,
    pub(crate) spares: Mutex<Vec<Spare>>,
    pub(crate) spares_named: AtomicU64,
    /// Held while a spare is made, or segments are given back.
    pub(crate) making_spare: Mutex<()>,
    /// Segments out of use whose files are still there.
    pub(crate) retired: Mutex<Vec<(u64, Segment)>>,
    /// The new file of segments that are being rewritten.
    pub(crate) rewriting: Mutex<Option<Rewrite>>,
    /// Somebody asks the writer for something.
    asked: Condvar,
    /// There is something to tidy up.
    untidy: Mutex<bool>,
    untidied: Condvar,
}

impl Shared {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        settings: StoreSettings,
        disk: Arc<dyn Disk>,
        number: u64,
        mut state: State,
    ) -> Self {
        state.recycles_early = settings.sabotage == Some(Sabotage::RecycleEarly);
        Self {
            clock,
            settings,
            disk,
            number,
            state: Mutex::new(state),
            spares: Mutex::default(),
            spares_named: AtomicU64::new(0),
            making_spare: Mutex::default(),
            retired: Mutex::default(),
            rewriting: Mutex::default(),
            asked: Condvar::new(),
            untidy: Mutex::new(false),
            untidied: Condvar::new(),
        }
    }

    /// Whether every group is synced.
    pub(crate) fn syncs(&self) -> bool {
        self.settings.sync == Sync::Fsync
    }

    /// Whether this bug is planted.
    pub(crate) fn is_planted(&self, sabotage: Sabotage) -> bool {
        self.settings.sabotage == Some(sabotage)
    }

    /// Takes a change; the order of calls is the order of changes.
    pub(crate) fn ask(&self, request: Request) {
        let now_ms = self.clock.now().as_ms();
        let (outcome, is_writer_waiting) = {
            let mut state = self.state.lock();
            (state.take(request, now_ms), std::mem::take(&mut state.is_writer_waiting))
        };
        if is_writer_waiting {
            self.asked.notify_one();
        }
        match outcome {
            Ok(answer) => answer.into_iter().for_each(Answer::give),
            Err(refusal) => {
                let (request, error) = *refusal;
                request.refuse(error);
            }
        }
    }

    /// Waits until somebody asks for something, or for so many milliseconds; false once the store is closing.
    pub(crate) fn wait_for_requests(&self, most_ms: Option<u64>) -> bool {
        let mut state = self.state.lock();
        let is_idle = state.end.group.is_empty() && !state.end.has_waiting() && !state.is_nudged;
        if is_idle && !state.is_closing {
            state.is_writer_waiting = true;
            match most_ms {
                Some(ms) => {
                    self.asked.wait_for(&mut state, std::time::Duration::from_millis(ms));
                }
                None => self.asked.wait(&mut state),
            }
            state.is_writer_waiting = false;
        }
        state.is_nudged = false;
        !state.is_closing
    }

    /// Makes the writer take a turn although nobody asks for anything.
    pub(crate) fn wake_writer(&self) {
        self.state.lock().is_nudged = true;
        self.asked.notify_one();
    }

    /// Something was let go, and is to be noted within the time that notes may wait.
    pub(crate) fn note(&self, now_ms: u64) {
        let mut state = self.state.lock();
        let is_first = state.end.noted_ms.is_none();
        state.end.noted_ms.get_or_insert(now_ms);
        // Who waits for nothing in particular has to be told that there is something.
        state.is_nudged |= is_first;
        if is_first && std::mem::take(&mut state.is_writer_waiting) {
            self.asked.notify_one();
        }
    }

    /// Takes nothing more; the writer is to finish what waits.
    pub(crate) fn begin_closing(&self) {
        self.state.lock().is_closing = true;
        self.asked.notify_all();
        self.wake_housekeeper();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state.lock().is_closing
    }

    /// Answers everybody who still waits, once the store has stopped.
    pub(crate) fn give_up(&self) {
        let Err(error) = self.health() else { return };
        let again = || Error::new(error.kind(), error.to_string());
        let (waiting, answers) = {
            let mut state = self.state.lock();
            (state.end.take_all(), std::mem::take(&mut state.end.group.answers))
        };
        answers.into_iter().for_each(|answer| answer.withhold(again()));
        waiting.into_iter().for_each(|request| request.refuse(again()));
    }

    /// Stops the store: what is on the disk can no longer be trusted to be what was asked for.
    pub(crate) fn stop(&self, why: &str) {
        let mut state = self.state.lock();
        if state.stopped.is_none() {
            state.stopped = Some(why.into());
        }
    }

    /// Fails once the store has stopped.
    pub(crate) fn health(&self) -> eric_sse::Result<()> {
        match self.state.lock().stopped.as_deref() {
            Some(why) => Err(stopped(why)),
            None => Ok(()),
        }
    }

    pub(crate) fn wake_housekeeper(&self) {
        *self.untidy.lock() = true;
        self.untidied.notify_all();
    }

    /// Waits until there is something to tidy up; false once the store is closing.
    pub(crate) fn wait_for_mess(&self) -> bool {
        let mut untidy = self.untidy.lock();
        while !*untidy && !self.is_closing() {
            self.untidied.wait(&mut untidy);
        }
        *untidy = false;
        !self.is_closing()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("number", &self.number).finish_non_exhaustive()
    }
}
