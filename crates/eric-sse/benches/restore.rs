//! How long a hub takes to come back with 10,000 channels and 100,000 listeners, and with ten times as many of each.
//!
//! Sketch of the cost, per listener: one pair out of the store's tree, about 110 bytes of JSON, an allocation each for
//! the id and the member, and entries in three hash tables and a tree; no call of the engine. That is about 1 µs and
//! 500 bytes, so 0.1 s for the smaller hub, and linear but for caches.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use eric_sse::engine::memory::MemoryEngine;
use eric_sse::persist::MemoryKv;
use eric_sse::{ChannelSettings, Hub, SystemClock};

const LISTENERS_PER_CHANNEL: usize = 10;
const ROUNDS: usize = 5;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "this measures")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{:>9} {:>10} {:>10}", "channels", "listeners", "best, ms");
    for channels in [10_000, 100_000] {
        let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
        let records = Arc::new(MemoryKv::default());
        let hub = Hub::builder(engine.clone()).restore(records.clone()).await?;
        for n in 0..channels {
            let id = format!("channel-{n}").parse()?;
            let channel = hub.channels().create(id, ChannelSettings::in_memory()).await?;
            for n in 0..LISTENERS_PER_CHANNEL {
                channel.ensure_listener(format!("listener-{n}").parse()?).await?;
            }
        }
        drop(hub);
        let mut best_ms = f64::MAX;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let hub = Hub::builder(engine.clone()).restore(records.clone()).await?;
            best_ms = best_ms.min(began.elapsed().as_secs_f64() * 1_000.0);
            assert_eq!(hub.restored().listeners, channels * LISTENERS_PER_CHANNEL, "everybody came back");
        }
        println!("{channels:>9} {:>10} {best_ms:>10.1}", channels * LISTENERS_PER_CHANNEL);
    }
    Ok(())
}
