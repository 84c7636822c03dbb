//! How an application in this process reaches a hub in another one, over HTTP; over the Unix socket it is
//! `socket/wire.rs`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use eric_protocol::Code;
use eric_sse::log::BoxFuture;
use eric_sse::prefab::distributed::{Incoming, Messages, Missed, Wire};
use eric_sse::{Ack, ChannelId, ListenerId, Message, Payload, Position};
use futures_core::Stream;

use crate::answer::Received;
use crate::error::{Error, ErrorKind};
use crate::events::{Event, Events, SubscribeOptions};
use crate::http::HttpClient;

/// A listener's way to its hub over HTTP, for [`Application`](eric_sse::prefab::distributed::Application); see
/// [`HttpClient::wire`].
///
/// ```
/// use eric_sse::prefab::distributed::Wire as _;
///
/// # eric_testkit::http_example(async |hub, news, bob| {
/// let wire = hub.wire(news.clone(), bob.clone()).await?;
/// assert_eq!((wire.channel(), wire.listener()), (&news, &bob));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct HttpWire {
    client: HttpClient,
    channel: ChannelId,
    listener: ListenerId,
}

impl HttpClient {
    /// How an application reads the queue of a listener, which is added to the channel if it is not there.
    ///
    /// It survives cuts, and restarts of the hub: it goes on after the last message that came. What it sends is tried
    /// again by the client's [`RetryPolicy`](crate::RetryPolicy).
    ///
    /// # Errors
    /// As [`HttpClient::ensure_listener`].
    ///
    /// # Cancel safety
    /// If dropped, the listener may have been added.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use eric_client::Message;
    /// use eric_sse::prefab::distributed::Application;
    ///
    /// # eric_testkit::http_example(async |hub, talk, bob| {
    /// let alice = Application::new(Arc::new(hub.wire(talk.clone(), "alice".parse()?).await?));
    /// alice.set_action("hello", |_| Ok(vec![Message::of("hello_ack", &())?]))?;
    /// let bob = Application::new(Arc::new(hub.wire(talk, bob).await?));
    ///
    /// let asks = async {
    ///     let hello = Message::of("hello", &())?;
    ///     let answer = bob.request(alice.id(), hello, Duration::from_secs(30)).await?;
    ///     for application in [&alice, &bob] {
    ///         bob.dispatch_to(application.id(), Message::of("stop", &())?).await?;
    ///     }
    ///     Ok::<_, eric_sse::Error>(answer)
    /// };
    /// let (answer, ..) = tokio::join!(asks, alice.run(|_| ()), bob.run(|_| ()));
    /// assert_eq!(answer?.kind().as_str(), "hello_ack");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn wire(&self, channel: ChannelId, listener: ListenerId) -> Result<HttpWire, Error> {
        self.ensure_listener(&channel, &listener).await?;
        Ok(HttpWire { client: self.clone(), channel, listener })
    }
}

impl Wire for HttpWire {
    fn channel(&self) -> &ChannelId {
        &self.channel
    }

    fn listener(&self) -> &ListenerId {
        &self.listener
    }

    fn receive(&self) -> BoxFuture<'_, eric_sse::Result<Messages>> {
        let options = SubscribeOptions { ack: Ack::Manual, ..SubscribeOptions::default() };
        let events = self.client.subscribe(&self.channel, &self.listener, options);
        Box::pin(std::future::ready(Ok(Box::pin(HttpMessages(events)) as Messages)))
    }

    fn dispatch<'a>(
        &'a self,
        receiver: &'a ListenerId,
        message: Message,
    ) -> BoxFuture<'a, eric_sse::Result<()>> {
        Box::pin(async move {
            let taken = self.client.dispatch(&self.channel, receiver, message).await;
            taken.map(drop).map_err(to_library)
        })
    }

    fn acknowledge(&self, position: Position) -> BoxFuture<'_, eric_sse::Result<()>> {
        Box::pin(
            async move { self.client.ack(&self.channel, &self.listener, position).await.map_err(to_library) },
        )
    }
}

struct HttpMessages(Events);

impl Stream for HttpMessages {
    type Item = eric_sse::Result<Incoming>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.0).poll_next(context)) {
                None => None,
                Some(Err(error)) => Some(Err(to_library(error))),
                Some(Ok(Event::Message(received))) => {
                    let Received { id, kind, payload, message_id, sender_id, .. } = received;
                    let message = message(&kind, &payload, message_id, sender_id);
                    Some(message.map(|message| Incoming::Message(id, message)))
                }
                Some(Ok(Event::Gap(gap))) => Some(Ok(Incoming::Missed(Missed {
                    reason: gap.reason.to_string().into(),
                    to: gap.to,
                    messages: gap.missed,
                }))),
                Some(Ok(Event::Connected | Event::Disconnected { .. } | Event::Ended(_))) => continue,
            });
        }
    }
}

/// The message that was received.
pub(crate) fn message(
    kind: &str,
    payload: &str,
    message_id: Option<String>,
    sender_id: Option<String>,
) -> eric_sse::Result<Message> {
    let mut message = Message::new(kind.parse()?, Payload::from_json(payload)?)?;
    if let Some(id) = message_id {
        message = message.with_id(id.parse()?);
    }
    if let Some(sender) = sender_id {
        message = message.with_sender(sender.parse()?);
    }
    Ok(message)
}

/// The same error in the library's words.
pub(crate) fn to_library(error: Error) -> eric_sse::Error {
    use eric_sse::ErrorKind as Kind;
    let kind = match error.kind() {
        ErrorKind::Unreachable => Kind::Unavailable,
        ErrorKind::Malformed => Kind::InvalidValue,
        ErrorKind::Refused(code) => match code {
            Code::UnknownChannel => Kind::UnknownChannel,
            Code::UnknownListener => Kind::UnknownListener,
            Code::KeyReused => Kind::KeyReused,
            Code::TooLarge => Kind::TooLarge,
            Code::Conflict => Kind::Conflict,
            Code::LimitExceeded | Code::Timeout | Code::Unavailable => Kind::Unavailable,
            Code::NoSpace => Kind::NoSpace,
            _ => Kind::InvalidMessage,
        },
    };
    eric_sse::Error::new(kind, error.to_string()).caused_by(error)
}
