//! The HTTP door, on real sockets: bytes in, bytes out.

mod bad_input;
mod limits;
mod routes;
mod server;
mod streams;
