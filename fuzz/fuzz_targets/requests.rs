//! What the doors read never panics; what is refused on the socket is refused in one way; and a text that is malformed
//! has a fault somewhere in it.
#![no_main]

use eric_protocol::exception::Class;
use eric_protocol::{api, fault, message, settings, socket};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Err(refused) = socket::parse(input) {
        assert_eq!(refused.class(), Class::InvalidMessageFormat);
    }
    let _ = api::message(input, true);
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = (message::one(text, None), message::lines(text), settings::patch(text));
    let found = fault::find(text);
    assert!(found.at <= text.chars().count());
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() {
        assert_eq!(found.what, "Extra data", "what is valid has nothing wrong before its end");
    }
});
