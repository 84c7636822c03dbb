//! The one error of the library: a kind to branch on, a text to read, a source to follow.
//!
//! Engines keep their own errors private and convert them here; doors turn a kind into a status
//! (`eric-protocol`, `code.rs`).

use std::fmt;

use crate::lane::Lane;

/// The library's result.
///
/// ```
/// use eric_sse::ChannelId;
///
/// fn of_tenant(tenant: &str) -> eric_sse::Result<ChannelId> {
///     format!("{tenant}/news").parse()
/// }
///
/// assert_eq!(of_tenant("blue").unwrap().as_str(), "blue/news");
/// assert!(of_tenant("a\nb").is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
///
/// ```
/// # use eric_sse::ChannelSettings;
/// use eric_sse::ErrorKind;
///
/// # eric_testkit::example(async |hub, news, bob| {
/// let sports = match hub.channels().get(&"sports".parse()?) {
///     Err(error) if error.kind() == ErrorKind::UnknownChannel => {
///         hub.channels().create("sports".parse()?, ChannelSettings::default()).await?
///     }
///     found => found?,
/// };
/// assert_eq!(sports.id().as_str(), "sports");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No channel has this id.
    UnknownChannel,
    /// No listener of the channel has this id.
    UnknownListener,
    /// The id is taken.
    AlreadyExists,
    /// The message cannot be accepted as it is: correct it.
    InvalidMessage,
    /// An id, a position, a key or a setting is malformed: correct it.
    InvalidValue,
    /// The message is larger than the limit.
    TooLarge,
    /// The idempotency key was used for other content.
    KeyReused,
    /// What is asked contradicts what is there: another live subscription, a position beyond the tail.
    Conflict,
    /// A named limit is reached; [`Error::limit`] tells which.
    LimitExceeded,
    /// The hub is closing or closed.
    Closed,
    /// The engine is out of reach: try again later.
    Unavailable,
    /// The engine has no room: try again when there is some.
    NoSpace,
    /// What the engine kept is damaged: stop.
    Corrupt,
}

/// Why an operation did not happen; nothing has changed.
///
/// ```
/// use eric_sse::{ChannelId, ErrorKind};
///
/// let error = "".parse::<ChannelId>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidValue);
/// assert_eq!(error.to_string(), "channel id is empty");
/// ```
pub struct Error(Box<Fault>);

struct Fault {
    kind: ErrorKind,
    message: Box<str>,
    limit: Option<&'static str>,
    holder: Option<Lane>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that reads `message`: lower case, no full stop, naming the thing and the reason.
    ///
    /// ```
    /// use eric_sse::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Unavailable, "the engine at 10.0.0.7 does not answer");
    /// assert_eq!(error.to_string(), "the engine at 10.0.0.7 does not answer");
    /// ```
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into().into_boxed_str();
        Self(Box::new(Fault { kind, message, limit: None, holder: None, source: None }))
    }

    /// An [`ErrorKind::LimitExceeded`] that names the limit as the documentation spells it.
    ///
    /// ```
    /// use eric_sse::{Error, ErrorKind};
    ///
    /// let error = Error::limit_exceeded("max_messages", "max_messages=10 is reached");
    /// assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    /// assert_eq!(error.limit(), Some("max_messages"));
    /// ```
    pub fn limit_exceeded(limit: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::LimitExceeded, message);
        error.0.limit = Some(limit);
        error
    }

    /// The same error with the listener's lane that holds the limit, so that the hub can name it.
    ///
    /// ```
    /// use eric_sse::{Error, lane::Lane};
    ///
    /// let bob = Lane::new(7);
    /// let error = Error::limit_exceeded("max_messages", "max_messages=10 is reached").held_by(bob);
    /// assert_eq!(error.to_string(), "max_messages=10 is reached", "the hub adds who bob is");
    /// ```
    pub fn held_by(mut self, holder: Lane) -> Self {
        self.0.holder = Some(holder);
        self
    }

    /// The same error with what caused it.
    ///
    /// ```
    /// use std::error::Error as _;
    /// use eric_sse::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Unavailable, "cannot write").caused_by("the cable is out");
    /// assert_eq!(error.source().unwrap().to_string(), "the cable is out");
    /// ```
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller can do about it.
    ///
    /// ```
    /// # use eric_sse::ErrorKind;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let error = hub.channels().get(&"sports".parse()?).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::UnknownChannel);
    /// # Ok(())
    /// # });
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The name of the limit that is reached, for [`ErrorKind::LimitExceeded`].
    ///
    /// ```
    /// # use eric_sse::{ChannelSettings, Hub, Limits};
    /// # eric_testkit::example(async |_, _, _| {
    /// let hub = Hub::in_memory_with(Limits { channels: 0, ..Limits::default() });
    /// let full = hub.channels().create("news".parse()?, ChannelSettings::default()).await.unwrap_err();
    /// assert_eq!(full.limit(), Some("channels"));
    /// # Ok(())
    /// # });
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn limit(&self) -> Option<&'static str> {
        self.0.limit
    }

    pub(crate) fn holder(&self) -> Option<Lane> {
        self.0.holder
    }

    /// The same error with more to read at its end.
    pub(crate) fn with_note(mut self, note: &str) -> Self {
        self.0.message = format!("{}{note}", self.0.message).into_boxed_str();
        self
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, message, limit, holder, source } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("message", message)
            .field("limit", limit)
            .field("holder", holder)
            .field("source", source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
