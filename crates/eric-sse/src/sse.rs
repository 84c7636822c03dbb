//! Server-Sent Events, both ways: what is written ([`encode`]) and what is read ([`parse`]).

pub mod encode;
pub mod parse;
