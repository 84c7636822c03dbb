//! The parser of event streams finds the same in a stream however it is cut, and never panics.
#![no_main]

use eric_sse::sse::parse::{Item, Parser};
use libfuzzer_sys::fuzz_target;

/// What is in `pieces`, or that it is too large.
fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<Item>, String)> {
    let (mut parser, mut items) = (Parser::new(1 << 16), Vec::new());
    for piece in pieces {
        parser.feed(piece, &mut items).ok()?;
    }
    let last_id = parser.last_id().to_owned();
    Some((items, last_id))
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, stream)) = input.split_first() else { return };
    let whole = parse(std::iter::once(stream));
    let cut = parse(stream.chunks(usize::from(size).max(1)));
    assert_eq!(whole, cut, "where a stream is cut makes no difference");
});
