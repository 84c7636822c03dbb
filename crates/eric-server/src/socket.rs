//! The Unix-socket door, for the clients of the Python package: one request a connection, answered by a text or by a
//! stream of lines.
//!
//! A client writes one JSON object and closes its writing side; nothing is read before that. What it may ask for is in
//! `verbs`, the socket's file in `file`.

pub(crate) mod file;
mod verbs;

use std::sync::Arc;
use std::time::Duration;

use eric_protocol::Exception;
use eric_protocol::socket::{Request, parse};
use eric_sse::Hub;
use eric_sse::limits::{SOCKET_HALF_CLOSE_S, SOCKET_REQUEST_BYTES_MAX};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::acceptor::Place;
use crate::peer::UnixPeer;
use crate::session::{self, Session};
use verbs::Reply;

/// How long a client that was answered may go on sending, so that it can read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// What every connection of the socket shares.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) hub: Hub,
    pub(crate) stop: CancellationToken,
}

/// Serves one connection until it ends.
pub(crate) async fn run(mut connection: UnixStream, door: Arc<Door>, place: Place) {
    let Some(request) = door.stop.run_until_cancelled(read(&mut connection)).await else { return };
    let reply = match request.and_then(|request| parse(&request)) {
        // A stream for nobody would end the one that a client has opened since.
        Ok(Request::Listen { .. } | Request::Watch { .. }) if has_left(&connection) => return,
        Ok(request) => verbs::answer(&door.hub, request).await,
        Err(refused) => Err(refused),
    };
    match reply {
        Ok(Reply::Text(text)) => say(connection, &text, &door.stop).await,
        Err(exception) => {
            tracing::debug!(%exception, "refused");
            say(connection, &exception.to_string(), &door.stop).await;
        }
        Ok(Reply::Stream(handoff)) => match UnixPeer::new(connection) {
            Ok(peer) => {
                let session = Session::new(peer, *handoff, false, door.stop.clone());
                session::run(session, Vec::new(), None, place).await;
            }
            Err(error) => tracing::warn!(%error, "cannot stream"),
        },
    }
}

/// Whether the client has closed its reading side too.
fn has_left(connection: &UnixStream) -> bool {
    let mut asked = [PollFd::new(connection, PollFlags::empty())];
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents().contains(PollFlags::HUP)
}

/// A whole request: all that comes until the client closes its writing side.
async fn read(connection: &mut UnixStream) -> Result<Vec<u8>, Exception> {
    let mut request = Vec::new();
    loop {
        let stall = Duration::from_secs(SOCKET_HALF_CLOSE_S);
        match timeout(stall, connection.read_buf(&mut request)).await {
            Ok(Ok(0)) => return Ok(request),
            Ok(Ok(_)) if request.len() <= SOCKET_REQUEST_BYTES_MAX => {}
            Ok(Ok(_)) => {
                return Err(Exception::invalid_format(format!(
                    "request has more than socket_request_bytes_max={SOCKET_REQUEST_BYTES_MAX} bytes"
                )));
            }
            Ok(Err(error)) => {
                return Err(Exception::invalid_format(format!("request cannot be read: {error}")));
            }
            Err(_) => {
                return Err(Exception::invalid_format(format!(
                    "request did not end within socket_half_close_s={SOCKET_HALF_CLOSE_S} seconds of its last byte: \
                     close the writing side after it"
                )));
            }
        }
    }
}

/// Answers, and closes in order: a client that still sends is read for a while, or it would see a broken connection
/// instead of the answer.
async fn say(mut connection: UnixStream, text: &str, stop: &CancellationToken) {
    let answer = async {
        connection.write_all(text.as_bytes()).await?;
        connection.shutdown().await?;
        let mut discarded = vec![0; 64 * 1024];
        let drain = async { while connection.read(&mut discarded).await.is_ok_and(|read| read > 0) {} };
        let _: Option<()> = stop.run_until_cancelled(drain).await;
        Ok::<_, std::io::Error>(())
    };
    match timeout(LINGER, answer).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "cannot answer"),
        Err(_) => tracing::debug!("a client that was answered goes on sending"),
    }
}
