//! The settings of a channel as JSON, read strictly and written whole.

use eric_sse::lane::Overflow;
use eric_sse::{ChannelSettings, SettingsPatch};
use serde::{Deserialize, Deserializer, Serialize};

use crate::message::object;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default, deserialize_with = "number")]
    retry_ms: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    stream_delay_ms: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    max_messages: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    max_bytes: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    max_age_s: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    history: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    max_unread_per_listener: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    max_unread_bytes_per_listener: Option<u64>,
    #[serde(default, deserialize_with = "nullable")]
    listener_expires_s: Option<Option<u64>>,
    #[serde(default, deserialize_with = "nullable")]
    generated_listener_expires_s: Option<Option<u64>>,
    #[serde(default, deserialize_with = "overflow")]
    overflow: Option<Overflow>,
}

/// A number that may be left out, but not null.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    u64::deserialize(deserializer).map(Some)
}

/// A number or null; left out, it says nothing.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn overflow<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Overflow>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "drop-oldest" => Ok(Some(Overflow::DropOldest)),
        "reject" => Ok(Some(Overflow::Reject)),
        other => Err(serde::de::Error::custom(format!("overflow={other} is not drop-oldest or reject"))),
    }
}

/// The settings that `text` gives; an empty text gives none.
///
/// # Errors
/// [`Code::BadRequest`](crate::Code) for what is unknown or mistyped. Ranges are checked when the patch is applied.
///
/// ```
/// let patch = eric_protocol::settings::patch(r#"{"retry_ms": 500}"#)?;
/// assert_eq!((patch.retry_ms, patch.history), (Some(500), None));
/// assert!(eric_protocol::settings::patch(r#"{"retry": 500}"#).is_err());
/// # Ok::<(), eric_protocol::Problem>(())
/// ```
pub fn patch(text: &str) -> Result<SettingsPatch, Problem> {
    if text.trim().is_empty() {
        return Ok(SettingsPatch::default());
    }
    let given: Given = object(text)?;
    Ok(SettingsPatch {
        retry_ms: given.retry_ms,
        stream_delay_ms: given.stream_delay_ms,
        max_messages: given.max_messages,
        max_bytes: given.max_bytes,
        max_age_s: given.max_age_s,
        history: given.history,
        max_unread_per_listener: given.max_unread_per_listener,
        max_unread_bytes_per_listener: given.max_unread_bytes_per_listener,
        listener_expires_s: given.listener_expires_s,
        generated_listener_expires_s: given.generated_listener_expires_s,
        overflow: given.overflow,
    })
}

/// All settings of a channel.
///
/// ```
/// use eric_protocol::settings::{SettingsBody, patch};
/// use eric_sse::ChannelSettings;
///
/// // What is written can be sent back as it is.
/// let settings = ChannelSettings { retry_ms: 500, ..ChannelSettings::default() };
/// let text = serde_json::to_string(&SettingsBody::from(&settings)).unwrap();
/// assert_eq!(patch(&text)?.retry_ms, Some(500));
/// # Ok::<(), eric_protocol::Problem>(())
/// ```
#[derive(Debug, Serialize)]
pub struct SettingsBody {
    retry_ms: u64,
    stream_delay_ms: u64,
    max_messages: u64,
    max_bytes: u64,
    max_age_s: u64,
    history: u64,
    max_unread_per_listener: u64,
    max_unread_bytes_per_listener: u64,
    listener_expires_s: Option<u64>,
    generated_listener_expires_s: Option<u64>,
    overflow: &'static str,
}

impl From<&ChannelSettings> for SettingsBody {
    fn from(settings: &ChannelSettings) -> Self {
        Self {
            retry_ms: settings.retry_ms,
            stream_delay_ms: settings.stream_delay_ms,
            max_messages: settings.max_messages,
            max_bytes: settings.max_bytes,
            max_age_s: settings.max_age_s,
            history: settings.history,
            max_unread_per_listener: settings.max_unread_per_listener,
            max_unread_bytes_per_listener: settings.max_unread_bytes_per_listener,
            listener_expires_s: settings.listener_expires_s,
            generated_listener_expires_s: settings.generated_listener_expires_s,
            overflow: match settings.overflow {
                Overflow::DropOldest => "drop-oldest",
                Overflow::Reject => "reject",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_and_changes_nothing() {
        let settings = ChannelSettings { overflow: Overflow::Reject, ..ChannelSettings::default() };
        let text = serde_json::to_string(&SettingsBody::from(&settings)).unwrap();
        assert_eq!(patch(&text).unwrap().apply(ChannelSettings::in_memory()).unwrap(), settings);
    }

    #[test]
    fn unknown_and_mistyped_settings_are_refused() {
        for text in [
            r#"{"colour": 1}"#,
            r#"{"retry_ms": "1"}"#,
            r#"{"retry_ms": null}"#,
            r#"{"retry_ms": 1.5}"#,
            r#"{"retry_ms": -1}"#,
            r#"{"overflow": "drop"}"#,
            "[]",
            "1",
            "{",
        ] {
            assert!(patch(text).is_err(), "{text}");
        }
        assert_eq!(patch(r#"{"listener_expires_s": null}"#).unwrap().listener_expires_s, Some(None));
    }
}
