//! The library's limits, each exactly at it and one past it, where no test beside the code has done so.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use eric_sse::limits::{
    BATCH_MESSAGES_MAX, CHANNELS_MAX, DELIVERY_ATTEMPTS_MAX, LISTENERS_PER_CHANNEL_MAX, READ_BYTES_MAX,
    READ_ENTRIES_MAX, STREAM_LAG_ENTRIES_MAX, TRIMMED_RUNS_MAX, WINDOW_BYTES,
};
use eric_sse::listener::FnListener;
use eric_sse::sse::encode::Format;
use eric_sse::{
    Ack, Channel, ChannelSettings, ErrorKind, Event, Hub, Item, Message, Position, Publish, ReadFrom,
    Subscribe, Subscription,
};
use futures_util::{FutureExt as _, StreamExt as _};

async fn channel_of(settings: ChannelSettings) -> (Hub, Channel) {
    let hub = Hub::in_memory();
    let channel = hub.channels().create("c".parse().unwrap(), settings).await.unwrap();
    (hub, channel)
}

async fn channel() -> (Hub, Channel) {
    channel_of(ChannelSettings::in_memory()).await
}

/// A message of this many bytes that count.
fn of_bytes(bytes: usize) -> Message {
    Message::of("t", &"x".repeat(bytes - 3)).unwrap()
}

fn batch(messages: usize) -> Vec<Publish> {
    (0..messages).map(|n| Message::of("t", &n).unwrap().into()).collect()
}

/// What one read brings; none where there is nothing.
fn read(subscription: &mut Subscription) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    subscription.next_items(&mut items).now_or_never().map(|end| {
        assert_eq!(end.unwrap(), None, "the subscription goes on");
        items
    })
}

#[tokio::test]
async fn a_hub_has_at_most_100_000_channels() {
    let hub = Hub::in_memory();
    let create =
        |n: usize| hub.channels().create(n.to_string().parse().unwrap(), ChannelSettings::in_memory());
    for n in 0..CHANNELS_MAX {
        create(n).await.unwrap();
    }
    let error = create(CHANNELS_MAX).await.unwrap_err();
    assert_eq!((error.kind(), error.limit()), (ErrorKind::LimitExceeded, Some("channels")));
    assert_eq!(hub.channels().ids().len(), CHANNELS_MAX);
    hub.channels().remove(&"7".parse().unwrap()).await.unwrap();
    create(CHANNELS_MAX).await.unwrap();
}

#[tokio::test]
async fn a_channel_has_at_most_1_000_000_listeners() {
    let (_hub, channel) = channel().await;
    for n in 0..LISTENERS_PER_CHANNEL_MAX {
        channel.ensure_listener(n.to_string().parse().unwrap()).await.unwrap();
    }
    let error = channel.add_listener().await.unwrap_err();
    assert_eq!((error.kind(), error.limit()), (ErrorKind::LimitExceeded, Some("listeners_per_channel")));
    let (_, is_new) = channel.ensure_listener("7".parse().unwrap()).await.unwrap();
    assert!(!is_new, "who is there already is let in");
    channel.remove_listener(&"7".parse().unwrap()).await.unwrap();
    channel.add_listener().await.unwrap();
    assert_eq!(channel.info().await.unwrap().listeners, LISTENERS_PER_CHANNEL_MAX);
}

#[tokio::test]
async fn a_batch_has_at_most_10_000_messages() {
    let (hub, channel) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    let past = channel.broadcast_batch(batch(BATCH_MESSAGES_MAX + 1)).await.unwrap_err();
    assert_eq!(past.kind(), ErrorKind::TooLarge);
    let past = channel.dispatch_batch(bob.id(), batch(BATCH_MESSAGES_MAX + 1)).await.unwrap_err();
    assert_eq!(past.kind(), ErrorKind::TooLarge);
    assert_eq!(hub.tail().offset.get(), 0, "nothing was published");
    assert_eq!(channel.broadcast_batch(batch(BATCH_MESSAGES_MAX)).await.unwrap().len(), BATCH_MESSAGES_MAX);
    channel.dispatch_batch(bob.id(), batch(BATCH_MESSAGES_MAX)).await.unwrap();
    assert_eq!(hub.tail().offset.get(), 2 * BATCH_MESSAGES_MAX as u64);
}

/// Frames that two live readers cause to be encoded when `entries` of `bytes` each are published before they read:
/// one per entry where the window holds them all, one per entry and reader where the log must be read.
async fn frames_encoded(entries: usize, bytes: usize) -> u64 {
    let (hub, channel) = channel().await;
    let mut readers = Vec::new();
    for _ in 0..2 {
        let listener = channel.add_listener().await.unwrap();
        let mut reader = channel.subscribe(listener.id(), Subscribe::default()).await.unwrap();
        assert!(read(&mut reader).is_none());
        readers.push(reader);
    }
    for _ in 0..entries {
        channel.broadcast(of_bytes(bytes)).await.unwrap();
    }
    for reader in &mut readers {
        let mut found = 0;
        while let Some(items) = read(reader) {
            for item in items {
                let Item::Entry(framed) = item else { panic!("nothing was missed") };
                framed.frame(Format::Payload, Duration::ZERO, hub.stats());
                found += 1;
            }
        }
        assert_eq!(found, entries);
    }
    hub.stats().frames_encoded.count()
}

#[tokio::test]
async fn the_window_holds_64_mib_of_entries_with_their_frames() {
    // An entry counts twice, for itself and for what it is encoded to, with 384 bytes beside it: 1 MiB in all.
    let bytes = (1024 * 1024 - 384) / 2;
    let fits = WINDOW_BYTES / (1024 * 1024);
    assert_eq!(frames_encoded(fits, bytes).await, fits as u64, "exactly full, all is shared");
    let past = frames_encoded(fits + 1, bytes).await;
    assert!(past > fits as u64 + 1, "one past, readers went to the log: {past}");
}

#[tokio::test]
async fn a_read_brings_at_most_1_000_entries() {
    let (_hub, channel) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    for live in [false, true] {
        let mut reader = channel.subscribe(bob.id(), Subscribe::default()).await.unwrap();
        if live {
            assert!(read(&mut reader).is_none());
        }
        for (published, expected) in
            [(READ_ENTRIES_MAX, vec![READ_ENTRIES_MAX]), (READ_ENTRIES_MAX + 1, vec![READ_ENTRIES_MAX, 1])]
        {
            channel.broadcast_batch(batch(published)).await.unwrap();
            let mut pages = Vec::new();
            while let Some(items) = read(&mut reader) {
                pages.push(items.len());
            }
            assert_eq!(pages, expected, "live={live}");
        }
        reader.consumed(reader.position().offset);
    }
}

#[tokio::test]
async fn a_read_brings_at_most_256_kib_and_one_entry_whole() {
    let (_hub, channel) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    for (bytes, expected) in [
        (READ_BYTES_MAX / 4, vec![4, 2]),
        (READ_BYTES_MAX / 4 - 1, vec![5, 1]),
        (READ_BYTES_MAX, vec![1; 6]),
        (READ_BYTES_MAX + 1, vec![1; 6]),
    ] {
        let mut reader = channel.subscribe(bob.id(), Subscribe::default()).await.unwrap();
        let messages = (0..6).map(|_| of_bytes(bytes).into()).collect();
        channel.broadcast_batch(messages).await.unwrap();
        let mut pages = Vec::new();
        while let Some(items) = read(&mut reader) {
            pages.push(items.len());
        }
        assert_eq!(pages, expected, "entries of {bytes} bytes");
        reader.consumed(reader.position().offset);
    }
}

#[tokio::test]
async fn a_cursor_lags_at_most_64_deliveries_behind_a_stream_and_none_behind_one_that_waits() {
    let (_hub, channel) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    let messages = 2 * STREAM_LAG_ENTRIES_MAX as u64 + 1;
    channel.broadcast_batch(batch(2 * STREAM_LAG_ENTRIES_MAX + 1)).await.unwrap();
    let mut stream = channel.message_stream(&bob).await.unwrap();
    let mut lags = Vec::new();
    for consumed in 1..=messages {
        let event = stream.next().await.unwrap().unwrap();
        assert_eq!(event.message().unwrap().position().offset.get(), consumed);
        lags.push(consumed - bob.info().await.unwrap().cursor.offset.get());
    }
    assert_eq!(lags.iter().max(), Some(&(STREAM_LAG_ENTRIES_MAX as u64)));
    assert_eq!(lags.last(), Some(&1), "one past the limit, the cursor had moved");
    assert!(stream.next().now_or_never().is_none());
    assert_eq!(bob.info().await.unwrap().cursor.offset.get(), messages);
}

/// The attempts of a delivery whose callback fails `failures` times, and whether it was given up.
async fn attempts(failures: u32) -> (Vec<u32>, bool) {
    let (_hub, channel) = channel().await;
    let calls = AtomicU32::new(0);
    let fails = move |_: &Message| match calls.fetch_add(1, Ordering::SeqCst) < failures {
        true => Err("not now".into()),
        false => Ok(()),
    };
    let listener = FnListener::new("bob".parse().unwrap(), fails);
    let bob = channel.register_listener(std::sync::Arc::new(listener)).await.unwrap();
    bob.start();
    channel.broadcast_batch(batch(1)).await.unwrap();
    let manual = Subscribe { ack: Ack::Manual, ..Subscribe::default() };
    let mut stream = channel.message_stream_with(bob.id(), manual).await.unwrap();
    let (mut attempts, mut is_dead) = (Vec::new(), false);
    while let Some(event) = stream.next().now_or_never() {
        let delivery = event.unwrap().unwrap().message().unwrap();
        attempts.push(delivery.attempt());
        is_dead = delivery.failure().is_some_and(|failure| failure.is_dead);
    }
    (attempts, is_dead)
}

#[tokio::test]
async fn a_failing_delivery_is_tried_5_times_and_then_dead() {
    assert_eq!(DELIVERY_ATTEMPTS_MAX, 5);
    assert_eq!(attempts(4).await, (vec![1, 2, 3, 4, 5], false), "the last attempt succeeds");
    assert_eq!(attempts(5).await, (vec![1, 2, 3, 4, 5], true), "the last attempt fails");
    assert_eq!(attempts(6).await, (vec![1, 2, 3, 4, 5], true), "there is no sixth");
}

/// What a reader that goes back to the first entry is told, after `runs` stretches of neighbours were trimmed.
async fn missed_after(runs: usize) -> Option<u64> {
    let (_hub, channel) =
        channel_of(ChannelSettings { max_messages: 1, ..ChannelSettings::in_memory() }).await;
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    let mut positions: Vec<Position> = Vec::new();
    for published in batch(runs + 1) {
        positions.push(channel.broadcast(published.clone()).await.unwrap().position);
        // What lies between two broadcasts parts the stretches.
        channel.dispatch(bob.id(), published).await.unwrap();
    }
    let from = ReadFrom::After(positions[0]);
    let manual = Subscribe { from, ack: Ack::Manual, ..Subscribe::default() };
    let mut stream = channel.message_stream_with(bob.id(), manual).await.unwrap();
    match stream.next().await.unwrap().unwrap() {
        Event::Gap(gap) => gap.missed,
        Event::Message(_) => panic!("nothing was missed"),
    }
}

#[tokio::test]
async fn a_lane_counts_what_was_missed_over_64_trimmed_stretches() {
    let runs = TRIMMED_RUNS_MAX;
    assert_eq!(missed_after(runs).await, Some(runs as u64 - 1), "remembered exactly");
    assert_eq!(missed_after(runs + 1).await, None, "one past, the number is not known");
}
