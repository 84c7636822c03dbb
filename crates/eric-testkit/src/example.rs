//! What the examples in the documentation begin with, so that each shows only what it is about.

use std::error::Error;

use eric_sse::{Channel, ChannelSettings, Connection, Hub};

/// Runs an example: with a hub in memory, its channel `news`, and that channel's listener `bob`, who is running.
///
/// ```
/// eric_testkit::example(async |hub, news, bob| {
///     assert_eq!(hub.channels().ids(), [news.id().clone()]);
///     assert_eq!(bob.id().as_str(), "bob");
///     Ok(())
/// });
/// ```
///
/// # Panics
/// If the example fails.
pub fn example(body: impl AsyncFnOnce(Hub, Channel, Connection) -> Result<(), Box<dyn Error>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let outcome = runtime.expect("a runtime without threads of its own").block_on(async {
        let hub = Hub::in_memory();
        let settings = ChannelSettings::default();
        let news = hub.channels().create("news".parse()?, settings).await?;
        let (bob, _) = news.ensure_listener("bob".parse()?).await?;
        bob.start();
        body(hub, news, bob).await
    });
    outcome.expect("an example does what it says");
}
