//! The frame of a record: how long its body is, what kind it is of, and the checksums.
//!
//! ```text
//!  0      1      2      4          8          12        16      20
//! ┌──────┬──────┬──────┬──────────┬──────────┬─────────┬───────┬────────┬─────┐
//! │ 0xa5 │ kind │ zero │ length 4 │ body crc │ durable │ crc 4 │ body … │ 0x5a │
//! └──────┴──────┴──────┴──────────┴──────────┴─────────┴───────┴────────┴─────┘
//! ```
//!
//! The second checksum covers the frame *and the place it is written to*, so that what an earlier use of the same
//! file left behind is no record. The first and the last byte have several bits each, so that a record of which a
//! sector is missing at either end is never one bit away from being whole.

use eric_sse::limits::STORE_RECORD_BYTES_MAX;

/// Bytes before the body.
pub(crate) const FRAME_BYTES: usize = 20;
/// Bytes of a record beside its body.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = FRAME_BYTES + 1;

/// What a frame begins with.
pub(crate) const BEGIN: u8 = 0xa5;
const END: u8 = 0x5a;

/// A place where a record may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The number of the store.
    pub(crate) store: u64,
    /// The number of the segment.
    pub(crate) segment: u64,
    /// Where in the file.
    pub(crate) at: u32,
}

/// What a frame says of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes of the body.
    pub(crate) len: u32,
    /// The checksum of the body.
    pub(crate) body_crc: u32,
    /// Where the segment was synced up to when this was written.
    pub(crate) durable: u32,
    /// The kind, if this version knows it or not.
    pub(crate) kind: u8,
}

impl Frame {
    /// The frame at `spot`, if one is there.
    pub(crate) fn decode(bytes: &[u8; FRAME_BYTES], spot: Spot) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let frame = Self { len: word(4), body_crc: word(8), durable: word(12), kind: bytes[1] };
        // The cheap questions first: this is asked at every byte when a damaged segment is searched.
        let is_plausible = bytes[0] == BEGIN
            && bytes[2..4] == [0; 2]
            && frame.len as usize <= STORE_RECORD_BYTES_MAX
            && frame.durable <= spot.at;
        (is_plausible && word(16) == crc(&bytes[..16], spot)).then_some(frame)
    }

    /// The body of the record, if `rest`, which follows the frame, begins with it and its last byte.
    pub(crate) fn body<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        let (body, after) = rest.split_at_checked(self.len as usize)?;
        (after.first() == Some(&END) && crc32fast::hash(body) == self.body_crc).then_some(body)
    }
}

fn crc(frame: &[u8], spot: Spot) -> u32 {
    let mut place = [0; 24];
    place[..8].copy_from_slice(&spot.store.to_le_bytes());
    place[8..16].copy_from_slice(&spot.segment.to_le_bytes());
    place[16..].copy_from_slice(&u64::from(spot.at).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place);
    hasher.update(frame);
    hasher.finalize()
}

/// Appends a record whose first byte will stand at `spot`; `body` appends its body.
pub(crate) fn put_record(
    out: &mut Vec<u8>,
    spot: Spot,
    durable: u32,
    kind: u8,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_BYTES]);
    body(out);
    let (frame, body) = out[start..].split_at_mut(FRAME_BYTES);
    frame[0] = BEGIN;
    frame[1] = kind;
    let len = u32::try_from(body.len()).expect("records are bounded");
    assert!(len as usize <= STORE_RECORD_BYTES_MAX, "records are bounded");
    assert!(durable <= spot.at, "what is synced was written before");
    frame[4..8].copy_from_slice(&len.to_le_bytes());
    frame[8..12].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    frame[12..16].copy_from_slice(&durable.to_le_bytes());
    let crc = crc(&frame[..16], spot);
    frame[16..].copy_from_slice(&crc.to_le_bytes());
    out.push(END);
}

/// Whether one turned bit explains why there is no record at the beginning of `bytes`: then there was one.
pub(crate) fn is_one_bit_off(bytes: &[u8], spot: Spot) -> bool {
    let Some((head, rest)) = bytes.split_first_chunk::<FRAME_BYTES>() else { return false };
    let is_whole = |frame: &Frame| frame.body(rest).is_some();
    if let Some(frame) = Frame::decode(head, spot) {
        let Some((body, [end, ..])) = rest.split_at_checked(frame.len as usize) else { return false };
        let difference = crc32fast::hash(body) ^ frame.body_crc;
        return match (end ^ END).count_ones() {
            0 => differs_by_one_bit(difference, body.len()),
            bits => bits == 1 && difference == 0,
        };
    }
    (0..FRAME_BYTES * 8).any(|bit| {
        let mut turned = *head;
        turned[bit / 8] ^= 1 << (bit % 8);
        Frame::decode(&turned, spot).as_ref().is_some_and(is_whole)
    })
}

/// Whether `difference` is what turning one bit among `len` bytes does to their crc32: the checksum is linear, so
/// the difference is that of a single bit moved up from the end.
fn differs_by_one_bit(difference: u32, len: usize) -> bool {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    // The difference that the last bit of the last byte makes; each earlier bit is one step of the division further.
    let mut step = POLYNOMIAL;
    for _ in 0..len * 8 {
        if step == difference {
            return true;
        }
        step = if step & 1 == 1 { (step >> 1) ^ POLYNOMIAL } else { step >> 1 };
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPOT: Spot = Spot { store: 7, segment: 3, at: 640 };

    fn record(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_record(&mut out, SPOT, 64, 4, |out| out.extend_from_slice(body));
        out
    }

    fn frame(bytes: &[u8], spot: Spot) -> Option<Frame> {
        Frame::decode(bytes.first_chunk().unwrap(), spot)
            .filter(|frame| frame.body(&bytes[FRAME_BYTES..]).is_some())
    }

    proptest! {
        #[test]
        fn a_record_is_one_at_its_place_only(body: Vec<u8>) {
            let bytes = record(&body);
            let found = frame(&bytes, SPOT).unwrap();
            prop_assert_eq!((found.len as usize, found.durable, found.kind), (body.len(), 64, 4));
            for spot in [Spot { store: 8, ..SPOT }, Spot { segment: 4, ..SPOT }, Spot { at: 641, ..SPOT }] {
                prop_assert_eq!(frame(&bytes, spot), None);
            }
        }

        #[test]
        fn a_turned_bit_is_told_from_a_torn_write(body: Vec<u8>, bit: prop::sample::Index) {
            let mut bytes = record(&body);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(frame(&bytes, SPOT), None);
            prop_assert!(is_one_bit_off(&bytes, SPOT));
        }

        #[test]
        fn a_record_that_misses_either_end_is_not_one_bit_off(
            body in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..64),
            cut in any::<prop::sample::Index>(),
            is_first in any::<bool>(),
        ) {
            let mut bytes = record(&body);
            let cut = 1 + cut.index(bytes.len() - 1);
            if is_first { bytes[..cut].fill(0) } else { bytes[cut..].fill(0) }
            prop_assert!(!is_one_bit_off(&bytes, SPOT));
        }
    }

    #[test]
    fn a_record_has_at_most_96_mib() {
        let mut bytes = record(b"");
        for (len, is_frame) in [(STORE_RECORD_BYTES_MAX, true), (STORE_RECORD_BYTES_MAX + 1, false)] {
            bytes[4..8].copy_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
            let crc = crc(&bytes[..16], SPOT);
            bytes[16..20].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(Frame::decode(bytes.first_chunk().unwrap(), SPOT).is_some(), is_frame);
        }
    }
}
