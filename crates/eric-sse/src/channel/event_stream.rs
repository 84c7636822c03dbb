//! A stream as the body of an HTTP answer, from its first byte to its last words.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use super::adapter::{Adapted, Frames};
use super::stream::MessageStream;
use crate::clock::Clock;
use crate::error::Result;
use crate::limits::HEARTBEAT_S;
use crate::log::BoxFuture;
use crate::sse::encode::{Format, HEARTBEAT, end_frame, prologue};

/// How often a stream looks whether it was silent; so it never is for longer than twice that.
const LOOK: Duration = Duration::from_millis(HEARTBEAT_S * 500);

/// The bytes of a whole `text/event-stream`: [`MessageStream::event_stream`]. Each item is one or more whole lines.
///
/// It begins at once, tells of gaps, is never silent for 15 s, and ends with the control event that says why.
///
/// ```
/// use eric_sse::EventStream;
/// use eric_sse::sse::encode::Format;
/// use futures_util::StreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let mut first: EventStream = news.message_stream(&bob).await?.event_stream(Format::Payload);
/// let _second = news.message_stream(&bob).await?;
/// let pieces: Vec<_> = first.by_ref().map(|piece| piece.unwrap()).collect().await;
/// assert_eq!(pieces.concat(), b":ok\nretry: 3000\nevent: eric.replaced\nretry: 60000\ndata: {}\n\n");
/// # Ok(())
/// # });
/// ```
pub struct EventStream {
    frames: Adapted<Frames>,
    clock: Arc<dyn Clock>,
    opening: Option<Bytes>,
    has_control_events: bool,
    /// Runs while there is nothing to hand out.
    look: Option<BoxFuture<'static, ()>>,
    /// Whether something was handed out since it was last looked.
    was_heard: bool,
    is_over: bool,
}

impl MessageStream {
    /// The same stream as the body of an HTTP answer whose content type is `text/event-stream`, for applications that
    /// embed the hub. `format` is [`Format::Payload`] or [`Format::Envelope`]; the others have neither a beginning nor
    /// an end of their own, and are left as [`MessageStream::frames`] makes them.
    ///
    /// Every message is encoded once, whoever reads it. A body that is dropped ends the stream, and what was handed out
    /// counts as consumed: take `Last-Event-ID` for where it begins ([`ReadFrom`](crate::ReadFrom)), and clients that
    /// come back miss nothing.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::sse::encode::Format;
    /// use futures_util::StreamExt as _;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut body = news.message_stream(&bob).await?.event_stream(Format::Payload);
    /// assert_eq!(body.next().await.unwrap()?, ":ok\nretry: 3000\n");
    ///
    /// let taken = news.broadcast(Message::of("greeting", "hello")?).await?;
    /// let event = format!("id: {}\nevent: greeting\ndata: \"hello\"\n\n", taken.position);
    /// assert_eq!(body.next().await.unwrap()?, event);
    ///
    /// news.remove_listener(bob.id()).await?;
    /// assert_eq!(body.next().await.unwrap()?, "event: eric.removed\ndata: {}\n\n");
    /// assert!(body.next().await.is_none());
    /// # Ok(())
    /// # });
    /// ```
    pub fn event_stream(self, format: Format) -> EventStream {
        let channel = self.subscription().channel().clone();
        let has_control_events = format.has_control_events();
        EventStream {
            opening: has_control_events.then(|| prologue(channel.settings().retry()).into()),
            clock: channel.core().clock.clone(),
            frames: self.adapt(Frames { format, channel }),
            has_control_events,
            look: None,
            was_heard: true,
            is_over: false,
        }
    }
}

impl EventStream {
    /// Whether nothing was handed out for so long that it is time for a sign of life.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let look = self.look.get_or_insert_with(|| self.clock.sleep(LOOK));
            ready!(look.as_mut().poll(context));
            self.look = None;
            if !std::mem::replace(&mut self.was_heard, false) {
                return Poll::Ready(());
            }
        }
    }
}

impl Stream for EventStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(opening) = this.opening.take() {
            return Poll::Ready(Some(Ok(opening)));
        }
        if this.is_over {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut this.frames).poll_next(context) {
            Poll::Ready(Some(frame)) => frame,
            Poll::Ready(None) => {
                this.is_over = true;
                let end = this.frames.stream().end().filter(|_| this.has_control_events);
                return Poll::Ready(end.and_then(end_frame).map(Ok));
            }
            Poll::Pending if this.has_control_events => {
                ready!(this.poll_silence(context));
                return Poll::Ready(Some(Ok(Bytes::from_static(HEARTBEAT))));
            }
            Poll::Pending => return Poll::Pending,
        };
        this.was_heard = true;
        Poll::Ready(Some(frame))
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("stream", self.frames.stream()).finish_non_exhaustive()
    }
}
