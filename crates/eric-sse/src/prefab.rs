//! Ready-made parts on top of the library's own.

pub mod sse;
