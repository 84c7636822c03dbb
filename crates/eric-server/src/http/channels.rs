//! Channels: make, show, list, remove, and what they keep.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use eric_protocol::answer::{ChannelBody, ChannelsBody, HistoryBody};
use eric_protocol::message::text;
use eric_protocol::settings::patch;
use eric_sse::{Channel, ChannelId, Hub, SettingsPatch};
use http::{HeaderMap, StatusCode};

use super::params::{InChannel, Query};
use super::problem::{Answer, Refusal};
use super::{body, json, no_content};

async fn settings(headers: &HeaderMap, body: Body) -> Result<SettingsPatch, Refusal> {
    let body = body::json(headers, body).await?;
    Ok(patch(text(&body)?)?)
}

async fn answer(status: StatusCode, channel: &Channel) -> Result<Response, Refusal> {
    let info = channel.info().await?;
    Ok(json(status, &ChannelBody::new(channel, &info)))
}

/// `PUT /v1/channels/{c}`.
pub(super) async fn ensure(
    State(hub): State<Arc<Hub>>,
    InChannel(id): InChannel,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let patch = settings(&headers, body).await?;
    let (channel, is_new) = hub.channels().ensure(id, &patch).await?;
    answer(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &channel).await
}

/// `POST /v1/channels`.
pub(super) async fn create(State(hub): State<Arc<Hub>>, headers: HeaderMap, body: Body) -> Answer {
    let patch = settings(&headers, body).await?;
    let settings = patch.apply(hub.channels().default_settings())?;
    let channel = hub.channels().create(ChannelId::generate(), settings).await?;
    answer(StatusCode::CREATED, &channel).await
}

/// `GET /v1/channels/{c}`.
pub(super) async fn show(State(hub): State<Arc<Hub>>, InChannel(id): InChannel) -> Answer {
    answer(StatusCode::OK, &hub.channels().get(&id)?).await
}

/// `GET /v1/channels`.
pub(super) async fn list(State(hub): State<Arc<Hub>>, query: Query) -> Answer {
    let limit = query.limit()?;
    let after = query.parsed::<ChannelId>("after")?;
    // One more than asked for tells whether there is more.
    let mut page = hub.channels().page(after.as_ref(), limit + 1)?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|channel| channel.id().to_string());
    let mut channels = Vec::with_capacity(page.len());
    for channel in page {
        // One that was removed in the meantime is left out.
        if let Ok(info) = channel.info().await {
            channels.push(ChannelBody::new(&channel, &info));
        }
    }
    Ok(json(StatusCode::OK, &ChannelsBody { channels, next }))
}

/// `DELETE /v1/channels/{c}`.
pub(super) async fn remove(State(hub): State<Arc<Hub>>, InChannel(id): InChannel) -> Answer {
    hub.channels().remove(&id).await?;
    Ok(no_content())
}

/// `GET /v1/channels/{c}/messages`.
pub(super) async fn history(State(hub): State<Arc<Hub>>, InChannel(id): InChannel, query: Query) -> Answer {
    let limit = query.limit()?;
    let after = query.parsed("after")?;
    let history = hub.channels().get(&id)?.history(after, limit).await?;
    Ok(json(StatusCode::OK, &HistoryBody::from(&history)))
}
