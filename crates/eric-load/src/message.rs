//! What is sent: texts that say which message of which run they are, when it was due, and nothing else twice.
//!
//! ```text
//! 5f3a09c1 . 1042 . 73100422918 . kQx0…   to the wished length
//! run, hex   number  due, ns      fill: a slice of one table, chosen by the number
//! ```

use anyhow::ensure;

/// The shortest message: everything but the fill has room in it.
pub(crate) const MESSAGE_BYTES_MIN: usize = 48;

/// Where slices of the table begin; a prime, so that neighbours differ everywhere.
const FILL_STARTS: usize = 4093;

/// Makes the texts of a run, and takes them apart.
#[derive(Debug)]
pub(crate) struct Texts {
    run: String,
    bytes: usize,
    fill: Vec<u8>,
}

impl Texts {
    /// Texts of `bytes` bytes.
    pub(crate) fn new(run: u32, bytes: usize) -> anyhow::Result<Self> {
        ensure!(bytes >= MESSAGE_BYTES_MIN, "a message has {MESSAGE_BYTES_MIN} bytes at least, not {bytes}");
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-A";
        let mut random = fastrand::Rng::with_seed(7);
        let fill = (0..FILL_STARTS + bytes).map(|_| LETTERS[random.usize(..LETTERS.len())]).collect();
        Ok(Self { run: format!("{run:08x}."), bytes, fill })
    }

    /// The length of every text.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the text of message `number`, which is due at `nanos`.
    pub(crate) fn write(&self, number: u32, nanos: u64, to: &mut Vec<u8>) {
        let end = to.len() + self.bytes;
        to.extend_from_slice(self.run.as_bytes());
        write_decimal(u64::from(number), to);
        to.push(b'.');
        write_decimal(nanos, to);
        to.push(b'.');
        let start = number as usize * 31 % FILL_STARTS;
        to.extend_from_slice(&self.fill[start..start + end - to.len()]);
    }

    /// The number that a text claims to have, if it is one of this run.
    pub(crate) fn number(&self, text: &[u8]) -> Option<u32> {
        let rest = text.strip_prefix(self.run.as_bytes())?;
        let digits = &rest[..memchr::memchr(b'.', rest)?];
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

fn write_decimal(mut value: u64, to: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_the_wished_length_and_its_number() {
        let texts = Texts::new(0xab, 128).unwrap();
        for (number, nanos) in [(0, 0), (1, 10), (4093, 1), (u32::MAX, u64::MAX)] {
            let mut text = Vec::new();
            texts.write(number, nanos, &mut text);
            assert_eq!(text.len(), 128);
            assert_eq!(texts.number(&text), Some(number));
            assert!(text.starts_with(format!("000000ab.{number}.{nanos}.").as_bytes()));
        }
    }

    #[test]
    fn a_text_of_another_run_has_no_number() {
        let mut text = Vec::new();
        Texts::new(1, 64).unwrap().write(5, 5, &mut text);
        assert_eq!(Texts::new(2, 64).unwrap().number(&text), None);
        assert_eq!(Texts::new(2, 64).unwrap().number(b"00000002.x."), None);
    }

    #[test]
    fn the_shortest_message_has_room_for_the_longest_numbers() {
        let mut text = Vec::new();
        Texts::new(u32::MAX, MESSAGE_BYTES_MIN).unwrap().write(u32::MAX, u64::MAX, &mut text);
        assert_eq!(text.len(), MESSAGE_BYTES_MIN);
        assert!(Texts::new(1, MESSAGE_BYTES_MIN - 1).is_err());
    }
}
