//! Ready-made parts on top of the library's own.

pub mod executor;
pub mod processing;
pub mod sse;
