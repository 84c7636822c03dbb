//! Where, and why, Python's `json` finds a text malformed: `Expecting ',' delimiter` at character 12.
//!
//! Clients of eric-api are told so in the body of a 422. This walks a text that was found malformed already; it keeps
//! no value and does not recurse.

/// Why a text is malformed.
///
/// ```
/// use eric_protocol::fault::{Fault, find};
///
/// assert_eq!(find("[1, ]"), Fault { at: 4, what: "Expecting value" });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Characters before the place.
    pub at: usize,
    /// What is wrong there, in Python's words.
    pub what: &'static str,
}

const VALUE: &str = "Expecting value";
const NAME: &str = "Expecting property name enclosed in double quotes";
const COLON: &str = "Expecting ':' delimiter";
const COMMA: &str = "Expecting ',' delimiter";

/// What the walk expects next.
#[derive(Debug, Clone, Copy)]
enum State {
    /// A value; in an array that just opened, perhaps its end.
    Value { or_end: bool },
    /// A member's name; in an object that just opened, perhaps its end.
    Name { or_end: bool },
    /// What follows a value.
    After,
}

/// The first thing that Python's `json` finds wrong with `text`, which is malformed. `NaN` and `Infinity`, which
/// Python takes, are no values here.
///
/// ```
/// let fault = eric_protocol::fault::find(r#"{"type":"a" "payload":1}"#);
/// assert_eq!((fault.at, fault.what), (12, "Expecting ',' delimiter"));
/// ```
pub fn find(text: &str) -> Fault {
    let (at, what) = walk(text.as_bytes());
    Fault { at: text[..at].chars().count(), what }
}

fn walk(text: &[u8]) -> (usize, &'static str) {
    let mut open = Vec::new();
    let mut state = State::Value { or_end: false };
    let mut at = 0;
    loop {
        at = skip_space(text, at);
        let next = text.get(at).copied();
        state = match (state, next) {
            (State::Value { or_end: true }, Some(b']')) | (State::Name { or_end: true }, Some(b'}')) => {
                open.pop();
                at += 1;
                State::After
            }
            (State::Name { .. }, Some(b'"')) => {
                at = match string(text, at) {
                    Ok(end) => skip_space(text, end),
                    Err(fault) => return fault,
                };
                if text.get(at) != Some(&b':') {
                    return (at, COLON);
                }
                at += 1;
                State::Value { or_end: false }
            }
            (State::Name { .. }, _) => return (at, NAME),
            (State::Value { .. }, Some(opening @ (b'{' | b'['))) => {
                open.push(opening);
                at += 1;
                match opening {
                    b'{' => State::Name { or_end: true },
                    _ => State::Value { or_end: true },
                }
            }
            (State::Value { .. }, _) => {
                at = match scalar(text, at) {
                    Ok(end) => end,
                    Err(fault) => return fault,
                };
                State::After
            }
            (State::After, _) => match (open.last(), next) {
                (None, _) => return (at, "Extra data"),
                (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) => {
                    open.pop();
                    at += 1;
                    State::After
                }
                (Some(opening), Some(b',')) => {
                    at += 1;
                    if *opening == b'{' {
                        State::Name { or_end: false }
                    } else {
                        State::Value { or_end: false }
                    }
                }
                _ => return (at, COMMA),
            },
        };
    }
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The end of the string, word or number that begins at `at`.
fn scalar(text: &[u8], at: usize) -> Result<usize, (usize, &'static str)> {
    if text.get(at) == Some(&b'"') {
        return string(text, at);
    }
    for word in ["null", "true", "false"] {
        if text[at..].starts_with(word.as_bytes()) {
            return Ok(at + word.len());
        }
    }
    number(text, at).ok_or((at, VALUE))
}

/// The end of the longest number that begins at `at`.
fn number(text: &[u8], at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    let start = at + usize::from(text.get(at) == Some(&b'-'));
    let mut end = if text.get(start) == Some(&b'0') { start + 1 } else { digits(start)? };
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1).unwrap_or(end);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign).unwrap_or(end);
    }
    Some(end)
}

/// The end of the string that opens at `open`.
fn string(text: &[u8], open: usize) -> Result<usize, (usize, &'static str)> {
    let unterminated = (open, "Unterminated string starting at");
    let mut at = open + 1;
    loop {
        match *text.get(at).ok_or(unterminated)? {
            b'"' => return Ok(at + 1),
            b'\\' => match *text.get(at + 1).ok_or(unterminated)? {
                b'u' => {
                    // Python wants something after the digits too.
                    let digits = text.get(at + 2..at + 6).filter(|_| at + 6 < text.len());
                    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
                    digits.ok_or((at + 1, "Invalid \\uXXXX escape"))?;
                    at += 6;
                }
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                _ => return Err((at, "Invalid \\escape")),
            },
            ..0x20 => return Err((at, "Invalid control character at")),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn faults_are_those_that_python_finds() {
        for (text, at, what) in [
            ("", 0, VALUE),
            ("  ", 2, VALUE),
            ("{", 1, NAME),
            ("tru", 0, VALUE),
            ("\u{c}1", 0, VALUE),
            (r#"{"type":"a" "payload":1}"#, 12, COMMA),
            (r#"{"type":"abc"#, 8, "Unterminated string starting at"),
            ("{type:1}", 1, NAME),
            (r#"{"type":"t",}"#, 12, NAME),
            ("[1,]", 3, VALUE),
            (r#"{"type" 1}"#, 8, COLON),
            (r#"{"type":"t","payload":01}"#, 23, COMMA),
            (r#"{"type":"t","payload":1.}"#, 23, COMMA),
            (r#"{"type":"t","payload":1e}"#, 23, COMMA),
            (r#"{"type":"t","payload":+1}"#, 22, VALUE),
            (r#"{"type":"t","payload":.5}"#, 22, VALUE),
            (r#"{"type":"t","payload":-}"#, 22, VALUE),
            (r#"{"type":"t","payload":NaN}"#, 22, VALUE),
            (r#"{"type":"t","payload":1} x"#, 25, "Extra data"),
            ("{\"type\":\"a\nb\"}", 10, "Invalid control character at"),
            (r#"{"type":"a\x"}"#, 10, "Invalid \\escape"),
            (r#"{"type":"a\u12g4"}"#, 11, "Invalid \\uXXXX escape"),
            (r#""\ud800"#, 2, "Invalid \\uXXXX escape"),
            ("{\"é🙂\":x}", 6, VALUE),
            ("[1\n\n2]", 4, COMMA),
            ("[[],{}", 6, COMMA),
        ] {
            assert_eq!(find(text), Fault { at, what }, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_walk_ends_and_finds_nothing_wrong_before_the_end_of_what_is_valid(value in r#"[\[\]{}",:0-9a-z\\ .-]{0,40}"#) {
            let fault = find(&value);
            if serde_json::from_str::<serde::de::IgnoredAny>(&value).is_ok() {
                prop_assert_eq!(fault, Fault { at: value.chars().count(), what: "Extra data" });
            }
        }
    }
}
