//! Ready-made parts on top of the library's own.
//!
//! | want | see |
//! |---|---|
//! | to work on a queue with several workers | [`processing`] |
//! | threads for callbacks that take long, or a pool of one's own | [`executor`] |
//! | listeners that answer each other, in many processes | [`distributed`] |
//! | a stream as the fields of Server-Sent Events | [`sse`] |

pub mod distributed;
pub mod executor;
pub mod processing;
pub mod sse;
