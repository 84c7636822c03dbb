//! What a PAYLOAD argument means: JSON where it is JSON, else a text.

use std::io::Read as _;

use anyhow::Context as _;
use eric_sse::Payload;
use eric_sse::limits::MESSAGE_BYTES_MAX;

use crate::Failure;

/// The payload that `argument` spells; `-` is what standard input holds, nothing is null.
pub(crate) fn payload(argument: Option<&str>, is_text: bool) -> Result<Payload, Failure> {
    match argument {
        None => Ok(Payload::null()),
        Some("-") => {
            let mut text = String::new();
            // One byte more than a message may have tells that it has too many.
            let mut input = std::io::stdin().lock().take(MESSAGE_BYTES_MAX as u64 + 1);
            input.read_to_string(&mut text).context("cannot read the payload from standard input")?;
            parse(text.trim_end_matches(['\r', '\n']), is_text)
        }
        Some(text) => parse(text, is_text),
    }
}

/// JSON where it is JSON. What begins like an object, a list or a string and is not JSON is a mistake; everything else
/// is a text.
fn parse(text: &str, is_text: bool) -> Result<Payload, Failure> {
    let usage = |error: eric_sse::Error| Failure::Usage(error.to_string());
    if is_text {
        return Payload::of(text).map_err(usage);
    }
    match Payload::from_json(text) {
        Err(error) if text.trim_start().starts_with(['{', '[', '"']) => {
            Err(Failure::Usage(format!("{error}; --text takes it as a text")))
        }
        Err(_) => Payload::of(text).map_err(usage),
        payload => payload.map_err(usage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_is_json_and_the_rest_is_text() {
        for (text, is_text, expected) in [
            ("{\"a\": [1, null]}", false, r#"{"a":[1,null]}"#),
            ("12345678901234567890123", false, "12345678901234567890123"),
            ("true", false, "true"),
            ("true", true, r#""true""#),
            ("\"hello\"", false, r#""hello""#),
            ("hello, world", false, r#""hello, world""#),
            ("", false, r#""""#),
            ("{oops", true, r#""{oops""#),
        ] {
            assert_eq!(parse(text, is_text).unwrap().as_json(), expected, "{text}");
        }
        for text in ["{oops", "[1,]", "\"open", " {\"a\":}"] {
            let Err(Failure::Usage(why)) = parse(text, false) else { panic!("{text}") };
            assert!(why.contains("payload is not JSON") && why.contains("--text"), "{why}");
        }
        assert_eq!(payload(None, false).unwrap().as_json(), "null");
    }
}
