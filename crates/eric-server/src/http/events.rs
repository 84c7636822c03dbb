//! Streams: a subscription is made here, and handed over with its response head to `session`.
//!
//! The handler answers with an ordinary response that carries a [`Handoff`]; all layers see it (CORS, headers), and
//! the connection takes the socket from hyper when it finds it.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::Response;
use eric_protocol::{Code, Problem, Slow};
use eric_sse::sse::encode::Format;
use eric_sse::{Ack, Channel, Conflict, Hub, ReadFrom, Subscribe};
use http::HeaderMap;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use super::params::{InChannel, OfListener, Query, last_event_id};
use super::problem::{Answer, Refusal};
use crate::manner::Manner;
use crate::session::{self, Handoff};

/// A [`Handoff`] on its way through a response's extensions, to be taken once.
#[derive(Debug, Clone)]
pub(super) struct Carried(Arc<Mutex<Option<Handoff>>>);

impl Carried {
    pub(super) fn take(&self) -> Option<Handoff> {
        self.0.lock().expect("nothing panics with the lock held").take()
    }
}

const FORMATS: &[(&str, Format)] = &[("payload", Format::Payload), ("envelope", Format::Envelope)];

/// `GET /v1/channels/{c}/listeners/{l}/events`.
pub(super) async fn listen(
    State(hub): State<Arc<Hub>>,
    OfListener(channel, listener): OfListener,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let options = Subscribe {
        from: read_from(&query, &headers)?,
        ack: query.choice("ack", &[("auto", Ack::Auto), ("manual", Ack::Manual)])?,
        conflict: query
            .choice("conflict", &[("replace", Conflict::Replace), ("refuse", Conflict::Refuse)])?,
    };
    let manner = manner(&query)?;
    if let (Ack::Manual, Slow::Drop | Slow::Latest) = (options.ack, manner.slow()) {
        let detail = "slow=drop and slow=latest leave out what ack=manual would have to acknowledge";
        return Err(Problem::bad_request(detail).into());
    }
    let channel = hub.channels().get(&channel)?;
    let subscription = session::subscribe(&channel, &listener, options).await?;
    Ok(stream(&channel, Handoff { subscription: subscription.into(), manner }))
}

/// `GET /v1/channels/{c}/events`.
pub(super) async fn watch(
    State(hub): State<Arc<Hub>>,
    InChannel(channel): InChannel,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    for name in ["ack", "conflict"] {
        if query.text(name)?.is_some() {
            return Err(
                Problem::bad_request(format!("{name} is for listeners; a watcher has no cursor")).into()
            );
        }
    }
    let from = read_from(&query, &headers)?;
    let manner = manner(&query)?;
    let channel = hub.channels().get(&channel)?;
    let subscription = channel.watch(from)?;
    Ok(stream(&channel, Handoff { subscription: subscription.into(), manner }))
}

/// `HEAD` of a stream would be a stream.
pub(super) async fn no_head() -> Response {
    use axum::response::IntoResponse as _;
    let problem = Problem::new(Code::MethodNotAllowed, "method=HEAD is not for streams");
    let mut response = Refusal(problem).into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

/// Where the stream begins: `Last-Event-ID` wins over `after`.
fn read_from(query: &Query, headers: &HeaderMap) -> Result<ReadFrom, Refusal> {
    if let Some(position) = last_event_id(headers)? {
        return Ok(ReadFrom::After(position));
    }
    let Some(after) = query.text("after")? else { return Ok(ReadFrom::Cursor) };
    Ok(after.parse().map_err(|error| Problem::bad_request(format!("after={after}: {error}")))?)
}

fn manner(query: &Query) -> Result<Manner, Problem> {
    let is_primed = query.choice("prime", &[("0", false), ("1", true)])?;
    let (format, slow) =
        (query.choice("data", FORMATS)?, query.choice("slow", &Slow::ALL.map(|slow| (slow.name(), slow)))?);
    Ok(Manner::Events { format, is_primed, slow })
}

/// The response head of a stream, with what follows it.
pub(super) fn stream(channel: &Channel, handoff: Handoff) -> Response {
    tracing::debug!(channel = %channel.id(), listener = ?handoff.subscription.listener(), "stream begins");
    let mut response = Response::new(axum::body::Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.extensions_mut().insert(Carried(Arc::new(Mutex::new(Some(handoff)))));
    response
}
