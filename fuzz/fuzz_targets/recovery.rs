//! The store opens whatever records its segments hold, or refuses; it never panics. The records have the checksums that
//! they must have: hardly any bytes do by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// Cuts the input into segments of records: kind, length of the body, body; kind 0 begins the next segment.
fn segments(mut input: &[u8]) -> Vec<Vec<(u8, Vec<u8>)>> {
    let mut segments = vec![Vec::new()];
    while let [kind, len, rest @ ..] = input {
        let (body, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        input = rest;
        if *kind == 0 {
            segments.push(Vec::new());
        } else {
            segments.last_mut().expect("there is one").push((*kind, body.to_vec()));
        }
    }
    segments
}

fuzz_target!(|input: &[u8]| {
    eric_store::fuzzing::open_records(&segments(input));
});
