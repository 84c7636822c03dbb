//! Streams whose events become something else: a user's format, or the frames that go to a client.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::Channel;
use super::delivery::{Delivery, Event};
use super::stream::MessageStream;
use crate::error::{Error, Result};
use crate::follow::Gap;
use crate::sse::encode::Format;

/// What the output of a stream looks like. The seam to users' formats.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::{Adapter, Delivery, Gap};
/// use futures_util::StreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// /// A line for each message, and one where something was missed.
/// struct Lines;
///
/// impl Adapter for Lines {
///     type Out = String;
///     fn adapt(&self, delivery: &Delivery) -> String {
///         format!("{} {}", delivery.message().kind(), delivery.message().payload().as_json())
///     }
///     fn gap(&self, gap: &Gap) -> Option<String> {
///         Some(format!("({})", gap.reason))
///     }
/// }
///
/// let mut lines = news.watch_stream()?.adapt(Lines);
/// news.broadcast(Message::of("number", &12)?).await?;
/// assert_eq!(lines.next().await.unwrap()?, "number 12");
/// # Ok(())
/// # });
/// ```
pub trait Adapter {
    /// What it makes of a message.
    type Out;

    /// Makes it.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::prefab::sse::SseAdapter;
    /// use eric_sse::Adapter as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("one waits");
    /// let event = SseAdapter { retry: news.settings().retry() }.adapt(&delivery);
    /// assert_eq!(event.event.as_str(), "headline");
    /// # Ok(())
    /// # });
    /// ```
    fn adapt(&self, delivery: &Delivery) -> Self::Out;

    /// What it makes of a gap; nothing, unless it says otherwise.
    ///
    /// ```
    /// use eric_sse::{Adapter, Delivery, Gap, GapReason};
    ///
    /// /// A delivery, or how many messages were missed.
    /// struct Counted;
    ///
    /// impl Adapter for Counted {
    ///     type Out = Result<Delivery, u64>;
    ///     fn adapt(&self, delivery: &Delivery) -> Self::Out {
    ///         Ok(delivery.clone())
    ///     }
    ///     fn gap(&self, gap: &Gap) -> Option<Self::Out> {
    ///         gap.missed.map(Err)
    ///     }
    /// }
    ///
    /// let gap = Gap { reason: GapReason::Trimmed, from: None, to: None, missed: Some(7) };
    /// assert!(matches!(Counted.gap(&gap), Some(Err(7))));
    /// ```
    fn gap(&self, gap: &Gap) -> Option<Self::Out> {
        let _ = gap;
        None
    }
}

/// A [`MessageStream`] whose events passed through an [`Adapter`].
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::sse::{SseAdapter, SseEvent};
/// use eric_sse::Adapted;
/// use futures_util::TryStreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let adapter = SseAdapter { retry: news.settings().retry() };
/// let mut events: Adapted<SseAdapter> = news.message_stream(&bob).await?.adapt(adapter);
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// let event: Option<SseEvent> = events.try_next().await?;
/// assert_eq!(event.unwrap().event.as_str(), "headline");
/// # Ok(())
/// # });
/// ```
pub struct Adapted<A> {
    pub(super) stream: MessageStream,
    pub(super) adapter: A,
}

impl<A> Adapted<A> {
    /// The stream before the adapter.
    ///
    /// ```
    /// use eric_sse::End;
    /// use eric_sse::sse::encode::Format;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut frames = news.message_stream(&bob).await?.frames(Format::Payload);
    /// bob.stop();
    /// assert!(frames.next().await.is_none());
    /// assert_eq!(frames.stream().end(), Some(End::Stopped));
    /// # Ok(())
    /// # });
    /// ```
    pub fn stream(&self) -> &MessageStream {
        &self.stream
    }
}

impl<A: Adapter + Unpin> Stream for Adapted<A> {
    type Item = Result<A::Out, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let out = match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(Event::Message(delivery))) => Some(self.adapter.adapt(&delivery)),
                Some(Ok(Event::Gap(gap))) => self.adapter.gap(&gap),
            };
            if let Some(out) = out {
                return Poll::Ready(Some(Ok(out)));
            }
        }
    }
}

impl<A> fmt::Debug for Adapted<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapted").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// The adapter of [`MessageStream::frames`].
pub(super) struct Frames {
    pub(super) format: Format,
    pub(super) channel: Channel,
}

impl Adapter for Frames {
    type Out = bytes::Bytes;

    fn adapt(&self, delivery: &Delivery) -> bytes::Bytes {
        delivery.framed.frame(self.format, self.channel.settings().retry(), &self.channel.core().stats)
    }

    fn gap(&self, gap: &Gap) -> Option<bytes::Bytes> {
        self.format.has_control_events().then(|| crate::sse::encode::gap_frame(gap))
    }
}
