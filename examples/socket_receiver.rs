//! A listener that prints what it receives: the third of three, beside `socket-server` and `socket-sender`.
//!
//! `cargo run --example socket-receiver -- /tmp/eric.sock CHANNEL`, with the id that `socket-sender` said.

use anyhow::Context as _;
use eric_client::SocketClient;
use futures_util::StreamExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (path, channel) = arguments.next().zip(arguments.next()).context("SOCKET and CHANNEL are missing")?;
    let (hub, channel) = (SocketClient::new(path), channel.parse()?);

    // From here on its queue fills, whether it reads or not.
    let listener = hub.register(&channel).await?;
    println!("listener {listener}");

    let mut frames = hub.stream(&channel, &listener).await?;
    while let Some(frame) = frames.next().await {
        let frame = frame?;
        println!("{} {}", frame.event, frame.data);
    }
    println!("the channel is gone");
    Ok(())
}
