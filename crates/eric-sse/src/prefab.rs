//! Ready-made parts on top of the library's own.

pub mod distributed;
pub mod executor;
pub mod processing;
pub mod sse;
