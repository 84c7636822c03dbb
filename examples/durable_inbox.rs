//! An inbox on the disk: what was put into it survives `kill -9`, and power loss.
//!
//! `cargo run --example durable-inbox -- /tmp/inbox put "Milk, eggs"`, and then `… -- /tmp/inbox take`
//!
//! The store is a directory that one process has open at a time. `put` returns from publishing once the message is on
//! the disk; it then stays, so that you can kill it. `take` finds what was put, once: how far it got is kept as well.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use eric_sse::{Channel, Hub, Message, SettingsPatch, SystemClock};
use eric_store::{Store, StoreSettings};

/// The hub in `directory`, with the channels and listeners that it had.
async fn open(directory: &str) -> eric_sse::Result<Hub> {
    let store = Arc::new(Store::open(directory, StoreSettings::default(), Arc::new(SystemClock))?);
    Hub::builder(store.clone()).restore(store).await
}

async fn put(inbox: &Channel, text: &str) -> anyhow::Result<()> {
    let taken = inbox.broadcast(Message::of("note", text)?).await?;
    println!("put at {}; now: kill -9 {}", taken.position, std::process::id());
    Ok(tokio::signal::ctrl_c().await?)
}

async fn take(inbox: &Channel) -> anyhow::Result<()> {
    let me = inbox.listener(&"me".parse()?)?;
    me.start();
    while let Some(delivery) = inbox.deliver_next(me.id()).await? {
        println!("{} {}", delivery.taken_at(), delivery.message().payload().as_json());
    }
    println!("nothing more");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = arguments.first().context("DIR put TEXT, or DIR take")?;
    let hub = open(directory).await?;
    // Made the first time, found from then on.
    let (inbox, _) = hub.channels().ensure("inbox".parse()?, &SettingsPatch::default()).await?;
    inbox.ensure_listener("me".parse()?).await?;
    match &arguments[1..] {
        [verb, text] if verb == "put" => put(&inbox, text).await,
        [verb] if verb == "take" => take(&inbox).await,
        _ => bail!("DIR put TEXT, or DIR take"),
    }
}
