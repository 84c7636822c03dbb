//! Who is woken by what, counted by wakers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use eric_sse::log::Budget;
use eric_sse::{Channel, ChannelSettings, Hub, Item, Message, Subscribe, Subscription};
use futures_util::StreamExt as _;

/// What never takes as long.
const PATIENCE: Duration = Duration::from_secs(30);

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

#[tokio::test]
async fn who_asks_only_for_the_end_is_woken_by_what_comes_too() {
    let (channel, mut waiting) = waiting(1).await;
    let publish = async || channel.broadcast(Message::of("t", &1).unwrap()).await.unwrap();
    publish().await;
    assert_eq!(waiting[0].poll().unwrap().len(), 1);
    publish().await;
    assert_eq!(waiting[0].wakes(), 1, "it does not wait");
    assert_eq!(waiting[0].poll().unwrap().len(), 1);
    let waker = Waker::from(waiting[0].bell.clone());
    assert_eq!(waiting[0].subscription.poll_end(&mut Context::from_waker(&waker)), None);
    publish().await;
    assert_eq!(waiting[0].wakes(), 2);
}

#[tokio::test]
async fn an_audience_that_has_not_heard_yet_is_woken() {
    let (channel, _waiting) = waiting(0).await;
    let bell = Arc::new(Bell::default());
    let _audience = channel.audience(Waker::from(bell.clone())).unwrap();
    channel.broadcast(Message::of("t", &1).unwrap()).await.unwrap();
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
}

/// Readers on threads of their own, each of which goes to wait while the next message is on its way to it.
#[test]
fn whoever_goes_to_wait_is_woken_by_what_comes_meanwhile() {
    const READERS: usize = 3;
    let rounds = rounds();
    let is_for = |round: usize, index: usize| round.is_multiple_of(4) || round / 1_000 % READERS == index;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let read = Arc::new([const { AtomicUsize::new(0) }; READERS]);
    let publisher = runtime();
    let (hub, channel, readers) = publisher.block_on(async {
        let hub = Hub::in_memory();
        let channel =
            hub.channels().create("c".parse().unwrap(), ChannelSettings::in_memory()).await.unwrap();
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let reader = channel.add_listener().await.unwrap();
            reader.start();
            readers.push(reader);
        }
        (hub, channel, readers)
    });
    let mut threads = Vec::new();
    for (index, reader) in readers.iter().enumerate() {
        let (reader, channel, read) = (reader.clone(), channel.clone(), read.clone());
        let mut stream = publisher.block_on(channel.message_stream(&reader)).unwrap();
        threads.push(std::thread::spawn(move || {
            let expected = (0..rounds).filter(|round| is_for(*round, index));
            runtime().block_on(async {
                for round in expected {
                    let next = tokio::time::timeout(PATIENCE, stream.next()).await;
                    let delivery = next.expect("it was woken").unwrap().unwrap().message().unwrap();
                    assert_eq!(delivery.message().payload().parse::<usize>().unwrap(), round);
                    read[index].store(round + 1, Ordering::SeqCst);
                    // The next one comes at another moment of the way to wait, each time.
                    (0..round * 7 % 499).for_each(|_| std::hint::spin_loop());
                }
            });
        }));
    }
    publisher.block_on(async {
        for round in 0..rounds {
            let message = Message::of("round", &round).unwrap();
            if round.is_multiple_of(4) {
                channel.broadcast(message).await.unwrap();
            } else {
                readers[round / 1_000 % READERS].dispatch(message).await.unwrap();
            }
            // The next one comes when this was read, so while its readers are about to wait.
            let has_read = |index: usize| read[index].load(Ordering::SeqCst) > round;
            for index in (0..READERS).filter(|index| is_for(round, *index)) {
                for turn in 1.. {
                    if has_read(index) {
                        break;
                    }
                    assert!(!threads[index].is_finished() || has_read(index), "a reader gave up");
                    // Quick while its reader runs; who has no processor is given this one.
                    if turn % 1_000 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
                }
            }
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(hub.stats().entries_published.count(), rounds as u64);
}

/// How often it is tried; more by hand.
fn rounds() -> usize {
    std::env::var("ERIC_TEST_ROUNDS").map_or(20_000, |rounds| rounds.parse().unwrap())
}
