//! The reference's exceptions, as the texts that its clients know: `InvalidChannelException('No channel with id x')`.
//!
//! A text is Python's `repr` of an exception with one argument, so its quotes and escapes are those of Python.

use std::borrow::Cow;
use std::fmt;

use eric_sse::limits::INPUT_ECHO_BYTES_MAX;
use eric_sse::{Error, ErrorKind};

/// An error in the reference's words.
///
/// ```
/// use eric_protocol::Exception;
///
/// assert_eq!(Exception::unknown_channel("x").to_string(), "InvalidChannelException('No channel with id x')");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    class: Class,
    text: String,
}

/// The class of an [`Exception`].
///
/// ```
/// use eric_protocol::Exception;
/// use eric_protocol::exception::Class;
///
/// assert_eq!(Exception::unknown_channel("x").class(), Class::InvalidChannel);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A channel is not there, or there already.
    InvalidChannel,
    /// A listener is not there.
    InvalidListener,
    /// A request or a message is malformed.
    InvalidMessageFormat,
    /// The hub cannot do it: a limit, or its engine.
    Repository,
}

impl Class {
    /// Its name on the wire.
    ///
    /// ```
    /// use eric_protocol::exception::Class;
    ///
    /// assert_eq!(Class::InvalidMessageFormat.name(), "InvalidMessageFormat");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidChannel => "InvalidChannelException",
            Self::InvalidListener => "InvalidListenerException",
            Self::InvalidMessageFormat => "InvalidMessageFormat",
            Self::Repository => "RepositoryError",
        }
    }
}

impl Exception {
    /// No channel has this id.
    ///
    /// ```
    /// use eric_protocol::Exception;
    ///
    /// let unknown = Exception::unknown_channel("it's").to_string();
    /// assert_eq!(unknown, r#"InvalidChannelException("No channel with id it's")"#);
    /// ```
    pub fn unknown_channel(id: &str) -> Self {
        Self { class: Class::InvalidChannel, text: format!("No channel with id {}", short(id)) }
    }

    /// A channel has this id already.
    ///
    /// ```
    /// use eric_protocol::Exception;
    ///
    /// let exists = Exception::channel_exists("x").to_string();
    /// assert_eq!(exists, "InvalidChannelException('Channel with id x already exists')");
    /// ```
    pub fn channel_exists(id: &str) -> Self {
        Self { class: Class::InvalidChannel, text: format!("Channel with id {id} already exists") }
    }

    /// No listener of the channel has this id.
    ///
    /// ```
    /// use eric_protocol::Exception;
    ///
    /// assert_eq!(Exception::unknown_listener("x").to_string(), "InvalidListenerException('Invalid listener x')");
    /// ```
    pub fn unknown_listener(id: &str) -> Self {
        Self { class: Class::InvalidListener, text: format!("Invalid listener {}", short(id)) }
    }

    /// No listener of the channel has this id, as the reference says it of one that is to be removed.
    ///
    /// ```
    /// use eric_protocol::Exception;
    ///
    /// assert_eq!(Exception::no_listener_to_remove("x").to_string(), "InvalidListenerException('x')");
    /// ```
    pub fn no_listener_to_remove(id: &str) -> Self {
        Self { class: Class::InvalidListener, text: short(id).into_owned() }
    }

    /// A request or message is malformed, for this reason.
    ///
    /// ```
    /// use eric_protocol::Exception;
    ///
    /// let refused = Exception::invalid_format("request is empty");
    /// assert_eq!(refused.to_string(), "InvalidMessageFormat('request is empty')");
    /// ```
    pub fn invalid_format(reason: impl Into<String>) -> Self {
        Self { class: Class::InvalidMessageFormat, text: reason.into() }
    }

    /// What the hub says of something on the channel `channel`, perhaps about its listener `listener`.
    ///
    /// ```
    /// use eric_protocol::Exception;
    /// use eric_sse::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::UnknownListener, "unknown listener id=bob");
    /// let exception = Exception::new(&error, "news", "bob");
    /// assert_eq!(exception.to_string(), "InvalidListenerException('Invalid listener bob')");
    /// ```
    pub fn new(error: &Error, channel: &str, listener: &str) -> Self {
        match error.kind() {
            ErrorKind::UnknownChannel => Self::unknown_channel(channel),
            ErrorKind::AlreadyExists => Self::channel_exists(channel),
            ErrorKind::UnknownListener => Self::unknown_listener(listener),
            // What another try cannot mend is the request's fault, or clients would try again for ever.
            ErrorKind::InvalidMessage
            | ErrorKind::InvalidValue
            | ErrorKind::TooLarge
            | ErrorKind::KeyReused => Self::invalid_format(error.to_string()),
            _ => Self { class: Class::Repository, text: error.to_string() },
        }
    }

    /// Its class.
    ///
    /// ```
    /// use eric_protocol::exception::{Class, Exception};
    ///
    /// assert_eq!(Exception::invalid_format("request is empty").class(), Class::InvalidMessageFormat);
    /// ```
    pub fn class(&self) -> Class {
        self.class
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.class.name(), Repr(&self.text))
    }
}

/// A name as it is shown: one that is far longer than any id is cut.
fn short(name: &str) -> Cow<'_, str> {
    match name.len() > INPUT_ECHO_BYTES_MAX {
        true => format!("{}…", &name[..name.floor_char_boundary(INPUT_ECHO_BYTES_MAX)]).into(),
        false => name.into(),
    }
}

/// A text as Python's `repr` writes it.
struct Repr<'a>(&'a str);

impl fmt::Display for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let quote = if self.0.contains('\'') && !self.0.contains('"') { '"' } else { '\'' };
        f.write_char(quote)?;
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                _ if char == quote => write!(f, "\\{char}")?,
                _ if is_printable(char) => f.write_char(char)?,
                '\0'..='\u{ff}' => write!(f, "\\x{:02x}", char as u32)?,
                '\u{100}'..='\u{ffff}' => write!(f, "\\u{:04x}", char as u32)?,
                _ => write!(f, "\\U{:08x}", char as u32)?,
            }
        }
        f.write_char(quote)
    }
}

/// Whether Python prints `char` as it is. It goes by the same categories of Unicode as Rust's own escapes do, which
/// escape combining characters too, but only where nothing is before them.
fn is_printable(char: char) -> bool {
    let mut pair = [b'a'; 5];
    let length = 1 + char.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..length]).expect("two characters");
    matches!(char, '"' | '\'') || pair.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_python_writes_it() {
        for (text, expected) in [
            ("", "''"),
            ("nope", "'nope'"),
            ("it's", "\"it's\""),
            ("say \"x\"", "'say \"x\"'"),
            ("it's \"x\"", "'it\\'s \"x\"'"),
            ("a\\b\n\r\t", r"'a\\b\n\r\t'"),
            ("\0\u{1f}\u{7f}\u{85}\u{a0}\u{ad}", r"'\x00\x1f\x7f\x85\xa0\xad'"),
            ("é ü 漢 🙂 e\u{301}", "'é ü 漢 🙂 e\u{301}'"),
            ("\u{301}", "'\u{301}'"),
            ("\u{200b}\u{2028}\u{feff}\u{e000}", r"'\u200b\u2028\ufeff\ue000'"),
            ("\u{e0001}\u{10ffff}", r"'\U000e0001\U0010ffff'"),
        ] {
            assert_eq!(Repr(text).to_string(), expected);
        }
    }

    #[test]
    fn a_name_of_more_than_4_kib_is_cut() {
        let shown = |name: &str| Exception::unknown_channel(name).to_string();
        let longest = "x".repeat(INPUT_ECHO_BYTES_MAX);
        assert_eq!(shown(&longest), format!("InvalidChannelException('No channel with id {longest}')"));
        assert_eq!(
            shown(&format!("{longest}x")),
            format!("InvalidChannelException('No channel with id {longest}…')")
        );
        let cut = format!("x{}", "é".repeat(INPUT_ECHO_BYTES_MAX));
        assert!(shown(&cut).ends_with("é…')"), "{}", shown(&cut));
    }

    #[test]
    fn what_the_hub_says_is_said_in_the_reference_s_words() {
        for (kind, expected) in [
            (ErrorKind::UnknownChannel, "InvalidChannelException('No channel with id c')"),
            (ErrorKind::AlreadyExists, "InvalidChannelException('Channel with id c already exists')"),
            (ErrorKind::UnknownListener, "InvalidListenerException('Invalid listener l')"),
            (ErrorKind::TooLarge, "InvalidMessageFormat('why')"),
            (ErrorKind::InvalidMessage, "InvalidMessageFormat('why')"),
            (ErrorKind::KeyReused, "InvalidMessageFormat('why')"),
            (ErrorKind::LimitExceeded, "RepositoryError('why')"),
            (ErrorKind::Unavailable, "RepositoryError('why')"),
        ] {
            assert_eq!(Exception::new(&Error::new(kind, "why"), "c", "l").to_string(), expected);
        }
    }
}
