//! A hub inside a program of one's own: both doors, and a store in a directory. What was answered survives `kill -9`.
//!
//! `cargo run --example hub -- 127.0.0.1:8000 /tmp/eric.sock /tmp/eric-data`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use eric_server::{Doors, ServerSettings};
use eric_sse::{Hub, SystemClock};
use eric_store::{Store, StoreSettings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, socket, folder] = &arguments[..] else {
        return Err("give HOST:PORT, a path for the socket, and a directory".into());
    };
    // The doors come first: where one is taken, no data is touched.
    let doors = Doors::bind(ServerSettings {
        listen: Some(listen.parse()?),
        socket: Some(socket.into()),
        ..ServerSettings::default()
    })?;
    let clock = Arc::new(SystemClock);
    let store = Arc::new(Store::open(Path::new(folder), StoreSettings::default(), clock.clone())?);
    // The store keeps the entries, and what channels and listeners there are.
    let hub = Hub::builder(store.clone()).clock(clock).restore(store).await?;
    let server = doors.lead_to(hub);
    if let Some(address) = server.local() {
        println!("ready http={address}");
    }
    let handle = server.handle();
    let stopping = async {
        tokio::signal::ctrl_c().await?;
        handle.stop();
        Ok::<_, Box<dyn Error>>(())
    };
    let (_, stopped) = tokio::join!(server.run(), stopping);
    stopped
}
