//! Lanes: the ordered lists of entries inside a hub's log, and how they are kept.

use std::fmt;

use crate::entry::Offset;

/// One lane of a hub's log. Every channel has one for its broadcasts, every listener one for what is
/// dispatched to it. The engine numbers them and never gives a number twice, so a channel or listener that is
/// removed and made again cannot be confused with its predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u64);

impl Lane {
    /// The lane with this number; for engines.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lane that is open, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenLane {
    /// The lane.
    pub lane: Lane,
    /// The lane of the listener's channel; none where this is a channel's own.
    pub channel: Option<Lane>,
}

/// What an engine tells about a lane at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneInfo {
    /// The last entry that was ever in the lane; none where there never was one.
    pub last: Option<Offset>,
    /// The last entry that was trimmed; [`Offset::ZERO`] where none was.
    pub trimmed_to: Offset,
    /// Entries that are kept.
    pub messages: u64,
    /// Bytes of the entries that are kept.
    pub bytes: u64,
}

/// What a stretch of a lane holds, trimmed entries included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Entries in the stretch; none where too much was trimmed to know.
    pub entries: Option<u64>,
    /// Bytes of those that are kept.
    pub bytes: u64,
    /// The last entry in the stretch that is known.
    pub last: Option<Offset>,
}

/// What happens when a lane reaches a limit with unread entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Overflow {
    /// The oldest entries go; whom it concerns is told with a gap.
    #[default]
    DropOldest,
    /// The publish is refused; the error names the limit and the listener that holds it.
    Reject,
}

/// How long the lanes of a channel, its own and its listeners', keep what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries of the channel's lane.
    pub max_messages: u64,
    /// Bytes of the channel's lane.
    pub max_bytes: u64,
    /// Seconds that any entry is kept.
    pub max_age_s: u64,
    /// Entries that are kept, per lane, after everybody has consumed them.
    pub history: u64,
    /// Unread entries of a listener's lane.
    pub max_unread_per_listener: u64,
    /// Bytes of a listener's lane.
    pub max_unread_bytes_per_listener: u64,
    /// What happens at a limit.
    pub overflow: Overflow,
}
