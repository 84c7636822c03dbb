//! Integers and texts as the format writes them: little-endian, varints in LEB128, texts with their length before
//! them. Reading never panics, whatever the bytes.

/// Bytes that are not what the format says must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(crate) type Decoded<T> = Result<T, Malformed>;

/// What offsets, lanes and counts stay below.
const NUMBER_MAX: u64 = 1 << 62;

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// What is left to read of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> Decoded<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Malformed("it ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Decoded<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u32(&mut self) -> Decoded<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes were taken")))
    }

    pub(crate) fn u128(&mut self) -> Decoded<u128> {
        let bytes = self.take(16)?;
        Ok(u128::from_le_bytes(bytes.try_into().expect("sixteen bytes were taken")))
    }

    pub(crate) fn varint(&mut self) -> Decoded<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed("a number has more than 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number has more than ten bytes"))
    }

    /// A varint that is an offset, a lane, or counts something: below 2^62, so that adding to it never overflows.
    pub(crate) fn number(&mut self) -> Decoded<u64> {
        let number = self.varint()?;
        if number < NUMBER_MAX { Ok(number) } else { Err(Malformed("a number is too large")) }
    }

    /// A varint that counts things of at least one byte each that follow, or are to be kept in memory.
    pub(crate) fn count(&mut self) -> Decoded<usize> {
        let count = self.varint()?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.left())
            .ok_or(Malformed("a count is too large"))
    }

    pub(crate) fn text(&mut self) -> Decoded<&'a str> {
        let bytes = self.count()?;
        std::str::from_utf8(self.take(bytes)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Decoded<()> {
        if self.is_empty() { Ok(()) } else { Err(Malformed("it goes on where it must end")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_texts_survive(number: u64, text: String) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            put_text(&mut bytes, &text);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(number));
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn whatever_the_bytes_reading_ends(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.varint().is_ok() || reader.text().is_ok() || reader.byte().is_ok() {}
            prop_assert!(reader.left() <= bytes.len());
        }
    }
}
