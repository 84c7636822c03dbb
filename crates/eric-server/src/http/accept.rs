//! The accept loop: as many connections as are allowed, each with a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Door, connection};

/// The pause after the system refused to accept, for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the server is told to stop. Beyond the limit, connections wait in the backlog: nobody is refused, and
/// whoever leaves lets the next one in.
pub(crate) async fn run(acceptor: TcpListener, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(door.connections_max.min(Semaphore::MAX_PERMITS)));
    let stop = door.stop.clone();
    loop {
        let next = async {
            if places.available_permits() == 0 {
                tracing::warn!(
                    connections = door.connections_max,
                    "as many connections as allowed; others wait"
                );
            }
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            (place, acceptor.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((socket, peer)) => {
                tracing::trace!(%peer, "accepted");
                prepare(&socket);
                door.tasks.spawn(connection::run(socket, door.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Small writes leave at once, and a peer that vanished without a word is noticed.
fn prepare(socket: &TcpStream) {
    let socket = socket2::SockRef::from(socket);
    let stall = Duration::from_secs(eric_sse::limits::WRITE_STALL_S);
    let outcome = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_user_timeout(Some(stall)));
    if let Err(error) = outcome {
        tracing::debug!(%error, "socket options");
    }
}
