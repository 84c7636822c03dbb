//! What happens to a live stream whose client takes less than it is sent.

/// What happens to a live stream that is slow: whose client takes nothing for a second while something waits, or is
/// behind by more than 512 KiB.
///
/// Nothing that is for one listener alone is ever left out, and what is left out is told as a gap.
///
/// ```
/// use eric_protocol::Slow;
///
/// assert_eq!(Slow::default().name(), "spill");
/// assert!(Slow::ALL.iter().all(|slow| Slow::named(slow.name()) == Some(*slow)));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Slow {
    /// It reads the log, at its own pace, and misses nothing that the channel keeps.
    #[default]
    Spill,
    /// It is reset; its cursor stays.
    Disconnect,
    /// Broadcasts are left out, once it is too far behind.
    Drop,
    /// Broadcasts are left out but for the latest, while its client has no room.
    Latest,
}

impl Slow {
    /// All there are; the default is the first.
    ///
    /// ```
    /// assert_eq!(eric_protocol::Slow::ALL[0], eric_protocol::Slow::default());
    /// ```
    pub const ALL: [Self; 4] = [Self::Spill, Self::Disconnect, Self::Drop, Self::Latest];

    /// Its name in a query.
    ///
    /// ```
    /// assert_eq!(eric_protocol::Slow::Latest.name(), "latest");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Spill => "spill",
            Self::Disconnect => "disconnect",
            Self::Drop => "drop",
            Self::Latest => "latest",
        }
    }

    /// The one of this name.
    ///
    /// ```
    /// use eric_protocol::Slow;
    ///
    /// assert_eq!((Slow::named("drop"), Slow::named("Drop")), (Some(Slow::Drop), None));
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slow| slow.name() == name)
    }
}
