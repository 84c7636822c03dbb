//! An answer that comes token by token, as a language model writes it, to a page whose connections keep breaking.
//!
//! `cargo run --example token-stream -- 127.0.0.1:3000`, and open http://127.0.0.1:3000 in a browser.
//!
//! Each answer is a listener: its tokens wait in its queue whether somebody reads or not. Every connection here ends in
//! the middle of its fifth event; the browser comes back with the id of the last whole one, and no token is missing or
//! there twice. For that the page, `token_stream.html`, has an `EventSource` and no code of its own.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use eric_sse::sse::encode::{Format, prologue};
use eric_sse::{Channel, ChannelSettings, Connection, Error, Hub, Message, ReadFrom, Subscribe};
use futures_util::stream::{self, StreamExt as _};
use tokio::{net::TcpListener, time::Duration, time::sleep};

type Answer<T> = Result<T, StatusCode>;

const ANSWER: &str = "A queue with a cursor of its own — naïve as it looks 🙂 — is all that it takes:\n\
                      whoever comes back says how far they got, and goes on \"right there\", not a token later.";
const EVENTS_PER_CONNECTION: usize = 5;

/// The model. It writes into the answer's queue and knows nothing of who reads it, or of connections.
async fn write(answer: Connection) -> eric_sse::Result<()> {
    for token in ANSWER.split_inclusive(' ') {
        answer.channel().dispatch(answer.id(), Message::of("token", token)?).await?;
        sleep(Duration::from_millis(20)).await;
    }
    answer.channel().dispatch(answer.id(), Message::of("end", &())?).await.map(drop)
}

async fn ask(State(answers): State<Channel>) -> Answer<String> {
    let answer = answers.add_listener().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    answer.start();
    tokio::spawn(write(answer.clone()));
    Ok(answer.id().to_string())
}

async fn read(State(answers): State<Channel>, Path(id): Path<String>, head: HeaderMap) -> Answer<Response> {
    // An `EventSource` does not come back after this.
    let unknown = |_: Error| StatusCode::NOT_FOUND;
    let id = id.parse().map_err(unknown)?;
    let last = head.get("last-event-id").map(|last| String::from_utf8_lossy(last.as_bytes()).parse());
    // A page that is loaded anew knows no id, and gets the whole answer.
    let from = last.transpose().map_err(unknown)?.map_or(ReadFrom::Earliest, ReadFrom::After);
    let options = Subscribe { from, ..Subscribe::default() };
    let messages = answers.message_stream_with(&id, options).await.map_err(unknown)?;
    let begin = stream::iter([Ok(prologue(answers.settings().retry()).into())]);
    let whole = messages.frames(Format::Payload).take(EVENTS_PER_CONNECTION).enumerate();
    let torn = whole.map(|(n, frame)| match n + 1 {
        EVENTS_PER_CONNECTION => frame.map(|frame: Bytes| frame.slice(..frame.len() / 2)),
        _ => frame,
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(begin.chain(torn))).into_response())
}

/// The page has it all, says what it shows, and the answer may go. (`Hub::expire_listeners` is for the others.)
async fn forget(State(answers): State<Channel>, Path(id): Path<String>, shown: String) -> Answer<()> {
    println!("shown {shown}");
    let unknown = |_: Error| StatusCode::NOT_FOUND;
    answers.remove_listener(&id.parse().map_err(unknown)?).await.map_err(unknown)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = ChannelSettings { retry_ms: 100, ..ChannelSettings::in_memory() };
    let answers = Hub::in_memory().channels().create("answers".parse()?, settings).await?;
    let app = axum::Router::new()
        .route("/", get(Html(include_str!("token_stream.html"))))
        .route("/answers", post(ask))
        .route("/answers/{id}", get(read).delete(forget))
        .with_state(answers);
    let address = std::env::args().nth(1);
    let acceptor = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("ready http://{}", acceptor.local_addr()?);
    Ok(axum::serve(acceptor, app).await?)
}
