//! The server: it owns the acceptor and every task, and stops them in order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eric_sse::Hub;
use eric_sse::limits::LISTEN_BACKLOG;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::{Door, accept};
use crate::settings::ServerSettings;

/// Seconds between two looks for listeners that have been away for too long.
const EXPIRY_PERIOD: Duration = Duration::from_secs(30);

/// The doors of one hub, bound and not yet open.
#[derive(Debug)]
pub struct Server {
    hub: Hub,
    settings: ServerSettings,
    acceptor: TcpListener,
    local: SocketAddr,
    stop: CancellationToken,
}

/// What stops a server, from anywhere.
#[derive(Debug, Clone)]
pub struct Handle(CancellationToken);

impl Handle {
    /// Tells the server to stop; it ends its streams and returns from [`Server::run`].
    pub fn stop(&self) {
        self.0.cancel();
    }
}

impl Server {
    /// Binds the doors. Nothing is accepted before [`Server::run`], but connections wait in the backlog.
    ///
    /// # Errors
    /// What the system says of the address.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O and time enabled.
    pub fn bind(hub: Hub, settings: ServerSettings) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(settings.listen), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&settings.listen.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        let acceptor = TcpListener::from_std(socket.into())?;
        let local = acceptor.local_addr()?;
        Ok(Self { hub, settings, acceptor, local, stop: CancellationToken::new() })
    }

    /// Where HTTP listens, with the port that was taken.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// What stops it.
    pub fn handle(&self) -> Handle {
        Handle(self.stop.clone())
    }

    /// Serves until it is told to stop, then ends streams and requests; what has not ended within the grace is cut.
    /// Returns how many were cut.
    ///
    /// # Cancel safety
    /// If dropped, nothing is accepted any more; what was accepted goes on until the runtime ends.
    pub async fn run(self) -> usize {
        let tasks = TaskTracker::new();
        let grace = self.settings.shutdown_grace;
        let door = Arc::new(Door::new(self.hub.clone(), self.settings, self.stop.clone(), tasks.clone()));
        tasks.spawn(until(self.stop.clone(), expire(self.hub)));
        accept::run(self.acceptor, door).await;
        tasks.close();
        match tokio::time::timeout(grace, tasks.wait()).await {
            Ok(()) => 0,
            Err(_) => tasks.len(),
        }
    }
}

/// Runs `task` until `stop`.
async fn until(stop: CancellationToken, task: impl Future<Output = ()>) {
    let _ = stop.run_until_cancelled(task).await;
}

/// Removes listeners that have been away for too long, now and then.
async fn expire(hub: Hub) {
    let mut period = tokio::time::interval(EXPIRY_PERIOD);
    loop {
        period.tick().await;
        let expired = hub.expire_listeners().await;
        if expired > 0 {
            tracing::info!(expired, "listeners that were away for too long are gone");
        }
    }
}
