//! Where a stream comes from, and how one connection to it is made.

use std::time::Duration;

use eric_protocol::Slow;
use eric_sse::{Ack, ChannelId, Conflict, ListenerId, Position, ReadFrom};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, Url};
use tokio::time::timeout;

use super::SubscribeOptions;
use crate::error::Error;
use crate::http::HttpClient;
use crate::limits::ANSWER_S;

/// What is asked for, whatever was received already.
#[derive(Debug, Clone)]
pub(super) struct Source {
    client: HttpClient,
    url: Url,
    /// Whose cursor moves by itself from where it is.
    cursor_of: Option<(ChannelId, ListenerId)>,
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Opening {
    /// Where the listener was just before.
    pub(super) fallback: Option<Position>,
    pub(super) response: Result<Response, Error>,
}

impl Source {
    pub(super) fn listener(
        client: HttpClient,
        channel: ChannelId,
        listener: ListenerId,
        options: &SubscribeOptions,
    ) -> Self {
        let SubscribeOptions { after, ack, conflict, slow, .. } = *options;
        let mut url = client.listener_route(&channel, &listener, &["events"]);
        let ack_name = match ack {
            Ack::Auto => "auto",
            Ack::Manual => "manual",
        };
        let conflict = match conflict {
            Conflict::Replace => "replace",
            Conflict::Refuse => "refuse",
        };
        url.query_pairs_mut().append_pair("ack", ack_name).append_pair("conflict", conflict);
        begin(&mut url, after, slow);
        let cursor_of = (after == ReadFrom::Cursor && ack == Ack::Auto).then_some((channel, listener));
        Self { client, url, cursor_of }
    }

    pub(super) fn watcher(client: HttpClient, channel: ChannelId, after: ReadFrom, slow: Slow) -> Self {
        let mut url = client.route(&["channels", channel.as_str(), "events"]);
        begin(&mut url, after, slow);
        Self { client, url, cursor_of: None }
    }

    /// Opens the stream after `seen`, or where it begins.
    pub(super) fn open(&self, seen: Option<Position>) -> impl Future<Output = Opening> + Send + 'static {
        let source = self.clone();
        async move {
            match source.fallback(seen).await {
                Ok(fallback) => Opening { fallback, response: source.connect(seen).await },
                Err(error) => Opening { fallback: None, response: Err(error) },
            }
        }
    }

    /// Where the listener is, in case that the hub begins its stream, takes messages for received that vanish with the
    /// connection, and no id comes with which to ask for them again.
    async fn fallback(&self, seen: Option<Position>) -> Result<Option<Position>, Error> {
        match (&self.cursor_of, seen) {
            (Some((channel, listener)), None) => {
                self.client.listener(channel, listener).await.map(|listener| Some(listener.cursor))
            }
            _ => Ok(None),
        }
    }

    async fn connect(&self, seen: Option<Position>) -> Result<Response, Error> {
        let mut url = self.url.clone();
        if seen.is_none() {
            url.query_pairs_mut().append_pair("prime", "1");
        }
        let mut request = self.client.stream_request(url);
        if let Some(position) = seen {
            request = request.header("last-event-id", position.to_string());
        }
        let due = Duration::from_secs(ANSWER_S);
        let response = match timeout(due, request.send()).await {
            Ok(response) => response.map_err(|error| self.client.failed(error))?,
            Err(_) => return Err(Error::unreachable(format!("the hub did not answer within {ANSWER_S} s"))),
        };
        let media_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if response.status() == 200 && media_type.starts_with(b"text/event-stream") {
            return Ok(response);
        }
        match timeout(due, self.client.refusal(response)).await {
            Ok(error) => Err(error),
            Err(_) => {
                Err(Error::unreachable(format!("the hub did not say within {ANSWER_S} s why it refuses")))
            }
        }
    }
}

fn begin(url: &mut Url, after: ReadFrom, slow: Slow) {
    let mut query = url.query_pairs_mut();
    query.append_pair("data", "envelope").append_pair("slow", slow.name());
    match after {
        ReadFrom::Earliest => query.append_pair("after", "earliest"),
        ReadFrom::Latest => query.append_pair("after", "latest"),
        // A position goes with every request, as the last id.
        ReadFrom::Cursor | ReadFrom::After(_) => &mut query,
    };
}
