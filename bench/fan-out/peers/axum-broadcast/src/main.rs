//! Server-sent events as one writes them in ten minutes: axum's `Sse` over tokio's channels.
//!
//! A channel is a `broadcast` with a receiver per stream; who lags by more than it holds loses messages. A listener is an
//! `mpsc`. Nothing is kept for those who are away, and events have no ids. Measured beside Eric, and no part of it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::{Stream, StreamExt};
use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::{BroadcastStream, ReceiverStream};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// By how many messages a stream of a channel may lag.
const CHANNEL_MESSAGES_MAX: usize = 65_536;

/// How many messages wait for a listener before its publishers do.
const LISTENER_MESSAGES_MAX: usize = 1_024;

type Message = Arc<str>;

#[derive(Clone, Debug, Default)]
struct Hub {
    channels: Arc<Mutex<HashMap<String, broadcast::Sender<Message>>>>,
    listeners: Arc<Mutex<HashMap<String, mpsc::Sender<Message>>>>,
}

impl Hub {
    fn channel(&self, name: String) -> broadcast::Sender<Message> {
        let mut channels = self.channels.lock().expect("nobody panics while it is locked");
        channels.entry(name).or_insert_with(|| broadcast::Sender::new(CHANNEL_MESSAGES_MAX)).clone()
    }

    fn join(&self, name: String) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(LISTENER_MESSAGES_MAX);
        self.listeners.lock().expect("nobody panics while it is locked").insert(name, sender);
        receiver
    }

    fn listener(&self, name: &str) -> Option<mpsc::Sender<Message>> {
        self.listeners.lock().expect("nobody panics while it is locked").get(name).cloned()
    }
}

async fn subscribe(State(hub): State<Hub>, Path(name): Path<String>) -> Response {
    let messages = BroadcastStream::new(hub.channel(name).subscribe());
    events(messages.filter_map(|message| ready(message.ok())))
}

async fn publish(State(hub): State<Hub>, Path(name): Path<String>, body: String) -> StatusCode {
    // An error says that nobody listens.
    let _ = hub.channel(name).send(body.into());
    StatusCode::ACCEPTED
}

async fn subscribe_listener(State(hub): State<Hub>, Path(name): Path<String>) -> Response {
    events(ReceiverStream::new(hub.join(name)))
}

async fn publish_listener(State(hub): State<Hub>, Path(name): Path<String>, body: String) -> StatusCode {
    let Some(listener) = hub.listener(&name) else { return StatusCode::NOT_FOUND };
    match listener.send(body.into()).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}

fn events(messages: impl Stream<Item = Message> + Send + 'static) -> Response {
    let events = messages.map(|message| Ok::<_, Infallible>(Event::default().data(message)));
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

async fn serve(port: u16) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/", get(async || ()))
        .route("/channels/{name}", get(subscribe).post(publish))
        .route("/listeners/{name}", get(subscribe_listener).post(publish_listener))
        .with_state(Hub::default());
    let acceptor = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    Ok(axum::serve(acceptor, app).await?)
}

fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).context("which port?")?;
    // On one core a thread of its own for the work only adds handing over.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(port))
}
