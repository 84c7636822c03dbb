//! Everything public of the library shows how it is used, by an example that ends in an assert.
//!
//! `cargo test --doc` says that examples compile and hold; this says that they are there. It reads the sources as
//! `rustfmt` leaves them. What is `pub` in them can be reached, for a lint forbids what cannot. Fields, variants and
//! constants are shown by what has them, implementations of traits by the trait.

use super::{check, sources};

/// What is to have an example where it is public.
const KINDS: [&str; 5] = ["struct ", "enum ", "trait ", "type ", "fn "];

/// Something public, with its documentation.
struct Item<'a> {
    line: usize,
    name: &'a str,
    docs: Vec<&'a str>,
}

/// What a line is in that makes it public without saying so.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Trait,
    /// The call of a macro that makes a type.
    Call,
    Else,
}

impl Item<'_> {
    /// Whether one of the code blocks of its documentation is compiled and asserts something.
    fn has_example(&self) -> bool {
        let mut blocks = self.docs.split(|line| line.starts_with("```")).skip(1).step_by(2);
        let mut fences = self.docs.iter().filter(|line| line.starts_with("```")).step_by(2);
        blocks.any(|block| fences.next() == Some(&"```") && block.iter().any(|line| line.contains("assert")))
    }
}

/// The name up to its end.
fn name(code: &str) -> &str {
    code.split(|end: char| !end.is_alphanumeric() && end != '_').next().unwrap_or_default()
}

/// The name of what begins here, if it is public and of one of the kinds.
fn public(code: &str, inside: Inside) -> Option<&str> {
    if inside == Inside::Call && code.starts_with(char::is_uppercase) {
        return Some(name(code));
    }
    let (mut code, kinds) = match code.strip_prefix("pub ") {
        Some(code) => (code, &KINDS[..]),
        None if inside == Inside::Trait => (code, &["fn "][..]),
        None => return None,
    };
    for word in ["const ", "async ", "unsafe "] {
        code = code.strip_prefix(word).unwrap_or(code);
    }
    let named = kinds.iter().find_map(|kind| code.strip_prefix(kind))?;
    // What a macro makes has its name, and its documentation, where the macro is called.
    (!named.starts_with('$')).then(|| name(named))
}

/// What is public in a file, its tests left out.
fn items(text: &str) -> Vec<Item<'_>> {
    let (mut items, mut docs, mut open_brackets, mut inside) = (Vec::new(), Vec::new(), 0, Inside::Else);
    for (index, line) in text.lines().take_while(|line| *line != "mod tests {").enumerate() {
        let code = line.trim_start();
        if let Some(doc) = code.strip_prefix("///") {
            docs.push(doc.trim());
        } else if open_brackets > 0 || code.starts_with("#[") || code.starts_with("$(#[") {
            open_brackets += code.matches('[').count();
            open_brackets = open_brackets.saturating_sub(code.matches(']').count());
        } else {
            let docs = std::mem::take(&mut docs);
            items.extend(public(code, inside).map(|name| Item { line: index + 1, name, docs }));
            inside = match line {
                "}" => Inside::Else,
                _ if line.starts_with("pub trait ") && !line.ends_with('}') => Inside::Trait,
                _ if line.ends_with("! {") && line == code => Inside::Call,
                _ => inside,
            };
        }
    }
    items
}

#[test]
fn everything_public_of_the_library_has_an_example() {
    let (mut found, mut without) = (0, Vec::new());
    for (file, text) in sources().iter().filter(|(file, _)| file.starts_with("eric-sse/src/")) {
        let items = items(text);
        found += items.len();
        let bare = items.into_iter().filter(|item| !item.has_example());
        without.extend(bare.map(|Item { line, name, .. }| format!("{file}:{line} {name}")));
    }
    assert!(found > 300, "what is public was found: {found}");
    without.sort();
    check("public without an example that asserts", without);
}

#[test]
fn what_has_no_example_is_found() {
    let text = r##"
/// A thing.
///
/// ```
/// assert!(true);
/// ```
#[derive(
    Debug,
)]
pub struct Shown;

/// Text alone.
///
/// ```text
/// assert
/// ```
pub(crate) struct Hidden;

/// Text alone.
///
/// ```text
/// assert
/// ```
pub const fn told() {}

pub const NUMBER: usize = 7;

impl Shown {
    /// Nothing is asserted.
    ///
    /// ```
    /// let _ = 7;
    /// ```
    pub async fn done(&self) {}

    fn secret(&self) {}
}

/// A trait.
pub trait Door {
    /// What it is of.
    type Wood;

    /// Opens.
    fn open(&self);
}

impl Door for Shown {
    fn open(&self) {}
}

made! {
    /// Made by a macro.
    Made, "made"
}

#[cfg(test)]
mod tests {
    pub fn helper() {}
}
"##;
    let items = items(text);
    let names = |items: &[&Item<'_>]| items.iter().map(|item| item.name.to_owned()).collect::<Vec<_>>();
    let (with, without): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.has_example());
    assert_eq!(names(&with), ["Shown"]);
    assert_eq!(names(&without), ["told", "done", "Door", "open", "Made"]);
}
