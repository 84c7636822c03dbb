//! How whoever has something for a subscription, or ends it, reaches it while it waits.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cursor::Fence;
use crate::follow::End;
use crate::window::Follower;

/// How the window, and whoever stops a listener, reach a subscription that waits.
#[derive(Default)]
pub(crate) struct Signal {
    waker: Mutex<Option<Waker>>,
    /// The latest fence that was handed out for the listener.
    lease_taken: AtomicU64,
    ended: AtomicU8,
    /// Tells whoever relieves the subscription that it has let go.
    closed: Notify,
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

    fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn wait(&self, waker: &Waker) {
        let mut present = self.waker.lock();
        match &mut *present {
            Some(present) => present.clone_from(waker),
            None => *present = Some(waker.clone()),
        }
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
    fn moved(&self) {
        self.wake();
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
