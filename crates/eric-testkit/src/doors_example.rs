//! What the examples of the clients begin with: a hub behind its doors, in this process.

use std::error::Error;

use eric_client::{ChannelId, HttpClient, ListenerId, SocketClient};
use eric_server::{Server, ServerSettings};
use eric_sse::{ChannelSettings, Hub};

type Outcome = Result<(), Box<dyn Error>>;

/// Runs an example: with a client of a hub on a port of its own, its channel `news`, and that channel's listener `bob`.
///
/// ```
/// eric_testkit::http_example(async |hub, news, bob| {
///     assert_eq!(hub.listener(&news, &bob).await?.backlog, 0);
///     Ok(())
/// });
/// ```
///
/// # Panics
/// If the example fails.
pub fn http_example(body: impl AsyncFnOnce(HttpClient, ChannelId, ListenerId) -> Outcome) {
    run(async |server, news, bob| {
        let address = server.local().expect("it listens");
        serve(server, body(HttpClient::new(&format!("http://{address}"))?, news, bob)).await
    });
}

/// Runs the same kind of example with a client of the hub's Unix socket.
///
/// ```
/// eric_testkit::socket_example(async |hub, news, _bob| {
///     assert_ne!(hub.create_channel().await?, news);
///     Ok(())
/// });
/// ```
///
/// # Panics
/// If the example fails.
pub fn socket_example(body: impl AsyncFnOnce(SocketClient, ChannelId, ListenerId) -> Outcome) {
    run(async |server, news, bob| {
        let path = server.socket().expect("it has a socket").to_owned();
        serve(server, body(SocketClient::new(path), news, bob)).await
    });
}

fn run(example: impl AsyncFnOnce(Server, ChannelId, ListenerId) -> Outcome) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.expect("a runtime without threads of its own").block_on(async {
        let hub = Hub::in_memory();
        let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
        let (bob, _) = news.ensure_listener("bob".parse()?).await?;
        let folder = tempfile::tempdir()?;
        let settings = ServerSettings {
            listen: Some(([127, 0, 0, 1], 0).into()),
            socket: Some(folder.path().join("eric.sock")),
            ..ServerSettings::default()
        };
        example(Server::bind(hub, settings)?, news.id().clone(), bob.id().clone()).await
    });
    outcome.expect("an example does what it says");
}

/// Serves until `client` is through, and then stops.
async fn serve(server: Server, client: impl Future<Output = Outcome>) -> Outcome {
    let handle = server.handle();
    let stop = async {
        let outcome = client.await;
        handle.stop();
        outcome
    };
    tokio::join!(server.run(), stop).1
}
