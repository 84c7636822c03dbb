//! Taking a payload: JSON that was already found valid is minified and its depth is checked, in one pass.
//!
//! Numbers, strings and the order of keys stay exactly as they were written.

use crate::error::{Error, ErrorKind, Result};
use crate::limits::JSON_DEPTH_MAX;

/// `text` without the white space outside its strings.
///
/// `text` must be valid JSON; what comes out is valid JSON on one line.
///
/// # Errors
/// [`ErrorKind::InvalidMessage`] where it nests deeper than [`JSON_DEPTH_MAX`].
pub(crate) fn minify(text: &str) -> Result<String> {
    let bytes = text.as_bytes();
    let mut minified = Vec::with_capacity(bytes.len());
    let (mut depth, mut copied, mut at) = (0_usize, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return Err(Error::new(
                        ErrorKind::InvalidMessage,
                        format!("payload nests deeper than {JSON_DEPTH_MAX} levels"),
                    ));
                }
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b' ' | b'\t' | b'\n' | b'\r' => {
                minified.extend_from_slice(&bytes[copied..at]);
                at += 1;
                copied = at;
            }
            _ => at += 1,
        }
    }
    minified.extend_from_slice(&bytes[copied..]);
    Ok(String::from_utf8(minified).expect("UTF-8 without some of its ASCII bytes is UTF-8"))
}

/// The index after the string that opens at `open`.
pub(crate) fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The UTF-16 units of the text that a valid JSON string, given with its quotes, spells. Halves of surrogate pairs
/// come as they were written.
pub(crate) fn units(quoted: &str) -> impl Iterator<Item = u16> {
    let mut chars = quoted[1..quoted.len() - 1].chars();
    let mut low = None;
    std::iter::from_fn(move || {
        if let Some(low) = low.take() {
            return Some(low);
        }
        match chars.next()? {
            '\\' => Some(escaped(&mut chars)),
            char => {
                let mut pair = [0; 2];
                let units = char.encode_utf16(&mut pair);
                low = units.get(1).copied();
                Some(units[0])
            }
        }
    })
}

/// The unit that is escaped by what follows a backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> u16 {
    match chars.next().expect("valid JSON does not end in an escape") {
        'b' => 0x08,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        'u' => {
            let digits = chars.as_str().get(..4).expect("valid JSON has four digits here");
            *chars = chars.as_str()[4..].chars();
            u16::from_str_radix(digits, 16).expect("valid JSON has hexadecimal digits here")
        }
        quoted => quoted as u16,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(minify(text).unwrap(), expected);
    }

    #[test]
    fn white_space_goes_and_everything_else_stays() {
        check(
            " { \"b\" : [ 1 , 2.50 ,\t1e400 ] ,\r\n\"a\": \" x \\\" y \" } ",
            r#"{"b":[1,2.50,1e400],"a":" x \" y "}"#,
        );
        check("\n12345678901234567890123\n", "12345678901234567890123");
        check(r#""\\""#, r#""\\""#);
    }

    #[test]
    fn depth_128_is_taken_and_129_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(minify(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(minify(&nested(JSON_DEPTH_MAX + 1)).is_err());
        assert!(minify(&format!("[{}]", vec!["[]"; 500].join(","))).is_ok(), "width is not depth");
    }

    proptest! {
        #[test]
        fn units_are_those_of_the_text(text in ".*") {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert!(units(&quoted).eq(text.encode_utf16()), "{}", quoted);
        }

        #[test]
        fn what_is_minified_means_the_same(keys in proptest::collection::vec(".*", 0..8), number: f64) {
            prop_assume!(number.is_finite());
            let value = serde_json::json!({"keys": keys, "number": number, "nested": [[{"deep": null}]]});
            let minified = minify(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
            prop_assert_eq!(&minified, &serde_json::to_string(&value).unwrap());
        }
    }
}
