//! Two processes that talk: bob asks for the double of every number, alice answers. Kill either with `kill -9` whenever
//! you like and start it again: it goes on where it was, and in the end bob has every answer.
//!
//! `cargo run --example conversation -- alice http://127.0.0.1:8000 /tmp/alice`
//! `cargo run --example conversation -- bob http://127.0.0.1:8000 /tmp/bob 1000`
//!
//! A path instead of the URL is the hub's Unix socket; the channel `talk` and its listeners must be there then.

mod alice;
mod bob;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use eric_client::{HttpClient, SettingsPatch, SocketClient};
use eric_sse::SystemClock;
use eric_sse::prefab::distributed::{Application, Wire};
use eric_store::{Store, StoreSettings};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, hub, folder, numbers @ ..] = &arguments[..] else {
        return Err("give alice or bob, the hub's URL or socket, a directory, and how many numbers".into());
    };
    let folder = Path::new(folder);
    // What was handled is recorded in a store that survives the process.
    let store = Arc::new(Store::open(folder, StoreSettings::default(), Arc::new(SystemClock))?);
    let application = Application::with(wire(hub, name).await?, store.clone(), Arc::new(SystemClock));
    match name.as_str() {
        "alice" => alice::answer(&application, &folder.join("effects")).await,
        _ => bob::ask(&application, store, numbers.first().map_or(Ok(100), |text| text.parse())?).await,
    }
}

async fn wire(hub: &str, name: &str) -> Outcome<Arc<dyn Wire>> {
    let talk = "talk".parse()?;
    if !hub.starts_with("http") {
        return Ok(Arc::new(SocketClient::new(hub).wire(talk, name.parse()?)));
    }
    let hub = HttpClient::new(hub)?;
    hub.ensure_channel(&talk, &SettingsPatch::default()).await?;
    hub.ensure_listener(&talk, &"alice".parse()?).await?;
    Ok(Arc::new(hub.wire(talk, name.parse()?).await?))
}
