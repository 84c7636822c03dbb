//! The adapter of the reference's SSE channel: `{event, retry, data}`.
//!
//! For whoever writes event streams with a library of its own. Frames that are ready to be sent are
//! [`MessageStream::frames`](crate::MessageStream::frames).

use std::time::Duration;

use crate::channel::Delivery;
use crate::channel::adapter::Adapter;
use crate::message::{MessageType, Payload};

/// One message as the fields of a Server-Sent Event.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::Adapter as _;
/// use eric_sse::prefab::sse::{SseAdapter, SseEvent};
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// news.broadcast(Message::of("tick", &1)?).await?;
/// let delivery = news.deliver_next(bob.id()).await?.expect("one waits");
/// let SseEvent { event, retry, data } = SseAdapter { retry: news.settings().retry() }.adapt(&delivery);
/// let frame = format!("event: {event}\nretry: {}\ndata: {}\n\n", retry.as_millis(), data.as_json());
/// assert_eq!(frame, "event: tick\nretry: 3000\ndata: 1\n\n");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The message's type.
    pub event: MessageType,
    /// The channel's reconnection time.
    pub retry: Duration,
    /// The message's payload.
    pub data: Payload,
}

/// Adapts messages to [`SseEvent`]s.
///
/// ```
/// use std::time::Duration;
/// use eric_sse::{ChannelSettings, Hub, Message};
/// use eric_sse::prefab::sse::SseAdapter;
/// use futures_util::StreamExt as _;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let channel = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// let adapter = SseAdapter { retry: channel.settings().retry() };
/// let mut events = channel.watch_stream()?.adapt(adapter);
/// channel.broadcast(Message::of("tick", &1)?).await?;
/// let event = events.next().await.unwrap()?;
/// assert_eq!((event.event.as_str(), event.retry), ("tick", Duration::from_secs(3)));
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseAdapter {
    /// The reconnection time to put into every event.
    pub retry: Duration,
}

impl Adapter for SseAdapter {
    type Out = SseEvent;

    fn adapt(&self, delivery: &Delivery) -> SseEvent {
        let message = delivery.message();
        SseEvent { event: message.kind().clone(), retry: self.retry, data: message.payload().clone() }
    }
}
