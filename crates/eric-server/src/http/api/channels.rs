//! `/`, `/channels`, `/create` and `/channel/{channel_id}`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use eric_protocol::Exception;
use eric_protocol::api::{ChannelIdBody, Detail};
use eric_sse::{ChannelId, ErrorKind, Hub};
use futures_util::stream;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::refusal::{Answer, Refusal};
use crate::http::json;
use crate::http::params::Query;

/// Bytes of a listing that are made at once.
const PIECE_BYTES: usize = 64 * 1024;

/// `GET /`: the listeners of every channel.
pub(super) async fn all(State(hub): State<Arc<Hub>>) -> Response {
    let channels = hub.channels().ids().into_iter().enumerate().flat_map(move |(index, id)| {
        let listeners = hub.channels().get(&id).map(|channel| channel.listener_ids()).unwrap_or_default();
        let head = format!("{}{}:[", comma(index), quoted(id.as_str()));
        let texts = listeners.into_iter().enumerate();
        let texts = texts.map(|(index, id)| format!("{}{}", comma(index), quoted(id.as_str())));
        std::iter::once(head).chain(texts).chain(std::iter::once("]".to_owned()))
    });
    listing(std::iter::once("{".to_owned()).chain(channels).chain(std::iter::once("}".to_owned())))
}

/// `GET /channels`.
pub(super) async fn list(State(hub): State<Arc<Hub>>) -> Response {
    let ids: Vec<String> = hub.channels().ids().iter().map(ToString::to_string).collect();
    json(StatusCode::OK, &ids)
}

/// `PUT /create`.
pub(super) async fn create(State(hub): State<Arc<Hub>>, query: Query) -> Answer {
    let id = match query.last("channel_id") {
        None => ChannelId::generate(),
        Some("") => return Err(Refusal::Faults(vec![Detail::empty_parameter("channel_id")])),
        Some(name) => name
            .parse()
            .map_err(|error| Refusal::Faults(vec![Detail::bad_parameter("channel_id", name, &error)]))?,
    };
    let settings = hub.channels().default_settings();
    let channel = hub.channels().create(id.clone(), settings).await.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Refusal::Exception(StatusCode::BAD_REQUEST, Exception::channel_exists(id.as_str()))
        }
        _ => Refusal::new(&error, id.as_str(), ""),
    })?;
    Ok(json(StatusCode::OK, &ChannelIdBody { channel_id: channel.id().as_str() }))
}

/// `DELETE /channel/{channel_id}`. An unknown one is 400 here, as it ever was.
pub(super) async fn remove(State(hub): State<Arc<Hub>>, path: Result<Path<String>, PathRejection>) -> Answer {
    let Path(name) = path?;
    let unknown = || Refusal::Exception(StatusCode::BAD_REQUEST, Exception::unknown_channel(&name));
    let id: ChannelId = name.parse().map_err(|_| unknown())?;
    hub.channels().remove(&id).await.map_err(|error| match error.kind() {
        ErrorKind::UnknownChannel => unknown(),
        _ => Refusal::new(&error, &name, ""),
    })?;
    Ok(json(StatusCode::OK, &()))
}

fn comma(index: usize) -> &'static str {
    if index == 0 { "" } else { "," }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// A listing of any length: whole where it is short, else made while it is sent.
fn listing(texts: impl Iterator<Item = String> + Send + 'static) -> Response {
    let mut texts = texts.peekable();
    let mut pieces = std::iter::from_fn(move || {
        let mut piece = String::new();
        while piece.len() < PIECE_BYTES
            && let Some(text) = texts.next()
        {
            piece.push_str(&text);
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    })
    .peekable();
    let first = pieces.next().unwrap_or_default();
    let body = match pieces.peek() {
        None => Body::from(first),
        Some(_) => {
            Body::from_stream(stream::iter(std::iter::once(first).chain(pieces).map(Ok::<_, Infallible>)))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
