//! Streams as bodies of HTTP answers: how they begin, that they are never silent, what their last words are.

use std::sync::Arc;
use std::time::Duration;

use eric_sse::engine::memory::MemoryEngine;
use eric_sse::limits::HEARTBEAT_S;
use eric_sse::sse::encode::Format;
use eric_sse::{Channel, ChannelSettings, Connection, EventStream, Hub, Message};
use eric_testkit::ManualClock;
use futures_util::{FutureExt as _, StreamExt as _};

struct Scene {
    _hub: Hub,
    channel: Channel,
    bob: Connection,
    clock: ManualClock,
}

impl Scene {
    async fn new() -> Self {
        let clock = ManualClock::new();
        let engine = Arc::new(MemoryEngine::new(Arc::new(clock.clone())));
        let hub = Hub::builder(engine).clock(Arc::new(clock.clone())).open();
        let channel =
            hub.channels().create("c".parse().unwrap(), ChannelSettings::in_memory()).await.unwrap();
        let bob = channel.add_listener().await.unwrap();
        bob.start();
        Self { _hub: hub, channel, bob, clock }
    }

    /// Bob's stream, after its opening.
    async fn body(&self, format: Format) -> EventStream {
        let mut body = self.channel.message_stream(&self.bob).await.unwrap().event_stream(format);
        if format.has_control_events() {
            assert_eq!(piece(&mut body).as_deref(), Some(":ok\nretry: 3000\n"));
        }
        body
    }

    async fn publish(&self) {
        self.channel.broadcast(Message::of("t", &1).unwrap()).await.unwrap();
    }
}

/// What comes next, if it is there.
fn piece(body: &mut EventStream) -> Option<String> {
    let piece = body.next().now_or_never()??.unwrap();
    Some(String::from_utf8(piece.to_vec()).unwrap())
}

#[tokio::test]
async fn who_is_not_written_to_for_14_s_gets_a_sign_of_life_and_again() {
    let scene = Scene::new().await;
    let mut body = scene.body(Format::Payload).await;
    for _ in 0..3 {
        let (mut silent_s, mut heard) = (0, None);
        while heard.is_none() {
            assert_eq!(piece(&mut body), heard);
            scene.clock.advance(Duration::from_secs(1));
            silent_s += 1;
            heard = piece(&mut body);
        }
        assert_eq!(heard.as_deref(), Some(":\n"));
        assert!(silent_s <= HEARTBEAT_S, "silent for {silent_s} s");
    }
}

#[tokio::test]
async fn who_is_written_to_needs_no_sign_of_life() {
    let scene = Scene::new().await;
    let mut body = scene.body(Format::Payload).await;
    for _ in 0..60 {
        scene.clock.advance(Duration::from_secs(1));
        scene.publish().await;
        assert!(piece(&mut body).unwrap().ends_with("data: 1\n\n"));
        assert_eq!(piece(&mut body), None);
    }
}

#[tokio::test]
async fn the_last_words_say_why_it_is_over() {
    let scene = Scene::new().await;
    let mut replaced = scene.body(Format::Payload).await;
    let mut stopped = scene.body(Format::Envelope).await;
    assert_eq!(piece(&mut replaced).as_deref(), Some("event: eric.replaced\nretry: 60000\ndata: {}\n\n"));
    assert!(replaced.next().now_or_never().unwrap().is_none());
    scene.bob.stop();
    assert!(stopped.next().now_or_never().unwrap().is_none(), "its client comes back");
    scene.bob.start();
    let mut removed = scene.body(Format::Payload).await;
    scene.channel.remove_listener(scene.bob.id()).await.unwrap();
    assert_eq!(piece(&mut removed).as_deref(), Some("event: eric.removed\ndata: {}\n\n"));
    assert!(removed.next().now_or_never().unwrap().is_none());
}

#[tokio::test]
async fn formats_without_control_events_are_frames_and_nothing_else() {
    let scene = Scene::new().await;
    let mut body = scene.body(Format::Line).await;
    assert_eq!(piece(&mut body), None);
    scene.clock.advance(Duration::from_secs(60));
    assert_eq!(piece(&mut body), None);
    scene.publish().await;
    assert_eq!(piece(&mut body).as_deref(), Some("{\"event\": \"t\", \"retry\": 3000, \"data\": 1}\n"));
    scene.channel.remove_listener(scene.bob.id()).await.unwrap();
    assert!(body.next().now_or_never().unwrap().is_none());
}
