//! What you type goes to all who listen, or to one of them: the second of three, beside `socket-server`.
//!
//! `cargo run --example socket-sender -- /tmp/eric.sock`
//!
//! It makes a channel and says its id, for `socket-receiver`. A line goes to all; `@LISTENER text` to one listener. At
//! the end (Ctrl-D) it removes the channel, which ends the receivers.

use eric_client::{Message, SocketClient};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/tmp/eric.sock".to_owned());
    let hub = SocketClient::new(path);
    let channel = hub.create_channel().await?;
    println!("channel {channel}");

    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let sent = match line.strip_prefix('@').and_then(|line| line.split_once(' ')) {
            Some((listener, text)) => {
                hub.dispatch(&channel, &listener.parse()?, &Message::of("whisper", text)?).await
            }
            None => hub.broadcast_message(&channel, &Message::of("shout", &line)?).await,
        };
        match sent {
            Ok(()) => println!("sent"),
            // A listener that is not there is no reason to stop.
            Err(error) => println!("not sent: {error}"),
        }
    }
    hub.remove_channel(&channel).await?;
    Ok(())
}
