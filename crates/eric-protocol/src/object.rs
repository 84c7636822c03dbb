//! The fields of a JSON object as the Python packages read them: unknown ones are ignored, and of a field that is given
//! twice the last counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of the fields `names` of the object that `text` spells; nothing but them is kept.
///
/// # Errors
/// Where `text` is not a JSON object; the error shows nothing of it.
pub(crate) fn fields<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> serde_json::Result<[Option<&'a RawValue>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Fields(names))?;
    deserializer.end()?;
    Ok(fields)
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(name) = map.next_key::<&RawValue>()? {
            // A name that is no Unicode is unknown.
            let name = serde_json::from_str::<Cow<'_, str>>(name.get()).ok();
            match self.0.iter().position(|known| name.as_deref() == Some(known)) {
                Some(index) => values[index] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_counts_and_nothing_else_is_kept() {
        let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!(r#" {{"z":{nested},"a":1,"\u0061":"2","\ud800":3,"b":[4]}} "#);
        let [a, b, c] = fields(&text, ["a", "b", "c"]).unwrap().map(|value| value.map(RawValue::get));
        assert_eq!((a, b, c), (Some(r#""2""#), Some("[4]"), None));
        for text in ["", "[]", "{", r#"{"a":1}x"#, r#"{"a":NaN}"#, r#"{"z":NaN}"#] {
            assert!(fields(text, ["a"]).is_err(), "{text}");
        }
    }
}
