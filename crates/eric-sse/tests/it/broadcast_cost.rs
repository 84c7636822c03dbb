//! What a broadcast costs: it is stored once and encoded once, however many live listeners there are.

use bytes::Bytes;
use eric_sse::sse::encode::Format;
use eric_sse::{ChannelSettings, Hub, Message};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::allocator::{UNUSUAL_BYTES, unusual_blocks};

/// Broadcasts once to `listeners` live listeners that all read frames; the blocks that took.
async fn blocks_of_a_broadcast(listeners: usize) -> usize {
    let hub = Hub::in_memory();
    let settings = ChannelSettings::in_memory();
    let channel = hub.channels().create("news".parse().unwrap(), settings).await.unwrap();
    let mut streams = Vec::with_capacity(listeners);
    for _ in 0..listeners {
        let listener = channel.add_listener().await.unwrap();
        listener.start();
        let mut stream = channel.message_stream(&listener).await.unwrap().frames(Format::Payload);
        assert!(stream.next().now_or_never().is_none(), "there is nothing yet, so the stream waits");
        streams.push(stream);
    }
    let payload = "x".repeat(UNUSUAL_BYTES - 2);
    let message = Message::of("t", &payload).unwrap();
    let before = unusual_blocks();
    channel.broadcast(message).await.unwrap();
    let mut first: Option<Bytes> = None;
    for stream in &mut streams {
        let frame = stream.next().now_or_never().unwrap().unwrap().unwrap();
        let first = first.get_or_insert_with(|| frame.clone());
        assert_eq!(frame.as_ptr(), first.as_ptr(), "every listener got the same bytes");
        assert!(frame.len() > UNUSUAL_BYTES);
    }
    let blocks = unusual_blocks() - before;
    assert_eq!(hub.stats().frames_encoded.count(), 1, "it was encoded once");
    assert_eq!(hub.stats().entries_published.count(), 1);
    assert_eq!(hub.tail().offset.get(), 1, "it was stored once");
    assert_eq!(channel.info().await.unwrap().messages, 1);
    blocks
}

#[tokio::test]
async fn a_broadcast_to_100_000_listeners_takes_no_more_blocks_than_one_to_10() {
    let few = blocks_of_a_broadcast(10).await;
    let many = blocks_of_a_broadcast(100_000).await;
    assert_eq!(few, 1, "one block for the frame; the payload itself is shared");
    assert_eq!(many, few);
}
