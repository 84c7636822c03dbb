//! Bodies: read whole, within their limits of bytes and time, if they are of a kind that is read.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use eric_protocol::{Code, Problem};
use eric_sse::limits::{BODY_STALL_S, HTTP_BODY_BYTES_MAX};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::params::header;

/// The kinds of bodies that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One JSON value.
    Json,
    /// One JSON value per line.
    Lines,
}

/// The kind that the headers announce; JSON where they say nothing.
pub(super) fn kind(headers: &HeaderMap) -> Result<Kind, Problem> {
    let Some(announced) = header(headers, &CONTENT_TYPE)? else { return Ok(Kind::Json) };
    let media_type = announced.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => Ok(Kind::Json),
        "application/x-ndjson" => Ok(Kind::Lines),
        other if other.starts_with("application/") && other.ends_with("+json") => Ok(Kind::Json),
        other => Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("content type {other} is not read; add -H 'Content-Type: application/json'"),
        )),
    }
}

/// A body of one JSON value.
pub(super) async fn json(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    match kind(headers)? {
        Kind::Json => read(headers, body).await,
        Kind::Lines => Err(Problem::new(
            Code::UnsupportedMediaType,
            "content type application/x-ndjson is for messages; add -H 'Content-Type: application/json'",
        )),
    }
}

/// A whole body.
pub(super) async fn read(headers: &HeaderMap, mut body: Body) -> Result<Bytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let too_large = || {
        let detail = format!("body has more than http_body_bytes_max={HTTP_BODY_BYTES_MAX} bytes");
        Problem::new(Code::TooLarge, detail)
    };
    if announced.is_some_and(|bytes| bytes > HTTP_BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    loop {
        let frame = timeout(Duration::from_secs(BODY_STALL_S), body.frame()).await.map_err(|_| {
            Problem::new(Code::Timeout, format!("body stood still for body_stall_s={BODY_STALL_S} seconds"))
        })?;
        let Some(frame) = frame else { return Ok(whole.freeze()) };
        let frame = frame.map_err(|error| Problem::bad_request(format!("body cannot be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > HTTP_BODY_BYTES_MAX {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
}
