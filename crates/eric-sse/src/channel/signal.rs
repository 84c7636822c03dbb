//! How whoever has something for a subscription, or ends it, reaches it while it waits.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::inbox::Inbox;
use crate::cursor::Fence;
use crate::follow::End;
use crate::framed::Framed;
use crate::window::Follower;

/// How the window, and whoever stops a listener, reach a subscription that waits.
#[derive(Default)]
pub(crate) struct Signal {
    driver: Mutex<Driver>,
    /// The latest fence that was handed out for the listener.
    lease_taken: AtomicU64,
    ended: AtomicU8,
    /// Tells whoever relieves the subscription that it has let go.
    closed: Notify,
}

/// Who drives the subscription.
#[derive(Default)]
enum Driver {
    /// Nobody waits.
    #[default]
    Away,
    Task(Waker),
    /// An audience, in which it has this seat.
    Audience(Arc<Inbox>, usize),
}

const REMOVED: u8 = 1;
const STOPPED: u8 = 2;
/// Its successor is there, and waits for it to say what was consumed.
const RELIEVED: u8 = 4;
const CLOSED: u8 = 8;

impl Signal {
    pub(crate) fn stop(&self) {
        self.ended.fetch_or(STOPPED, Ordering::AcqRel);
        self.wake();
    }

    /// Ends the subscription as replaced, and waits until it has let go.
    pub(super) async fn relieve(&self) {
        let mut closed = pin!(self.closed.notified());
        closed.as_mut().enable();
        if self.ended.fetch_or(RELIEVED, Ordering::AcqRel) & CLOSED == 0 {
            self.wake();
            closed.await;
        }
    }

    pub(super) fn close(&self) {
        self.ended.fetch_or(CLOSED, Ordering::AcqRel);
        self.closed.notify_waiters();
    }

    /// Tells whoever drives the subscription to look at it.
    fn wake(&self) {
        self.reach(Inbox::look_at);
    }

    fn reach(&self, tell: impl FnOnce(&Inbox, usize)) {
        let mut driver = self.driver.lock();
        if let Driver::Audience(inbox, seat) = &*driver {
            return tell(inbox, *seat);
        }
        let waiting = std::mem::take(&mut *driver);
        drop(driver);
        if let Driver::Task(waker) = waiting {
            waker.wake();
        }
    }

    pub(super) fn wait(&self, waker: &Waker) {
        let mut driver = self.driver.lock();
        match &mut *driver {
            Driver::Task(present) => present.clone_from(waker),
            Driver::Away | Driver::Audience(..) => *driver = Driver::Task(waker.clone()),
        }
    }

    /// From here on an audience drives it, until somebody waits for it again.
    pub(super) fn sit(&self, inbox: &Arc<Inbox>, seat: usize) {
        *self.driver.lock() = Driver::Audience(inbox.clone(), seat);
    }

    pub(super) fn stand_up(&self) {
        *self.driver.lock() = Driver::Away;
    }

    pub(super) fn end(&self, fence: Option<Fence>) -> Option<End> {
        let ended = self.ended.load(Ordering::Acquire);
        let is_replaced = fence.is_some_and(|fence| self.lease_taken.load(Ordering::Acquire) > fence.0);
        match ended {
            _ if ended & REMOVED != 0 => Some(End::Removed),
            _ if is_replaced || ended & RELIEVED != 0 => Some(End::Replaced),
            _ if ended & STOPPED != 0 => Some(End::Stopped),
            _ => None,
        }
    }
}

impl Follower for Signal {
    fn hand(&self, framed: Framed) {
        if let Driver::Audience(inbox, seat) = &*self.driver.lock() {
            inbox.put(*seat, framed);
        }
    }

    fn moved(&self) {
        self.reach(|inbox, _| inbox.moved());
    }

    fn lease_taken(&self, fence: Fence) {
        self.lease_taken.fetch_max(fence.0, Ordering::AcqRel);
        self.wake();
    }

    fn removed(&self) {
        self.ended.fetch_or(REMOVED, Ordering::AcqRel);
        self.wake();
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").finish_non_exhaustive()
    }
}
