//! All readers: they connect, ask for their stream, and hand every event on it to the ledger.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SendFlags, sockopt};

use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::socket;
use crate::stream::Stream;

/// The readers of a run, by number.
#[derive(Debug)]
pub(crate) struct Crowd {
    server: SocketAddr,
    readers: Vec<Reader>,
    /// Whether the id of every reader's last event is kept.
    pub(crate) keeps_ids: bool,
    /// Readers from here on read the head and nothing else.
    pub(crate) stuck_from: usize,
    /// The receive buffer of readers that are stuck.
    pub(crate) stuck_buffer: Option<usize>,
    /// Streams whose head was read.
    pub(crate) open: usize,
    /// From the start of connecting to the head.
    pub(crate) opening: Latency,
}

/// One reader; a few bytes while nothing is pending.
#[derive(Debug, Default)]
struct Reader {
    socket: Option<OwnedFd>,
    stream: Stream,
    last_id: Vec<u8>,
    began: u64,
}

impl Crowd {
    pub(crate) fn new(server: SocketAddr, readers: usize) -> anyhow::Result<Self> {
        let readers = (0..readers).map(|_| Reader::default()).collect();
        let opening = Latency::new()?;
        Ok(Self {
            server,
            readers,
            keeps_ids: false,
            stuck_from: usize::MAX,
            stuck_buffer: None,
            open: 0,
            opening,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.readers.len()
    }

    /// The id of the last event that a reader has.
    pub(crate) fn last_id(&self, number: usize) -> &[u8] {
        &self.readers[number].last_id
    }

    /// Whether a reader's head was read, and it did not leave since.
    pub(crate) fn is_open(&self, number: usize) -> bool {
        self.readers[number].stream.is_open()
    }

    /// Begins to connect a reader.
    pub(crate) fn connect(&mut self, epoll: BorrowedFd<'_>, number: usize, now: u64) -> anyhow::Result<()> {
        let buffer = self.stuck_buffer.filter(|_| number >= self.stuck_from);
        let socket = socket::connect(self.server, number, buffer)?;
        let data = EventData::new_u64(number as u64);
        epoll::add(epoll, &socket, data, EventFlags::OUT).context("cannot wait for a reader")?;
        let reader = &mut self.readers[number];
        (reader.socket, reader.stream, reader.began) = (Some(socket), Stream::default(), now);
        Ok(())
    }

    /// Closes a reader's socket, whatever is still in it.
    pub(crate) fn leave(&mut self, number: usize) {
        let reader = &mut self.readers[number];
        self.open -= usize::from(reader.stream.is_open());
        (reader.socket, reader.stream) = (None, Stream::default());
    }

    /// Asks for the stream of a reader that has connected.
    pub(crate) fn ask(&mut self, epoll: BorrowedFd<'_>, number: usize, request: &[u8]) -> anyhow::Result<()> {
        // It left after the system had said that it is ready.
        let Some(socket) = &self.readers[number].socket else { return Ok(()) };
        let error = sockopt::socket_error(socket).context("cannot ask whether a reader has connected")?;
        error.with_context(|| format!("listener {number} could not connect"))?;
        let sent = rustix::net::send(socket, request, SendFlags::NOSIGNAL);
        let sent = sent.with_context(|| format!("listener {number} could not ask for its stream"))?;
        ensure!(sent == request.len(), "listener {number} could send but {sent} bytes of its request");
        let data = EventData::new_u64(number as u64);
        epoll::modify(epoll, socket.as_fd(), data, EventFlags::IN).context("cannot wait for a reader")
    }

    /// Reads a reader's socket, which is ready.
    #[inline]
    pub(crate) fn read(
        &mut self,
        epoll: BorrowedFd<'_>,
        number: usize,
        buffer: &mut [u8],
        ledger: &mut Ledger,
        now: u64,
    ) -> anyhow::Result<()> {
        let reader = &mut self.readers[number];
        let Some(socket) = &reader.socket else { return Ok(()) };
        let read = match rustix::io::read(socket, &mut *buffer) {
            Ok(0) => bail!("the server ended the stream of listener {number}"),
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("the stream of listener {number} broke"));
            }
        };
        let was_open = reader.stream.is_open();
        let (keeps_ids, is_stuck, last_id) = (self.keeps_ids, number >= self.stuck_from, &mut reader.last_id);
        let taken = reader.stream.take(&buffer[..read], &mut |event| {
            if keeps_ids && let Some(id) = event.id {
                last_id.clear();
                last_id.extend_from_slice(id);
            }
            if is_stuck { Ok(()) } else { ledger.deliver(number, event, now) }
        });
        taken.with_context(|| format!("on the stream of listener {number}"))?;
        if !was_open && reader.stream.is_open() {
            self.open += 1;
            self.opening.record(now.saturating_sub(reader.began));
            if is_stuck {
                epoll::delete(epoll, socket).context("cannot stop to wait for a reader")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_takes_less_than_a_hundred_bytes() {
        assert!(size_of::<Reader>() < 100, "{}", size_of::<Reader>());
    }
}
