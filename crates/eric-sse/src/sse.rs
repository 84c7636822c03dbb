//! What is written to clients ([`encode`], [`compatible`], [`line`]) and what is read from a stream ([`parse`]).

mod compatible;
pub mod encode;
mod line;
pub mod parse;
