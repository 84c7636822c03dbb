//! What a source defines for others, as far as its text says so: formatted sources, no compiler.

/// Whether `source` defines `item` for others: a `function`, a `Type`, a `Type::method`, a `Type::field`, an
/// `Enum::Variant`.
pub(crate) fn defines(source: &str, item: &str) -> bool {
    match item.split_once("::") {
        None => source.lines().any(|line| is_public_item(line, item)),
        Some((owner, member)) => bodies(source, owner).iter().any(|body| body.has(member)),
    }
}

/// What stands between the braces of an item.
struct Body<'a> {
    kind: Kind,
    lines: Vec<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An `impl` of the type's own.
    Own,
    /// A trait, or the `impl` of one: all in it is as public as the trait.
    Trait,
    Struct,
    Enum,
}

impl Body<'_> {
    fn has(&self, member: &str) -> bool {
        let is_member = |line: &str| match self.kind {
            Kind::Own => is_public_item(line, member),
            Kind::Trait => is_item(line, member),
            Kind::Struct => line.strip_prefix("pub ").is_some_and(|line| begins_with(line, member, ":")),
            Kind::Enum => begins_with(line, member, ",({ "),
        };
        // What is deeper belongs to something else.
        let own = self.lines.iter().filter_map(|line| line.strip_prefix("    "));
        own.filter(|line| !line.starts_with(' ')).any(is_member)
    }
}

/// The bodies of `owner`: where it is defined, and its `impl`s.
fn bodies<'a>(source: &'a str, owner: &str) -> Vec<Body<'a>> {
    let mut bodies = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with("pub ") && !line.starts_with("impl") {
            continue;
        }
        let mut head = line.to_owned();
        while !head.ends_with(['{', '}', ';']) {
            let Some(line) = lines.next() else { break };
            head.push(' ');
            head.push_str(line.trim());
        }
        if !head.ends_with('{') {
            continue;
        }
        let lines: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with('}')).collect();
        if let Some((kind, _)) = subject(&head).filter(|(_, name)| *name == owner) {
            bodies.push(Body { kind, lines });
        }
    }
    bodies
}

/// Whose body begins with this head.
fn subject(head: &str) -> Option<(Kind, &str)> {
    let kinds = [("pub trait ", Kind::Trait), ("pub struct ", Kind::Struct), ("pub enum ", Kind::Enum)];
    if let Some((kind, rest)) =
        kinds.into_iter().find_map(|(word, kind)| Some((kind, head.strip_prefix(word)?)))
    {
        return Some((kind, name(rest)));
    }
    let rest = without_generics(head.strip_prefix("impl")?).trim_start();
    match rest.split_once(" for ") {
        Some((_, owner)) => Some((Kind::Trait, name(owner))),
        None => Some((Kind::Own, name(rest))),
    }
}

/// The last part of the path that `text` begins with.
fn name(text: &str) -> &str {
    let path = text.split(|char: char| !is_word(char) && char != ':').next().unwrap_or_default();
    path.trim_end_matches(':').rsplit("::").next().unwrap_or_default()
}

/// The text after the generics it begins with.
fn without_generics(text: &str) -> &str {
    let mut depth = 0;
    let mut before = ' ';
    for (at, char) in text.char_indices() {
        match char {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if before == ' ' { text } else { &text[at + 1..] };
        }
        before = char;
    }
    text
}

fn is_public_item(line: &str, name: &str) -> bool {
    line.strip_prefix("pub ").is_some_and(|line| is_item(line, name))
}

/// Whether a line begins the definition of `name`.
fn is_item(line: &str, name: &str) -> bool {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let line = line.strip_prefix("const fn ").map_or(line.to_owned(), |rest| format!("fn {rest}"));
    let kinds = ["fn ", "struct ", "enum ", "trait ", "type ", "const ", "mod "];
    kinds.iter().any(|kind| line.strip_prefix(kind).is_some_and(|rest| begins_with(rest, name, "")))
}

/// Whether `text` begins with `name` as a whole word, followed by one of `marks` where there are any.
fn begins_with(text: &str, name: &str, marks: &str) -> bool {
    let Some(rest) = text.strip_prefix(name) else { return false };
    match rest.chars().next() {
        None => marks.is_empty(),
        Some(next) => !is_word(next) && (marks.is_empty() || marks.contains(next)),
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

#[test]
fn what_is_there_for_others_is_found_and_nothing_else() {
    let source = "\
//! pub fn told()
pub use other::{
    Told,
};
pub const MAX: usize = 1;
pub type Alias = Owner<u8>;
fn hidden() {}
pub fn free<T>(t: T) {}
pub(crate) fn inner() {}
pub struct Owner<R> {
    pub field: u8,
    private: u8,
}
pub enum Kind {
    One,
    Two(u8),
    Three { four: u8 },
}
pub trait Seam: Send {
    const PREFIX: &'static str;
    fn duty(&self);
    fn given(&self) {
        fn deep() {}
    }
}
impl<F: Fn(&u8) -> Result<(), E> + Send, R> Owner<R>
where
    R: Seam,
{
    pub fn method(&self) {}
    pub async fn wait(&self) {}
    pub const fn new() {}
    pub(crate) fn kept(&self) {}
    fn own(&self) {}
}
impl crate::Seam for crate::Other<u8> {
    fn duty(&self) {}
}
impl fmt::Debug for Empty {}
";
    for item in [
        "MAX",
        "Alias",
        "free",
        "Owner",
        "Owner::field",
        "Kind",
        "Kind::One",
        "Kind::Two",
        "Kind::Three",
        "Seam",
        "Seam::PREFIX",
        "Seam::duty",
        "Seam::given",
        "Owner::method",
        "Owner::wait",
        "Owner::new",
        "Other::duty",
    ] {
        assert!(defines(source, item), "{item}");
    }
    for item in [
        "told",
        "Told",
        "hidden",
        "inner",
        "fre",
        "free2",
        "Other",
        "Owner::private",
        "Owner::kept",
        "Owner::own",
        "Owner::duty",
        "Kind::On",
        "Kind::four",
        "Kind::Four",
        "Seam::deep",
        "Owner::metho",
        "Other::given",
        "R::method",
        "Owner::",
        "",
        "Empty::fmt",
    ] {
        assert!(!defines(source, item), "{item}");
    }
}
