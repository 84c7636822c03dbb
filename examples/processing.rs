//! A queue that six threads work on, with jobs that fail, and a table of how long it took.
//!
//! `cargo run --example processing`
//!
//! Results come as they complete (`Order::Queue` keeps the order of publishing). A job that fails, or panics, is its own
//! result and nobody else's; what a panic says goes to standard error. A job is acknowledged with its result: with a
//! durable engine, one that a crash cuts short is done again.

use std::sync::Arc;

use eric_sse::listener::CallbackError;
use eric_sse::prefab::executor::Threads;
use eric_sse::prefab::processing::{CLOSED, Processing, Until};
use eric_sse::profile::Profile;
use eric_sse::{ChannelSettings, Hub, Message};
use futures_util::StreamExt as _;

const WORKERS: usize = 6;

/// The job: to count the primes below a number.
fn count_primes(message: &Message) -> Result<usize, CallbackError> {
    let below: u32 = message.payload().parse()?;
    assert!(below < 1_000_000, "nobody has that much time");
    let is_prime = |n: &u32| (2..*n).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    Ok((2..below).filter(is_prime).count())
}

#[tokio::main]
async fn main() -> Result<(), CallbackError> {
    let hub = Hub::in_memory();
    let jobs = hub.channels().create("jobs".parse()?, ChannelSettings::default()).await?;
    let workers = jobs.add_listener().await?;
    for below in [10, 100, 1_000, 10_000, 100_000, 5_000_000] {
        jobs.broadcast(Message::of("primes below", &below)?).await?;
    }
    jobs.broadcast(Message::of("primes below", "a million")?).await?;
    // The last of the queue: it is done after all before it, and ends the stream.
    jobs.broadcast(Message::of(CLOSED, &0)?).await?;

    let profile = Arc::new(Profile::new());
    let measured = {
        let profile = profile.clone();
        move |message: &Message| profile.measure(message, || count_primes(message))
    };
    // Without the last message this would go on until the listener is stopped.
    let options = Processing { until: Until::Stopped, ..Processing::with(WORKERS) };
    let pool = Arc::new(Threads::new(WORKERS)?);
    let mut results = jobs.process_with(&workers, options, pool, measured).await?;
    while let Some(processed) = results.next().await {
        let processed = processed?;
        let message = processed.delivery.message();
        let job = format!("{} {}", message.kind(), message.payload().as_json());
        match processed.result {
            Ok(_) if message.kind().as_str() == CLOSED => println!("closed"),
            Ok(count) => println!("{job}: {count}"),
            Err(error) => println!("{job}: failed: {error}"),
        }
    }
    println!("{}", profile.report());
    Ok(())
}
