//! Publishing: broadcast to all listeners, dispatch to one; one message or a batch.
//!
//! What is published has a key before the first attempt, so that a further one cannot double it.

use bytes::Bytes;
use eric_protocol::Code;
use eric_sse::limits::{BATCH_MESSAGES_MAX, HTTP_BODY_BYTES_MAX};
use eric_sse::{ChannelId, ListenerId, Message, Publish};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use uuid::Uuid;

use super::HttpClient;
use crate::answer::{Taken, TakenBatch, TakenBatchBody, TakenBody};
use crate::error::{Error, ErrorKind};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

impl HttpClient {
    /// Publishes to all listeners and watchers of a channel.
    ///
    /// A message without an id or a key gets a key, which receivers do not see. What fails for a while is tried again
    /// by the client's [`RetryPolicy`](crate::RetryPolicy), and never doubled by it.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code), [`Code::KeyReused`](crate::Code),
    /// [`Code::LimitExceeded`](crate::Code). With [`ErrorKind::Unreachable`](crate::ErrorKind) it is not known whether
    /// the message was taken; publish it again only where it has an id or a key of yours.
    ///
    /// # Cancel safety
    /// If dropped, the message may or may not have been published.
    ///
    /// ```
    /// # use eric_client::Message;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let taken = hub.broadcast(&news, Message::of("headline", "Eric runs")?).await?;
    /// assert_eq!(hub.channel(&news).await?.tail, Some(taken.id));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn broadcast(&self, channel: &ChannelId, message: impl Into<Publish>) -> Result<Taken, Error> {
        self.publish(self.route(&["channels", channel.as_str(), "messages"]), message.into()).await
    }

    /// Publishes to one listener, as [`HttpClient::broadcast`] does to all.
    ///
    /// # Errors
    /// As [`HttpClient::broadcast`], and [`Code::UnknownListener`](crate::Code).
    ///
    /// # Cancel safety
    /// If dropped, the message may or may not have been published.
    ///
    /// ```
    /// # use eric_client::{Message, Publish};
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// // The key is the publisher's own; receivers do not see it.
    /// let note = Publish { message: Message::of("note", "for bob")?, key: Some("note-1".parse()?) };
    /// hub.dispatch(&news, &bob, note.clone()).await?;
    /// assert!(hub.dispatch(&news, &bob, note).await?.is_repetition);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn dispatch(
        &self,
        channel: &ChannelId,
        listener: &ListenerId,
        message: impl Into<Publish>,
    ) -> Result<Taken, Error> {
        self.publish(self.listener_route(channel, listener, &["messages"]), message.into()).await
    }

    /// Publishes a batch to all listeners and watchers of a channel: contiguous, all or nothing.
    ///
    /// A message without an id gets one, `<uuid>-<n>`, which receivers see. Else as [`HttpClient::broadcast`].
    ///
    /// # Errors
    /// [`Code::TooLarge`](crate::Code) beyond 10,000 messages or 64 MiB, [`Code::BadRequest`](crate::Code) for none;
    /// [`Error::line`] tells which message is at fault. Else as [`HttpClient::broadcast`].
    ///
    /// # Cancel safety
    /// If dropped, the batch may or may not have been published, but no part of it alone.
    ///
    /// ```
    /// # use eric_client::Message;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let batch = [Message::of("tick", &1)?, Message::of("tick", &2)?];
    /// let taken = hub.broadcast_lines(&news, &batch).await?;
    /// assert_eq!(taken.ids.len(), 2);
    /// assert_eq!(hub.listener(&news, &bob).await?.backlog, 2);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn broadcast_lines(
        &self,
        channel: &ChannelId,
        messages: &[Message],
    ) -> Result<TakenBatch, Error> {
        self.publish_lines(self.route(&["channels", channel.as_str(), "messages"]), messages).await
    }

    /// Publishes a batch to one listener, as [`HttpClient::broadcast_lines`] does to all.
    ///
    /// # Errors
    /// As [`HttpClient::broadcast_lines`], and [`Code::UnknownListener`](crate::Code).
    ///
    /// # Cancel safety
    /// If dropped, the batch may or may not have been published, but no part of it alone.
    ///
    /// ```
    /// # use eric_client::{Message, PullOptions};
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let jobs = [Message::of("job", &1)?, Message::of("job", &2)?];
    /// hub.dispatch_lines(&news, &bob, &jobs).await?;
    /// let pulled = hub.pull(&news, &bob, &PullOptions::default()).await?;
    /// assert_eq!(pulled.messages[1].payload, "2");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn dispatch_lines(
        &self,
        channel: &ChannelId,
        listener: &ListenerId,
        messages: &[Message],
    ) -> Result<TakenBatch, Error> {
        self.publish_lines(self.listener_route(channel, listener, &["messages"]), messages).await
    }

    async fn publish(&self, url: Url, publish: Publish) -> Result<Taken, Error> {
        let Publish { message, key } = publish;
        let key = key.as_ref().map_or_else(|| Uuid::new_v4().to_string(), ToString::to_string);
        let is_told = message.id().is_some_and(|id| id.as_str() == key);
        let mut body = Vec::with_capacity(message.bytes() + 128);
        put_message(&mut body, &message, None);
        let mut request = self.request(Method::POST, url).header(CONTENT_TYPE, "application/json");
        // A key that is the message's id is in the body already.
        if !is_told {
            let header = HeaderValue::from_bytes(key.as_bytes())
                .map_err(|error| Error::bad_request("key cannot be a header").caused_by(error))?;
            request = request.header(IDEMPOTENCY_KEY, header);
        }
        let answer = self.send_again(request.body(body)).await?;
        Ok(Taken { id: answer.read::<TakenBody>()?.id, is_repetition: !answer.is_created() })
    }

    async fn publish_lines(&self, url: Url, messages: &[Message]) -> Result<TakenBatch, Error> {
        let body = lines(messages)?;
        let request = self.request(Method::POST, url).header(CONTENT_TYPE, "application/x-ndjson");
        let answer = self.send_again(request.body(body)).await?;
        let ids = answer.read::<TakenBatchBody>()?.ids;
        let ids: Result<Vec<_>, _> = ids.iter().map(|id| id.parse()).collect();
        let ids = ids.map_err(|error: eric_sse::Error| {
            Error::malformed("the hub answered with what is no position").caused_by(error)
        })?;
        if ids.len() != messages.len() {
            let text = format!("the hub took {} messages and was sent {}", ids.len(), messages.len());
            return Err(Error::malformed(text));
        }
        Ok(TakenBatch { ids, are_repetitions: !answer.is_created() })
    }
}

/// `messages` as one line each, and each with an id.
fn lines(messages: &[Message]) -> Result<Bytes, Error> {
    let too_large = |text: String| Err(Error::new(ErrorKind::Refused(Code::TooLarge), text));
    if messages.is_empty() {
        return Err(Error::bad_request("batch has no message"));
    }
    if messages.len() > BATCH_MESSAGES_MAX {
        let count = messages.len();
        return too_large(format!(
            "batch has {count} messages, more than batch_messages_max={BATCH_MESSAGES_MAX}"
        ));
    }
    let batch = Uuid::new_v4();
    let mut body = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        put_message(&mut body, message, Some(format!("{batch}-{number}")));
        body.push(b'\n');
        if body.len() > HTTP_BODY_BYTES_MAX {
            return too_large(format!("batch has more than http_body_bytes_max={HTTP_BODY_BYTES_MAX} bytes"));
        }
    }
    Ok(body.into())
}

/// Puts `message` as the hub reads it; `id` is its id where it has none of its own.
fn put_message(body: &mut Vec<u8>, message: &Message, id: Option<String>) {
    body.extend_from_slice(br#"{"type":"#);
    put_text(body, message.kind().as_str());
    body.extend_from_slice(br#","payload":"#);
    body.extend_from_slice(message.payload().bytes());
    if let Some(id) = message.id().map(ToString::to_string).or(id) {
        body.extend_from_slice(br#","id":"#);
        put_text(body, &id);
    }
    if let Some(sender) = message.sender() {
        body.extend_from_slice(br#","sender_id":"#);
        put_text(body, sender.as_str());
    }
    body.push(b'}');
}

/// Puts `text` as a JSON string.
pub(crate) fn put_text(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("a text is JSON, and a vector takes it");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_hub_reads_what_was_meant(
            kind in "[^\r\n\0]{0,20}",
            payload in ".*",
            id in proptest::option::of("[ -~]{1,20}"),
            sender in proptest::option::of("[a-zé\"\\\\ ]{1,20}"),
        ) {
            prop_assume!(!kind.starts_with("eric."));
            let mut message = Message::of(&kind, &payload).unwrap();
            if let Some(id) = &id {
                message = message.with_id(id.parse().unwrap());
            }
            if let Some(sender) = &sender {
                message = message.with_sender(sender.parse().unwrap());
            }
            let mut body = Vec::new();
            put_message(&mut body, &message, None);
            let read = eric_protocol::message::one(std::str::from_utf8(&body).unwrap(), None).unwrap();
            prop_assert_eq!(read.message, message);
        }
    }

    #[test]
    fn a_batch_has_1_to_10_000_messages_and_64_mib_and_each_an_id() {
        let message = Message::of("t", &1).unwrap();
        let own = message.clone().with_id("mine".parse().unwrap());
        let body = lines(&[message.clone(), own, message.clone()]).unwrap();
        let read = eric_protocol::message::lines(std::str::from_utf8(&body).unwrap()).unwrap();
        let ids: Vec<_> = read.iter().map(|publish| publish.message.id().unwrap().as_str()).collect();
        assert!(ids[0].ends_with("-0") && ids[1] == "mine" && ids[2].ends_with("-2"), "{ids:?}");
        let code = |count: usize, message: &Message| {
            lines(&vec![message.clone(); count]).map(|_| ()).map_err(|error| error.code())
        };
        assert_eq!(code(0, &message), Err(Some(Code::BadRequest)));
        assert_eq!(code(BATCH_MESSAGES_MAX, &message), Ok(()));
        assert_eq!(code(BATCH_MESSAGES_MAX + 1, &message), Err(Some(Code::TooLarge)));
        let large = Message::of("t", &"x".repeat(HTTP_BODY_BYTES_MAX / 8)).unwrap();
        assert_eq!((code(7, &large), code(8, &large)), (Ok(()), Err(Some(Code::TooLarge))));
    }
}
