//! What the library promises, through its public interface.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admission;
mod allocator;
mod audiences;
mod broadcast_cost;
mod conformance;
mod crashes;
mod distributed;
mod event_streams;
mod kinds;
mod kv;
mod library;
mod limits;
mod processing;
mod pump;
mod repositories;
mod restore;
mod returning;
mod wakes;
mod watchers;
mod world;
