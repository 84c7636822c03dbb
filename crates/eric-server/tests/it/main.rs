//! The doors, on real sockets: bytes in, bytes out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod bad_input;
mod limits;
mod pull;
mod routes;
mod server;
mod socket;
mod streams;
mod together;
