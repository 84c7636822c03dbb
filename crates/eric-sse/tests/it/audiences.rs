//! Readers who hear together get what each would get alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use eric_sse::limits::{INBOX_BYTES_MAX, INBOX_ENTRIES_MAX};
use eric_sse::log::Budget;
use eric_sse::{
    Audience, Channel, ChannelSettings, Connection, End, Heard, Hearing, Hub, Item, Message, Offset,
    Subscribe,
};

async fn channel(hub: &Hub) -> Channel {
    hub.channels().create("news".parse().unwrap(), ChannelSettings::default()).await.unwrap()
}

async fn join(audience: &mut Audience, connection: &Connection) -> usize {
    let options = Subscribe::default();
    let subscription = connection.channel().subscribe(connection.id(), options).await.unwrap();
    audience.join(Box::new(subscription), &mut Vec::new()).expect("nothing waits for it")
}

fn message(n: usize) -> Message {
    Message::of("n", &n).unwrap()
}

/// What is heard until there is nothing more, by who it is for.
fn hear_all(audience: &mut Audience) -> Vec<(Option<usize>, Offset)> {
    let mut heard = Vec::new();
    while audience.hear(Budget::default(), &mut heard) == Hearing::Something {}
    let entries = heard.into_iter().map(|heard| match heard {
        Heard::All(framed) => (None, framed.entry().offset()),
        Heard::One(seat, framed) => (Some(seat), framed.entry().offset()),
        Heard::Ended(seat, end) => panic!("seat {seat} {end:?}"),
    });
    entries.collect()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_while_others_publish_misses_nothing_and_gets_nothing_twice() {
    let hub = Hub::in_memory();
    let channel = channel(&hub).await;
    let bob = channel.add_listener().await.unwrap();
    for _ in 0..200 {
        let subscription = channel.subscribe(bob.id(), Subscribe::default()).await.unwrap();
        let begin = subscription.position().offset;
        let publisher = tokio::spawn({
            let (channel, bob) = (channel.clone(), bob.id().clone());
            async move {
                for n in 0..20 {
                    channel.broadcast(message(n)).await.unwrap();
                    channel.dispatch(&bob, message(n)).await.unwrap();
                }
            }
        });
        let mut audience = channel.audience(Waker::noop().clone()).unwrap();
        let (mut came, mut items, mut subscription) = (Vec::new(), Vec::new(), Box::new(subscription));
        let seat = loop {
            // Nobody sits there yet: what is heard is for nobody.
            hear_all(&mut audience);
            match audience.join(subscription, &mut items) {
                Ok(seat) => break seat,
                Err(back) => {
                    subscription = back;
                    subscription.next_items(&mut items).await.unwrap();
                }
            }
        };
        let entry = |item: &Item| match item {
            Item::Entry(framed) => framed.entry().offset(),
            Item::Gap(gap) => panic!("{gap:?}"),
        };
        came.extend(items.iter().map(entry));
        publisher.await.unwrap();
        came.extend(hear_all(&mut audience).into_iter().map(|(_, offset)| offset));
        let expected: Vec<Offset> = (1..=40).map(|n| Offset::new(begin.get() + n)).collect();
        assert_eq!(came, expected);
        audience.consumed(seat, hub.tail().offset);
        drop(audience);
        assert_eq!(bob.info().await.unwrap().backlog, 0, "who leaves has said what was consumed");
    }
}

#[tokio::test]
async fn a_reader_that_leaves_goes_on_where_it_was_and_others_are_not_disturbed() {
    let hub = Hub::in_memory();
    let channel = channel(&hub).await;
    let (ann, bob) = (channel.add_listener().await.unwrap(), channel.add_listener().await.unwrap());
    let mut audience = channel.audience(Waker::noop().clone()).unwrap();
    let (of_ann, of_bob) = (join(&mut audience, &ann).await, join(&mut audience, &bob).await);
    let first = channel.broadcast(message(1)).await.unwrap().position.offset;
    assert_eq!(hear_all(&mut audience), [(None, first)]);
    let alone = channel.dispatch(ann.id(), message(2)).await.unwrap().position.offset;
    let last = channel.broadcast(message(3)).await.unwrap().position.offset;

    let mut subscription = audience.leave(of_ann, first);
    let mut items = Vec::new();
    subscription.next_items(&mut items).await.unwrap();
    let offsets = items.iter().map(|item| match item {
        Item::Entry(framed) => framed.entry().offset(),
        Item::Gap(gap) => panic!("{gap:?}"),
    });
    assert_eq!(offsets.collect::<Vec<_>>(), [alone, last]);
    assert_eq!(hear_all(&mut audience), [(None, last)], "the dispatch was ann's");

    let again = audience.join(subscription, &mut items).expect("it has caught up");
    assert_eq!(
        (again, audience.listener(again), audience.listener(of_bob)),
        (of_ann, Some(ann.id()), Some(bob.id()))
    );
    let alone = channel.dispatch(ann.id(), message(4)).await.unwrap().position.offset;
    assert_eq!(hear_all(&mut audience), [(Some(again), alone)]);
}

#[tokio::test]
async fn every_end_of_a_subscription_reaches_its_seat() {
    let hub = Hub::in_memory();
    let channel = channel(&hub).await;
    let bell = Arc::new(Bell::default());
    let mut audience = channel.audience(Waker::from(bell.clone())).unwrap();
    let mut ended = async |end: End| {
        let connection = channel.add_listener().await.unwrap();
        let seat = join(&mut audience, &connection).await;
        assert!(hear_all(&mut audience).is_empty());
        let woken = bell.0.load(Ordering::SeqCst);
        let _successor = match end {
            End::Stopped => {
                connection.stop();
                None
            }
            End::Removed => {
                channel.remove_listener(connection.id()).await.unwrap();
                None
            }
            _ => Some(channel.subscribe(connection.id(), Subscribe::default()).await.unwrap()),
        };
        assert!(bell.0.load(Ordering::SeqCst) > woken, "{end:?}");
        let mut heard = Vec::new();
        audience.hear(Budget::default(), &mut heard);
        assert!(matches!(&heard[..], [Heard::Ended(of, told)] if (*of, *told) == (seat, end)), "{heard:?}");
        drop(audience.leave(seat, audience.position()));
    };
    for end in [End::Stopped, End::Removed, End::Replaced] {
        ended(end).await;
    }
    for _ in 0..2 {
        join(&mut audience, &channel.add_listener().await.unwrap()).await;
    }
    hear_all(&mut audience);
    hub.channels().remove(channel.id()).await.unwrap();
    let mut heard = Vec::new();
    while audience.hear(Budget::default(), &mut heard) == Hearing::Something && heard.len() < 2 {}
    assert!(heard.iter().all(|heard| matches!(heard, Heard::Ended(_, End::Removed))), "{heard:?}");
    assert_eq!(heard.len(), 2);
}

#[tokio::test]
async fn an_audience_is_woken_once_until_it_looks() {
    let hub = Hub::in_memory();
    let channel = channel(&hub).await;
    let bell = Arc::new(Bell::default());
    let mut audience = channel.audience(Waker::from(bell.clone())).unwrap();
    let bob = channel.add_listener().await.unwrap();
    join(&mut audience, &bob).await;
    hear_all(&mut audience);
    let woken = bell.0.load(Ordering::SeqCst);
    for n in 0..10 {
        channel.broadcast(message(n)).await.unwrap();
        channel.dispatch(bob.id(), message(n)).await.unwrap();
    }
    assert_eq!(bell.0.load(Ordering::SeqCst), woken + 1);
    assert_eq!(hear_all(&mut audience).len(), 20);
}

/// Whether so many dispatches, of so many bytes, are handed over at once; they are in the log all the same.
async fn fits(dispatches: usize, payload: usize) -> bool {
    let hub = Hub::in_memory();
    let channel = channel(&hub).await;
    let bob = channel.add_listener().await.unwrap();
    let mut audience = channel.audience(Waker::noop().clone()).unwrap();
    let seat = join(&mut audience, &bob).await;
    let begin = audience.position();
    let one = Message::of("", &"x".repeat(payload)).unwrap();
    for batch in vec![one; dispatches].chunks(10_000) {
        channel.dispatch_batch(bob.id(), batch.iter().cloned().map(Into::into).collect()).await.unwrap();
    }
    let mut heard = Vec::new();
    let hearing = audience.hear(Budget::default(), &mut heard);
    if hearing == Hearing::Behind {
        let mut subscription = audience.leave(seat, begin);
        let mut items = Vec::new();
        subscription.next_items(&mut items).await.unwrap();
        assert!(matches!(items[0], Item::Entry(_)), "the log has it");
        return false;
    }
    assert_eq!(heard.len(), dispatches);
    true
}

#[tokio::test]
async fn an_inbox_holds_65_536_dispatches() {
    assert_eq!(INBOX_ENTRIES_MAX, 65_536);
    assert!(fits(INBOX_ENTRIES_MAX, 1).await);
    assert!(!fits(INBOX_ENTRIES_MAX + 1, 1).await);
}

#[tokio::test]
async fn an_inbox_holds_32_mib_of_dispatches() {
    // A message counts with its quotation marks.
    let half = INBOX_BYTES_MAX / 4 - 2;
    assert!(fits(4, half).await);
    assert!(!fits(4, half + 1).await);
}
