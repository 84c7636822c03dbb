//! Publishing: a message, or one per line, to all or to one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use eric_protocol::Problem;
use eric_protocol::answer::{TakenBatchBody, TakenBody};
use eric_protocol::message::{lines, one, text};
use eric_sse::log::Taken;
use eric_sse::{Hub, IdempotencyKey, Publish};
use http::{HeaderMap, StatusCode};

use super::body::{self, Kind};
use super::params::{InChannel, OfListener, header};
use super::problem::{Answer, Refusal};
use super::{IDEMPOTENCY_KEY, json};

/// `POST /v1/channels/{c}/messages`.
pub(super) async fn broadcast(
    State(hub): State<Arc<Hub>>,
    InChannel(channel): InChannel,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (kind, batch) = messages(&headers, body).await?;
    let taken = hub.channels().get(&channel)?.broadcast_batch(batch).await?;
    Ok(answer(kind, &taken))
}

/// `POST /v1/channels/{c}/listeners/{l}/messages`.
pub(super) async fn dispatch(
    State(hub): State<Arc<Hub>>,
    OfListener(channel, listener): OfListener,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (kind, batch) = messages(&headers, body).await?;
    let taken = hub.channels().get(&channel)?.dispatch_batch(&listener, batch).await?;
    Ok(answer(kind, &taken))
}

/// The one parsing pass: after it nothing can be malformed.
async fn messages(headers: &HeaderMap, body: Body) -> Result<(Kind, Vec<Publish>), Refusal> {
    let kind = body::kind(headers)?;
    let key = header(headers, &IDEMPOTENCY_KEY)?.map(str::parse::<IdempotencyKey>).transpose()?;
    if kind == Kind::Lines && key.is_some() {
        return Err(Problem::bad_request("Idempotency-Key is for one message; give each line an id").into());
    }
    let body = body::read(headers, body).await?;
    let text = text(&body)?;
    match kind {
        Kind::Json => Ok((kind, vec![one(text, key)?])),
        Kind::Lines => Ok((kind, lines(text)?)),
    }
}

fn answer(kind: Kind, taken: &[Taken]) -> Response {
    let is_new = taken.iter().any(|taken| taken.first);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut ids = taken.iter().map(|taken| taken.position.to_string());
    match kind {
        Kind::Json => json(status, &TakenBody { id: ids.next().unwrap_or_default() }),
        Kind::Lines => json(status, &TakenBatchBody { ids: ids.collect() }),
    }
}
