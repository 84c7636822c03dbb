//! By which limit entries went that a listener had not finished: numbers and names, no rules. The rules that let go are
//! in `engine/lanes/keep.rs`, what a hub counts is in `stats.rs`.

use std::fmt;

/// A limit that evicts entries which a listener has not finished.
///
/// ```
/// use eric_sse::EvictedBy;
///
/// assert_eq!(EvictedBy::Age.setting(), "max_age_s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvictedBy {
    /// [`max_messages`](crate::ChannelSettings::max_messages): too many broadcasts.
    Messages,
    /// [`max_bytes`](crate::ChannelSettings::max_bytes): too many bytes of broadcasts.
    Bytes,
    /// [`max_age_s`](crate::ChannelSettings::max_age_s): a broadcast or a dispatch that was too old.
    Age,
    /// [`max_unread_per_listener`](crate::ChannelSettings::max_unread_per_listener): too many dispatches to one
    /// listener.
    Unread,
    /// [`max_unread_bytes_per_listener`](crate::ChannelSettings::max_unread_bytes_per_listener): too many bytes of them.
    UnreadBytes,
}

impl EvictedBy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Messages, Self::Bytes, Self::Age, Self::Unread, Self::UnreadBytes];

    /// The name of the channel's setting that it is.
    ///
    /// ```
    /// use eric_sse::EvictedBy;
    ///
    /// assert_eq!(EvictedBy::Unread.setting(), "max_unread_per_listener");
    /// assert_eq!(EvictedBy::Unread.to_string(), EvictedBy::Unread.setting());
    /// ```
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Messages => "max_messages",
            Self::Bytes => "max_bytes",
            Self::Age => "max_age_s",
            Self::Unread => "max_unread_per_listener",
            Self::UnreadBytes => "max_unread_bytes_per_listener",
        }
    }
}

impl fmt::Display for EvictedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.setting())
    }
}

/// How many entries went before a listener had finished them, by the limit that evicted them.
///
/// ```
/// use eric_sse::{Evicted, EvictedBy};
///
/// let mut evicted = Evicted::default();
/// evicted.add(EvictedBy::Age, 2);
/// evicted.add(EvictedBy::Bytes, 1);
/// assert_eq!((evicted.by(EvictedBy::Age), evicted.sum()), (2, 3));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evicted([u64; EvictedBy::ALL.len()]);

impl Evicted {
    /// Counts so many more.
    ///
    /// ```
    /// use eric_sse::{Evicted, EvictedBy};
    ///
    /// let mut evicted = Evicted::default();
    /// evicted.add(EvictedBy::Age, 2);
    /// evicted.add(EvictedBy::Age, 3);
    /// assert_eq!(evicted.by(EvictedBy::Age), 5);
    /// ```
    pub fn add(&mut self, by: EvictedBy, more: u64) {
        self.0[by as usize] += more;
    }

    /// How many this limit evicted.
    ///
    /// ```
    /// use eric_sse::{Evicted, EvictedBy};
    ///
    /// let mut evicted = Evicted::default();
    /// evicted.add(EvictedBy::Bytes, 1);
    /// assert_eq!((evicted.by(EvictedBy::Bytes), evicted.by(EvictedBy::Messages)), (1, 0));
    /// ```
    pub fn by(&self, by: EvictedBy) -> u64 {
        self.0[by as usize]
    }

    /// How many there were.
    ///
    /// ```
    /// use eric_sse::{Evicted, EvictedBy};
    ///
    /// let mut evicted = Evicted::default();
    /// for by in EvictedBy::ALL {
    ///     evicted.add(by, 1);
    /// }
    /// assert_eq!(evicted.sum(), 5);
    /// ```
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_place_of_its_own() {
        for (index, by) in EvictedBy::ALL.into_iter().enumerate() {
            assert_eq!(by as usize, index, "{by}");
        }
    }
}
