//! An axum application with the hub inside: the library alone, no server of Eric's.
//!
//! `cargo run --example axum-app -- 127.0.0.1:3000`, and then:
//! `curl -N 127.0.0.1:3000/events/bob`
//! `curl 127.0.0.1:3000/say -H 'Content-Type: application/json' -d '"hello"'`
//!
//! Whoever asks for events is a listener with a queue, and goes on where it was; an `EventSource` says that by itself,
//! with `Last-Event-ID`. Left out: a graceful end, which `eric-server` has, and who may read whose events.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use eric_sse::sse::encode::Format;
use eric_sse::{Channel, ChannelSettings, Hub, Message, ReadFrom, Subscribe};

/// The hub's error, as an answer.
struct Refused(eric_sse::Error);

impl From<eric_sse::Error> for Refused {
    fn from(error: eric_sse::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, format!("{}\n", self.0)).into_response()
    }
}

async fn say(State(room): State<Channel>, Json(said): Json<serde_json::Value>) -> Result<String, Refused> {
    let taken = room.broadcast(Message::of("said", &said)?).await?;
    Ok(format!("{}\n", taken.position))
}

async fn events(
    State(room): State<Channel>,
    Path(who): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refused> {
    let (listener, _) = room.ensure_listener(who.parse()?).await?;
    listener.start();
    // What was handed to a connection that broke counts as read; the browser knows better.
    let from = match headers.get("last-event-id") {
        Some(id) => String::from_utf8_lossy(id.as_bytes()).parse()?,
        None => ReadFrom::Cursor,
    };
    let messages =
        room.message_stream_with(listener.id(), Subscribe { from, ..Subscribe::default() }).await?;
    // From the first byte to the last, with signs of life in between. Each message is encoded once, and the bytes are
    // shared by all streams. A reader that leaves drops the body, and with it the stream.
    let body = Body::from_stream(messages.event_stream(Format::Payload));
    Ok(([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")], body))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let hub = Hub::in_memory();
    let room = hub.channels().create("room".parse()?, ChannelSettings::in_memory()).await?;
    let app = Router::new().route("/say", post(say)).route("/events/{who}", get(events)).with_state(room);
    let acceptor = tokio::net::TcpListener::bind(address).await?;
    println!("ready http://{}", acceptor.local_addr()?);
    Ok(axum::serve(acceptor, app).await?)
}
