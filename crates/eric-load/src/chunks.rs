//! HTTP's chunked coding, taken apart as bytes arrive.

use anyhow::{bail, ensure};

/// Chunks are smaller than this; a larger size is taken for garbage.
const CHUNK_BYTES_MAX: u32 = 1 << 30;

/// How far the chunks were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// The digits of a size; so far it is this.
    Size(u32),
    /// The rest of a size's line.
    SizeLine(u32),
    /// As many bytes of content.
    Content(u32),
    /// The line's end after content.
    ContentEnd,
    /// Lines after the last chunk; how many bytes the current one has.
    Trailer(u32),
    /// The last chunk was read.
    Done,
}

impl Chunks {
    pub(crate) fn start() -> Self {
        Self::Size(0)
    }

    /// The next piece of content in `bytes`, which is moved past it; none when `bytes` is used up or all is done.
    #[inline]
    pub(crate) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> anyhow::Result<Option<&'a [u8]>> {
        loop {
            if let Self::Content(left) = self {
                let (content, rest) = bytes.split_at(bytes.len().min(*left as usize));
                *left -= content.len() as u32;
                *bytes = rest;
                if *left == 0 {
                    *self = Self::ContentEnd;
                }
                return Ok((!content.is_empty()).then_some(content));
            }
            let Some((&byte, rest)) = bytes.split_first().filter(|_| *self != Self::Done) else {
                return Ok(None);
            };
            *bytes = rest;
            *self = self.after(byte)?;
        }
    }

    /// What comes after a byte outside content.
    fn after(self, byte: u8) -> anyhow::Result<Self> {
        Ok(match (self, byte) {
            (Self::Size(size), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                ensure!(size < CHUNK_BYTES_MAX / 16, "a chunk of {CHUNK_BYTES_MAX} bytes or more");
                Self::Size(size * 16 + digit)
            }
            (Self::Size(0) | Self::SizeLine(0), b'\n') => Self::Trailer(0),
            (Self::Size(size) | Self::SizeLine(size), b'\n') => Self::Content(size),
            (Self::Size(size), b'\r' | b';' | b' ') | (Self::SizeLine(size), _) => Self::SizeLine(size),
            (Self::ContentEnd, b'\r') => Self::ContentEnd,
            (Self::ContentEnd, b'\n') => Self::Size(0),
            (Self::Trailer(_), b'\r') => self,
            (Self::Trailer(0), b'\n') => Self::Done,
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(bytes), _) => Self::Trailer(bytes.saturating_add(1)),
            _ => bail!("byte {byte:#04x} where a chunk's size or end is due"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], piece: usize) -> anyhow::Result<(Vec<u8>, Chunks)> {
        let (mut chunks, mut content) = (Chunks::start(), Vec::new());
        for mut piece in bytes.chunks(piece) {
            while let Some(part) = chunks.next(&mut piece)? {
                content.extend_from_slice(part);
            }
        }
        Ok((content, chunks))
    }

    #[test]
    fn content_is_the_same_wherever_the_bytes_are_cut() {
        let bytes = b"3\r\nabc\r\n0A;x=y\r\n0123456789\r\n1\nz\n0\r\nTrailer: 1\r\n\r\n";
        for piece in 1..=bytes.len() {
            let (content, end) = decode(bytes, piece).unwrap();
            assert_eq!((content.as_slice(), end), (&b"abc0123456789z"[..], Chunks::Done), "{piece}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        assert!(decode(b"3\r\nabcd\r\n", 3).is_err());
        assert!(decode(b"x\r\n", 3).is_err());
        assert!(decode(b"FFFFFFFFF\r\n", 3).is_err());
    }
}
