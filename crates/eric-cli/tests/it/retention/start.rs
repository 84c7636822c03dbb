//! Starting with a great many channels and listeners: they are all there, and how long it takes is printed.
//!
//! `ERIC_TEST_CHANNELS` is how many channels there are (100), `ERIC_TEST_LISTENERS` how many listeners (1,000).

use std::path::Path;
use std::sync::Arc;

use eric_sse::{ChannelSettings, Hub, SystemClock};
use eric_store::{Store, StoreSettings};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{Stage, channel, labelled, listener, number};
use crate::folder::Folder;

/// Changes that are under way at once.
const AT_ONCE: usize = 1_024;
const STARTS: usize = 3;

/// Makes what is to be found: every channel has its share of the listeners, and one message.
async fn fill(directory: &Path, channels: usize, listeners: usize) {
    let clock = Arc::new(SystemClock);
    let store = Store::open(directory, StoreSettings::default(), clock.clone()).expect("it is opened");
    let store = Arc::new(store);
    let hub = Hub::builder(store.clone()).clock(clock).restore(store.clone()).await.expect("it is empty");
    let make = stream::iter(0..channels).map(|n| {
        let hub = hub.clone();
        async move {
            let id = channel(&format!("channel-{n}"));
            let channel = hub.channels().create(id, ChannelSettings::default()).await.expect("it is made");
            let (from, to) = (n * listeners / channels, (n + 1) * listeners / channels);
            for n in from..to {
                channel.ensure_listener(listener(&format!("listener-{n}"))).await.expect("it is added");
            }
            channel.broadcast(labelled("hello")).await.expect("it is taken");
        }
    });
    make.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_comes_back_with_all_its_channels_and_listeners() {
    let (channels, listeners) = (number("ERIC_TEST_CHANNELS", 100), number("ERIC_TEST_LISTENERS", 1_000));
    let folder = Folder::create();
    let directory = folder.path().join("data");
    fill(&directory, channels, listeners).await;
    let mut folder = Some(folder);
    for start in 0..STARTS {
        let begin = Instant::now();
        let stage = Stage::start(folder.take()).await;
        println!(
            "start {start}: ready with {channels} channels and {listeners} listeners in {:.0?}",
            begin.elapsed()
        );
        let last = channel(&format!("channel-{}", channels - 1));
        let info = stage.client.channel(&last).await.unwrap();
        assert_eq!(
            (info.messages, info.listeners as usize),
            (1, listeners - (channels - 1) * listeners / channels)
        );
        let bob = listener(&format!("listener-{}", listeners - 1));
        assert_eq!(stage.client.listener(&last, &bob).await.unwrap().backlog, 1);
        // Killed, asked to end, killed.
        match start {
            1 => drop(stage.hub.terminate().await),
            _ => drop(stage.hub.kill().await),
        }
        folder = stage.folder;
    }
}
