//! Who is woken by what, counted by wakers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use eric_sse::log::Budget;
use eric_sse::{Channel, ChannelSettings, Hub, Item, Message, Subscribe, Subscription};

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Waiting {
    subscription: Subscription,
    bell: Arc<Bell>,
}

impl Waiting {
    fn poll(&mut self) -> Option<Vec<Item>> {
        let waker = Waker::from(self.bell.clone());
        let mut items = Vec::new();
        match self.subscription.poll_items(&mut Context::from_waker(&waker), Budget::default(), &mut items) {
            Poll::Pending => None,
            Poll::Ready(end) => {
                assert_eq!(end.unwrap(), None, "the subscription goes on");
                Some(items)
            }
        }
    }

    fn wakes(&self) -> usize {
        self.bell.0.load(Ordering::SeqCst)
    }
}

async fn waiting(listeners: usize) -> (Channel, Vec<Waiting>) {
    let hub = Hub::in_memory();
    let channel = hub.channels().create("c".parse().unwrap(), ChannelSettings::in_memory()).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..listeners {
        let listener = channel.add_listener().await.unwrap();
        let subscription = channel.subscribe(listener.id(), Subscribe::default()).await.unwrap();
        let mut one = Waiting { subscription, bell: Arc::default() };
        assert!(one.poll().is_none(), "there is nothing yet");
        waiting.push(one);
    }
    (channel, waiting)
}

#[tokio::test]
async fn a_dispatch_among_1_000_waiting_subscriptions_wakes_exactly_one_once() {
    let (channel, mut waiting) = waiting(1_000).await;
    let addressee = waiting[617].subscription.listener().unwrap().clone();
    channel.dispatch(&addressee, Message::of("t", &1).unwrap()).await.unwrap();
    let woken: Vec<usize> = (0..waiting.len()).filter(|index| waiting[*index].wakes() > 0).collect();
    assert_eq!(woken, [617]);
    assert_eq!(waiting[617].wakes(), 1);
    assert_eq!(waiting[617].poll().unwrap().len(), 1);
    assert!(waiting[616].poll().is_none(), "nobody else has anything");
}

#[tokio::test]
async fn a_broadcast_wakes_each_of_1_000_waiting_subscriptions_once() {
    let (channel, mut waiting) = waiting(1_000).await;
    let batch = (0..3).map(|n| Message::of("t", &n).unwrap().into()).collect();
    channel.broadcast_batch(batch).await.unwrap();
    for one in &mut waiting {
        assert_eq!(one.wakes(), 1, "one wake for the whole batch");
        assert_eq!(one.poll().unwrap().len(), 3);
        assert!(one.poll().is_none());
    }
}

#[tokio::test]
async fn who_does_not_wait_is_not_woken_again() {
    let (channel, waiting) = waiting(1).await;
    for n in 0..10 {
        channel.broadcast(Message::of("t", &n).unwrap()).await.unwrap();
    }
    assert_eq!(waiting[0].wakes(), 1, "a wake is owed only to who asked since the last");
}
