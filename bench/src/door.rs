//! The ways into a server: the same requests, each in the words of its protocol.

mod http;
mod socket;

use std::time::Duration;

use serde_json::Value;

use crate::stream::Stream;
use crate::subject::Address;

/// Longer than any one answer may take; a server that needs longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What can be asked of a server. One request at a time.
pub(crate) trait Door {
    /// Makes a channel and returns its id.
    fn create_channel(&mut self) -> anyhow::Result<String>;

    /// Makes a listener of a channel and returns its id.
    fn add_listener(&mut self, channel: &str) -> anyhow::Result<String>;

    /// Opens a listener's stream. The server may not have begun with it yet.
    fn open_stream(&mut self, channel: &str, listener: &str) -> anyhow::Result<Stream>;

    /// The bytes of a broadcast, to be sent as often as wanted.
    fn broadcast(&self, channel: &str, kind: &str, payload: &Value) -> Vec<u8>;

    /// Sends what [`Door::broadcast`] made.
    fn send(&mut self, broadcast: &[u8]) -> anyhow::Result<()>;

    /// Waits for the answer to what was sent; it must be the one that says that all is well.
    fn finish(&mut self) -> anyhow::Result<()>;

    /// Lets go of what is kept between requests; the next one takes it up again.
    fn rest(&mut self);
}

/// A door of the server at this address.
pub(crate) fn open(address: &Address) -> anyhow::Result<Box<dyn Door>> {
    Ok(match address {
        Address::Socket(path) => Box::new(socket::Socket::new(path.clone())),
        Address::Http(address) => Box::new(http::Http::new(*address)),
    })
}
