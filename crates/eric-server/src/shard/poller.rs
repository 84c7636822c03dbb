//! The sockets of a shard: an epoll of its own, which the runtime watches as one descriptor.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio::io::unix::AsyncFd;

use crate::system::register_epoll;

/// Events that are taken at once.
const EVENTS: usize = 256;

#[derive(Debug)]
pub(crate) struct Poller(AsyncFd<OwnedFd>);

/// What is new of a socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    pub(super) has_room: bool,
    pub(super) may_have_left: bool,
}

impl Poller {
    /// # Errors
    /// What the system says where it gives no descriptor.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(register_epoll(epoll::create(CreateFlags::CLOEXEC)?)?))
    }

    /// Watches the socket of the stream in `seat` of `group`. Each change is told once.
    pub(super) fn add(&self, socket: impl AsFd, group: usize, seat: usize) -> io::Result<()> {
        let changes = EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT | EventFlags::ET;
        let data = EventData::new_u64((group as u64) << 32 | seat as u64);
        Ok(epoll::add(self.0.get_ref(), socket, data, changes)?)
    }

    pub(super) fn remove(&self, socket: impl AsFd) {
        if let Err(error) = epoll::delete(self.0.get_ref(), socket) {
            tracing::debug!(%error, "a socket was not watched");
        }
    }

    /// Completes when there is something to look at.
    pub(super) async fn ready(&self) {
        match self.0.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            // The runtime ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// Tells all that is new, by group and seat.
    pub(super) fn look(&self, mut tell: impl FnMut(usize, usize, News)) {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        loop {
            let found = match epoll::wait(self.0.get_ref(), &mut events, Some(&Timespec::default())) {
                Ok((found, _)) => found,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return tracing::error!(%error, "sockets cannot be watched"),
            };
            for event in &*found {
                let (flags, data) = (event.flags, event.data.u64());
                let left = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                let news =
                    News { has_room: flags.contains(EventFlags::OUT), may_have_left: flags.intersects(left) };
                tell((data >> 32) as usize, (data & u64::from(u32::MAX)) as usize, news);
            }
            if found.len() < EVENTS {
                return;
            }
        }
    }
}
