//! The bodies that v1 answers with.

use eric_sse::{Channel, ChannelInfo, Entry, History, Item, ListenerInfo};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::settings::SettingsBody;

fn text<S: Serializer>(value: &impl ToString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

/// `{"id","settings":{…},"tail","messages","bytes","listeners","connected"}`.
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
#[derive(Debug, Serialize)]
pub struct ChannelsBody {
    /// The page.
    pub channels: Vec<ChannelBody>,
    /// The id to go on after; none at the end.
    pub next: Option<String>,
}

/// `{"listener_id","cursor","backlog","backlog_bytes","connected"}`.
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
#[derive(Debug, Serialize)]
pub struct ListenersBody {
    /// The page.
    pub listeners: Vec<ListenerBody>,
    /// The id to go on after; none at the end.
    pub next: Option<String>,
}

/// `{"listener_id"}`.
#[derive(Debug, Serialize)]
pub struct ListenerIdBody<'a> {
    /// The id.
    pub listener_id: &'a str,
}

/// `{"id":position}`.
#[derive(Debug, Serialize)]
pub struct TakenBody {
    /// Where the message stands.
    pub id: String,
}

/// `{"ids":[position…]}`.
#[derive(Debug, Serialize)]
pub struct TakenBatchBody {
    /// Where the messages stand, in the order of the batch.
    pub ids: Vec<String>,
}

/// `{"messages":[…],"next"}`.
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
