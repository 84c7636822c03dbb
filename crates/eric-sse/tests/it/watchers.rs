//! Watchers: unnamed listeners that hold nothing in the log, and still see what is broadcast while they are there.

use eric_sse::{ChannelSettings, Event, Hub, Message};
use futures_util::{FutureExt as _, StreamExt as _};

#[tokio::test]
async fn a_live_watcher_sees_every_broadcast_of_a_channel_that_keeps_no_history() {
    let hub = Hub::in_memory();
    let settings = ChannelSettings { history: 0, ..ChannelSettings::in_memory() };
    let channel = hub.channels().create("c".parse().unwrap(), settings).await.unwrap();
    // Nothing is read of it before the first broadcast: it is there from the moment it watches.
    let mut watcher = channel.watch_stream().unwrap();
    for round in 0..3 {
        let batch = (0..4).map(|n| Message::of("t", &(round * 4 + n)).unwrap().into()).collect();
        channel.broadcast_batch(batch).await.unwrap();
        assert_eq!(channel.info().await.unwrap().messages, 0, "nothing is kept for nobody");
        for n in 0..4 {
            match watcher.next().now_or_never().unwrap().unwrap().unwrap() {
                Event::Message(delivery) => {
                    assert_eq!(delivery.message().payload().as_json(), (round * 4 + n).to_string());
                }
                Event::Gap(gap) => panic!("{gap:?}"),
            }
        }
        assert!(watcher.next().now_or_never().is_none());
    }
}

#[tokio::test]
async fn a_live_watcher_sees_what_every_listener_has_consumed_already() {
    let hub = Hub::in_memory();
    let settings = ChannelSettings { history: 0, ..ChannelSettings::in_memory() };
    let channel = hub.channels().create("c".parse().unwrap(), settings).await.unwrap();
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    let mut watcher = channel.watch_stream().unwrap();
    assert!(watcher.next().now_or_never().is_none());
    let taken = channel.broadcast(Message::of("t", &1).unwrap()).await.unwrap();
    channel.ack(bob.id(), taken.position).await.unwrap();
    let event = watcher.next().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(event.message().expect("a message, and no gap").position(), taken.position);
}
