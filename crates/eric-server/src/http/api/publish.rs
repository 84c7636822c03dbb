//! `/broadcast` and `/dispatch`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use eric_protocol::api::{Detail, message};
use eric_sse::{Hub, ListenerId, Message};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::listeners::channel;
use super::refusal::{Answer, Refusal};
use crate::http::params::Query;
use crate::http::{body, json};

/// `POST /broadcast`.
pub(super) async fn broadcast(
    State(hub): State<Arc<Hub>>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut faults = Vec::new();
    let name = query.required("channel_id", &mut faults);
    let message = taken(&headers, body, &mut faults).await?;
    let (Some(name), Some(message)) = (name, message) else { return Err(Refusal::Faults(faults)) };
    let taken = channel(&hub, name)?.broadcast(message).await;
    taken.map_err(|error| Refusal::new(&error, name, ""))?;
    Ok(json(StatusCode::OK, &()))
}

/// `POST /dispatch`.
pub(super) async fn dispatch(
    State(hub): State<Arc<Hub>>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut faults = Vec::new();
    let name = query.required("channel_id", &mut faults);
    let listener = query.required("listener_id", &mut faults);
    let message = taken(&headers, body, &mut faults).await?;
    let (Some(name), Some(listener), Some(message)) = (name, listener, message) else {
        return Err(Refusal::Faults(faults));
    };
    let channel = channel(&hub, name)?;
    let id: ListenerId = listener.parse().map_err(|_| Refusal::unknown_listener(listener))?;
    let taken = channel.dispatch(&id, message).await;
    taken.map_err(|error| Refusal::new(&error, name, listener))?;
    Ok(json(StatusCode::OK, &()))
}

/// The message of a body; none, and the faults told, where something is wrong with it or with the query.
async fn taken(
    headers: &HeaderMap,
    body: Body,
    faults: &mut Vec<Detail>,
) -> Result<Option<Message>, Refusal> {
    let body = body::read(headers, body).await?;
    match message(&body, is_json(headers)) {
        Ok(message) => Ok(Some(message).filter(|_| faults.is_empty())),
        Err(refusal) => Err(Refusal::of_body(refusal, std::mem::take(faults))),
    }
}

/// Whether the body is JSON: its content type says so, or says nothing.
fn is_json(headers: &HeaderMap) -> bool {
    let announced = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes()).to_ascii_lowercase();
    let media_type = announced.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let subtype = media_type.strip_prefix(b"application/");
    media_type.is_empty() || subtype.is_some_and(|subtype| subtype == b"json" || subtype.ends_with(b"+json"))
}
