//! The client of the HTTP door: every route of v1, one method each.
//!
//! Requests are made here; what they ask for is in the modules below, by noun.

mod channels;
mod listeners;
mod publish;
mod pull;
mod refused;

use std::sync::Arc;
use std::time::Duration;

use eric_protocol::Code;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

pub use channels::Paging;
#[cfg(unix)]
pub(crate) use publish::put_text;
pub use pull::PullOptions;

use crate::back_off::RetryPolicy;
use crate::error::{Error, ErrorKind, Refusal};
use crate::events::{Events, SubscribeOptions, WatchOptions};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_S, CONNECT_S, POOL_IDLE_S};

/// A client of a hub's HTTP door. Cloning is cheap and shares connections.
///
/// ```
/// use eric_client::{ErrorKind, HttpClient};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let nobody = HttpClient::new("http://127.0.0.1:1")?;
/// let error = nobody.channel(&"news".parse()?).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unreachable);
/// assert!(error.to_string().contains("is the hub running?"));
/// # Ok::<(), eric_client::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    base: Arc<Url>,
    retry: RetryPolicy,
}

impl HttpClient {
    /// A client of the hub at `url`: `http://host:port`, perhaps with a path that a proxy adds. Nothing is sent yet.
    ///
    /// A hub on this machine is reached directly, any other through the proxy that the environment names.
    ///
    /// # Errors
    /// [`Code::BadRequest`] where `url` is none, or is `https` and the client was built without its feature `tls`.
    ///
    /// ```
    /// use eric_client::{Code, HttpClient};
    ///
    /// assert!(HttpClient::new("http://[::1]:8000/behind/a/proxy").is_ok());
    /// assert_eq!(HttpClient::new("unix:/run/eric").unwrap_err().code(), Some(Code::BadRequest));
    /// ```
    pub fn new(url: &str) -> Result<Self, Error> {
        let base: Url = url.parse().map_err(|error| {
            Error::bad_request(format!("url={url} does not begin with http://")).caused_by(error)
        })?;
        match base.scheme() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => {
                return Err(Error::bad_request(format!("url={url} needs a client with the feature tls")));
            }
            _ => return Err(Error::bad_request(format!("url={url} does not begin with http://"))),
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(CONNECT_S))
            .pool_idle_timeout(Duration::from_secs(POOL_IDLE_S))
            // A POST that is sent elsewhere becomes a GET; whoever meets a redirect is told the right URL.
            .redirect(reqwest::redirect::Policy::none());
        if is_local(&base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            Error::new(ErrorKind::Refused(Code::Unavailable), "the HTTP client cannot be made")
                .caused_by(error)
        })?;
        Ok(Self { client, base: Arc::new(base), retry: RetryPolicy::default() })
    }

    /// The same client, with another way of trying again.
    ///
    /// ```
    /// # use eric_client::{HttpClient, RetryPolicy};
    /// let hub = HttpClient::new("http://127.0.0.1:8000")?;
    /// // The connections are the same, and `hub` is as patient as before.
    /// let impatient = hub.clone().with_retry(RetryPolicy::never());
    /// assert_eq!(impatient.url(), hub.url());
    /// # Ok::<(), eric_client::Error>(())
    /// ```
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Where the hub is.
    ///
    /// ```
    /// # use eric_client::HttpClient;
    /// let hub = HttpClient::new("http://127.0.0.1:8000")?;
    /// assert_eq!(hub.url(), "http://127.0.0.1:8000/");
    /// # Ok::<(), eric_client::Error>(())
    /// ```
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// A listener's stream, which reconnects by itself. Nothing is sent before it is polled.
    ///
    /// ```
    /// # use eric_client::{Event, Message, SubscribeOptions};
    /// # use futures_util::StreamExt as _;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// hub.dispatch(&news, &bob, Message::of("note", "for bob")?).await?;
    /// let mut events = hub.subscribe(&news, &bob, SubscribeOptions::default());
    /// while let Some(event) = events.next().await {
    ///     if let Event::Message(received) = event? {
    ///         assert_eq!(received.kind, "note");
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # });
    /// ```
    pub fn subscribe(
        &self,
        channel: &eric_sse::ChannelId,
        listener: &eric_sse::ListenerId,
        options: SubscribeOptions,
    ) -> Events {
        Events::subscribe(self.clone(), channel.clone(), listener.clone(), options)
    }

    /// A stream of a channel's broadcasts, which reconnects by itself. Nothing is sent before it is polled.
    ///
    /// ```
    /// # use eric_client::{Event, Message, WatchOptions};
    /// # use futures_util::StreamExt as _;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let mut events = hub.watch(&news, WatchOptions::default());
    /// while let Some(event) = events.next().await {
    ///     match event? {
    ///         Event::Connected => drop(hub.broadcast(&news, Message::of("tick", &7)?).await?),
    ///         Event::Message(received) => {
    ///             assert_eq!(received.payload, "7");
    ///             break;
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # });
    /// ```
    pub fn watch(&self, channel: &eric_sse::ChannelId, options: WatchOptions) -> Events {
        Events::watch(self.clone(), channel.clone(), options)
    }

    /// The URL of `/v1/…`. A segment is never taken apart, whatever is in it.
    pub(crate) fn route(&self, segments: &[&str]) -> Url {
        let mut url = (*self.base).clone();
        url.set_query(None);
        url.set_fragment(None);
        url.path_segments_mut().expect("http has paths").pop_if_empty().push("v1").extend(segments);
        url
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url).timeout(Duration::from_secs(ANSWER_S))
    }

    /// A request for a stream: it has no time-out of its own.
    pub(crate) fn stream_request(&self, url: Url) -> RequestBuilder {
        self.client.get(url).header(ACCEPT, "text/event-stream")
    }

    /// Sends `request` and returns its answer, which is a success.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let response = request.send().await.map_err(|error| refused::failed(error, &self.base))?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        Ok(Answer { status, url: response.url().clone(), body: self.body(response).await? })
    }

    /// Sends `request`, which can be repeated without harm, until it is answered or the client's policy ends.
    async fn send_again(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let mut attempts = self.retry.begin();
        loop {
            let attempt = request.try_clone().expect("a body of bytes can be sent again");
            match self.send(attempt).await {
                Err(error) => attempts.again(error).await?,
                answer => return answer,
            }
        }
    }

    /// What an answer says that is no success.
    pub(crate) async fn refusal(&self, response: Response) -> Error {
        let status = response.status().as_u16();
        let header = |headers: &HeaderMap, name| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let media_type = header(response.headers(), CONTENT_TYPE);
        let retry_after_s = header(response.headers(), RETRY_AFTER).parse().ok();
        // The status says something even where the body does not come.
        let body = self.body(response).await.unwrap_or_default();
        let refusal = Refusal { status, media_type: &media_type, retry_after_s, body: &body };
        Error::from_answer(&refusal, &format!("url={}", refused::shown(&self.base)))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| refused::failed(error, &self.base))? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                let shown = refused::shown(&self.base);
                let text = format!("url={shown} answered more than answer_bytes_max={ANSWER_BYTES_MAX}");
                return Err(Error::malformed(text));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    pub(crate) fn failed(&self, error: reqwest::Error) -> Error {
        refused::failed(error, &self.base)
    }
}

/// Whether a proxy has no business here.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An answer that is a success.
#[derive(Debug)]
struct Answer {
    status: u16,
    url: Url,
    body: Vec<u8>,
}

impl Answer {
    /// Whether something was made.
    fn is_created(&self) -> bool {
        self.status == 201
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (status, shown) = (self.status, refused::shown(&self.url));
            let text = format!("url={shown} answered status={status}, and not in a hub's words: is it one?");
            Error::malformed(text).caused_by(error)
        })
    }
}
