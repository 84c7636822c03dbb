//! The one table of error codes: what went wrong, as clients branch on it.

use eric_sse::ErrorKind;

/// A code of `wire.md`, with its name and HTTP status. A code never changes its meaning.
///
/// ```
/// use eric_protocol::Code;
///
/// // What was refused is tried again only where that may help.
/// let again = Code::ALL.into_iter().filter(|code| code.is_temporary());
/// assert_eq!(again.map(Code::status).collect::<Vec<_>>(), [408, 429, 503, 507]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// Malformed input.
    BadRequest,
    /// Who asks is not known.
    Unauthorized,
    /// Who asks may not.
    Forbidden,
    /// No such channel.
    UnknownChannel,
    /// No such listener.
    UnknownListener,
    /// No such path.
    NotFound,
    /// The path has other methods.
    MethodNotAllowed,
    /// The client took too long.
    Timeout,
    /// What is asked contradicts what is there.
    Conflict,
    /// A body or message over its limit.
    TooLarge,
    /// A body of a kind that is not read.
    UnsupportedMediaType,
    /// An idempotency key with other content.
    KeyReused,
    /// A named limit is reached.
    LimitExceeded,
    /// A request head over its limits.
    HeadersTooLarge,
    /// The engine is away, or stopped, or the hub is closing.
    Unavailable,
    /// The engine has no room.
    NoSpace,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::UnknownChannel,
        Self::UnknownListener,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::KeyReused,
        Self::LimitExceeded,
        Self::HeadersTooLarge,
        Self::Unavailable,
        Self::NoSpace,
    ];

    /// Name, HTTP status, and title of the code.
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::BadRequest => ("bad_request", 400, "Bad request"),
            Self::Unauthorized => ("unauthorized", 401, "Unauthorized"),
            Self::Forbidden => ("forbidden", 403, "Forbidden"),
            Self::UnknownChannel => ("unknown_channel", 404, "Unknown channel"),
            Self::UnknownListener => ("unknown_listener", 404, "Unknown listener"),
            Self::NotFound => ("not_found", 404, "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
            Self::Timeout => ("timeout", 408, "Request timeout"),
            Self::Conflict => ("conflict", 409, "Conflict"),
            Self::TooLarge => ("too_large", 413, "Too large"),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, "Unsupported media type"),
            Self::KeyReused => ("key_reused", 422, "Idempotency key reused"),
            Self::LimitExceeded => ("limit_exceeded", 429, "Limit exceeded"),
            Self::HeadersTooLarge => ("headers_too_large", 431, "Request head too large"),
            Self::Unavailable => ("unavailable", 503, "Unavailable"),
            Self::NoSpace => ("no_space", 507, "No space"),
        }
    }

    /// The code of this name.
    ///
    /// ```
    /// use eric_protocol::Code;
    ///
    /// assert_eq!(Code::from_name("key_reused"), Some(Code::KeyReused));
    /// assert_eq!(Code::from_name("teapot"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// Its name on the wire.
    ///
    /// ```
    /// assert_eq!(eric_protocol::Code::UnknownChannel.name(), "unknown_channel");
    /// ```
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Its HTTP status.
    ///
    /// ```
    /// assert_eq!(eric_protocol::Code::UnknownChannel.status(), 404);
    /// ```
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// Its title, for people.
    ///
    /// ```
    /// assert_eq!(eric_protocol::Code::UnknownChannel.title(), "Unknown channel");
    /// ```
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// Whether the same request may succeed later.
    ///
    /// ```
    /// use eric_protocol::Code;
    ///
    /// assert!(Code::NoSpace.is_temporary(), "somebody may make room");
    /// assert!(!Code::KeyReused.is_temporary());
    /// ```
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::Timeout | Self::LimitExceeded | Self::Unavailable | Self::NoSpace)
    }
}

impl From<ErrorKind> for Code {
    /// ```
    /// use eric_protocol::Code;
    ///
    /// assert_eq!(Code::from(eric_sse::ErrorKind::KeyReused).status(), 422);
    /// ```
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::UnknownChannel => Self::UnknownChannel,
            ErrorKind::UnknownListener => Self::UnknownListener,
            ErrorKind::InvalidMessage | ErrorKind::InvalidValue => Self::BadRequest,
            ErrorKind::TooLarge => Self::TooLarge,
            ErrorKind::KeyReused => Self::KeyReused,
            ErrorKind::AlreadyExists | ErrorKind::Conflict => Self::Conflict,
            ErrorKind::LimitExceeded => Self::LimitExceeded,
            ErrorKind::NoSpace => Self::NoSpace,
            // `Closed`, `Unavailable`, `Corrupt`, and what is yet to come: not the client's fault.
            _ => Self::Unavailable,
        }
    }
}
