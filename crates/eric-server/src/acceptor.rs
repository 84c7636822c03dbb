//! The accept loop of every door: as many connections as are allowed on all of them together, each with a task of its
//! own.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause after the system refused to accept, for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How much longer the kernel waits for a peer that vanished than a stream for one that takes nothing.
const VANISHED_MARGIN: Duration = Duration::from_secs(5);

/// What brings sockets in.
pub(crate) trait Acceptor {
    type Socket;

    /// The next socket; if it is dropped, the socket goes to the next call.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Socket>> + Send;
}

impl Acceptor for TcpListener {
    type Socket = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (socket, peer) = self.accept().await?;
        tracing::trace!(%peer, "accepted");
        prepare(&socket);
        Ok(socket)
    }
}

/// The places of connections, shared by all doors, and the tasks that take them.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    all: usize,
    /// Somebody waited for a place, and it was told.
    is_full: Arc<AtomicBool>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One connection's place, until it is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

impl Places {
    pub(crate) fn new(connections: usize, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let all = connections.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(all)), all, is_full: Arc::default(), tasks, stop }
    }

    /// A place, as soon as one is free.
    async fn take(&self) -> Place {
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            self.is_full.store(false, Ordering::Relaxed);
            return place;
        }
        if !self.is_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(connections = self.all, "as many connections as allowed; others wait");
        }
        self.free.clone().acquire_owned().await.expect("the semaphore is never closed")
    }
}

/// Accepts until the server is told to stop. Beyond the limit, connections wait in the backlog (but one a door, which
/// waits here): nobody is refused, and whoever leaves lets the next one in.
pub(crate) async fn run<A: Acceptor, F: Future<Output = ()> + Send + 'static>(
    acceptor: A,
    places: Places,
    serve: impl Fn(A::Socket, Place) -> F,
) {
    let stopped = places.stop.clone();
    let accept = async {
        loop {
            match acceptor.accept().await {
                Ok(socket) => {
                    let place = places.take().await;
                    places.tasks.spawn(serve(socket, place));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let _: Option<()> = stopped.run_until_cancelled(accept).await;
}

/// Small writes leave at once, and a peer that vanished without a word is noticed.
fn prepare(socket: &TcpStream) {
    let socket = socket2::SockRef::from(socket);
    // Who takes nothing is reset before that.
    let vanished = Duration::from_secs(eric_sse::limits::WRITE_STALL_S) + VANISHED_MARGIN;
    let outcome = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_user_timeout(Some(vanished)));
    if let Err(error) = outcome {
        tracing::debug!(%error, "socket options");
    }
}
