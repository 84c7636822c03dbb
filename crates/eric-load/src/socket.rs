//! Sockets: how many there may be, where they come from, and how they are opened without waiting.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use anyhow::{Context as _, ensure};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{DESCRIPTORS_MAX, DESCRIPTORS_OWN, PORTS_PER_ADDRESS};

/// Makes room for `wished` sockets.
pub(crate) fn make_room(wished: usize) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let needed = (wished + DESCRIPTORS_OWN) as u64;
    let hard = limit.maximum.unwrap_or(DESCRIPTORS_MAX);
    ensure!(
        needed <= hard,
        "{wished} sockets and {DESCRIPTORS_OWN} descriptors do not fit in the limit of {hard} (ulimit -Hn)"
    );
    if limit.current.is_some_and(|current| current < needed) {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).context("cannot raise the limit of descriptors")?;
    }
    Ok(())
}

/// Begins to connect; the socket can be written once that is done. `number` counts the sockets, for there are only so
/// many ports at one address.
pub(crate) fn connect(
    to: SocketAddr,
    number: usize,
    receive_buffer: Option<usize>,
) -> anyhow::Result<OwnedFd> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None);
    let socket = socket.context("cannot make a socket")?;
    if let Some(bytes) = receive_buffer {
        sockopt::set_socket_recv_buffer_size(&socket, bytes).context("cannot set a receive buffer")?;
    }
    sockopt::set_tcp_nodelay(&socket, true).context("cannot send small pieces at once")?;
    let address = number / PORTS_PER_ADDRESS;
    if address > 0 && to.ip() == Ipv4Addr::LOCALHOST {
        let own = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + address as u32);
        rustix::net::bind(&socket, &SocketAddr::from((own, 0))).context("cannot use a further address")?;
    }
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error).with_context(|| format!("cannot connect to {to}")),
    }
}

/// Connects, and waits for it.
pub(crate) fn connect_now(to: SocketAddr) -> anyhow::Result<OwnedFd> {
    let socket = TcpStream::connect(to).with_context(|| format!("cannot connect to {to}"))?;
    socket.set_nodelay(true).context("cannot send small pieces at once")?;
    socket.set_nonblocking(true).context("cannot read without waiting")?;
    Ok(socket.into())
}
