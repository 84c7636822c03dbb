//! The server: it owns the acceptor and every task, and stops them in order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eric_sse::Hub;
use eric_sse::limits::LISTEN_BACKLOG;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acceptor::{self, Places};
use crate::descriptors::make_room;
use crate::http::{self, connection};
use crate::settings::ServerSettings;
use crate::shard::{Poller, Shards};
use crate::socket::{self, file::SocketAcceptor};

/// Seconds between two looks for listeners that have been away for too long.
const EXPIRY_PERIOD: Duration = Duration::from_secs(30);

/// Doors that are bound, before there is a hub behind them.
#[derive(Debug)]
pub struct Doors {
    settings: ServerSettings,
    http: Option<TcpListener>,
    socket: Option<SocketAcceptor>,
    pollers: Vec<Poller>,
}

/// The doors of one hub, bound and not yet open.
#[derive(Debug)]
pub struct Server {
    hub: Hub,
    doors: Doors,
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

impl Doors {
    /// Binds the doors; connections wait in the backlog.
    ///
    /// # Errors
    /// What the system says of the address or the socket's path, named in the text.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O and time enabled.
    pub fn bind(settings: ServerSettings) -> io::Result<Self> {
        let named = |door: &str, error: io::Error| io::Error::new(error.kind(), format!("{door}: {error}"));
        let http = match settings.listen {
            Some(address) => Some(listen(address).map_err(|error| named(&address.to_string(), error))?),
            None => None,
        };
        let socket = match &settings.socket {
            Some(path) => {
                Some(socket::file::bind(path).map_err(|error| named(&path.display().to_string(), error))?)
            }
            None => None,
        };
        // Streams leave by the HTTP door only.
        let shards = if http.is_some() { settings.shards } else { 0 };
        let pollers = (0..shards).map(|_| Poller::new()).collect::<Result<_, _>>();
        let pollers = pollers.map_err(|error| named("streams", error))?;
        if let Some(door) = &http {
            make_room(settings.connections, door).map_err(|error| named("descriptors", error))?;
        }
        Ok(Self { settings, http, socket, pollers })
    }

    /// Puts a hub behind the doors.
    pub fn lead_to(self, hub: Hub) -> Server {
        Server { hub, doors: self, stop: CancellationToken::new() }
    }
}

impl Server {
    /// Binds the doors of `hub`. Nothing is accepted before [`Server::run`], but connections wait in the backlog.
    ///
    /// # Errors
    /// As [`Doors::bind`].
    ///
    /// # Panics
    /// As [`Doors::bind`].
    pub fn bind(hub: Hub, settings: ServerSettings) -> io::Result<Self> {
        Ok(Doors::bind(settings)?.lead_to(hub))
    }

    /// Where HTTP listens, with the port that was taken; none where that door stays shut.
    pub fn local(&self) -> Option<SocketAddr> {
        self.doors.http.as_ref().and_then(|acceptor| acceptor.local_addr().ok())
    }

    /// Where the Unix socket is; none where that door stays shut.
    pub fn socket(&self) -> Option<&Path> {
        self.doors.socket.as_ref().map(SocketAcceptor::path)
    }

    /// What stops it.
    pub fn handle(&self) -> Handle {
        Handle(self.stop.clone())
    }

    /// Serves until it is told to stop, then ends streams and requests. Returns how many had not ended within the
    /// grace; they are left to the runtime.
    ///
    /// # Cancel safety
    /// If dropped, nothing is accepted any more; what was accepted goes on until the runtime ends.
    pub async fn run(self) -> usize {
        let Self { hub, doors: Doors { settings, http, socket, pollers }, stop } = self;
        let tasks = TaskTracker::new();
        let places = Places::new(settings.connections, tasks.clone(), stop.clone());
        tasks.spawn(until(stop.clone(), expire(hub.clone())));
        let serve_http = async {
            let Some(acceptor) = http else { return };
            let shards = Shards::start(pollers, tasks.clone(), stop.clone());
            let door = http::Door::new(hub.clone(), &settings, shards, stop.clone(), tasks.clone());
            let door = Arc::new(door);
            let serve = |connection, place| connection::run(connection, door.clone(), place);
            acceptor::run(acceptor, places.clone(), serve).await;
        };
        let serve_socket = async {
            let Some(acceptor) = socket else { return };
            let door = Arc::new(socket::Door { hub: hub.clone(), stop: stop.clone() });
            let serve = |connection, place| socket::run(connection, door.clone(), place);
            acceptor::run(acceptor, places.clone(), serve).await;
        };
        tokio::join!(serve_http, serve_socket, stop.cancelled());
        tasks.close();
        match tokio::time::timeout(settings.shutdown_grace, tasks.wait()).await {
            Ok(()) => 0,
            Err(_) => tasks.len(),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    TcpListener::from_std(socket.into())
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
