//! The settings of a channel, with their defaults and what is allowed.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::lane::{Overflow, Retention};

const MIB: u64 = 1024 * 1024;

/// How a channel keeps and delivers.
///
/// ```
/// use eric_sse::ChannelSettings;
///
/// assert_eq!(ChannelSettings::default().retry_ms, 3000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSettings {
    /// Milliseconds after which a client reconnects: 100–3,600,000.
    pub retry_ms: u64,
    /// Milliseconds at least between two messages of a stream: 0–60,000.
    pub stream_delay_ms: u64,
    /// Entries of the channel's lane, at least 1.
    pub max_messages: u64,
    /// Bytes of the channel's lane, at least 1.
    pub max_bytes: u64,
    /// Seconds that any entry is kept, at least 1.
    pub max_age_s: u64,
    /// Entries that are kept, per lane, after everybody has consumed them.
    pub history: u64,
    /// Unread dispatches of a listener, at least 1.
    pub max_unread_per_listener: u64,
    /// Bytes of a listener's unread dispatches, at least 1.
    pub max_unread_bytes_per_listener: u64,
    /// Seconds after which a listener with a name of its user's is removed, counted from its last stream, ack or
    /// pull; never where none.
    pub listener_expires_s: Option<u64>,
    /// The same for listeners with a generated id.
    pub generated_listener_expires_s: Option<u64>,
    /// What happens at a limit.
    pub overflow: Overflow,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self {
            retry_ms: 3_000,
            stream_delay_ms: 0,
            max_messages: 1_000_000,
            max_bytes: 1024 * MIB,
            max_age_s: 604_800,
            history: 1_000,
            max_unread_per_listener: 100_000,
            max_unread_bytes_per_listener: 256 * MIB,
            listener_expires_s: None,
            generated_listener_expires_s: Some(604_800),
            overflow: Overflow::DropOldest,
        }
    }
}

impl ChannelSettings {
    /// The defaults for an engine that keeps everything in memory: 64 MiB instead of the larger ones.
    ///
    /// ```
    /// use eric_sse::ChannelSettings;
    ///
    /// assert_eq!(ChannelSettings::in_memory().max_bytes, 64 * 1024 * 1024);
    /// assert_eq!(ChannelSettings::in_memory().max_messages, ChannelSettings::default().max_messages);
    /// ```
    pub fn in_memory() -> Self {
        Self { max_bytes: 64 * MIB, max_unread_bytes_per_listener: 64 * MIB, ..Self::default() }
    }

    /// The time after which a client reconnects.
    ///
    /// ```
    /// use std::time::Duration;
    /// use eric_sse::ChannelSettings;
    ///
    /// let settings = ChannelSettings { retry_ms: 500, ..ChannelSettings::default() };
    /// assert_eq!(settings.retry(), Duration::from_millis(500));
    /// ```
    pub fn retry(&self) -> Duration {
        Duration::from_millis(self.retry_ms)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] that names the first that is out of range.
    ///
    /// ```
    /// use eric_sse::ChannelSettings;
    ///
    /// let settings = ChannelSettings { retry_ms: 5, ..ChannelSettings::default() };
    /// let error = settings.check().unwrap_err();
    /// assert_eq!(error.to_string(), "setting retry_ms=5 is not 100 to 3600000");
    /// ```
    pub fn check(&self) -> Result<()> {
        let at_least_1 = 1..=u64::MAX;
        let expiry = |expires: Option<u64>| expires.unwrap_or(1);
        let rows: [(&str, u64, RangeInclusive<u64>); 9] = [
            ("retry_ms", self.retry_ms, 100..=3_600_000),
            ("stream_delay_ms", self.stream_delay_ms, 0..=60_000),
            ("max_messages", self.max_messages, at_least_1.clone()),
            ("max_bytes", self.max_bytes, at_least_1.clone()),
            ("max_age_s", self.max_age_s, at_least_1.clone()),
            ("max_unread_per_listener", self.max_unread_per_listener, at_least_1.clone()),
            ("max_unread_bytes_per_listener", self.max_unread_bytes_per_listener, at_least_1.clone()),
            ("listener_expires_s", expiry(self.listener_expires_s), at_least_1.clone()),
            ("generated_listener_expires_s", expiry(self.generated_listener_expires_s), at_least_1),
        ];
        for (name, value, allowed) in rows {
            if !allowed.contains(&value) {
                let (min, max) = (allowed.start(), allowed.end());
                let range =
                    if *max == u64::MAX { format!("at least {min}") } else { format!("{min} to {max}") };
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    format!("setting {name}={value} is not {range}"),
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn retention(&self) -> Retention {
        Retention {
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            max_age_s: self.max_age_s,
            history: self.history,
            max_unread_per_listener: self.max_unread_per_listener,
            max_unread_bytes_per_listener: self.max_unread_bytes_per_listener,
            overflow: self.overflow,
        }
    }
}

/// Settings to change; what is none stays as it is.
///
/// ```
/// use eric_sse::{ChannelSettings, SettingsPatch};
///
/// let hour = SettingsPatch { listener_expires_s: Some(Some(3_600)), ..SettingsPatch::default() };
/// let never = SettingsPatch { listener_expires_s: Some(None), ..SettingsPatch::default() };
///
/// let settings = hour.apply(ChannelSettings::default())?;
/// assert_eq!(SettingsPatch::default().apply(settings.clone())?, settings, "nothing is changed");
/// assert_eq!(never.apply(settings)?.listener_expires_s, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsPatch {
    /// [`ChannelSettings::retry_ms`].
    pub retry_ms: Option<u64>,
    /// [`ChannelSettings::stream_delay_ms`].
    pub stream_delay_ms: Option<u64>,
    /// [`ChannelSettings::max_messages`].
    pub max_messages: Option<u64>,
    /// [`ChannelSettings::max_bytes`].
    pub max_bytes: Option<u64>,
    /// [`ChannelSettings::max_age_s`].
    pub max_age_s: Option<u64>,
    /// [`ChannelSettings::history`].
    pub history: Option<u64>,
    /// [`ChannelSettings::max_unread_per_listener`].
    pub max_unread_per_listener: Option<u64>,
    /// [`ChannelSettings::max_unread_bytes_per_listener`].
    pub max_unread_bytes_per_listener: Option<u64>,
    /// [`ChannelSettings::listener_expires_s`]; `Some(None)` is never.
    pub listener_expires_s: Option<Option<u64>>,
    /// [`ChannelSettings::generated_listener_expires_s`]; `Some(None)` is never.
    pub generated_listener_expires_s: Option<Option<u64>>,
    /// [`ChannelSettings::overflow`].
    pub overflow: Option<Overflow>,
}

impl SettingsPatch {
    /// `settings` with these changes.
    ///
    /// # Errors
    /// As [`ChannelSettings::check`].
    ///
    /// ```
    /// use eric_sse::{ChannelSettings, SettingsPatch};
    ///
    /// let patch = SettingsPatch { max_messages: Some(100), ..SettingsPatch::default() };
    /// let small = patch.apply(ChannelSettings::default())?;
    /// assert_eq!((small.max_messages, small.max_age_s), (100, 604_800));
    ///
    /// let wrong = SettingsPatch { max_messages: Some(0), ..SettingsPatch::default() };
    /// assert!(wrong.apply(small).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&self, settings: ChannelSettings) -> Result<ChannelSettings> {
        let changed = ChannelSettings {
            retry_ms: self.retry_ms.unwrap_or(settings.retry_ms),
            stream_delay_ms: self.stream_delay_ms.unwrap_or(settings.stream_delay_ms),
            max_messages: self.max_messages.unwrap_or(settings.max_messages),
            max_bytes: self.max_bytes.unwrap_or(settings.max_bytes),
            max_age_s: self.max_age_s.unwrap_or(settings.max_age_s),
            history: self.history.unwrap_or(settings.history),
            max_unread_per_listener: self.max_unread_per_listener.unwrap_or(settings.max_unread_per_listener),
            max_unread_bytes_per_listener: self
                .max_unread_bytes_per_listener
                .unwrap_or(settings.max_unread_bytes_per_listener),
            listener_expires_s: self.listener_expires_s.unwrap_or(settings.listener_expires_s),
            generated_listener_expires_s: self
                .generated_listener_expires_s
                .unwrap_or(settings.generated_listener_expires_s),
            overflow: self.overflow.unwrap_or(settings.overflow),
        };
        changed.check()?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_accepted_at_their_bounds_and_refused_past_them() {
        let check = |patch: SettingsPatch, accepted: bool| {
            assert_eq!(patch.apply(ChannelSettings::default()).is_ok(), accepted, "{patch:?}");
        };
        for (retry_ms, accepted) in [(99, false), (100, true), (3_600_000, true), (3_600_001, false)] {
            check(SettingsPatch { retry_ms: Some(retry_ms), ..Default::default() }, accepted);
        }
        for (stream_delay_ms, accepted) in [(0, true), (60_000, true), (60_001, false)] {
            check(SettingsPatch { stream_delay_ms: Some(stream_delay_ms), ..Default::default() }, accepted);
        }
        for (least, accepted) in [(0, false), (1, true), (u64::MAX, true)] {
            check(SettingsPatch { max_messages: Some(least), ..Default::default() }, accepted);
            check(SettingsPatch { max_bytes: Some(least), ..Default::default() }, accepted);
            check(SettingsPatch { max_age_s: Some(least), ..Default::default() }, accepted);
            check(SettingsPatch { listener_expires_s: Some(Some(least)), ..Default::default() }, accepted);
        }
        check(SettingsPatch { history: Some(0), listener_expires_s: Some(None), ..Default::default() }, true);
    }
}
