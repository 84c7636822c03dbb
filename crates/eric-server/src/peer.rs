//! The other end of a stream: what can be written to it, how it leaves, and how much of what was written it has taken.
//!
//! A TCP peer's kernel says exactly what it has acknowledged, after a reset too. A Unix peer's tells how much memory is
//! unread, while the connection lives; and the peer has often closed its own writing side long ago.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use crate::system::{register, untaken_bytes};

/// One end of a connection that is only written to.
pub(crate) trait Peer: Send + Sync + 'static {
    /// Whether [`Peer::taken`] says something only while the connection lives. Such a peer is written to in step: the
    /// next message when it has taken the last one, so that it is known what it had taken when it leaves.
    const IS_IN_STEP: bool;

    /// The socket itself, where a shard can go on with it.
    fn into_std(self) -> Option<std::net::TcpStream>
    where
        Self: Sized;

    /// Writes as much of `pieces` as the kernel takes now.
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Completes when the kernel may take more.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Completes when the peer has left: it closed, or the connection broke. What it sends is discarded.
    fn gone(&self) -> impl Future<Output = ()> + Send;

    /// How many of the first `sent` bytes the peer is known to have taken.
    fn taken(&self, sent: u64) -> u64;

    /// Completes when the peer has taken everything that was written, with an error when it has left instead.
    fn caught_up(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Says that nothing more comes, and completes when the peer has taken it all or left.
    fn farewell(&self) -> impl Future<Output = ()> + Send;

    /// Makes the close a broken one where that can be, so that nothing is left behind in the kernel.
    fn reset(&self);
}

impl Peer for TcpStream {
    const IS_IN_STEP: bool = false;

    fn into_std(self) -> Option<std::net::TcpStream> {
        self.into_std().ok()
    }

    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(pieces)
    }

    async fn writable(&self) -> io::Result<()> {
        self.writable().await
    }

    async fn gone(&self) {
        while self.readable().await.is_ok() && !has_left(self) {}
    }

    fn taken(&self, sent: u64) -> u64 {
        sent.saturating_sub(untaken_bytes(self.as_fd()).unwrap_or(sent))
    }

    async fn caught_up(&self) -> io::Result<()> {
        Ok(())
    }

    async fn farewell(&self) {
        if rustix::net::shutdown(self, rustix::net::Shutdown::Write).is_ok() {
            self.gone().await;
        }
    }

    fn reset(&self) {
        reset(self);
    }
}

/// Makes the close of a TCP socket a broken one, so that nothing is left behind in the kernel.
pub(crate) fn reset(socket: &impl AsFd) {
    if let Err(error) = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "cannot reset");
    }
}

/// Whether the peer has left. In a function of its own, so that no idle stream holds a buffer.
fn has_left(socket: &TcpStream) -> bool {
    let mut discarded = [0; 256];
    match socket.try_read(&mut discarded) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

/// A Unix socket whose peer has sent all that it will send.
#[derive(Debug)]
pub(crate) struct UnixPeer {
    /// Registered for room to write and for priority data, of which a Unix socket has none: waiting for the latter is
    /// waiting for both sides to be closed. A half-closed peer is always readable, and would never let anybody wait.
    socket: AsyncFd<UnixStream>,
    /// The peer closed with something unread; the system tells once.
    is_broken: AtomicBool,
}

impl UnixPeer {
    /// The peer of `socket`, which was read to its end.
    pub(crate) fn new(socket: tokio::net::UnixStream) -> io::Result<Self> {
        let interest = Interest::WRITABLE | Interest::PRIORITY;
        let socket = register(socket.into_std()?, interest)?;
        Ok(Self { socket, is_broken: AtomicBool::new(false) })
    }

    fn note(&self, error: &io::Error) {
        if error.kind() == ErrorKind::ConnectionReset {
            self.is_broken.store(true, Ordering::Relaxed);
        }
    }

    /// How many of the first `sent` bytes the peer's process has read, at least: unread bytes are held in memory that
    /// is no smaller than they are. None once the connection is broken, for then nothing holds them.
    fn read(&self, sent: u64) -> Option<u64> {
        // In this order: a peer that closes with something unread breaks the connection before it lets go of it.
        // Where the system does not tell, what was written counts.
        let unread = untaken_bytes(self.socket.as_fd()).unwrap_or(0);
        match self.socket.get_ref().take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => self.note(&error),
        }
        // The kernel holds 1 back while it tells that memory became free; who asks in that moment is not told again.
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        (!is_broken).then(|| sent.saturating_sub(unread.saturating_sub(1)))
    }
}

impl Peer for UnixPeer {
    const IS_IN_STEP: bool = true;

    fn into_std(self) -> Option<std::net::TcpStream> {
        None
    }

    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // Waiting for the peer to read takes the news of room away, so the first attempt does not ask for it.
        let written = match self.socket.get_ref().write_vectored(pieces) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.socket.try_io(Interest::WRITABLE, |mut socket| socket.write_vectored(pieces))
            }
            written => written,
        };
        written.inspect_err(|error| self.note(error))
    }

    async fn writable(&self) -> io::Result<()> {
        self.socket.ready(Interest::WRITABLE).await.map(|mut ready| ready.retain_ready())
    }

    async fn gone(&self) {
        while let Ok(mut ready) = self.socket.ready(Interest::PRIORITY).await {
            if ready.ready().is_read_closed() {
                return;
            }
            ready.clear_ready();
        }
    }

    fn taken(&self, sent: u64) -> u64 {
        self.read(sent).unwrap_or(0)
    }

    async fn caught_up(&self) -> io::Result<()> {
        loop {
            match self.read(1) {
                None => return Err(ErrorKind::ConnectionReset.into()),
                Some(0) => {}
                Some(_) => return Ok(()),
            }
            // Reading makes room, and room is told.
            let mut ready = self.socket.ready(Interest::WRITABLE).await?;
            if ready.ready().is_write_closed() {
                return Err(ErrorKind::BrokenPipe.into());
            }
            ready.clear_ready();
        }
    }

    /// The end is told by closing: once both sides are closed, nothing tells any more whether the peer has read.
    async fn farewell(&self) {
        tokio::select! {
            _ = self.caught_up() => {}
            () = self.gone() => {}
        }
    }

    fn reset(&self) {}
}
