//! The bodies that v1 answers with.

use eric_sse::{Channel, ChannelInfo, Entry, History, Item, ListenerInfo};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::settings::SettingsBody;

fn text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

/// `{"id","settings":{…},"tail","messages","bytes","listeners","connected"}`.
///
/// ```
/// use eric_protocol::answer::ChannelBody;
///
/// # eric_testkit::example(async |hub, news, bob| {
/// let body = serde_json::to_string(&ChannelBody::new(&news, &news.info().await?))?;
/// assert!(body.starts_with(r#"{"id":"news","settings":{"retry_ms":3000,"#));
/// assert!(body.ends_with(r#""tail":null,"messages":0,"bytes":0,"listeners":1,"connected":0}"#));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize)]
pub struct ChannelBody {
    id: String,
    settings: SettingsBody,
    tail: Option<String>,
    messages: u64,
    bytes: u64,
    listeners: usize,
    connected: usize,
}

impl ChannelBody {
    /// The body of `channel`, which holds what `info` says.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # use eric_protocol::answer::ChannelBody;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// news.broadcast(Message::of("tick", &7)?).await?;
    /// let body = serde_json::to_value(ChannelBody::new(&news, &news.info().await?))?;
    /// assert_eq!(body["tail"], hub.tail().to_string());
    /// # Ok(())
    /// # });
    /// ```
    pub fn new(channel: &Channel, info: &ChannelInfo) -> Self {
        Self {
            id: channel.id().to_string(),
            settings: SettingsBody::from(&*channel.settings()),
            tail: info.tail.map(|tail| tail.to_string()),
            messages: info.messages,
            bytes: info.bytes,
            listeners: info.listeners,
            connected: info.connected,
        }
    }
}

/// `{"channels":[…],"next"}`.
///
/// ```
/// use eric_protocol::answer::ChannelsBody;
///
/// let body = ChannelsBody { channels: Vec::new(), next: Some("news".into()) };
/// assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"channels":[],"next":"news"}"#);
/// ```
#[derive(Debug, Serialize)]
pub struct ChannelsBody {
    /// The page.
    pub channels: Vec<ChannelBody>,
    /// The id to go on after; none at the end.
    pub next: Option<String>,
}

/// `{"listener_id","cursor","backlog","backlog_bytes","connected"}`.
///
/// ```
/// use eric_protocol::answer::ListenerBody;
/// use eric_sse::ListenerInfo;
///
/// let (id, cursor) = ("bob".parse()?, "7f3a-42".parse()?);
/// let info = ListenerInfo { id, cursor, backlog: 2, backlog_bytes: 10, is_connected: false };
/// assert_eq!(
///     serde_json::to_string(&ListenerBody::from(&info)).unwrap(),
///     r#"{"listener_id":"bob","cursor":"7f3a-42","backlog":2,"backlog_bytes":10,"connected":false}"#,
/// );
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Serialize)]
pub struct ListenerBody {
    listener_id: String,
    cursor: String,
    backlog: u64,
    backlog_bytes: u64,
    connected: bool,
}

impl From<&ListenerInfo> for ListenerBody {
    fn from(info: &ListenerInfo) -> Self {
        Self {
            listener_id: info.id.to_string(),
            cursor: info.cursor.to_string(),
            backlog: info.backlog,
            backlog_bytes: info.backlog_bytes,
            connected: info.is_connected,
        }
    }
}

/// `{"listeners":[…],"next"}`.
///
/// ```
/// use eric_protocol::answer::ListenersBody;
///
/// let body = ListenersBody { listeners: Vec::new(), next: None };
/// assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"listeners":[],"next":null}"#);
/// ```
#[derive(Debug, Serialize)]
pub struct ListenersBody {
    /// The page.
    pub listeners: Vec<ListenerBody>,
    /// The id to go on after; none at the end.
    pub next: Option<String>,
}

/// `{"listener_id"}`.
///
/// ```
/// use eric_protocol::answer::ListenerIdBody;
///
/// let body = ListenerIdBody { listener_id: "bob" };
/// assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"listener_id":"bob"}"#);
/// ```
#[derive(Debug, Serialize)]
pub struct ListenerIdBody<'a> {
    /// The id.
    pub listener_id: &'a str,
}

/// `{"id":position}`.
///
/// ```
/// use eric_protocol::answer::TakenBody;
///
/// let body = TakenBody { id: "7f3a-42".into() };
/// assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"id":"7f3a-42"}"#);
/// ```
#[derive(Debug, Serialize)]
pub struct TakenBody {
    /// Where the message stands.
    pub id: String,
}

/// `{"ids":[position…]}`.
///
/// ```
/// use eric_protocol::answer::TakenBatchBody;
///
/// let body = TakenBatchBody { ids: vec!["7f3a-42".into(), "7f3a-43".into()] };
/// assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"ids":["7f3a-42","7f3a-43"]}"#);
/// ```
#[derive(Debug, Serialize)]
pub struct TakenBatchBody {
    /// Where the messages stand, in the order of the batch.
    pub ids: Vec<String>,
}

/// `{"messages":[…],"next"}`.
///
/// ```
/// use eric_protocol::answer::HistoryBody;
/// use eric_sse::{Entry, History, Message, Timestamp, lane::Lane};
///
/// let (position, tick) = ("7f3a-42".parse()?, Message::of("tick", &7)?);
/// let entries = vec![Entry::new(position, Lane::new(1), Timestamp::from_ms(0), tick)];
/// let body = serde_json::to_string(&HistoryBody::from(&History { entries, next: None })).unwrap();
/// assert!(body.starts_with(r#"{"messages":[{"id":"7f3a-42","type":"tick","payload":7,"taken_at":"#));
/// assert!(body.ends_with(r#"}],"next":null}"#));
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Serialize)]
pub struct HistoryBody<'a> {
    messages: Vec<EntryBody<'a>>,
    next: Option<String>,
}

impl<'a> From<&'a History> for HistoryBody<'a> {
    fn from(history: &'a History) -> Self {
        Self {
            messages: history.entries.iter().map(EntryBody).collect(),
            next: history.next.map(|next| next.to_string()),
        }
    }
}

/// `{"messages":[…],"gaps":[…]}`: what a listener pulled. A gap tells what is missing before the messages that come
/// after its `to`.
///
/// ```
/// use eric_protocol::answer::PullBody;
/// use eric_sse::{Gap, GapReason, Item};
///
/// let gap = Gap { reason: GapReason::Trimmed, from: None, to: None, missed: Some(2) };
/// let items = [Item::Gap(Box::new(gap))];
/// assert_eq!(
///     serde_json::to_string(&PullBody::new(&items)).unwrap(),
///     r#"{"messages":[],"gaps":[{"reason":"trimmed","from":null,"to":null,"missed":2}]}"#,
/// );
/// ```
#[derive(Debug, Serialize)]
pub struct PullBody<'a> {
    messages: Vec<EntryBody<'a>>,
    gaps: Vec<GapBody>,
}

#[derive(Debug, Serialize)]
struct GapBody {
    reason: String,
    from: Option<String>,
    to: Option<String>,
    missed: Option<u64>,
}

impl<'a> PullBody<'a> {
    /// The body of `items`.
    ///
    /// ```
    /// # use eric_sse::{Message, ReadFrom};
    /// # use eric_protocol::answer::PullBody;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// news.broadcast(Message::of("tick", &7)?).await?;
    /// let mut items = Vec::new();
    /// news.watch(ReadFrom::Earliest)?.next_items(&mut items).await?;
    /// let body = serde_json::to_value(PullBody::new(&items))?;
    /// assert_eq!((&body["messages"][0]["type"], &body["messages"][0]["payload"]), (&"tick".into(), &7.into()));
    /// # Ok(())
    /// # });
    /// ```
    pub fn new(items: &'a [Item]) -> Self {
        let mut body = Self { messages: Vec::new(), gaps: Vec::new() };
        for item in items {
            match item {
                Item::Entry(framed) => body.messages.push(EntryBody(framed.entry())),
                Item::Gap(gap) => body.gaps.push(GapBody {
                    reason: gap.reason.to_string(),
                    from: gap.from.map(|from| from.to_string()),
                    to: gap.to.map(|to| to.to_string()),
                    missed: gap.missed,
                }),
            }
        }
        body
    }
}

/// An entry as `{"id","type","payload","message_id"?,"sender_id"?,"taken_at"}`.
#[derive(Debug)]
struct EntryBody<'a>(&'a Entry);

#[derive(Serialize)]
struct EntryFields<'a> {
    #[serde(serialize_with = "text")]
    id: eric_sse::Position,
    #[serde(rename = "type")]
    kind: &'a str,
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<&'a str>,
    #[serde(serialize_with = "text")]
    taken_at: eric_sse::Timestamp,
}

impl Serialize for EntryBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.0.message();
        let payload = serde_json::from_str(message.payload().as_json()).map_err(serde::ser::Error::custom)?;
        EntryFields {
            id: self.0.position(),
            kind: message.kind().as_str(),
            payload,
            message_id: message.id().map(|id| id.as_str()),
            sender_id: message.sender().map(|sender| sender.as_str()),
            taken_at: self.0.taken_at(),
        }
        .serialize(serializer)
    }
}
