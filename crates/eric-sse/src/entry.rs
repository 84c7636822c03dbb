//! An entry is a message that the log has taken; a position says where it stands.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::lane::Lane;
use crate::limits::EPOCH_BYTES_MAX;
use crate::message::Message;

/// A place in a hub's log. Entries count from 1; [`Offset::ZERO`] is before the first.
///
/// ```
/// use eric_sse::Offset;
///
/// // The first entry is the one after the beginning.
/// assert_eq!(Offset::ZERO.next(), Offset::new(1));
/// assert!(Offset::new(1) < Offset::MAX);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);
    /// Beyond every entry.
    pub const MAX: Self = Self(u64::MAX);

    /// The offset with this number.
    ///
    /// ```
    /// use eric_sse::Offset;
    ///
    /// assert_eq!(Offset::new(42).to_string(), "42");
    /// ```
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let taken = news.broadcast(Message::of("tick", &7)?).await?;
    /// assert_eq!(taken.position.offset.get(), 1);
    /// # Ok(())
    /// # });
    /// ```
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset after this one.
    ///
    /// ```
    /// use eric_sse::Offset;
    ///
    /// assert_eq!(Offset::new(41).next(), Offset::new(42));
    /// ```
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stretch of a log's life within which no offset is issued twice: 1–16 of `[a-z0-9]`.
///
/// ```
/// use eric_sse::Epoch;
///
/// assert_eq!("7f3a".parse::<Epoch>()?.as_str(), "7f3a");
/// assert!("7F3A".parse::<Epoch>().is_err());
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; EPOCH_BYTES_MAX]);

impl Epoch {
    /// A new epoch that no other is likely to share: 12 random characters.
    ///
    /// ```
    /// use eric_sse::Epoch;
    ///
    /// assert_ne!(Epoch::generate(), Epoch::generate());
    /// ```
    pub fn generate() -> Self {
        let mut bits = uuid::Uuid::new_v4().as_u128();
        let mut text = [0; EPOCH_BYTES_MAX];
        for byte in &mut text[..12] {
            *byte = b"0123456789abcdefghijklmnopqrstuvwxyz"[(bits % 36) as usize];
            bits /= 36;
        }
        Self(text)
    }

    /// Its characters.
    ///
    /// ```
    /// use eric_sse::Position;
    ///
    /// let position: Position = "7f3a-42".parse()?;
    /// assert_eq!(position.epoch.as_str(), "7f3a");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(EPOCH_BYTES_MAX);
        std::str::from_utf8(&self.0[..len]).expect("an epoch is made of ASCII")
    }
}

impl FromStr for Epoch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        if text.is_empty() || text.len() > EPOCH_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(Error::new(ErrorKind::InvalidValue, "epoch is not 1 to 16 of [a-z0-9]"));
        }
        let mut bytes = [0; EPOCH_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Where any reader of a hub is, whatever it follows: an epoch and an offset, written `<epoch>-<offset>`.
///
/// ```
/// use eric_sse::Position;
///
/// let position: Position = "7f3a-42".parse()?;
/// assert_eq!(position.offset.get(), 42);
/// assert_eq!(position.to_string(), "7f3a-42");
/// assert!("7f3a-042".parse::<Position>().is_err());
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The stretch of the log's life that the offset belongs to.
    pub epoch: Epoch,
    /// The place in it.
    pub offset: Offset,
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = || Error::new(ErrorKind::InvalidValue, "position is not <epoch>-<offset>");
        let (epoch, offset) = text.split_once('-').ok_or_else(malformed)?;
        let padded = offset.len() > 1 && offset.starts_with('0');
        if padded || offset.is_empty() || !offset.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        let offset = offset.parse().map_err(|_| malformed())?;
        Ok(Self { epoch: epoch.parse().map_err(|_| malformed())?, offset: Offset(offset) })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

/// A message that the log has taken. Cloning shares it.
///
/// ```
/// # use eric_sse::Message;
/// # eric_testkit::example(async |hub, news, bob| {
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// let entry = news.history(None, 1).await?.entries.remove(0);
/// assert_eq!(entry.position(), hub.tail());
/// assert_eq!(entry.message().kind().as_str(), "headline");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Entry(Arc<Taking>);

#[derive(Debug)]
struct Taking {
    position: Position,
    lane: Lane,
    taken_at: Timestamp,
    message: Message,
}

impl Entry {
    /// What an engine makes of a [`NewEntry`](crate::log::NewEntry) once it has a place for it.
    ///
    /// ```
    /// # use eric_sse::{Entry, Message, Timestamp, lane::Lane};
    /// let (position, lane) = ("7f3a-42".parse()?, Lane::new(1));
    /// let entry = Entry::new(position, lane, Timestamp::from_ms(0), Message::of("tick", &7)?);
    /// assert_eq!(entry.clone().message(), entry.message());
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn new(position: Position, lane: Lane, taken_at: Timestamp, message: Message) -> Self {
        Self(Arc::new(Taking { position, lane, taken_at, message }))
    }

    /// Where it stands.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let taken = news.broadcast(Message::of("tick", &7)?).await?;
    /// let kept = news.history(None, 1).await?.entries;
    /// assert_eq!(kept[0].position(), taken.position);
    /// # Ok(())
    /// # });
    /// ```
    pub fn position(&self) -> Position {
        self.0.position
    }

    /// Where it stands within its epoch.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("tick", &n)?).await?;
    /// }
    /// let kept = news.history(None, 10).await?.entries;
    /// assert!(kept.is_sorted_by_key(|entry| entry.offset()));
    /// # Ok(())
    /// # });
    /// ```
    pub fn offset(&self) -> Offset {
        self.0.position.offset
    }

    /// The lane it is in.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// news.dispatch(bob.id(), Message::of("note", "for bob")?).await?;
    /// let mut lanes = Vec::new();
    /// while let Some(delivery) = news.deliver_next(bob.id()).await? {
    ///     lanes.push(delivery.framed().entry().lane());
    /// }
    /// assert_ne!(lanes[0], lanes[1], "one is the channel's, the other bob's own");
    /// # Ok(())
    /// # });
    /// ```
    pub fn lane(&self) -> Lane {
        self.0.lane
    }

    /// When the log took it.
    ///
    /// ```
    /// # use eric_sse::{Clock as _, Message, SystemClock};
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let before = SystemClock.now();
    /// news.broadcast(Message::of("tick", &7)?).await?;
    /// let kept = news.history(None, 1).await?.entries;
    /// assert!(before <= kept[0].taken_at());
    /// # Ok(())
    /// # });
    /// ```
    pub fn taken_at(&self) -> Timestamp {
        self.0.taken_at
    }

    /// What was published.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let tick = Message::of("tick", &7)?;
    /// news.broadcast(tick.clone()).await?;
    /// assert_eq!(*news.history(None, 1).await?.entries[0].message(), tick);
    /// # Ok(())
    /// # });
    /// ```
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// Bytes that count against limits: type and payload.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// news.broadcast(Message::of("tick", &7)?).await?;
    /// assert_eq!(news.history(None, 1).await?.entries[0].bytes(), "tick7".len());
    /// # Ok(())
    /// # });
    /// ```
    pub fn bytes(&self) -> usize {
        self.0.message.bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_malformed_position_is_refused() {
        for text in [
            "",
            "-",
            "a-",
            "-1",
            "a-01",
            "a-+1",
            "a- 1",
            "A-1",
            "a-18446744073709551616",
            "a_1",
            "a-1-1",
            "abcdefghijklmnopq-1",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
        for text in ["a-0", "0-0", "abcdefghijklmnop-18446744073709551615"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_epoch_has_1_to_16_characters() {
        assert!("".parse::<Epoch>().is_err());
        assert!("e".repeat(EPOCH_BYTES_MAX).parse::<Epoch>().is_ok());
        assert!("e".repeat(EPOCH_BYTES_MAX + 1).parse::<Epoch>().is_err());
    }

    #[test]
    fn generated_epochs_differ_and_parse() {
        let epoch = Epoch::generate();
        assert_ne!(epoch, Epoch::generate());
        assert_eq!(epoch.as_str().parse::<Epoch>().unwrap(), epoch);
    }

    proptest! {
        #[test]
        fn positions_survive_text(epoch in "[a-z0-9]{1,16}", offset: u64) {
            let text = format!("{epoch}-{offset}");
            prop_assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
    }
}
