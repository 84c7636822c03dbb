//! Load for servers of event streams: one thread, many streams, and every event on them checked.
//!
//! A [`dialect`] says how a server is spoken to, a [`scenario`] what is done to it, a [`report`] what came of it. Behind
//! that, `load` waits for the sockets of all: the `crowd` of readers, each a `stream`, and the `publisher`s. The `ledger`
//! knows what was published and holds every event against it: one that is lost, doubled, out of order or other than it
//! was sent fails the run.
//!
//! Whoever starts a run may [`watch`] it. It never starts a thread, and allocates nothing per event.

#![expect(clippy::disallowed_methods, reason = "a load generator reads the clock, and has no hub")]

pub mod dialect;
pub mod distribution;
pub mod report;
pub mod scenario;
pub mod watch;

mod answer;
mod chunks;
mod clock;
mod crowd;
mod exchange;
mod latency;
mod ledger;
mod limits;
mod load;
mod log;
mod message;
mod publisher;
mod schedule;
mod socket;
mod stream;
mod timeline;
mod usage;

pub use usage::{family, machine};
