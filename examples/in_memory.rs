//! Two listeners, a message for all, a message for one: everything in this process, nothing kept.
//!
//! `cargo run --example in-memory`

use eric_sse::{ChannelSettings, Hub, Message, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let hub = Hub::in_memory();
    let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
    let (alice, _) = news.ensure_listener("alice".parse()?).await?;
    let (bob, _) = news.ensure_listener("bob".parse()?).await?;

    // Nobody listens yet: the queues fill.
    news.broadcast(Message::of("headline", "Eric runs")?).await?;
    news.dispatch(bob.id(), Message::of("note", &["for", "bob"])?).await?;

    for listener in [alice, bob] {
        listener.start();
        while let Some(delivery) = news.deliver_next(listener.id()).await? {
            let message = delivery.message();
            println!("{} {} {}", listener.id(), message.kind(), message.payload().as_json());
        }
    }
    Ok(())
}
