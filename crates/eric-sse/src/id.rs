//! Ids that cannot be wrong: checked once, when they are parsed; afterwards the type is the proof.
//!
//! Ids of things (channels, listeners) share one rule; keys (message ids, sender ids, idempotency keys)
//! another. There is no unchecked way in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{ID_BYTES_MAX, KEY_BYTES_MAX};

/// Why `text` cannot be an id, if it cannot.
fn id_fault(text: &str) -> Option<&'static str> {
    match text {
        "" => Some("is empty"),
        _ if text.len() > ID_BYTES_MAX => Some("is longer than 128 bytes"),
        "." | ".." => Some("is a relative path"),
        _ if text.starts_with('$') || text.starts_with("eric.") => Some("begins with a reserved prefix"),
        _ if text.contains(['*', '>']) => Some("has a '*' or '>'"),
        _ if text.contains(char::is_control) => Some("has a control character"),
        _ => None,
    }
}

/// Why `text` cannot be a key, if it cannot: keys are printable and without line breaks.
fn key_fault(text: &str) -> Option<&'static str> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    match text {
        "" => Some("is empty"),
        _ if text.len() > KEY_BYTES_MAX => Some("is longer than 256 bytes"),
        _ if text.contains(breaks) => Some("has a line break or another control character"),
        _ => None,
    }
}

macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $what:literal, $fault:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as it was given.
            ///
            /// ```
            #[doc = concat!("let id: eric_sse::", stringify!($name), " = \"bob-7\".parse()?;")]
            /// assert_eq!(id.as_str(), "bob-7");
            /// # Ok::<(), eric_sse::Error>(())
            /// ```
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match $fault(text) {
                    None => Ok(Self(text.into())),
                    Some(fault) => Err(Error::new(ErrorKind::InvalidValue, format!(concat!($what, " {}"), fault))),
                }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

macro_rules! generated {
    ($name:ident) => {
        impl $name {
            /// A new version 4 UUID in lower case.
            ///
            /// ```
            #[doc = concat!("let new = eric_sse::", stringify!($name), "::generate;")]
            /// assert_ne!(new(), new());
            /// ```
            pub fn generate() -> Self {
                Self(uuid::Uuid::new_v4().to_string().into())
            }
        }
    };
}

checked_text! {
    /// The id of a channel: 1–128 bytes of UTF-8 without control characters, `*` and `>`, not beginning with
    /// `$` or `eric.`, neither `.` nor `..`.
    ///
    /// ```
    /// use eric_sse::ChannelId;
    ///
    /// let id: ChannelId = "orders/eu".parse()?;
    /// assert_eq!(id.as_str(), "orders/eu");
    /// assert!("eric.log".parse::<ChannelId>().is_err());
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    ChannelId, "channel id", id_fault
}
generated!(ChannelId);

checked_text! {
    /// The id of a listener, by the rule of [`ChannelId`]; unique within its channel.
    ///
    /// ```
    /// use eric_sse::ListenerId;
    ///
    /// assert_eq!(ListenerId::generate().as_str().len(), 36);
    /// ```
    ListenerId, "listener id", id_fault
}
generated!(ListenerId);

checked_text! {
    /// The id that a publisher gave a message: 1–256 printable bytes. It is the message's idempotency key too.
    ///
    /// ```
    /// use eric_sse::MessageId;
    ///
    /// assert!("order-17".parse::<MessageId>().is_ok());
    /// assert!("two\nlines".parse::<MessageId>().is_err());
    /// ```
    MessageId, "message id", key_fault
}

checked_text! {
    /// The id of the listener that sent a message: 1–256 printable bytes.
    ///
    /// ```
    /// use eric_sse::SenderId;
    ///
    /// assert_eq!("bob".parse::<SenderId>()?.as_str(), "bob");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    SenderId, "sender id", key_fault
}

checked_text! {
    /// What makes a repeated publish recognisable: 1–256 printable bytes, scoped to the lane it goes to.
    ///
    /// ```
    /// use eric_sse::IdempotencyKey;
    ///
    /// assert!("".parse::<IdempotencyKey>().is_err());
    /// ```
    IdempotencyKey, "idempotency key", key_fault
}

impl From<MessageId> for IdempotencyKey {
    fn from(id: MessageId) -> Self {
        Self(id.0)
    }
}

impl From<ListenerId> for SenderId {
    /// Every listener id is a valid sender id: shorter, and as printable.
    fn from(id: ListenerId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_id(text: &str, accepted: bool) {
        assert_eq!(text.parse::<ChannelId>().is_ok(), accepted, "{text:?}");
    }

    #[test]
    fn an_id_has_1_to_128_bytes() {
        check_id("", false);
        check_id("a", true);
        check_id(&"a".repeat(ID_BYTES_MAX), true);
        check_id(&"a".repeat(ID_BYTES_MAX + 1), false);
        check_id(&"é".repeat(ID_BYTES_MAX / 2), true);
        check_id(&format!("{}a", "é".repeat(ID_BYTES_MAX / 2)), false);
    }

    #[test]
    fn an_id_is_no_pattern_no_path_and_nothing_reserved() {
        for text in ["*", "a>", "$sys", "eric.x", ".", "..", "a\nb", "a\0", "a\u{7f}", "a\u{85}"] {
            check_id(text, false);
        }
        for text in ["a.b", "a b", "...", "a/b", "eric", "ericx", "a$", "ünï", "🙂"] {
            check_id(text, true);
        }
    }

    #[test]
    fn a_key_has_1_to_256_printable_bytes() {
        let check =
            |text: &str, accepted: bool| assert_eq!(text.parse::<MessageId>().is_ok(), accepted, "{text:?}");
        check("", false);
        check(&"k".repeat(KEY_BYTES_MAX), true);
        check(&"k".repeat(KEY_BYTES_MAX + 1), false);
        check("a\rb", false);
        check("a\u{2028}b", false);
        check("eric.$*>", true);
    }
}
