//! `/subscribe`, `/stream/{channel_id}/{listener_id}` and `/listener/{channel_id}/{listener_id}`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use eric_protocol::Exception;
use eric_protocol::answer::ListenerIdBody;
use eric_sse::{Channel, ChannelId, ErrorKind, Hub, ListenerId, ReadFrom, Subscribe};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::refusal::{Answer, Refusal};
use crate::http::params::{Query, last_event_id};
use crate::http::{events, json};
use crate::manner::Manner;
use crate::session::{self, Handoff};

/// The names of a channel and a listener, as a path gives them.
type OfListener = Result<Path<(String, String)>, PathRejection>;

/// The channel called `name`; what cannot be an id is the name of none.
pub(super) fn channel(hub: &Hub, name: &str) -> Result<Channel, Refusal> {
    let id: ChannelId = name.parse().map_err(|_| Refusal::unknown_channel(name))?;
    hub.channels().get(&id).map_err(|error| Refusal::new(&error, name, ""))
}

/// `POST /subscribe`.
pub(super) async fn subscribe(State(hub): State<Arc<Hub>>, query: Query) -> Answer {
    let mut faults = Vec::new();
    let Some(name) = query.required("channel_id", &mut faults) else { return Err(Refusal::Faults(faults)) };
    let connection = channel(&hub, name)?.add_listener().await;
    let connection = connection.map_err(|error| Refusal::new(&error, name, ""))?;
    Ok(json(StatusCode::OK, &ListenerIdBody { listener_id: connection.id().as_str() }))
}

/// `GET /stream/{channel_id}/{listener_id}`.
pub(super) async fn stream(State(hub): State<Arc<Hub>>, path: OfListener, headers: HeaderMap) -> Answer {
    let Path((name, listener)) = path?;
    let channel = channel(&hub, &name)?;
    let id: ListenerId = listener.parse().map_err(|_| Refusal::unknown_listener(&listener))?;
    let from = last_event_id(&headers).map_err(|problem| {
        Refusal::Exception(StatusCode::BAD_REQUEST, Exception::invalid_format(problem.detail))
    })?;
    let options = Subscribe { from: from.map_or(ReadFrom::Cursor, ReadFrom::After), ..Subscribe::default() };
    let subscription = session::subscribe(&channel, &id, options).await;
    let subscription = subscription.map_err(|error| Refusal::new(&error, &name, &listener))?;
    let mut response =
        events::stream(&channel, Handoff { subscription: subscription.into(), manner: Manner::Compatible });
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `DELETE /listener/{channel_id}/{listener_id}`.
pub(super) async fn remove(State(hub): State<Arc<Hub>>, path: OfListener) -> Answer {
    let Path((name, listener)) = path?;
    let channel = channel(&hub, &name)?;
    let unknown = || Refusal::Exception(StatusCode::NOT_FOUND, Exception::no_listener_to_remove(&listener));
    let id: ListenerId = listener.parse().map_err(|_| unknown())?;
    channel.remove_listener(&id).await.map_err(|error| match error.kind() {
        ErrorKind::UnknownListener => unknown(),
        _ => Refusal::new(&error, &name, &listener),
    })?;
    Ok(json(StatusCode::OK, &()))
}
