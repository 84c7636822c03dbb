//! What the window has for an audience, until the audience looks.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use crate::cursor::Fence;
use crate::framed::Framed;
use crate::limits::{INBOX_BYTES_MAX, INBOX_ENTRIES_MAX};
use crate::window::Follower;

/// Filled by the window, and by whoever ends a subscription; emptied by the audience.
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    waker: Waker,
    /// The audience was woken, and has not looked yet.
    is_told: AtomicBool,
}

/// What came since the audience looked.
#[derive(Default)]
pub(super) struct Mail {
    /// What was dispatched to the listeners that have a seat, by seat. For each in log order.
    pub(super) entries: Vec<(usize, Framed)>,
    bytes: usize,
    /// Seats whose subscription is perhaps over.
    pub(super) to_look_at: Vec<usize>,
    /// There was more than is kept for an audience: all its readers are behind.
    pub(super) is_lost: bool,
    /// The channel is gone.
    pub(super) is_removed: bool,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self { mail: Mutex::default(), waker, is_told: AtomicBool::new(false) }
    }

    /// Takes what came. Who calls it has seen the window's tail before: what is in the log up to there is in it.
    pub(super) fn take(&self) -> Mail {
        std::mem::take(&mut *self.mail.lock())
    }

    /// From here on what comes wakes the audience again.
    pub(super) fn listen(&self) {
        self.is_told.store(false, Ordering::SeqCst);
    }

    pub(super) fn put(&self, seat: usize, framed: Framed) {
        let mut mail = self.mail.lock();
        mail.bytes += framed.entry().bytes();
        if mail.entries.len() >= INBOX_ENTRIES_MAX || mail.bytes > INBOX_BYTES_MAX {
            mail.is_lost = true;
            mail.entries = Vec::new();
        }
        if !mail.is_lost {
            mail.entries.push((seat, framed));
        }
    }

    /// Forgets what came for a seat that is free again.
    pub(super) fn forget(&self, seat: usize) {
        self.mail.lock().entries.retain(|(to, _)| *to != seat);
    }

    /// The subscription in `seat` is perhaps over.
    pub(super) fn look_at(&self, seat: usize) {
        self.mail.lock().to_look_at.push(seat);
        self.moved();
    }
}

impl Follower for Inbox {
    fn moved(&self) {
        if !self.is_told.swap(true, Ordering::SeqCst) {
            self.waker.wake_by_ref();
        }
    }

    fn lease_taken(&self, _: Fence) {}

    fn removed(&self) {
        self.mail.lock().is_removed = true;
        self.moved();
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
