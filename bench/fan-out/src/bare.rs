//! What bounds everybody: a server that does nothing but what the kernel asks of it, on one thread.
//!
//! `GET` subscribes to a path, `POST` publishes its body to all who did; below `/l/` a path has one subscriber. Events look
//! like ours, byte for byte. Nothing is kept for those who are away. With `join`, everything that was published on a path
//! in one turn goes to a subscriber in one `send`.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, bail};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use slab::Slab;

use crate::request;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store, no-transform\r\n\
    transfer-encoding: chunked\r\n\r\n10\r\n:ok\nretry: 3000\n\r\n";
const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";

/// Ids have the length of ours.
const EPOCH: &str = "0123456789abc";

/// The acceptor among the sockets that are waited for.
const ACCEPTOR: u64 = u64::MAX;

/// Sockets that are handled before the system is asked again.
const READY_MAX: usize = 1024;

/// A subscriber that is behind by more is cut off.
const BEHIND_BYTES_MAX: usize = 64 * 1024 * 1024;

struct Bare {
    epoll: OwnedFd,
    sessions: Slab<Session>,
    names: HashMap<String, usize>,
    paths: HashMap<String, u32>,
    channels: Vec<Channel>,
    does_join: bool,
    count: u64,
    event: Vec<u8>,
}

/// What was published on a path and some subscriber has not been sent.
#[derive(Default)]
struct Channel {
    log: Vec<u8>,
    /// How much was published before.
    start: u64,
}

/// A few bytes while nothing is pending.
struct Session {
    socket: OwnedFd,
    waits: bool,
    role: Role,
    rest: Option<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    /// What was read of a request.
    request: Vec<u8>,
    /// What did not fit in the socket, where messages are not joined or are for one.
    pending: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Client,
    /// Hears a channel; was sent its log up to here.
    Subscriber {
        channel: u32,
        at: u64,
    },
    /// Hears only what is for it.
    Named,
}

/// Serves for ever.
pub(crate) fn run(port: &str, does_join: bool) -> anyhow::Result<()> {
    let port: u16 = port.parse().with_context(|| format!("{port:?} is no port"))?;
    let acceptor = acceptor(port)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &acceptor, EventData::new_u64(ACCEPTOR), EventFlags::IN)?;
    println!("ready http={}", acceptor.local_addr()?);
    let mut bare = Bare {
        epoll,
        sessions: Slab::new(),
        names: HashMap::new(),
        paths: HashMap::new(),
        channels: Vec::new(),
        does_join,
        count: 0,
        event: Vec::new(),
    };
    let mut ready = Vec::<Event>::with_capacity(READY_MAX);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        ready.clear();
        match epoll::wait(&bare.epoll, rustix::buffer::spare_capacity(&mut ready), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait"),
        }
        for &Event { flags, data } in &ready {
            if data.u64() == ACCEPTOR {
                bare.accept(&acceptor)?;
                continue;
            }
            let session = data.u64() as usize;
            if flags.contains(EventFlags::OUT) {
                bare.flush(session)?;
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                bare.read(session, &mut buffer)?;
            }
        }
        if bare.does_join {
            bare.flush_all()?;
        }
    }
}

/// Many connect at once: the queue of a `TcpListener` is too short for them.
fn acceptor(port: u16) -> anyhow::Result<TcpListener> {
    let acceptor = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("cannot listen")?;
    rustix::net::listen(&acceptor, 4096).context("cannot listen")?;
    acceptor.set_nonblocking(true)?;
    Ok(acceptor)
}

impl Bare {
    fn accept(&mut self, acceptor: &TcpListener) -> anyhow::Result<()> {
        loop {
            let socket: TcpStream = match acceptor.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept"),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let place = self.sessions.vacant_entry();
            epoll::add(&self.epoll, &socket, EventData::new_u64(place.key() as u64), EventFlags::IN)?;
            place.insert(Session { socket: socket.into(), waits: false, role: Role::Client, rest: None });
        }
    }

    fn read(&mut self, session: usize, buffer: &mut [u8]) -> anyhow::Result<()> {
        let Some(here) = self.sessions.get_mut(session) else { return Ok(()) };
        match rustix::io::read(&here.socket, &mut *buffer) {
            Ok(0) => self.drop(session),
            Ok(read) => {
                self.take(session, &buffer[..read])?;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.drop(session),
        }
        Ok(())
    }

    fn drop(&mut self, session: usize) {
        self.sessions.remove(session);
        self.names.retain(|_, named| *named != session);
    }

    /// Does what the requests say whose end is in `bytes`.
    fn take(&mut self, session: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let mut request = match &mut self.sessions[session].rest {
            Some(rest) => std::mem::take(&mut rest.request),
            None => Vec::new(),
        };
        request.extend_from_slice(bytes);
        let mut left = request.as_slice();
        while let Some(request) = request::parse(left) {
            let name = request.path.strip_prefix("/l/");
            if request.is_get {
                self.subscribe(session, request.path, name)?;
            } else {
                self.publish(request.path, name, request.body)?;
                self.send(session, CREATED)?;
            }
            left = &left[request.length..];
        }
        if let Some(here) = self.sessions.get_mut(session).filter(|_| !left.is_empty()) {
            here.keep(|rest| rest.request.extend_from_slice(left));
        }
        Ok(())
    }

    fn subscribe(&mut self, session: usize, path: &str, name: Option<&str>) -> anyhow::Result<()> {
        self.sessions[session].role = match name {
            None => {
                let channel = self.channel(path);
                let Channel { log, start } = &self.channels[channel as usize];
                Role::Subscriber { channel, at: start + log.len() as u64 }
            }
            Some(name) => {
                self.names.insert(name.to_owned(), session);
                Role::Named
            }
        };
        self.send(session, HEAD)
    }

    fn channel(&mut self, path: &str) -> u32 {
        if let Some(&channel) = self.paths.get(path) {
            return channel;
        }
        let channel = self.channels.len() as u32;
        self.channels.push(Channel::default());
        self.paths.insert(path.to_owned(), channel);
        channel
    }

    fn publish(&mut self, path: &str, name: Option<&str>, data: &[u8]) -> anyhow::Result<()> {
        let mut event = std::mem::take(&mut self.event);
        event.clear();
        self.count += 1;
        write_event(&mut event, self.count, data);
        if let Some(name) = name {
            if let Some(&session) = self.names.get(name) {
                self.send(session, &event)?;
            }
        } else {
            let channel = self.channel(path);
            if self.does_join {
                self.channels[channel as usize].log.extend_from_slice(&event);
            } else {
                for session in self.subscribers(channel) {
                    self.send(session, &event)?;
                }
            }
        }
        self.event = event;
        Ok(())
    }

    fn subscribers(&self, of: u32) -> Vec<usize> {
        let hears = |role| matches!(role, Role::Subscriber { channel, .. } if channel == of);
        self.sessions.iter().filter(|(_, session)| hears(session.role)).map(|(key, _)| key).collect()
    }

    /// Sends what fits, and keeps the rest until there is room.
    fn send(&mut self, session: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let here = &mut self.sessions[session];
        let pending = here.pending().len();
        let sent = if pending == 0 { here.try_send(bytes) } else { Some(0) };
        match sent {
            Some(sent) if sent == bytes.len() => Ok(()),
            Some(sent) if pending < BEHIND_BYTES_MAX => {
                here.keep(|rest| rest.pending.extend_from_slice(&bytes[sent..]));
                here.wait(&self.epoll, session, true)
            }
            _ => {
                self.drop(session);
                Ok(())
            }
        }
    }

    /// There is room again in a socket.
    fn flush(&mut self, session: usize) -> anyhow::Result<()> {
        let Some(here) = self.sessions.get_mut(session) else { return Ok(()) };
        let Some(sent) = here.try_send(here.pending()) else {
            self.drop(session);
            return Ok(());
        };
        here.keep(|rest| drop(rest.pending.drain(..sent)));
        if here.pending().is_empty() {
            here.wait(&self.epoll, session, false)?;
        }
        Ok(())
    }

    /// Sends every subscriber what it has not, and forgets what all have.
    fn flush_all(&mut self) -> anyhow::Result<()> {
        if self.channels.iter().all(|channel| channel.log.is_empty()) {
            return Ok(());
        }
        let mut firsts: Vec<u64> = self.channels.iter().map(Channel::end).collect();
        let mut gone = Vec::new();
        for (key, session) in &mut self.sessions {
            let Role::Subscriber { channel, mut at } = session.role else { continue };
            let (log, first) = (&self.channels[channel as usize], &mut firsts[channel as usize]);
            if at < log.end() && !session.waits {
                let bytes = &log.log[(at - log.start) as usize..];
                let Some(sent) = session.try_send(bytes) else {
                    gone.push(key);
                    continue;
                };
                at += sent as u64;
                session.role = Role::Subscriber { channel, at };
                if sent < bytes.len() {
                    session.wait(&self.epoll, key, true)?;
                }
            }
            if (log.end() - at) as usize > BEHIND_BYTES_MAX {
                gone.push(key);
            } else {
                *first = at.min(*first);
            }
        }
        for key in gone {
            self.drop(key);
        }
        for (channel, first) in self.channels.iter_mut().zip(firsts) {
            channel.log.drain(..(first - channel.start) as usize);
            channel.start = first;
        }
        Ok(())
    }
}

impl Channel {
    fn end(&self) -> u64 {
        self.start + self.log.len() as u64
    }
}

impl Session {
    fn pending(&self) -> &[u8] {
        self.rest.as_ref().map_or(&[], |rest| &rest.pending)
    }

    /// Changes what is kept, and keeps nothing where nothing is left.
    fn keep(&mut self, change: impl FnOnce(&mut Rest)) {
        let mut rest = self.rest.take().unwrap_or_default();
        change(&mut rest);
        if !rest.request.is_empty() || !rest.pending.is_empty() {
            self.rest = Some(rest);
        }
    }

    /// Sends what fits; none if the socket is broken.
    fn try_send(&self, bytes: &[u8]) -> Option<usize> {
        match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => Some(sent),
            Err(Errno::AGAIN | Errno::INTR) => Some(0),
            Err(_) => None,
        }
    }

    /// Waits for room in the socket, or no longer.
    fn wait(&mut self, epoll: &OwnedFd, key: usize, waits: bool) -> anyhow::Result<()> {
        if self.waits == waits {
            return Ok(());
        }
        self.waits = waits;
        let flags = if waits { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        match epoll::modify(epoll, &self.socket, EventData::new_u64(key as u64), flags) {
            Ok(()) => Ok(()),
            Err(error) => bail!("cannot wait for room: {error}"),
        }
    }
}

/// One event in one chunk.
fn write_event(to: &mut Vec<u8>, count: u64, data: &[u8]) {
    let id = format!("id: {EPOCH}-{count}\nevent: m\ndata: ");
    to.extend_from_slice(format!("{:x}\r\n{id}", id.len() + data.len() + 2).as_bytes());
    to.extend_from_slice(data);
    to.extend_from_slice(b"\n\n\r\n");
}
