//! One connection: driven by hyper until it ends, fails, or becomes a stream.
//!
//! A stream leaves hyper after its request: the service stays pending, the socket is taken back, and `session` writes
//! the head and all that follows. Heads that never become a request (malformed, too large, too slow) are answered
//! here.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use eric_protocol::{Code, Problem};
use eric_sse::limits::{
    KEEP_ALIVE_S, REQUEST_HEAD_BYTES_MAX, REQUEST_HEAD_S, REQUEST_HEADERS_MAX, WRITE_STALL_S,
};
use eric_sse::{Clock as _, SystemClock};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Version, response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tower::ServiceExt as _;

use super::events::Carried;
use super::problem::Refusal;
use super::watched::{Phase, SharedProgress, Watched};
use super::{DURABILITY, Door};
use crate::acceptor::Place;
use crate::peer::Peer as _;
use crate::session::{self, Handoff, Session, Untaken};
use crate::shard::{Arrival, chunk_of};

/// How long a connection that was answered and closed is still read, so that its peer can read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes of a stream that the kernel takes before it has sent them: behind a client that takes nothing they would be
/// megabytes.
const UNSENT_BYTES: u32 = 16 * 1024;

type Answering = Pin<Box<dyn Future<Output = Result<Response<Ending>, Infallible>> + Send>>;

/// A request that became a stream: the response's head, and what follows it.
struct Leaving {
    head: response::Parts,
    handoff: Handoff,
    version: Version,
}

type Slot = Arc<Mutex<Option<Leaving>>>;

/// Why hyper is done with a connection.
enum Outcome {
    /// It ended by itself.
    Ended,
    /// It was idle for too long, or the server stops.
    Idle,
    /// Its peer takes nothing.
    Stalled,
    /// Its request head cannot be read.
    Refused(Problem),
    /// It becomes a stream.
    Stream(Box<Leaving>),
}

/// Serves one connection until it ends; a stream goes on as a task of its own.
pub(crate) async fn run(socket: TcpStream, door: Arc<Door>, place: Place) {
    let (socket, outcome) = drive(socket, &door).await;
    match outcome {
        Outcome::Ended => close(socket).await,
        Outcome::Idle => {}
        Outcome::Stalled => socket.reset(),
        Outcome::Refused(problem) => refuse(socket, problem, &door).await,
        Outcome::Stream(leaving) => {
            let Leaving { mut head, handoff, version } = *leaving;
            let is_chunked = version >= Version::HTTP_11;
            head.headers.remove(CONTENT_LENGTH);
            // The connection ends with the stream; who would send another request on it is told beforehand.
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            if is_chunked {
                head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            if let Err(error) = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES) {
                tracing::debug!(%error, "the kernel may hold more");
            }
            let mut first = vec![Bytes::from(head_bytes(&mut head))];
            let opening = handoff.manner.opening(&handoff.subscription);
            if !is_chunked {
                first.push(opening);
                let session = Session::new(socket, handoff, is_chunked, door.stop.clone());
                door.tasks.spawn(session::run(session, first, None, place));
            } else {
                if !opening.is_empty() {
                    first.push(chunk_of(&opening));
                }
                let socket = match socket.into_std() {
                    Ok(socket) => socket,
                    Err(error) => return tracing::warn!(%error, "a stream ends"),
                };
                door.shards.serve(Arrival { socket, handoff, untaken: Untaken::default(), first, place });
            }
        }
    }
}

async fn drive(socket: TcpStream, door: &Arc<Door>) -> (TcpStream, Outcome) {
    let progress = SharedProgress::new();
    let slot = Slot::default();
    let service = service_fn({
        let (door, progress, slot) = (door.clone(), progress.clone(), slot.clone());
        move |request| answer(request, &door, &progress, &slot)
    });
    let io = TokioIo::new(Watched::new(socket, progress.clone()));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(REQUEST_HEAD_BYTES_MAX);
    let mut connection = Box::new(builder.serve_connection(io, service));
    let mut stopped = pin!(door.stop.cancelled());
    let mut is_stopping = false;
    let mut timer = pin!(sleep_until(Instant::now() + Duration::from_secs(REQUEST_HEAD_S)));
    let outcome = loop {
        let served = poll_fn(|context| match connection.poll_without_shutdown(context) {
            Poll::Ready(served) => Poll::Ready(Some(served)),
            Poll::Pending => match slot.lock().expect("nothing panics with the lock held").is_some() {
                true => Poll::Ready(None),
                false => Poll::Pending,
            },
        });
        tokio::select! {
            biased;
            served = served => break match (served, progress.lock().refused) {
                (_, Some(status)) => Outcome::Refused(refusal(status)),
                (Some(_), None) => Outcome::Ended,
                (None, None) => {
                    let leaving = slot.lock().expect("nothing panics with the lock held").take();
                    Outcome::Stream(Box::new(leaving.expect("the slot was found full")))
                }
            },
            () = &mut stopped, if !is_stopping => {
                is_stopping = true;
                Pin::new(&mut *connection).graceful_shutdown();
                if let Phase::Head = progress.lock().phase {
                    break Outcome::Idle;
                }
            }
            () = &mut timer => match overdue(&progress, Instant::now()) {
                Ok(next) => timer.as_mut().reset(next),
                Err(outcome) => break outcome,
            },
        }
    };
    (connection.into_parts().io.into_inner().into_inner(), outcome)
}

/// What the time says of a connection: when to look again, or that it is over.
fn overdue(progress: &SharedProgress, now: Instant) -> Result<Instant, Outcome> {
    let progress = progress.lock();
    let (since, seconds) = match (progress.phase, progress.blocked_since) {
        (_, Some(blocked)) => (blocked, WRITE_STALL_S),
        (Phase::Idle, None) => (progress.since, KEEP_ALIVE_S),
        (Phase::Head, None) => (progress.since, REQUEST_HEAD_S),
        (Phase::Request, None) => return Ok(now + Duration::from_secs(REQUEST_HEAD_S)),
    };
    let due = since + Duration::from_secs(seconds);
    if now < due {
        // A connection that is idle now may soon be busy with a head, whose time is shorter.
        return Ok(due.min(now + Duration::from_secs(REQUEST_HEAD_S)));
    }
    Err(match (progress.phase, progress.blocked_since) {
        (_, Some(_)) => Outcome::Stalled,
        (Phase::Head, None) => {
            let detail = format!("request head took longer than request_head_s={REQUEST_HEAD_S} seconds");
            Outcome::Refused(Problem::new(Code::Timeout, detail))
        }
        _ => Outcome::Idle,
    })
}

fn answer(request: Request<Incoming>, door: &Arc<Door>, progress: &SharedProgress, slot: &Slot) -> Answering {
    progress.begin();
    let (routes, slot, version) = (door.routes.clone(), slot.clone(), request.version());
    let (progress, durability) = (progress.clone(), door.durability.clone());
    let is_too_large = head_size(&request) > REQUEST_HEAD_BYTES_MAX;
    Box::pin(async move {
        let mut response = match is_too_large {
            true => Refusal(refusal(431)).into_response(),
            false => routes.oneshot(request).await.unwrap_or_else(|never| match never {}),
        };
        response.headers_mut().insert(DURABILITY, durability);
        let carried = response.extensions_mut().remove::<Carried>();
        if let Some(handoff) = carried.and_then(|carried| carried.take()) {
            let (head, _) = response.into_parts();
            *slot.lock().expect("nothing panics with the lock held") =
                Some(Leaving { head, handoff, version });
            return pending().await;
        }
        Ok(response.map(|body| Ending { body, progress }))
    })
}

/// Bytes of a request's head, as clients write it.
fn head_size(request: &Request<Incoming>) -> usize {
    let uri = request.uri();
    let origin = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len())
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    let target = origin + uri.path_and_query().map_or(0, |path| path.as_str().len());
    let line = request.method().as_str().len() + target + " HTTP/1.1 \r\n".len();
    let headers =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() + "\r\n".len()
}

/// What is said of a head that hyper refused with `status`.
fn refusal(status: u16) -> Problem {
    match status {
        414 | 431 => Problem::new(
            Code::HeadersTooLarge,
            format!(
                "request head has more than request_head_bytes_max={REQUEST_HEAD_BYTES_MAX} bytes or \
                 request_headers_max={REQUEST_HEADERS_MAX} header lines"
            ),
        ),
        _ => Problem::bad_request("request head is malformed"),
    }
}

/// Answers on a connection that has no request, and closes it.
async fn refuse(mut socket: TcpStream, problem: Problem, door: &Door) {
    let (mut head, body) = Refusal(problem.clone()).into_response().into_parts();
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    head.headers.insert(DURABILITY, door.durability.clone());
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(problem.to_json().len()));
    drop(body);
    let mut answer = head_bytes(&mut head);
    answer.extend_from_slice(problem.to_json().as_bytes());
    let written = timeout(LINGER, socket.write_all(&answer)).await;
    if matches!(written, Ok(Ok(()))) {
        close(socket).await;
    }
}

/// The head of a response as it is written.
fn head_bytes(head: &mut response::Parts) -> Vec<u8> {
    let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now().as_ms());
    let date = HeaderValue::from_str(&httpdate::fmt_http_date(now)).expect("a date is a header value");
    head.headers.insert(DATE, date);
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Closes a connection whose peer may still be sending: unread bytes would turn the close into a reset, and the
/// answer would be lost.
async fn close(mut socket: TcpStream) {
    let drain = async {
        socket.shutdown().await?;
        // On the heap, or every connection would carry it from its beginning.
        let mut discarded = vec![0; 8192];
        while socket.read(&mut discarded).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(LINGER, drain).await;
}

/// A response body that tells when it is over.
struct Ending {
    body: Body,
    progress: SharedProgress,
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.progress.end();
    }
}
