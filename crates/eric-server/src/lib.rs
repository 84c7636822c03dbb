//! Eric's doors: how the outside reaches a hub.
//!
//! [`Server`] owns the sockets and the tasks behind them, and stops them in order. What a door does with a request it
//! asks of the hub; no rule of delivery lives here, and nothing here knows how an engine keeps its log.

mod acceptor;
mod descriptors;
mod http;
mod manner;
mod peer;
mod server;
mod session;
mod settings;
mod shard;
mod socket;
mod system;

pub use descriptors::raise_descriptor_limit;
pub use server::{Doors, Handle, Server};
pub use settings::{CorsOrigins, ServerSettings};
