//! A message as its publisher gave it: a type, a payload, perhaps an id and a sender.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{MessageId, SenderId};
use crate::json;
use crate::limits::{MESSAGE_BYTES_MAX, MESSAGE_TYPE_BYTES_MAX};

/// What kind of message it is: UTF-8, at most 8 KiB, no CR, LF or NUL, not beginning with `eric.`; may be empty.
///
/// An encoder has nothing left to check.
///
/// ```
/// use eric_sse::MessageType;
///
/// assert_eq!("greeting".parse::<MessageType>()?.as_str(), "greeting");
/// assert!("greeting\ndata: forged".parse::<MessageType>().is_err());
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageType(Arc<str>);

impl MessageType {
    /// The type as it was given.
    ///
    /// ```
    /// use eric_sse::Message;
    ///
    /// let message = Message::of("order.paid", &17)?;
    /// assert_eq!(message.kind().as_str().split('.').next(), Some("order"));
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fault = match text {
            _ if text.len() > MESSAGE_TYPE_BYTES_MAX => "is longer than 8192 bytes",
            _ if text.contains(['\r', '\n', '\0']) => "has a line break or NUL",
            _ if text.starts_with("eric.") => "begins with the reserved prefix eric.",
            _ => return Ok(Self(text.into())),
        };
        Err(Error::new(ErrorKind::InvalidMessage, format!("message type {fault}")))
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// What a message carries. Today that is JSON; more kinds may come.
///
/// ```
/// use eric_sse::Payload;
///
/// match Payload::of(&["a", "b"])? {
///     Payload::Json(json) => assert_eq!(Payload::Json(json).as_json(), r#"["a","b"]"#),
///     other => panic!("a kind that is newer than this program: {other:?}"),
/// }
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// A JSON value.
    Json(Json),
}

impl Payload {
    /// The JSON value `null`.
    ///
    /// ```
    /// use eric_sse::Payload;
    ///
    /// assert_eq!(Payload::null().as_json(), "null");
    /// ```
    pub fn null() -> Self {
        Self::Json(Json(Bytes::from_static(b"null")))
    }

    /// The payload that `text` spells in JSON, minified.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`] where it is not JSON or nests too deep.
    ///
    /// ```
    /// use eric_sse::Payload;
    ///
    /// let payload = Payload::from_json("{ \"n\": 12345678901234567890123 }")?;
    /// assert_eq!(payload.as_json(), r#"{"n":12345678901234567890123}"#);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorKind::InvalidMessage, format!("payload is not JSON: {error}"))
        })?;
        Self::from_raw(raw)
    }

    /// The payload that `raw`, valid JSON by its type, spells; minified.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`] where it nests too deep.
    ///
    /// ```
    /// use eric_sse::Payload;
    /// use serde_json::value::RawValue;
    ///
    /// // Numbers are not read, and so stay as they were written.
    /// let raw: &RawValue = serde_json::from_str("[ 1.50 ]").unwrap();
    /// assert_eq!(Payload::from_raw(raw)?.as_json(), "[1.50]");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn from_raw(raw: &RawValue) -> Result<Self> {
        Ok(Self::Json(Json(json::minify(raw.get())?.into())))
    }

    /// The payload that `value` serialises to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`] where it cannot be JSON or nests too deep.
    ///
    /// ```
    /// use eric_sse::Payload;
    ///
    /// assert_eq!(Payload::of(&[1, 2])?.as_json(), "[1,2]");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        let text = serde_json::to_string(value).map_err(|error| {
            Error::new(ErrorKind::InvalidMessage, "payload cannot be JSON").caused_by(error)
        })?;
        Ok(Self::Json(Json(json::minify(&text)?.into())))
    }

    /// The value that it spells: the way back from [`Payload::of`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`] where it spells something else.
    ///
    /// ```
    /// use eric_sse::Payload;
    ///
    /// let payload = Payload::of(&(1, "one"))?;
    /// assert_eq!(payload.parse::<(u8, String)>()?, (1, "one".to_owned()));
    /// assert!(payload.parse::<bool>().is_err());
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_str(self.as_json()).map_err(|error| {
            let text = format!("payload is not what was expected: {error}");
            Error::new(ErrorKind::InvalidMessage, text).caused_by(error)
        })
    }

    /// Its JSON, on one line.
    ///
    /// ```
    /// use eric_sse::Payload;
    ///
    /// let payload = Payload::of(&[1, 2])?;
    /// let numbers: Vec<u64> = serde_json::from_str(payload.as_json()).unwrap();
    /// assert_eq!(numbers, [1, 2]);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn as_json(&self) -> &str {
        let Self::Json(json) = self;
        std::str::from_utf8(&json.0).expect("JSON was taken from a str")
    }

    /// Its bytes, shared.
    ///
    /// ```
    /// use eric_sse::Payload;
    ///
    /// assert_eq!(Payload::from_json("{ }")?.bytes().len(), 2);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn bytes(&self) -> &Bytes {
        let Self::Json(json) = self;
        &json.0
    }
}

/// Minified JSON that was checked when it was taken.
///
/// ```
/// use eric_sse::Payload;
///
/// // Texts that differ in white space only are one value.
/// assert_eq!(Payload::from_json("[1, 2]")?, Payload::from_json("[ 1,2 ]")?);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

/// A type and a payload, perhaps with an id and a sender; never changes, cheap to clone.
///
/// ```
/// use eric_sse::{Message, Payload};
///
/// let message = Message::new("greeting".parse()?, Payload::of("hello")?)?.with_sender("bob".parse()?);
/// assert_eq!(message.kind().as_str(), "greeting");
/// assert_eq!(message.payload().as_json(), "\"hello\"");
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Arc<Content>);

/// What a message holds. It is shared by everybody who holds the message: the log, the window, whoever reads it.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    kind: MessageType,
    payload: Payload,
    id: Option<MessageId>,
    sender: Option<SenderId>,
}

impl Message {
    /// A message of type `kind` that carries `payload`.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] where type and payload together exceed
    /// [`MESSAGE_BYTES_MAX`].
    ///
    /// ```
    /// use eric_sse::{ErrorKind, Message, Payload, limits::MESSAGE_BYTES_MAX};
    ///
    /// let novel = Payload::of(&"x".repeat(MESSAGE_BYTES_MAX))?;
    /// let error = Message::new("novel".parse()?, novel).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TooLarge);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn new(kind: MessageType, payload: Payload) -> Result<Self> {
        let bytes = kind.as_str().len() + payload.bytes().len();
        if bytes > MESSAGE_BYTES_MAX {
            let text = format!("message has {bytes} bytes, more than message_bytes_max={MESSAGE_BYTES_MAX}");
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        Ok(Self(Arc::new(Content { kind, payload, id: None, sender: None })))
    }

    /// The message of type `kind` whose payload is `json`: for engines, which got these bytes from a message and
    /// kept them. That they are JSON is not looked at again.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where they are not UTF-8; as [`Message::new`].
    ///
    /// ```
    /// use eric_sse::Message;
    ///
    /// let message = Message::of("tick", &7)?;
    /// let kept = message.payload().bytes().clone();
    /// assert_eq!(Message::restore("tick".parse()?, kept)?, message);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn restore(kind: MessageType, json: Bytes) -> Result<Self> {
        if std::str::from_utf8(&json).is_err() {
            return Err(Error::new(ErrorKind::Corrupt, "a payload that was kept is not UTF-8"));
        }
        Self::new(kind, Payload::Json(Json(json)))
    }

    /// The message of type `kind` whose payload `value` serialises to.
    ///
    /// # Errors
    /// As [`MessageType::from_str`], [`Payload::of`] and [`Message::new`].
    ///
    /// ```
    /// let message = eric_sse::Message::of("tick", &7)?;
    /// assert_eq!(message.payload().as_json(), "7");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn of(kind: &str, value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Self::new(kind.parse()?, Payload::of(value)?)
    }

    /// The same message with an id, which makes publishing it again harmless.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let order = Message::of("order", &17)?.with_id("order-17".parse()?);
    /// assert!(news.broadcast(order.clone()).await?.first);
    /// assert!(!news.broadcast(order).await?.first, "it is there already");
    /// # Ok(())
    /// # });
    /// ```
    pub fn with_id(mut self, id: MessageId) -> Self {
        Arc::make_mut(&mut self.0).id = Some(id);
        self
    }

    /// The same message, signed with who sent it.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let note = Message::of("note", "for bob")?.with_sender("alice".parse()?);
    /// news.dispatch(bob.id(), note).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("there is one");
    /// assert_eq!(delivery.message().sender().map(|sender| sender.as_str()), Some("alice"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn with_sender(mut self, sender: SenderId) -> Self {
        Arc::make_mut(&mut self.0).sender = Some(sender);
        self
    }

    /// Its type.
    ///
    /// ```
    /// use eric_sse::Message;
    ///
    /// assert_eq!(*Message::of("tick", &7)?.kind(), "tick".parse()?);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn kind(&self) -> &MessageType {
        &self.0.kind
    }

    /// What it carries.
    ///
    /// ```
    /// use eric_sse::Message;
    ///
    /// let message = Message::of("tick", &7)?;
    /// assert_eq!(serde_json::from_str::<u64>(message.payload().as_json()).unwrap(), 7);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn payload(&self) -> &Payload {
        &self.0.payload
    }

    /// The id its publisher gave it.
    ///
    /// ```
    /// use eric_sse::Message;
    ///
    /// let order = Message::of("order", &17)?;
    /// assert_eq!(order.id(), None);
    /// assert!(order.with_id("order-17".parse()?).id().is_some());
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn id(&self) -> Option<&MessageId> {
        self.0.id.as_ref()
    }

    /// Who sent it.
    ///
    /// ```
    /// use eric_sse::Message;
    ///
    /// let note = Message::of("note", "hello")?.with_sender("alice".parse()?);
    /// assert_eq!(note.sender(), Some(&"alice".parse()?));
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn sender(&self) -> Option<&SenderId> {
        self.0.sender.as_ref()
    }

    /// Bytes that count against limits: type and payload.
    ///
    /// ```
    /// use eric_sse::Message;
    ///
    /// assert_eq!(Message::of("tick", &7)?.bytes(), "tick7".len());
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        self.0.kind.as_str().len() + self.0.payload.bytes().len()
    }

    /// A digest of its content (type, payload, sender), the same on every machine and in every version:
    /// two messages under one idempotency key are the same where their digests are.
    ///
    /// ```
    /// use eric_sse::Message;
    ///
    /// let order = Message::of("order", &17)?;
    /// assert_eq!(order.digest(), order.clone().with_id("order-17".parse()?).digest());
    /// assert_ne!(order.digest(), Message::of("order", &18)?.digest());
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn digest(&self) -> u128 {
        let mut hasher = SipHasher13::new();
        let sender = self.0.sender.as_ref().map_or("", SenderId::as_str);
        for part in [self.0.kind.as_str().as_bytes(), sender.as_bytes(), self.0.payload.bytes()] {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        hasher.finish128().as_u128()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", self.kind())
            .field("payload", self.payload())
            .field("id", &self.id())
            .field("sender", &self.sender())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_at_most_8_kib() {
        assert!("t".repeat(MESSAGE_TYPE_BYTES_MAX).parse::<MessageType>().is_ok());
        assert!("t".repeat(MESSAGE_TYPE_BYTES_MAX + 1).parse::<MessageType>().is_err());
        assert!("".parse::<MessageType>().is_ok());
    }

    #[test]
    fn a_type_cannot_break_a_line_or_forge_a_control_event() {
        for text in ["a\n", "a\r", "a\0", "eric.gap"] {
            assert!(text.parse::<MessageType>().is_err(), "{text:?}");
        }
        assert!("a\tb\u{2028}".parse::<MessageType>().is_ok());
    }

    #[test]
    fn a_payload_is_parsed_to_what_it_was_made_of_and_says_why_not() {
        let payload = Payload::of(&vec![("a\n", -1.5)]).unwrap();
        assert_eq!(payload.parse::<Vec<(String, f64)>>().unwrap(), [("a\n".to_owned(), -1.5)]);
        let number: u128 = Payload::from_json("12345678901234567890123").unwrap().parse().unwrap();
        assert_eq!(number, 12_345_678_901_234_567_890_123);
        let error = payload.parse::<u8>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMessage);
        assert!(error.to_string().contains("expected u8"), "{error}");
    }

    #[test]
    fn a_message_has_at_most_16_mib() {
        let of_bytes = |bytes: usize| Message::of("t", &"x".repeat(bytes - 3));
        assert_eq!(of_bytes(MESSAGE_BYTES_MAX).unwrap().bytes(), MESSAGE_BYTES_MAX);
        assert_eq!(of_bytes(MESSAGE_BYTES_MAX + 1).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn the_digest_tells_contents_apart_and_never_changes() {
        let message = Message::of("t", &1).unwrap();
        assert_eq!(message.digest(), message.clone().with_id("k".parse().unwrap()).digest());
        assert_ne!(message.digest(), message.clone().with_sender("s".parse().unwrap()).digest());
        assert_ne!(Message::of("ab", &"").unwrap().digest(), Message::of("a", &"b").unwrap().digest());
        assert_eq!(message.digest(), 270_272_048_003_062_110_261_662_460_773_179_468_393);
    }
}
