//! The stored shapes of records, and their conversion from and to the domain's.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{Recipe, known_version};
use crate::channel::ChannelSettings;
use crate::lane::Overflow;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredChannel<'a> {
    #[serde(deserialize_with = "known_version")]
    pub(super) version: u32,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) lane: u64,
    pub(super) settings: StoredSettings,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredListener<'a> {
    #[serde(deserialize_with = "known_version")]
    pub(super) version: u32,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) channel: u64,
    pub(super) lane: u64,
    pub(super) is_generated: bool,
    pub(super) seen_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recipe: Option<StoredRecipe<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredQueue<'a> {
    #[serde(deserialize_with = "known_version")]
    pub(super) version: u32,
    pub(super) channel: u64,
    pub(super) lane: u64,
    #[serde(borrow)]
    pub(super) recipe: StoredRecipe<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredRecipe<'a> {
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) parameters: Cow<'a, Value>,
    pub(super) values: Cow<'a, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSettings {
    pub(super) retry_ms: u64,
    pub(super) stream_delay_ms: u64,
    pub(super) max_messages: u64,
    pub(super) max_bytes: u64,
    pub(super) max_age_s: u64,
    pub(super) history: u64,
    pub(super) max_unread_per_listener: u64,
    pub(super) max_unread_bytes_per_listener: u64,
    pub(super) listener_expires_s: Option<u64>,
    pub(super) generated_listener_expires_s: Option<u64>,
    pub(super) overflow: StoredOverflow,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StoredOverflow {
    DropOldest,
    Reject,
}

impl<'a> From<&'a Recipe> for StoredRecipe<'a> {
    fn from(Recipe { kind, parameters, values }: &'a Recipe) -> Self {
        Self {
            kind: kind.as_str().into(),
            parameters: Cow::Borrowed(parameters),
            values: Cow::Borrowed(values),
        }
    }
}

impl From<StoredRecipe<'_>> for Recipe {
    fn from(StoredRecipe { kind, parameters, values }: StoredRecipe<'_>) -> Self {
        Self { kind: kind.into_owned(), parameters: parameters.into_owned(), values: values.into_owned() }
    }
}

impl From<&ChannelSettings> for StoredSettings {
    fn from(settings: &ChannelSettings) -> Self {
        let ChannelSettings {
            retry_ms,
            stream_delay_ms,
            max_messages,
            max_bytes,
            max_age_s,
            history,
            max_unread_per_listener,
            max_unread_bytes_per_listener,
            listener_expires_s,
            generated_listener_expires_s,
            overflow,
        } = *settings;
        Self {
            retry_ms,
            stream_delay_ms,
            max_messages,
            max_bytes,
            max_age_s,
            history,
            max_unread_per_listener,
            max_unread_bytes_per_listener,
            listener_expires_s,
            generated_listener_expires_s,
            overflow: match overflow {
                Overflow::DropOldest => StoredOverflow::DropOldest,
                Overflow::Reject => StoredOverflow::Reject,
            },
        }
    }
}

impl From<StoredSettings> for ChannelSettings {
    fn from(stored: StoredSettings) -> Self {
        Self {
            retry_ms: stored.retry_ms,
            stream_delay_ms: stored.stream_delay_ms,
            max_messages: stored.max_messages,
            max_bytes: stored.max_bytes,
            max_age_s: stored.max_age_s,
            history: stored.history,
            max_unread_per_listener: stored.max_unread_per_listener,
            max_unread_bytes_per_listener: stored.max_unread_bytes_per_listener,
            listener_expires_s: stored.listener_expires_s,
            generated_listener_expires_s: stored.generated_listener_expires_s,
            overflow: match stored.overflow {
                StoredOverflow::DropOldest => Overflow::DropOldest,
                StoredOverflow::Reject => Overflow::Reject,
            },
        }
    }
}
