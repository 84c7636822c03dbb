//! A real hub on a port and a socket of its own, and what tests ask of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eric_client::{ChannelId, Event, Events, HttpClient, ListenerId, SettingsPatch, SocketClient};
use eric_server::{Handle, Server, ServerSettings};
use eric_sse::Hub;
use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Within this everything that is not about time has happened.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A hub in this process; it stops when dropped.
pub(crate) struct TestHub {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    _folder: TempDir,
    handle: Handle,
    running: Option<JoinHandle<usize>>,
}

impl TestHub {
    pub(crate) fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), Hub::in_memory())
    }

    pub(crate) fn start_at(listen: SocketAddr, hub: Hub) -> Self {
        let folder = TempDir::new().expect("a folder");
        let socket = folder.path().join("eric.sock");
        let (address, handle, running) = serve(listen, &socket, hub.clone());
        Self { hub, address, socket, _folder: folder, handle, running: Some(running) }
    }

    /// Stops it and starts `hub` in its place.
    pub(crate) async fn restart(&mut self, hub: Hub) {
        self.stop().await;
        let (_, handle, running) = serve(self.address, &self.socket, hub.clone());
        (self.hub, self.handle, self.running) = (hub, handle, Some(running));
    }

    pub(crate) fn http(&self) -> HttpClient {
        http(self.address)
    }

    pub(crate) fn socket_client(&self) -> SocketClient {
        SocketClient::new(&self.socket)
    }

    /// A client, and a channel `c` with a listener `l` and short reconnects.
    pub(crate) async fn with_listener(&self) -> (HttpClient, ChannelId, ListenerId) {
        let (client, channel, listener) = (self.http(), id("c"), listener("l"));
        client.ensure_channel(&channel, &short_retry()).await.unwrap();
        client.ensure_listener(&channel, &listener).await.unwrap();
        (client, channel, listener)
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stop(&mut self) {
        self.handle.stop();
        let running = self.running.take().unwrap();
        timeout(SOON, running).await.expect("it stops").unwrap();
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

fn serve(listen: SocketAddr, socket: &Path, hub: Hub) -> (SocketAddr, Handle, JoinHandle<usize>) {
    let settings =
        ServerSettings { listen: Some(listen), socket: Some(socket.into()), ..ServerSettings::default() };
    let server = Server::bind(hub, settings).unwrap();
    let (address, handle) = (server.local().unwrap(), server.handle());
    (address, handle, tokio::spawn(server.run()))
}

pub(crate) fn http(address: SocketAddr) -> HttpClient {
    HttpClient::new(&format!("http://{address}")).unwrap()
}

pub(crate) fn id(text: &str) -> ChannelId {
    text.parse().unwrap()
}

pub(crate) fn listener(text: &str) -> ListenerId {
    text.parse().unwrap()
}

pub(crate) fn short_retry() -> SettingsPatch {
    SettingsPatch { retry_ms: Some(100), history: Some(100_000), ..SettingsPatch::default() }
}

/// The next event, whatever it is; none at the end.
pub(crate) async fn next(events: &mut Events) -> Option<Result<Event, eric_client::Error>> {
    timeout(SOON, events.next()).await.expect("something comes")
}

/// The next event that is no coming and going of connections.
pub(crate) async fn next_told(events: &mut Events) -> Event {
    loop {
        match next(events).await.expect("the stream goes on").expect("it does not fail") {
            Event::Connected | Event::Disconnected { .. } => {}
            told => return told,
        }
    }
}

/// The payload of the next event, which must be a message.
pub(crate) async fn next_payload(events: &mut Events) -> String {
    match next_told(events).await {
        Event::Message(received) => received.payload,
        other => panic!("{other:?} is no message"),
    }
}

pub(crate) async fn connected(events: &mut Events) {
    while !matches!(next(events).await.unwrap().unwrap(), Event::Connected) {}
}
