//! What a hub answers, as values: channels, listeners, what was received, pages of them.
//!
//! The wire's shapes are private and converted. A field that is unknown, of a later hub, is ignored.

use std::fmt;

use eric_sse::{ChannelId, ListenerId, Position};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::wire::{parsed, parsed_or_null};

/// A channel, as it was when the hub answered.
///
/// ```
/// # eric_testkit::http_example(async |hub, news, bob| {
/// let channel = hub.channel(&news).await?;
/// assert_eq!((channel.listeners, channel.connected, channel.messages), (1, 0, 0));
/// assert_eq!(channel.settings["retry_ms"], 3000);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// All its settings.
    pub settings: Map<String, Value>,
    /// Where its last broadcast stands; none where there was none.
    pub tail: Option<Position>,
    /// Broadcasts that are kept.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its listeners.
    pub listeners: u64,
    /// Those of them that have a live stream.
    pub connected: u64,
}

/// A listener, as it was when the hub answered.
///
/// ```
/// # use eric_client::Message;
/// # eric_testkit::http_example(async |hub, news, bob| {
/// hub.broadcast(&news, Message::of("tick", &7)?).await?;
/// let listener = hub.listener(&news, &bob).await?;
/// assert_eq!((listener.backlog, listener.backlog_bytes), (1, "tick7".len() as u64));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Its id.
    pub id: ListenerId,
    /// How far it has got.
    pub cursor: Position,
    /// Messages that wait for it.
    pub backlog: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// Whether it has a live stream.
    pub is_connected: bool,
}

/// A message as it was received.
///
/// ```
/// # use eric_client::{Message, Paging};
/// # eric_testkit::http_example(async |hub, news, bob| {
/// let order = Message::of("order", &17)?.with_id("order-17".parse()?);
/// hub.broadcast(&news, order).await?;
/// let received = hub.history(&news, &Paging::default()).await?.items.remove(0);
/// assert_eq!((received.kind.as_str(), received.payload.as_str()), ("order", "17"));
/// assert_eq!(received.message_id.as_deref(), Some("order-17"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Where it stands: what to acknowledge, and to resume after.
    pub id: Position,
    /// Its type.
    pub kind: String,
    /// Its payload: the JSON text as the hub keeps it, on one line.
    pub payload: String,
    /// The id that its publisher gave it.
    pub message_id: Option<String>,
    /// Who sent it.
    pub sender_id: Option<String>,
    /// When the hub took it: RFC 3339, UTC, milliseconds.
    pub taken_at: String,
}

impl Received {
    /// Its payload as a `T`.
    ///
    /// # Errors
    /// What serde says where the payload is none.
    ///
    /// ```
    /// # use eric_client::{Message, Paging};
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// hub.broadcast(&news, Message::of("order", &[17, 18])?).await?;
    /// let received = hub.history(&news, &Paging::default()).await?.items.remove(0);
    /// assert_eq!(received.value::<Vec<u64>>()?, [17, 18]);
    /// # Ok(())
    /// # });
    /// ```
    pub fn value<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.payload)
    }
}

/// What a reader is told that missed something: messages that are gone, and were its own.
///
/// ```
/// # use eric_client::{GapReason, Message, PullOptions, SettingsPatch};
/// # eric_testkit::http_example(async |hub, news, bob| {
/// let patch = SettingsPatch { max_messages: Some(1), ..SettingsPatch::default() };
/// hub.ensure_channel(&news, &patch).await?;
/// for n in 1..=3 {
///     hub.broadcast(&news, Message::of("tick", &n)?).await?;
/// }
/// let gaps = hub.pull(&news, &bob, &PullOptions::default()).await?.gaps;
/// assert_eq!((&gaps[0].reason, gaps[0].missed), (&GapReason::Trimmed, Some(2)));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The position that was asked for, or reached; exclusive.
    pub from: Option<Position>,
    /// The last message that was missed; inclusive. None where it is not known.
    pub to: Option<Position>,
    /// Messages that were missed. None where it is not known.
    pub missed: Option<u64>,
}

/// Why a reader missed something.
///
/// ```
/// use eric_client::GapReason;
///
/// assert_eq!(GapReason::from("before-join"), GapReason::BeforeJoin);
/// assert_eq!(GapReason::from("of-tomorrow").to_string(), "of-tomorrow");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// Retention dropped it.
    Trimmed,
    /// The position is of an epoch that ended: load your state afresh.
    Epoch,
    /// The position is beyond the newest message.
    Ahead,
    /// It was published before the listener joined.
    BeforeJoin,
    /// The reader was slow, and had asked for what is new rather than for all.
    Slow,
    /// A reason that this client does not know, in the hub's word.
    Other(Box<str>),
}

impl From<&str> for GapReason {
    fn from(reason: &str) -> Self {
        match reason {
            "trimmed" => Self::Trimmed,
            "epoch" => Self::Epoch,
            "ahead" => Self::Ahead,
            "before-join" => Self::BeforeJoin,
            "slow" => Self::Slow,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trimmed => "trimmed",
            Self::Epoch => "epoch",
            Self::Ahead => "ahead",
            Self::BeforeJoin => "before-join",
            Self::Slow => "slow",
            Self::Other(reason) => reason,
        })
    }
}

/// A page of a listing.
///
/// ```
/// # use eric_client::{Message, Paging};
/// # eric_testkit::http_example(async |hub, news, bob| {
/// for n in 1..=3 {
///     hub.broadcast(&news, Message::of("tick", &n)?).await?;
/// }
/// let (mut page, mut ticks) = (Paging { limit: Some(2), after: None }, Vec::new());
/// loop {
///     let kept = hub.history(&news, &page).await?;
///     ticks.extend(kept.items.into_iter().map(|received| received.payload));
///     page.after = kept.next;
///     if page.after.is_none() {
///         break;
///     }
/// }
/// assert_eq!(ticks, ["1", "2", "3"]);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, N> {
    /// Its rows.
    pub items: Vec<T>,
    /// What to go on after; none at the end.
    pub next: Option<N>,
}

/// What a listener pulled.
///
/// ```
/// # use eric_client::{Message, PullOptions};
/// # eric_testkit::http_example(async |hub, news, bob| {
/// hub.dispatch(&news, &bob, Message::of("job", &17)?).await?;
/// let pulled = hub.pull(&news, &bob, &PullOptions::default()).await?;
/// for job in pulled.messages {
///     assert_eq!(job.value::<u64>()?, 17);
///     hub.ack(&news, &bob, job.id).await?;
/// }
/// assert_eq!(hub.listener(&news, &bob).await?.backlog, 0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulled {
    /// Its messages, oldest first; none where none came in time.
    pub messages: Vec<Received>,
    /// What it missed. A gap belongs before the first message that is after its `to`.
    pub gaps: Vec<Gap>,
}

/// A message that the hub took.
///
/// ```
/// # use eric_client::Message;
/// # eric_testkit::http_example(async |hub, news, bob| {
/// let order = Message::of("order", &17)?.with_id("order-17".parse()?);
/// let taken = hub.broadcast(&news, order.clone()).await?;
/// let again = hub.broadcast(&news, order).await?;
/// assert_eq!((again.id, again.is_repetition), (taken.id, true));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// Where it stands.
    pub id: Position,
    /// Whether the hub had it already, and this was a repetition. Not to be relied on after an attempt of which no
    /// answer came: the client repeats those itself.
    pub is_repetition: bool,
}

/// A batch that the hub took.
///
/// ```
/// # use eric_client::Message;
/// # eric_testkit::http_example(async |hub, news, bob| {
/// let batch = [Message::of("tick", &1)?, Message::of("tick", &2)?];
/// let taken = hub.broadcast_lines(&news, &batch).await?;
/// assert!(!taken.are_repetitions);
/// assert_eq!(taken.ids[0].offset.next(), taken.ids[1].offset);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TakenBatch {
    /// Where its messages stand, in the order of the batch.
    pub ids: Vec<Position>,
    /// Whether the hub had them all already.
    pub are_repetitions: bool,
}

#[derive(Deserialize)]
pub(crate) struct ChannelBody {
    #[serde(deserialize_with = "parsed")]
    id: ChannelId,
    settings: Map<String, Value>,
    #[serde(deserialize_with = "parsed_or_null")]
    tail: Option<Position>,
    messages: u64,
    bytes: u64,
    listeners: u64,
    connected: u64,
}

impl From<ChannelBody> for Channel {
    fn from(body: ChannelBody) -> Self {
        let ChannelBody { id, settings, tail, messages, bytes, listeners, connected } = body;
        Self { id, settings, tail, messages, bytes, listeners, connected }
    }
}

#[derive(Deserialize)]
pub(crate) struct ChannelsBody {
    channels: Vec<ChannelBody>,
    #[serde(deserialize_with = "parsed_or_null")]
    next: Option<ChannelId>,
}

impl From<ChannelsBody> for Page<Channel, ChannelId> {
    fn from(body: ChannelsBody) -> Self {
        Self { items: all(body.channels), next: body.next }
    }
}

#[derive(Deserialize)]
pub(crate) struct ListenerIdBody {
    #[serde(deserialize_with = "parsed")]
    pub(crate) listener_id: ListenerId,
}

#[derive(Deserialize)]
pub(crate) struct ListenerBody {
    #[serde(deserialize_with = "parsed")]
    listener_id: ListenerId,
    #[serde(deserialize_with = "parsed")]
    cursor: Position,
    backlog: u64,
    backlog_bytes: u64,
    connected: bool,
}

impl From<ListenerBody> for Listener {
    fn from(body: ListenerBody) -> Self {
        let ListenerBody { listener_id: id, cursor, backlog, backlog_bytes, connected: is_connected } = body;
        Self { id, cursor, backlog, backlog_bytes, is_connected }
    }
}

#[derive(Deserialize)]
pub(crate) struct ListenersBody {
    listeners: Vec<ListenerBody>,
    #[serde(deserialize_with = "parsed_or_null")]
    next: Option<ListenerId>,
}

impl From<ListenersBody> for Page<Listener, ListenerId> {
    fn from(body: ListenersBody) -> Self {
        Self { items: all(body.listeners), next: body.next }
    }
}

/// What a message has besides its position.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    payload: Box<RawValue>,
    message_id: Option<String>,
    sender_id: Option<String>,
    taken_at: String,
}

impl Envelope {
    pub(crate) fn at(self, id: Position) -> Received {
        let Self { kind, payload, message_id, sender_id, taken_at } = self;
        Received { id, kind, payload: text(payload), message_id, sender_id, taken_at }
    }
}

/// The text of a JSON value, not copied.
pub(crate) fn text(json: Box<RawValue>) -> String {
    Box::<str>::from(json).into()
}

#[derive(Deserialize)]
struct EntryBody {
    #[serde(deserialize_with = "parsed")]
    id: Position,
    #[serde(rename = "type")]
    kind: String,
    payload: Box<RawValue>,
    message_id: Option<String>,
    sender_id: Option<String>,
    taken_at: String,
}

impl From<EntryBody> for Received {
    fn from(body: EntryBody) -> Self {
        let EntryBody { id, kind, payload, message_id, sender_id, taken_at } = body;
        Self { id, kind, payload: text(payload), message_id, sender_id, taken_at }
    }
}

#[derive(Deserialize)]
pub(crate) struct HistoryBody {
    messages: Vec<EntryBody>,
    #[serde(deserialize_with = "parsed_or_null")]
    next: Option<Position>,
}

impl From<HistoryBody> for Page<Received, Position> {
    fn from(body: HistoryBody) -> Self {
        Self { items: all(body.messages), next: body.next }
    }
}

#[derive(Deserialize)]
pub(crate) struct GapBody {
    reason: String,
    #[serde(deserialize_with = "parsed_or_null")]
    from: Option<Position>,
    #[serde(deserialize_with = "parsed_or_null")]
    to: Option<Position>,
    missed: Option<u64>,
}

impl From<GapBody> for Gap {
    fn from(body: GapBody) -> Self {
        let GapBody { reason, from, to, missed } = body;
        Self { reason: reason.as_str().into(), from, to, missed }
    }
}

#[derive(Deserialize)]
pub(crate) struct PullBody {
    messages: Vec<EntryBody>,
    gaps: Vec<GapBody>,
}

impl From<PullBody> for Pulled {
    fn from(body: PullBody) -> Self {
        Self { messages: all(body.messages), gaps: all(body.gaps) }
    }
}

#[derive(Deserialize)]
pub(crate) struct TakenBody {
    #[serde(deserialize_with = "parsed")]
    pub(crate) id: Position,
}

#[derive(Deserialize)]
pub(crate) struct TakenBatchBody {
    pub(crate) ids: Vec<String>,
}

fn all<T, U: From<T>>(bodies: Vec<T>) -> Vec<U> {
    bodies.into_iter().map(U::from).collect()
}
