//! The socket under hyper, watched: what it is busy with, since when, and what hyper itself answers on it.
//!
//! hyper refuses a malformed head with a bare status of its own. Such an answer is recognised by being one more
//! response than there were requests, swallowed, and left to the connection to say properly.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What a connection is busy with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// With nothing: it may be closed.
    Idle,
    /// With reading the head of a request.
    Head,
    /// With a request.
    Request,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) phase: Phase,
    pub(super) since: Instant,
    /// Since when the peer takes nothing of what it is owed.
    pub(super) blocked_since: Option<Instant>,
    /// Requests that reached the routes.
    requests: u64,
    /// Responses whose head was written.
    responses: u64,
    /// The status that hyper answered a malformed head with.
    pub(super) refused: Option<u16>,
}

/// [`Progress`], shared by the socket, the service and the connection.
#[derive(Debug, Clone)]
pub(super) struct SharedProgress(Arc<Mutex<Progress>>);

impl SharedProgress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Progress {
            phase: Phase::Idle,
            since: Instant::now(),
            blocked_since: None,
            requests: 0,
            responses: 0,
            refused: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().expect("nothing panics with the lock held")
    }

    /// A request reached the routes.
    pub(super) fn begin(&self) {
        let mut progress = self.lock();
        progress.requests += 1;
        progress.phase = Phase::Request;
        progress.since = Instant::now();
    }

    /// A request was answered.
    pub(super) fn end(&self) {
        let mut progress = self.lock();
        progress.phase = Phase::Idle;
        progress.since = Instant::now();
    }
}

/// The socket under hyper.
#[derive(Debug)]
pub(super) struct Watched {
    socket: TcpStream,
    progress: SharedProgress,
}

impl Watched {
    pub(super) fn new(socket: TcpStream, progress: SharedProgress) -> Self {
        Self { socket, progress }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.socket
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            let mut progress = self.progress.lock();
            if let Phase::Idle = progress.phase {
                progress.phase = Phase::Head;
                progress.since = Instant::now();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // An interim 100 Continue is not the response.
        let is_head = bytes.starts_with(b"HTTP/1.") && bytes.get(8..10) != Some(b" 1");
        if is_head {
            let mut progress = self.progress.lock();
            if progress.responses == progress.requests {
                let status =
                    bytes.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
                progress.refused = status.or(Some(400));
                return Poll::Ready(Ok(bytes.len()));
            }
        }
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        let mut progress = self.progress.lock();
        match &written {
            Poll::Pending => {
                progress.blocked_since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => {
                progress.blocked_since = None;
                progress.responses += u64::from(is_head);
            }
        }
        drop(progress);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
