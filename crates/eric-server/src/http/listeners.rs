//! Listeners: add, show, list, remove, acknowledge.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use eric_protocol::answer::{ListenerBody, ListenerIdBody, ListenersBody};
use eric_protocol::message::{object, text};
use eric_sse::{Hub, ListenerId, ListenerOrder, Position};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::params::{InChannel, OfListener, Query};
use super::problem::Answer;
use super::{body, json, no_content};

/// `POST /v1/channels/{c}/listeners`.
pub(super) async fn create(State(hub): State<Arc<Hub>>, InChannel(channel): InChannel) -> Answer {
    let connection = hub.channels().get(&channel)?.add_listener().await?;
    Ok(json(StatusCode::CREATED, &ListenerIdBody { listener_id: connection.id().as_str() }))
}

/// `PUT /v1/channels/{c}/listeners/{l}`.
pub(super) async fn ensure(State(hub): State<Arc<Hub>>, OfListener(channel, listener): OfListener) -> Answer {
    let (connection, is_new) = hub.channels().get(&channel)?.ensure_listener(listener).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &ListenerIdBody { listener_id: connection.id().as_str() }))
}

/// `GET /v1/channels/{c}/listeners/{l}`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, OfListener(channel, listener): OfListener) -> Answer {
    let info = hub.channels().get(&channel)?.listener(&listener)?.info().await?;
    Ok(json(StatusCode::OK, &ListenerBody::from(&info)))
}

/// `GET /v1/channels/{c}/listeners`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, InChannel(channel): InChannel, query: Query) -> Answer {
    let limit = query.limit()?;
    let after = query.parsed::<ListenerId>("after")?;
    let order = query.choice("sort", &[("age", ListenerOrder::Age), ("backlog", ListenerOrder::Backlog)])?;
    // One more than asked for tells whether there is more.
    let mut page = hub.channels().get(&channel)?.listeners(after.as_ref(), limit + 1, order).await?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|info| info.id.to_string());
    Ok(json(
        StatusCode::OK,
        &ListenersBody { listeners: page.iter().map(ListenerBody::from).collect(), next },
    ))
}

/// `DELETE /v1/channels/{c}/listeners/{l}`.
pub(super) async fn remove(State(hub): State<Arc<Hub>>, OfListener(channel, listener): OfListener) -> Answer {
    hub.channels().get(&channel)?.remove_listener(&listener).await?;
    Ok(no_content())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckBody {
    id: String,
}

/// `POST /v1/channels/{c}/listeners/{l}/ack`.
pub(super) async fn ack(
    State(hub): State<Arc<Hub>>,
    OfListener(channel, listener): OfListener,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let body = body::json(&headers, body).await?;
    let AckBody { id } = object(text(&body)?)?;
    let position: Position = id.parse()?;
    hub.channels().get(&channel)?.ack(&listener, position).await?;
    Ok(no_content())
}
