//! The head of a segment.
//!
//! ```text
//!  0        8         10      12     16       24      32        60      64
//! ┌─────────┬─────────┬───────┬──────┬────────┬───────┬─────────┬───────┐
//! │ magic 8 │ version │ flags │ zero │ number │ store │ zero 28 │ crc32 │
//! └─────────┴─────────┴───────┴──────┴────────┴───────┴─────────┴───────┘
//! ```

use super::codec::{Decoded, Malformed};

/// Bytes of the head.
pub(crate) const HEAD_BYTES: u32 = 64;
/// The version that is written.
pub(crate) const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"ERICLOG\0";
const REWRITTEN: u16 = 1;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its number.
    pub(crate) number: u64,
    /// The number of its store.
    pub(crate) store: u64,
    /// Whether it holds only entries and keys.
    pub(crate) is_rewritten: bool,
}

impl Head {
    pub(crate) fn encode(&self) -> [u8; HEAD_BYTES as usize] {
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(if self.is_rewritten { REWRITTEN } else { 0 }).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.store.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEAD_BYTES as usize]) -> Decoded<Self> {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if bytes[..8] != MAGIC {
            return Err(Malformed("it does not begin as a segment does"));
        }
        if crc32fast::hash(&bytes[..60]).to_le_bytes() != bytes[60..] {
            return Err(Malformed("the checksum of its head is wrong"));
        }
        if bytes[8..10] != VERSION.to_le_bytes() {
            return Err(Malformed("it is of another format version"));
        }
        let flags = u16::from_le_bytes([bytes[10], bytes[11]]);
        if flags & !REWRITTEN != 0 || bytes[12..16] != [0; 4] || bytes[32..60] != [0; 28] {
            return Err(Malformed("its head has something that this version does not know"));
        }
        Ok(Self { number: number(16), store: number(24), is_rewritten: flags == REWRITTEN })
    }

    /// The head that `bytes` were before one of their bits turned, if that is all that happened.
    pub(crate) fn mended(bytes: &[u8; HEAD_BYTES as usize]) -> Option<Self> {
        (0..bytes.len() * 8).find_map(|bit| {
            let mut turned = *bytes;
            turned[bit / 8] ^= 1 << (bit % 8);
            Self::decode(&turned).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heads_survive_and_no_turned_bit_does(number in any::<u64>(), store in any::<u64>(), is_rewritten in any::<bool>(), bit in 0_usize..512) {
            let head = Head { number, store, is_rewritten };
            let mut bytes = head.encode();
            prop_assert_eq!(Head::decode(&bytes), Ok(head));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Head::decode(&bytes).is_err());
            prop_assert_eq!(Head::mended(&bytes), Some(head));
        }
    }
}
