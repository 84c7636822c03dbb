//! Publishers: connections that are kept, with one message under way on each.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::answer::{Answer, Head};
use crate::dialect::Template;
use crate::ledger::Ledger;
use crate::limits::WAITING_MAX;
use crate::socket::connect_now;

/// What tells publishers from readers among the sockets that are waited for.
pub(crate) const MARK: u64 = 1 << 32;

/// How much of a refusal is told.
const REFUSAL_BYTES_MAX: usize = 500;

/// All publishers of a run.
#[derive(Debug)]
pub(crate) struct Publishers {
    server: SocketAddr,
    connections: Vec<Publisher>,
    idle: Vec<usize>,
    /// Messages that no publisher was free for.
    waiting: VecDeque<u32>,
    /// Requests by whom a message is for.
    templates: Vec<Template>,
    request: Vec<u8>,
}

/// One connection.
#[derive(Debug)]
struct Publisher {
    socket: OwnedFd,
    message: Option<u32>,
    /// The rest of a request that did not fit in the socket.
    unsent: Vec<u8>,
    answer: Answer,
    refusal: Vec<u8>,
}

impl Publishers {
    /// Opens `count` connections.
    pub(crate) fn open(
        server: SocketAddr,
        epoll: BorrowedFd<'_>,
        count: usize,
        templates: Vec<Template>,
    ) -> anyhow::Result<Self> {
        let mut publishers = Self {
            server,
            connections: Vec::new(),
            idle: (0..count).rev().collect(),
            waiting: VecDeque::new(),
            templates,
            request: Vec::new(),
        };
        for number in 0..count {
            let publisher = publishers.connect(epoll, number)?;
            publishers.connections.push(publisher);
        }
        Ok(publishers)
    }

    /// Publishes a message, once a publisher is free.
    pub(crate) fn publish(
        &mut self,
        epoll: BorrowedFd<'_>,
        ledger: &Ledger,
        message: u32,
    ) -> anyhow::Result<()> {
        let Some(place) = self.idle.pop() else {
            ensure!(
                self.waiting.len() < WAITING_MAX,
                "the server is too slow: {WAITING_MAX} messages are due and none of {} publishers is free",
                self.connections.len()
            );
            self.waiting.push_back(message);
            return Ok(());
        };
        let template = &self.templates[ledger.recipient(message) as usize];
        self.request.clear();
        self.request.extend_from_slice(&template.before);
        ledger.write(message, &mut self.request);
        self.request.extend_from_slice(&template.after);
        let publisher = &mut self.connections[place];
        publisher.message = Some(message);
        let sent = send(&publisher.socket, &self.request)?;
        if sent < self.request.len() {
            publisher.unsent.extend_from_slice(&self.request[sent..]);
            publisher.wait(epoll, place, EventFlags::IN | EventFlags::OUT)?;
        }
        Ok(())
    }

    /// Goes on with a publisher whose socket is ready.
    pub(crate) fn ready(
        &mut self,
        epoll: BorrowedFd<'_>,
        place: usize,
        buffer: &mut [u8],
        ledger: &mut Ledger,
        now: u64,
    ) -> anyhow::Result<()> {
        let publisher = &mut self.connections[place];
        if !publisher.unsent.is_empty() {
            let sent = send(&publisher.socket, &publisher.unsent)?;
            publisher.unsent.drain(..sent);
            if publisher.unsent.is_empty() {
                publisher.wait(epoll, place, EventFlags::IN)?;
            }
        }
        let Some(head) = publisher.read(buffer)? else { return Ok(()) };
        if let Some(message) = publisher.message.take() {
            publisher.check(&head, message)?;
            ledger.answered(message, now);
            self.idle.push(place);
        }
        if head.closes {
            self.connections[place] = self.connect(epoll, place)?;
        }
        match self.waiting.pop_front() {
            Some(message) => self.publish(epoll, ledger, message),
            None => Ok(()),
        }
    }

    fn connect(&self, epoll: BorrowedFd<'_>, place: usize) -> anyhow::Result<Publisher> {
        let socket = connect_now(self.server)?;
        let data = EventData::new_u64(MARK | place as u64);
        epoll::add(epoll, &socket, data, EventFlags::IN).context("cannot wait for a publisher")?;
        Ok(Publisher {
            socket,
            message: None,
            unsent: Vec::new(),
            answer: Answer::default(),
            refusal: Vec::new(),
        })
    }
}

impl Publisher {
    fn wait(&self, epoll: BorrowedFd<'_>, place: usize, flags: EventFlags) -> anyhow::Result<()> {
        let data = EventData::new_u64(MARK | place as u64);
        epoll::modify(epoll, self.socket.as_fd(), data, flags).context("cannot wait for a publisher")
    }

    /// Reads what is there; returns the head of an answer that is complete.
    fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<Option<Head>> {
        let read = match rustix::io::read(&self.socket, &mut *buffer) {
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(error) => return Err(error).context("a publisher's connection broke"),
        };
        if read == 0 && self.message.is_none() {
            return Ok(Some(Head::CLOSED));
        }
        if read == 0 {
            return self.answer.close().map(Some);
        }
        ensure!(self.message.is_some(), "an answer that nobody asked for");
        let refusal = &mut self.refusal;
        let keep = |part: &[u8]| {
            let room = REFUSAL_BYTES_MAX.saturating_sub(refusal.len());
            refusal.extend_from_slice(&part[..part.len().min(room)]);
        };
        self.answer.take(&buffer[..read], keep)
    }

    fn check(&mut self, head: &Head, message: u32) -> anyhow::Result<()> {
        if !head.is_success() {
            let why = String::from_utf8_lossy(&self.refusal);
            bail!("message {message} was answered with {}: {why}", head.status);
        }
        self.refusal.clear();
        Ok(())
    }
}

fn send(socket: &OwnedFd, bytes: &[u8]) -> anyhow::Result<usize> {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error).context("a message could not be sent"),
    }
}
