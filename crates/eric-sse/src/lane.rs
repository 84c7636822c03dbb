//! Lanes: the ordered lists of entries inside a hub's log, and how they are kept.

use std::fmt;

use crate::entry::Offset;

/// One lane of a hub's log. Every channel has one for its broadcasts, every listener one for what is
/// dispatched to it. The engine numbers them and never gives a number twice, so a channel or listener that is
/// removed and made again cannot be confused with its predecessor.
///
/// ```
/// # use eric_sse::log::Log as _;
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # let retention = eric_testkit::retention();
/// engine.close(news).await?;
/// assert_ne!(engine.open(retention).await?, news, "what is made again has a lane of its own");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u64);

impl Lane {
    /// The lane with this number; for engines.
    ///
    /// ```
    /// use eric_sse::lane::Lane;
    ///
    /// assert!(Lane::new(7) < Lane::new(8));
    /// ```
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    ///
    /// ```
    /// use eric_sse::lane::Lane;
    ///
    /// assert_eq!(Lane::new(7).get(), 7);
    /// ```
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
///
/// ```
/// # use eric_sse::{cursor::Cursors as _, log::Log as _};
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// engine.join(news).await?;
/// engine.join(news).await?;
/// let listeners = engine.lanes().into_iter().filter(|open| open.channel == Some(news));
/// assert_eq!(listeners.count(), 2);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenLane {
    /// The lane.
    pub lane: Lane,
    /// The lane of the listener's channel; none where this is a channel's own.
    pub channel: Option<Lane>,
}

/// What an engine tells about a lane at one moment.
///
/// ```
/// # use eric_sse::{Offset, lane::Retention, log::Log as _};
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # let retention = eric_testkit::retention();
/// engine.submit(vec![headline; 3]).await?;
/// engine.retain(news, Retention { max_messages: 1, ..retention }).await?;
/// let info = engine.lane(news).await?;
/// assert_eq!((info.last, info.trimmed_to), (Some(Offset::new(3)), Offset::new(2)));
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # use eric_sse::{Offset, lane::Retention, log::Log as _};
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// # let retention = eric_testkit::retention();
/// engine.submit(vec![headline; 3]).await?;
/// engine.retain(news, Retention { max_messages: 1, ..retention }).await?;
/// // Entries that are gone are counted, their bytes are not.
/// let gone = engine.span(news, Offset::ZERO, Offset::new(2)).await?;
/// assert_eq!((gone.entries, gone.bytes), (Some(2), 0));
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::{ChannelSettings, lane::Overflow};
///
/// # eric_testkit::example(async |hub, news, bob| {
/// let settings = ChannelSettings { max_messages: 1, overflow: Overflow::Reject, ..ChannelSettings::default() };
/// let orders = hub.channels().create("orders".parse()?, settings).await?;
/// orders.ensure_listener("worker".parse()?).await?;
/// orders.broadcast(Message::of("order", &17)?).await?;
/// let refused = orders.broadcast(Message::of("order", &18)?).await.unwrap_err();
/// assert_eq!(refused.limit(), Some("max_messages"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Overflow {
    /// The oldest entries go; whom it concerns is told with a gap.
    #[default]
    DropOldest,
    /// The publish is refused; the error names the limit and the listener that holds it.
    Reject,
}

/// How long the lanes of a channel, its own and its listeners', keep what they hold.
///
/// ```
/// # use eric_sse::log::Log as _;
/// use eric_sse::lane::{Overflow, Retention};
///
/// # eric_testkit::engine_example(async |engine, news, headline| {
/// let an_hour = Retention {
///     max_messages: 10_000,
///     max_bytes: 1_000_000,
///     max_age_s: 3_600,
///     history: 100,
///     max_unread_per_listener: 1_000,
///     max_unread_bytes_per_listener: 100_000,
///     overflow: Overflow::DropOldest,
/// };
/// let news = engine.open(an_hour).await?;
/// assert_eq!(engine.lane(news).await?.messages, 0);
/// # Ok(())
/// # });
/// ```
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
