//! A hub behind a Unix socket, in a program of your own: the first of three.
//!
//! `cargo run --example socket-server -- /tmp/eric.sock`, then `socket-sender` and `socket-receiver` in two more
//! terminals. (`eric serve --socket /tmp/eric.sock` is the same, with more flags.)

use eric_server::{Server, ServerSettings};
use eric_sse::Hub;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/tmp/eric.sock".to_owned());
    // No HTTP here; with an address in `listen` the same channels are at both doors.
    let settings = ServerSettings { listen: None, socket: Some(path.into()), ..ServerSettings::default() };
    let server = Server::bind(Hub::in_memory(), settings)?;
    let handle = server.handle();
    let stop = async move {
        let outcome = tokio::signal::ctrl_c().await;
        handle.stop();
        outcome
    };
    println!("ready, Ctrl-C stops it");
    // It says goodbye to every stream before it returns.
    let (_, stopped) = tokio::join!(server.run(), stop);
    println!("stopped");
    Ok(stopped?)
}
