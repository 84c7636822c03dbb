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
/// use eric_sse::{Adapter, Delivery};
///
/// struct Upper;
///
/// impl Adapter for Upper {
///     type Out = String;
///     fn adapt(&self, delivery: &Delivery) -> String {
///         delivery.message().kind().as_str().to_uppercase()
///     }
/// }
/// # let _ = Upper;
/// ```
pub trait Adapter {
    /// What it makes of a message.
    type Out;

    /// Makes it.
    fn adapt(&self, delivery: &Delivery) -> Self::Out;

    /// What it makes of a gap; nothing, unless it says otherwise.
    fn gap(&self, gap: &Gap) -> Option<Self::Out> {
        let _ = gap;
        None
    }
}

/// A [`MessageStream`] whose events passed through an [`Adapter`].
pub struct Adapted<A> {
    pub(super) stream: MessageStream,
    pub(super) adapter: A,
}

impl<A> Adapted<A> {
    /// The stream before the adapter.
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
