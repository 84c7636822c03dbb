//! What the library promises, through its public interface.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod allocator;
mod broadcast_cost;
mod conformance;
mod library;
mod limits;
mod wakes;
mod watchers;
