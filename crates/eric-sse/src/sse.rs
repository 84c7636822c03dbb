//! What is written to clients ([`encode`]; `compatible` and `line` for those of the Python packages) and what is read
//! from a stream ([`parse`]).

mod compatible;
pub mod encode;
mod line;
pub mod parse;
