//! Queues of the user's own: the log is the truth, a queue that refuses stalls its listener and nobody else, and nothing
//! is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use eric_sse::limits::PUMP_RETRY_MS;
use eric_sse::listener::FnListener;
use eric_sse::log::BoxFuture;
use eric_sse::queue::{MemoryQueue, Pump, Queue, QueueResult};
use eric_sse::{Channel, ChannelSettings, End, Hub, Message, Position, SettingsPatch};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::world::id;

async fn channel() -> Channel {
    let hub = Hub::in_memory();
    hub.channels().create("news".parse().unwrap(), ChannelSettings::default()).await.unwrap()
}

async fn publish(channel: &Channel, numbers: std::ops::Range<u64>) {
    for n in numbers {
        channel.broadcast(Message::of("t", &n).unwrap()).await.unwrap();
    }
}

async fn pump(channel: &Channel, queue: &Arc<impl Queue + 'static>) -> Pump {
    let bob = FnListener::new(id("bob"), |message: &Message| match message.payload().as_json() {
        "7" => Err("seven".into()),
        eight @ "8" => panic!("not {eight}"),
        _ => Ok(()),
    });
    Pump::connect(channel, Arc::new(bob), queue.clone()).await.unwrap()
}

/// Runs the pump until it waits.
fn feed(pump: &Pump) {
    assert!(Box::pin(pump.run()).now_or_never().is_none());
}

async fn delivered(pump: &Pump) -> Vec<String> {
    let mut delivered = Vec::new();
    while let Some((message, result)) = pump.deliver_next().await.unwrap() {
        let said = result.err().map(|error| format!(" {error}")).unwrap_or_default();
        delivered.push(format!("{}{said}", message.payload().as_json()));
    }
    delivered
}

#[tokio::test]
async fn messages_go_on_to_the_queue_and_the_callback_runs_when_they_leave_it() {
    let channel = channel().await;
    let queue = Arc::new(MemoryQueue::new("inbox", 100));
    let pump = pump(&channel, &queue).await;
    publish(&channel, 5..10).await;
    channel.dispatch(&id("bob"), Message::of("t", "for bob").unwrap()).await.unwrap();
    assert!(queue.is_empty(), "nothing moves by itself");
    feed(&pump);
    assert_eq!((queue.len(), pump.status().pushed), (6, 6));
    assert_eq!(pump.connection().info().await.unwrap().backlog, 0);
    let expected = ["5", "6", "7 seven", "8 the callback panicked: not 8", "9", "\"for bob\""];
    assert_eq!(delivered(&pump).await, expected);
    // It goes on where it was.
    publish(&channel, 10..12).await;
    feed(&pump);
    assert_eq!(delivered(&pump).await, ["10", "11"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_stalls_its_listener_until_there_is_room_and_nobody_else() {
    let channel = channel().await;
    let queue = Arc::new(MemoryQueue::new("inbox", 3));
    let pump = Arc::new(pump(&channel, &queue).await);
    let eve = channel.add_listener().await.unwrap();
    publish(&channel, 0..5).await;
    let running = tokio::spawn({
        let pump = pump.clone();
        async move { pump.run().await }
    });
    while pump.status().stalled.is_none() {
        tokio::task::yield_now().await;
    }
    let status = pump.status();
    assert_eq!(
        (status.pushed, status.stalled.as_deref()),
        (3, Some("queue id=inbox is full: it has room for 3"))
    );
    // Publishing and others go on.
    publish(&channel, 5..6).await;
    assert_eq!(eve.info().await.unwrap().backlog, 6);
    assert_eq!(delivered(&pump).await, ["0", "1", "2"]);
    while pump.status().pushed < 6 {
        tokio::time::advance(Duration::from_millis(PUMP_RETRY_MS.1)).await;
    }
    assert_eq!(
        (delivered(&pump).await, pump.status().stalled),
        (vec!["3".into(), "4".into(), "5".into()], None)
    );
    pump.connection().stop();
    assert_eq!(running.await.unwrap().unwrap(), End::Stopped);
}

/// A queue that refuses, and counts.
#[derive(Default)]
struct Refusing(AtomicU64);

impl Queue for Refusing {
    fn id(&self) -> &str {
        "refusing"
    }

    fn push(&self, _: Position, _: Message) -> BoxFuture<'_, QueueResult<()>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Err("no".into())))
    }

    fn pop(&self) -> BoxFuture<'_, QueueResult<Option<Message>>> {
        Box::pin(std::future::ready(Err("no".into())))
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_further_and_further_apart_up_to_half_a_minute() {
    let channel = channel().await;
    let queue = Arc::new(Refusing::default());
    let pump = Arc::new(pump(&channel, &queue).await);
    publish(&channel, 0..1).await;
    let running = tokio::spawn({
        let pump = pump.clone();
        async move { pump.run().await }
    });
    let begin = Instant::now();
    let mut at = Vec::new();
    while at.len() < 12 {
        let before = queue.0.load(Ordering::Relaxed);
        while queue.0.load(Ordering::Relaxed) == before {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        at.push(begin.elapsed().as_millis() as u64);
    }
    let (first, most) = PUMP_RETRY_MS;
    let waits: Vec<u64> = at.windows(2).map(|two| two[1] - two[0]).collect();
    for (n, wait) in waits.iter().enumerate() {
        let expected = (first << n.min(20)).min(most);
        assert!(wait.abs_diff(expected) <= 3, "wait {n}: {wait} ms instead of {expected}");
    }
    assert_eq!(pump.connection().info().await.unwrap().backlog, 1, "it is not acknowledged");
    pump.connection().stop();
    assert_eq!(running.await.unwrap().unwrap(), End::Stopped, "who waits is stopped at once");
    assert!(pump.deliver_next().await.is_err());
}

#[tokio::test]
async fn what_retention_dropped_is_counted() {
    let channel = channel().await;
    let queue = Arc::new(MemoryQueue::new("inbox", 100));
    let pump = pump(&channel, &queue).await;
    let patch = SettingsPatch { max_messages: Some(2), ..SettingsPatch::default() };
    channel.change_settings(&patch).await.unwrap();
    publish(&channel, 0..5).await;
    feed(&pump);
    assert_eq!((pump.status().missed, delivered(&pump).await), (3, vec!["3".into(), "4".into()]));
}
