//! An entry, as it stands in a `Batch` or a `Kept`: readable without its record.
//!
//! ```text
//!  0        4       8
//! ┌────────┬───────┬───────┬────────┬──────┬──────────┬──────┬─────┬────┬────────┬───────────┐
//! │ length │ crc32 │ flags │ offset │ lane │ taken at │ type │ key │ id │ sender │ payload … │
//! └────────┴───────┴───────┴────────┴──────┴──────────┴──────┴─────┴────┴────────┴───────────┘
//! ```

use bytes::Bytes;
use eric_sse::engine::lanes::Kept;
use eric_sse::lane::Lane;
use eric_sse::{Entry, Epoch, IdempotencyKey, Message, MessageType, Offset, Position, Timestamp};

use super::codec::{Decoded, Malformed, Reader, put_text, put_varint};

/// Bytes before what is counted by the length.
pub(crate) const PREFIX_BYTES: usize = 8;

const PAYLOAD_KIND: u8 = 0b11;
const HAS_KEY: u8 = 1 << 2;
const ID_IS_KEY: u8 = 1 << 3;
const HAS_ID: u8 = 1 << 4;
const HAS_SENDER: u8 = 1 << 5;

/// Bytes that an entry takes at most beside its type and payload: numbers, and three keys of 256 bytes.
pub(crate) const ENTRY_OVERHEAD_BYTES_MAX: usize = PREFIX_BYTES + 1 + 3 * 10 + 10 + 3 * (2 + 256);

/// An entry in its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawEntry<'a> {
    pub(crate) offset: Offset,
    pub(crate) lane: Lane,
    pub(crate) taken_ms: u64,
    pub(crate) kind: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) sender: Option<&'a str>,
    pub(crate) payload: &'a [u8],
}

/// Appends an entry.
pub(crate) fn put_entry(out: &mut Vec<u8>, entry: &Entry, key: Option<&IdempotencyKey>) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let message = entry.message();
    let (id, sender) = (message.id().map(|id| id.as_str()), message.sender().map(|id| id.as_str()));
    let key = key.map(IdempotencyKey::as_str);
    let id_is_key = id.is_some() && id == key;
    let mut flags = 0;
    flags |= if key.is_some() && !id_is_key { HAS_KEY } else { 0 };
    flags |= if id_is_key { ID_IS_KEY } else { 0 };
    flags |= if id.is_some() && !id_is_key { HAS_ID } else { 0 };
    flags |= if sender.is_some() { HAS_SENDER } else { 0 };
    out.push(flags);
    put_varint(out, entry.offset().get());
    put_varint(out, entry.lane().get());
    put_varint(out, entry.taken_at().as_ms());
    put_text(out, message.kind().as_str());
    for text in [key.filter(|_| !id_is_key), id, sender].into_iter().flatten() {
        put_text(out, text);
    }
    out.extend_from_slice(message.payload().bytes());
    let (prefix, rest) = out[start..].split_at_mut(PREFIX_BYTES);
    prefix[..4].copy_from_slice(&u32::try_from(rest.len()).expect("messages are bounded").to_le_bytes());
    prefix[4..].copy_from_slice(&crc32fast::hash(rest).to_le_bytes());
}

impl<'a> RawEntry<'a> {
    /// Reads the next entry of a body, and checks it.
    pub(crate) fn read(body: &mut Reader<'a>) -> Decoded<Self> {
        let (len, crc) = (body.u32()?, body.u32()?);
        let bytes = body.take(len as usize)?;
        if crc32fast::hash(bytes) != crc {
            return Err(Malformed("the checksum of an entry is wrong"));
        }
        Self::decode(bytes)
    }

    fn decode(bytes: &'a [u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes);
        let flags = reader.byte()?;
        let known = HAS_KEY | ID_IS_KEY | HAS_ID | HAS_SENDER;
        if flags & PAYLOAD_KIND != 0
            || flags & !known != 0
            || flags & ID_IS_KEY != 0 && flags & (HAS_KEY | HAS_ID) != 0
        {
            return Err(Malformed("an entry has something that this version does not know"));
        }
        let (offset, lane, taken_ms) = (reader.number()?, reader.number()?, reader.number()?);
        let kind = reader.text()?;
        let mut text = |flag: u8| (flags & flag != 0).then(|| reader.text()).transpose();
        let (key, id, sender) = (text(HAS_KEY)?, text(HAS_ID | ID_IS_KEY)?, text(HAS_SENDER)?);
        Ok(Self {
            offset: Offset::new(offset),
            lane: Lane::new(lane),
            taken_ms,
            kind,
            key: if flags & ID_IS_KEY != 0 { id } else { key },
            id,
            sender,
            payload: reader.rest(),
        })
    }

    /// What the rules of lanes ask of it.
    pub(crate) fn kept(&self) -> Kept {
        let bytes = self.kind.len() + self.payload.len();
        Kept { offset: self.offset, taken_ms: self.taken_ms, bytes: bytes as u64 }
    }

    /// Its key, if it is one.
    pub(crate) fn key(&self) -> Decoded<Option<IdempotencyKey>> {
        let key = self.key.map(str::parse).transpose();
        key.map_err(|_| Malformed("an entry's key is none"))
    }

    /// The digest of what was published.
    pub(crate) fn digest(&self) -> Decoded<u128> {
        let payload = Bytes::copy_from_slice(self.payload);
        Ok(RawEntry { payload: &payload, ..*self }.message(&payload, None)?.digest())
    }

    /// The message that was published. `shared` holds the payload; `before` is the type of another message, which
    /// is used where this one's is the same.
    pub(crate) fn message(&self, shared: &Bytes, before: Option<&MessageType>) -> Decoded<Message> {
        let no_message = |_| Malformed("an entry holds no message");
        let kind = match before.filter(|before| before.as_str() == self.kind) {
            Some(before) => before.clone(),
            None => self.kind.parse().map_err(no_message)?,
        };
        let mut message = Message::restore(kind, shared.slice_ref(self.payload)).map_err(no_message)?;
        if let Some(id) = self.id {
            message = message.with_id(id.parse().map_err(no_message)?);
        }
        if let Some(sender) = self.sender {
            message = message.with_sender(sender.parse().map_err(no_message)?);
        }
        Ok(message)
    }

    /// The entry, in `epoch`.
    pub(crate) fn entry(&self, epoch: Epoch, shared: &Bytes, before: Option<&MessageType>) -> Decoded<Entry> {
        let position = Position { epoch, offset: self.offset };
        let message = self.message(shared, before)?;
        Ok(Entry::new(position, self.lane, Timestamp::from_ms(self.taken_ms), message))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        ("[ -~]{0,30}", any::<String>(), prop::option::of("[a-z]{1,256}"), prop::option::of("[a-z]{1,9}"))
            .prop_filter_map("no type", |(kind, payload, id, sender)| {
                let mut message = Message::of(&kind, &payload).ok()?;
                if let Some(id) = id {
                    message = message.with_id(id.parse().ok()?);
                }
                if let Some(sender) = sender {
                    message = message.with_sender(sender.parse().ok()?);
                }
                Some(message)
            })
    }

    proptest! {
        #[test]
        fn entries_survive_and_no_turned_bit_does(
            message in message(),
            key in prop::option::of("[a-z]{1,256}"),
            (offset, lane, taken_ms) in (0_u64..1 << 62, 0_u64..1 << 62, 0_u64..1 << 62),
            bit in any::<prop::sample::Index>(),
        ) {
            let epoch: Epoch = "e1".parse().unwrap();
            let position = Position { epoch, offset: Offset::new(offset) };
            let entry = Entry::new(position, Lane::new(lane), Timestamp::from_ms(taken_ms), message);
            let key: Option<IdempotencyKey> = key.map(|key| key.parse().unwrap());
            for key in [key, entry.message().id().cloned().map(IdempotencyKey::from), None] {
                let mut bytes = Vec::new();
                put_entry(&mut bytes, &entry, key.as_ref());
                prop_assert!(bytes.len() <= entry.bytes() + ENTRY_OVERHEAD_BYTES_MAX);
                let shared = Bytes::from(bytes);
                let raw = RawEntry::read(&mut Reader::new(&shared)).unwrap();
                prop_assert_eq!(raw.kept(), Kept::from(&entry));
                prop_assert_eq!(raw.key().unwrap(), key);
                let again = raw.entry(epoch, &shared, None).unwrap();
                prop_assert_eq!(again.message(), entry.message());
                prop_assert_eq!((again.position(), again.lane(), again.taken_at()), (position, entry.lane(), entry.taken_at()));
                let mut turned = shared.to_vec();
                let bit = bit.index(turned.len() * 8);
                turned[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(RawEntry::read(&mut Reader::new(&turned)).is_err());
            }
        }

        #[test]
        fn whatever_the_bytes_decoding_ends(bytes: Vec<u8>) {
            let _ = RawEntry::decode(&bytes);
        }
    }
}
