//! A producer that is faster than its consumer, and is told so.
//!
//! `cargo run --example producer-consumer`
//!
//! The kitchen keeps at most three orders that nobody has cooked, and refuses more: the producer waits. (Left at
//! `Overflow::DropOldest`, it would never wait, and the cook would be told of a gap.) The cook follows live, and gets an
//! order every 20 ms at most.

use std::time::Duration;

use eric_sse::lane::Overflow;
use eric_sse::{Channel, ChannelSettings, Connection, ErrorKind, Hub, Message, Result};
use futures_util::StreamExt as _;

const ORDERS: u32 = 10;

/// Publishes until the kitchen takes it.
async fn order(kitchen: &Channel, message: Message) -> Result<()> {
    loop {
        match kitchen.broadcast(message.clone()).await {
            Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                println!("waiting: {error}");
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            taken => return taken.map(drop),
        }
    }
}

async fn produce(kitchen: &Channel) -> Result<()> {
    for number in 1..=ORDERS {
        order(kitchen, Message::of("order", &number)?).await?;
        println!("ordered {number}");
    }
    order(kitchen, Message::of("closing time", &())?).await
}

async fn consume(kitchen: &Channel, cook: &Connection) -> Result<()> {
    let mut orders = kitchen.message_stream(cook).await?;
    while let Some(event) = orders.next().await {
        let Some(delivery) = event?.message() else { continue };
        match delivery.message().kind().as_str() {
            "order" => println!("cooked {}", delivery.message().payload().as_json()),
            // The stream ends when its listener is stopped.
            _ => cook.stop(),
        }
    }
    println!("the kitchen is closed");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let hub = Hub::in_memory();
    let settings = ChannelSettings {
        max_messages: 3,
        overflow: Overflow::Reject,
        stream_delay_ms: 20,
        ..ChannelSettings::in_memory()
    };
    let kitchen = hub.channels().create("kitchen".parse()?, settings).await?;
    let (cook, _) = kitchen.ensure_listener("cook".parse()?).await?;
    cook.start();
    tokio::try_join!(produce(&kitchen), consume(&kitchen, &cook))?;
    Ok(())
}
