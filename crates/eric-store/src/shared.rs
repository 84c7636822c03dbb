//! What the writer, the readers and the callers of a store share.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use eric_sse::limits::{STORE_WAITING_BYTES_MAX, STORE_WAITING_MAX};
use eric_sse::{Clock, Error, ErrorKind};
use parking_lot::{Condvar, Mutex};

use crate::disk::Disk;
use crate::request::Request;
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
    /// Segments out of use whose files are still there.
    pub(crate) retired: Mutex<Vec<(u64, Segment)>>,
    /// The new file of segments that are being rewritten.
    pub(crate) rewriting: Mutex<Option<Rewrite>>,
    waiting: Mutex<Waiting>,
    /// Somebody asks the writer for something.
    asked: Condvar,
    /// There is something to tidy up.
    untidy: Mutex<bool>,
    untidied: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    is_closing: bool,
    /// Whether the writer is to look for something that is no request.
    is_nudged: bool,
}

impl Shared {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        settings: StoreSettings,
        disk: Arc<dyn Disk>,
        number: u64,
        state: State,
    ) -> Self {
        Self {
            clock,
            settings,
            disk,
            number,
            state: Mutex::new(state),
            spares: Mutex::default(),
            spares_named: AtomicU64::new(0),
            retired: Mutex::default(),
            rewriting: Mutex::default(),
            waiting: Mutex::default(),
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

    /// Lets a change wait for the writer; the order of calls is the order of changes.
    pub(crate) fn ask(&self, request: Request) {
        let bytes = request.bytes();
        let mut waiting = self.waiting.lock();
        let fault = if waiting.is_closing {
            Some(Error::new(ErrorKind::Unavailable, "the store is closing"))
        } else if waiting.requests.len() >= STORE_WAITING_MAX {
            Some(overloaded("store_waiting_max", STORE_WAITING_MAX))
        } else if waiting.bytes + bytes > STORE_WAITING_BYTES_MAX {
            Some(overloaded("store_waiting_bytes_max", STORE_WAITING_BYTES_MAX))
        } else {
            None
        };
        if let Some(error) = fault {
            drop(waiting);
            return request.refuse(error);
        }
        let was_empty = waiting.requests.is_empty();
        waiting.bytes += bytes;
        waiting.requests.push_back(request);
        drop(waiting);
        if was_empty {
            self.asked.notify_one();
        }
    }

    /// Hands over everything that waits.
    pub(crate) fn take_requests(&self, inbox: &mut VecDeque<Request>) {
        let mut waiting = self.waiting.lock();
        waiting.bytes = 0;
        if inbox.is_empty() {
            std::mem::swap(&mut waiting.requests, inbox);
        } else {
            inbox.append(&mut waiting.requests);
        }
    }

    /// Waits until somebody asks for something, or for so many milliseconds; false once the store is closing.
    pub(crate) fn wait_for_requests(&self, most_ms: Option<u64>) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.requests.is_empty() && !waiting.is_closing && !waiting.is_nudged {
            match most_ms {
                Some(ms) => {
                    self.asked.wait_for(&mut waiting, std::time::Duration::from_millis(ms));
                }
                None => self.asked.wait(&mut waiting),
            }
        }
        waiting.is_nudged = false;
        !waiting.is_closing
    }

    /// Makes the writer take a turn although nobody asks for anything.
    pub(crate) fn wake_writer(&self) {
        self.waiting.lock().is_nudged = true;
        self.asked.notify_one();
    }

    /// Takes nothing more; the writer is to finish what waits.
    pub(crate) fn begin_closing(&self) {
        self.waiting.lock().is_closing = true;
        self.asked.notify_all();
        self.wake_housekeeper();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.waiting.lock().is_closing
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

fn overloaded(name: &'static str, max: usize) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the disk does not keep up: {name}={max} is reached; try again"),
    )
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("number", &self.number).finish_non_exhaustive()
    }
}
