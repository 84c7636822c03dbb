//! Event streams that reconnect by themselves: a listener's, or a channel's for those who only watch.
//!
//! Nothing is lost, doubled or reordered over a cut: the stream is resumed after the last event that came whole. What
//! is read from one connection is `reading`'s, how one is opened `source`'s; here is the way from one to the next.

mod reading;
mod source;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use eric_protocol::{Code, Slow};
use eric_sse::{Ack, ChannelId, Conflict, ListenerId, Position, ReadFrom};
use futures_core::Stream;
use reqwest::Response;
use tokio::time::{Instant, Sleep, sleep};

use crate::answer::{Gap, Received};
use crate::back_off::BackOff;
use crate::error::{Error, ErrorKind};
use crate::http::HttpClient;
use crate::limits::{FORMER_SELF_S, RETRY_DEFAULT_MS, RETRY_MS_MAX, SILENCE_S};
use reading::{Reading, Told};
use source::{Opening, Source};

/// How to subscribe.
///
/// ```
/// use eric_client::{Ack, ReadFrom, SubscribeOptions};
///
/// let options = SubscribeOptions { ack: Ack::Manual, ..SubscribeOptions::default() };
/// assert_eq!((options.after, options.give_up_after), (ReadFrom::Cursor, None));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Where the stream begins.
    pub after: ReadFrom,
    /// Who moves the listener's cursor. With [`Ack::Manual`] it is [`HttpClient::ack`].
    pub ack: Ack,
    /// What to do where the listener has a live stream. Who refuses tries for a minute after a cut, for that stream may
    /// be its own, which the hub has not missed yet.
    pub conflict: Conflict,
    /// What happens where messages are not taken as fast as they come. With [`Ack::Manual`] nothing can be left out:
    /// [`Slow::Drop`] and [`Slow::Latest`] are refused.
    pub slow: Slow,
    /// How long to be without a connection before giving up; none is for ever.
    pub give_up_after: Option<Duration>,
}

/// How to watch.
///
/// ```
/// use eric_client::{ReadFrom, WatchOptions};
///
/// let all = WatchOptions { after: ReadFrom::Earliest, ..WatchOptions::default() };
/// assert_eq!(all.give_up_after, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// Where the stream begins; [`ReadFrom::Cursor`] is the newest message.
    pub after: ReadFrom,
    /// What happens where messages are not taken as fast as they come.
    pub slow: Slow,
    /// How long to be without a connection before giving up; none is for ever.
    pub give_up_after: Option<Duration>,
}

/// What a stream tells.
///
/// ```
/// # use eric_client::{Message, SubscribeOptions};
/// # use futures_util::StreamExt as _;
/// use eric_client::Event;
///
/// # eric_testkit::http_example(async |hub, news, bob| {
/// hub.broadcast(&news, Message::of("tick", &7)?).await?;
/// let mut events = hub.subscribe(&news, &bob, SubscribeOptions::default());
/// let tick = loop {
///     match events.next().await.expect("it goes on")? {
///         Event::Message(received) => break received,
///         Event::Gap(gap) => println!("{:?} messages are gone", gap.missed),
///         Event::Disconnected { error, retry_in } => println!("{error}; again in {retry_in:?}"),
///         _ => {}
///     }
/// };
/// assert_eq!(tick.payload, "7");
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The stream is open, for the first time or again. What is published from now on will come.
    Connected,
    /// A message.
    Message(Received),
    /// Messages are missing here.
    Gap(Gap),
    /// The connection is lost, or could not be made; another is tried in a while.
    Disconnected {
        /// Why.
        error: Error,
        /// How long the next attempt waits.
        retry_in: Duration,
    },
    /// The hub has ended the stream for good. Nothing follows.
    Ended(EndReason),
}

/// Why a hub ends a stream for good.
///
/// ```
/// # use eric_client::{Event, SubscribeOptions};
/// # use futures_util::StreamExt as _;
/// use eric_client::EndReason;
///
/// # eric_testkit::http_example(async |hub, news, bob| {
/// let mut events = hub.subscribe(&news, &bob, SubscribeOptions::default());
/// let mut ended = None;
/// while let Some(event) = events.next().await {
///     match event? {
///         Event::Connected => hub.remove_listener(&news, &bob).await?,
///         Event::Ended(reason) => ended = Some(reason),
///         _ => {}
///     }
/// }
/// assert_eq!(ended, Some(EndReason::Removed));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Another stream of the listener began.
    Replaced,
    /// The listener or its channel was removed.
    Removed,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaced => "another stream of the listener began",
            Self::Removed => "the listener or its channel was removed",
        })
    }
}

/// A stream of [`Event`]s that reconnects by itself. It needs a Tokio runtime with I/O and time enabled, does something
/// only while it is polled, and is over when it is dropped.
///
/// It ends after [`Event::Ended`], or after an error: one that another attempt cannot mend (the channel or listener is
/// unknown, the request is refused), or the last one where it is to give up.
///
/// ```
/// # use eric_client::{Event, Message, SubscribeOptions};
/// # use futures_util::StreamExt as _;
/// # eric_testkit::http_example(async |hub, news, bob| {
/// hub.broadcast_lines(&news, &[Message::of("tick", &1)?, Message::of("tick", &2)?]).await?;
/// let mut ticks = Vec::new();
/// let mut events = hub.subscribe(&news, &bob, SubscribeOptions::default());
/// while let Some(event) = events.next().await {
///     match event? {
///         Event::Message(received) => ticks.push(received.payload),
///         Event::Disconnected { error, retry_in } => eprintln!("{error}; again in {retry_in:?}"),
///         _ => {}
///     }
///     if ticks.len() == 2 {
///         break;
///     }
/// }
/// assert_eq!(ticks, ["1", "2"]);
/// # Ok(())
/// # });
/// ```
pub struct Events {
    source: Source,
    state: State,
    pending: VecDeque<Pending>,
    /// The last id that came.
    seen: Option<Position>,
    /// Where the listener was before the hub was first asked for its stream, for when no id has come.
    fallback: Option<Position>,
    /// The last id that was handed out.
    position: Option<Position>,
    retry: Duration,
    back_off: BackOff,
    /// Since when there is no connection that was told of.
    lost_at: Option<Instant>,
    was_connected: bool,
    give_up_after: Option<Duration>,
}

enum State {
    /// To be opened at the next poll.
    Idle,
    Opening(Pin<Box<dyn Future<Output = Opening> + Send>>),
    Open(Box<Open>),
    Waiting(Pin<Box<Sleep>>),
    Over,
}

/// A connection that is open.
struct Open {
    body: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    reading: Reading,
    silence: Pin<Box<Sleep>>,
}

/// What is to be handed out, and the position that goes with it.
struct Pending {
    event: Result<Event, Error>,
    position: Option<Position>,
}

impl Events {
    pub(crate) fn subscribe(
        client: HttpClient,
        channel: ChannelId,
        listener: ListenerId,
        options: SubscribeOptions,
    ) -> Self {
        let (after, give_up_after) = (options.after, options.give_up_after);
        Self::new(Source::listener(client, channel, listener, &options), after, give_up_after)
    }

    pub(crate) fn watch(client: HttpClient, channel: ChannelId, options: WatchOptions) -> Self {
        let WatchOptions { after, slow, give_up_after } = options;
        Self::new(Source::watcher(client, channel, after, slow), after, give_up_after)
    }

    fn new(source: Source, after: ReadFrom, give_up_after: Option<Duration>) -> Self {
        let position = match after {
            ReadFrom::After(position) => Some(position),
            _ => None,
        };
        let retry = Duration::from_millis(RETRY_DEFAULT_MS);
        Self {
            source,
            state: State::Idle,
            pending: VecDeque::new(),
            seen: position,
            fallback: None,
            position,
            retry,
            back_off: back_off(retry),
            lost_at: None,
            was_connected: false,
            give_up_after,
        }
    }

    /// The position after which another stream would go on: that of the last message that was handed out, or where the
    /// stream began. None where that is not known yet.
    ///
    /// ```
    /// # use eric_client::{Event, Message, ReadFrom, WatchOptions};
    /// # use futures_util::StreamExt as _;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// hub.broadcast(&news, Message::of("tick", &7)?).await?;
    /// let earliest = WatchOptions { after: ReadFrom::Earliest, ..WatchOptions::default() };
    /// let mut events = hub.watch(&news, earliest);
    /// assert_eq!(events.position(), None);
    /// while let Some(event) = events.next().await {
    ///     if let Event::Message(received) = event? {
    ///         assert_eq!(events.position(), Some(received.id));
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # });
    /// ```
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    fn push(&mut self, event: Event) {
        self.pending.push_back(Pending { event: Ok(event), position: None });
    }

    fn end(&mut self, event: Result<Event, Error>) {
        self.pending.push_back(Pending { event, position: None });
        self.state = State::Over;
    }

    fn opened(&mut self, opening: Opening) {
        let Opening { fallback, response } = opening;
        self.fallback = fallback;
        match response {
            Ok(response) => {
                let open = Open::new(response);
                self.state = State::Open(Box::new(open));
                // Without a position the stream is primed: it says where it begins, and only then nothing can be lost.
                if self.seen.is_some() {
                    self.connected();
                }
            }
            Err(error) => self.lost(error, None),
        }
    }

    fn connected(&mut self) {
        self.pending.push_back(Pending { event: Ok(Event::Connected), position: self.seen });
        self.lost_at = None;
        self.was_connected = true;
        self.back_off = back_off(self.retry);
    }

    /// There is no connection, or none any more: gives up, or waits for the next attempt.
    fn lost(&mut self, error: Error, least: Option<Duration>) {
        let lost_at = *self.lost_at.get_or_insert_with(Instant::now);
        if self.is_final(&error, lost_at) {
            return self.end(Err(error));
        }
        // The hub may have begun the stream, and moved the cursor over what never came here.
        if self.seen.is_none() && !matches!(error.kind(), ErrorKind::Refused(_)) {
            self.seen = self.fallback;
        }
        let retry_in = self.back_off.pause(least.max(error.retry_after()));
        if self.give_up_after.is_some_and(|most| lost_at.elapsed() + retry_in > most) {
            return self.end(Err(error));
        }
        self.push(Event::Disconnected { error, retry_in });
        self.state = State::Waiting(Box::pin(sleep(retry_in)));
    }

    /// Whether another attempt cannot mend it.
    fn is_final(&self, error: &Error, lost_at: Instant) -> bool {
        match error.kind() {
            // The hub may not have missed our former connection yet.
            ErrorKind::Refused(Code::Conflict) if self.was_connected => {
                lost_at.elapsed() > Duration::from_secs(FORMER_SELF_S)
            }
            _ => !error.is_temporary(),
        }
    }

    /// Takes what one connection told.
    fn take(&mut self, told: Vec<Told>) {
        for told in told {
            match told {
                Told::At(position) => {
                    self.seen = Some(position);
                    if self.lost_at.is_some() {
                        self.connected();
                    }
                }
                Told::Message(received) => {
                    if self.lost_at.is_some() {
                        self.connected();
                    }
                    self.seen = Some(received.id);
                    let position = self.seen;
                    self.pending.push_back(Pending { event: Ok(Event::Message(received)), position });
                }
                Told::Gap(gap) => self.push(Event::Gap(gap)),
                Told::Retry(retry) => {
                    self.retry = retry;
                    self.back_off = back_off(retry);
                }
                Told::Ended(reason) => return self.end(Ok(Event::Ended(reason))),
                Told::Shutdown => {
                    let least = self.retry;
                    return self.lost(Error::unreachable("the hub is stopping"), Some(least));
                }
            }
        }
    }

    /// Goes on by one step; ready once there may be something to hand out.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Idle => {
                self.lost_at.get_or_insert_with(Instant::now);
                self.state = State::Opening(Box::pin(self.source.open(self.seen)));
            }
            State::Opening(opening) => {
                let opening = ready!(opening.as_mut().poll(context));
                self.opened(opening);
            }
            State::Open(open) => match ready!(open.poll_read(context)) {
                Ok(told) => self.take(told),
                Err(Cut { told, error }) => {
                    self.take(told);
                    if matches!(self.state, State::Open(_)) {
                        self.lost(error, None);
                    }
                }
            },
            State::Waiting(wait) => {
                ready!(wait.as_mut().poll(context));
                self.state = State::Idle;
            }
            State::Over => {}
        }
        Poll::Ready(())
    }
}

impl Stream for Events {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let events = self.get_mut();
        loop {
            if let Some(Pending { event, position }) = events.pending.pop_front() {
                events.position = position.or(events.position);
                return Poll::Ready(Some(event));
            }
            if matches!(events.state, State::Over) {
                return Poll::Ready(None);
            }
            ready!(events.poll_step(context));
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, position, was_connected, .. } = self;
        f.debug_struct("Events")
            .field("source", source)
            .field("position", position)
            .field("was_connected", was_connected)
            .finish_non_exhaustive()
    }
}

/// A connection that is no more, and what it told before.
struct Cut {
    told: Vec<Told>,
    error: Error,
}

impl Open {
    fn new(response: Response) -> Self {
        let silence = Box::pin(sleep(Duration::from_secs(SILENCE_S)));
        Self { body: Box::pin(response.bytes_stream()), reading: Reading::new(), silence }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<Told>, Cut>> {
        let cut = |error| Cut { told: Vec::new(), error };
        match self.body.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.silence.as_mut().reset(Instant::now() + Duration::from_secs(SILENCE_S));
                let mut told = Vec::new();
                Poll::Ready(match self.reading.feed(&bytes, &mut told) {
                    Ok(()) => Ok(told),
                    Err(error) => Err(Cut { told, error }),
                })
            }
            Poll::Ready(Some(Err(error))) => {
                let error = Error::unreachable("the stream was cut").caused_by(error.without_url());
                Poll::Ready(Err(cut(error)))
            }
            Poll::Ready(None) => Poll::Ready(Err(cut(Error::unreachable("the hub ended the stream")))),
            Poll::Pending => {
                ready!(self.silence.as_mut().poll(context));
                let text = format!("nothing came for silence_s={SILENCE_S}: the connection is dead");
                Poll::Ready(Err(cut(Error::unreachable(text))))
            }
        }
    }
}

fn back_off(retry: Duration) -> BackOff {
    BackOff::new(retry, Duration::from_millis(RETRY_MS_MAX))
}
