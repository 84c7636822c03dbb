//! The library as its users see it: callbacks, starting and stopping, streams and their ends, listings, expiry.

use std::sync::Arc;
use std::time::Duration;

use eric_sse::engine::memory::MemoryEngine;
use eric_sse::limits::COMMIT_LAG_MS_MAX;
use eric_sse::listener::FnListener;
use eric_sse::{
    Ack, Channel, ChannelSettings, Connection, Delivery, End, ErrorKind, Hub, Item, ListenerId,
    ListenerOrder, Message, MessageStream, Publish, Subscribe,
};
use eric_testkit::ManualClock;
use futures_util::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;

async fn channel_of(settings: ChannelSettings) -> (Hub, Channel, ManualClock) {
    let clock = ManualClock::new();
    let engine = Arc::new(MemoryEngine::new(Arc::new(clock.clone())));
    let hub = Hub::builder(engine).clock(Arc::new(clock.clone())).open();
    let channel = hub.channels().create("c".parse().unwrap(), settings).await.unwrap();
    (hub, channel, clock)
}

async fn channel() -> (Hub, Channel, ManualClock) {
    channel_of(ChannelSettings::in_memory()).await
}

fn message(n: u64) -> Message {
    Message::of("t", &n).unwrap()
}

fn id(text: &str) -> ListenerId {
    text.parse().unwrap()
}

fn number(delivery: &Delivery) -> u64 {
    delivery.message().payload().as_json().parse().unwrap()
}

/// The next delivery, if one is ready.
fn next(stream: &mut MessageStream) -> Option<Delivery> {
    stream.next().now_or_never().map(|event| event.unwrap().unwrap().message().expect("a message"))
}

/// Entries that the cursor has not passed.
async fn backlog(bob: &Connection) -> u64 {
    bob.info().await.unwrap().backlog
}

#[tokio::test]
async fn who_is_quick_at_first_and_slow_then_lags_no_longer_than_a_second() {
    let (_hub, channel, clock) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    for n in 0..50 {
        channel.broadcast(message(n)).await.unwrap();
    }
    let mut stream = channel.message_stream(&bob).await.unwrap();
    for _ in 0..33 {
        next(&mut stream).unwrap();
    }
    for delivered in 34..50 {
        clock.advance(Duration::from_millis(COMMIT_LAG_MS_MAX));
        next(&mut stream).unwrap();
        assert_eq!(backlog(&bob).await, 50 - delivered + 1, "all but the one that was just delivered");
    }
}

#[tokio::test]
async fn a_stream_that_pauses_has_committed_what_it_delivered() {
    let settings = ChannelSettings { stream_delay_ms: 60_000, ..ChannelSettings::in_memory() };
    let (_hub, channel, _clock) = channel_of(settings).await;
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    for n in 0..2 {
        channel.broadcast(message(n)).await.unwrap();
    }
    let mut stream = channel.message_stream(&bob).await.unwrap();
    next(&mut stream).unwrap();
    assert!(next(&mut stream).is_none(), "it pauses");
    assert_eq!(backlog(&bob).await, 1);
}

/// A listener `bob` whose callback fails on 1, panics on 2, and notes what it was given.
async fn register_bob(channel: &Channel) -> (Connection, Arc<Mutex<Vec<u64>>>) {
    let calls: Arc<Mutex<Vec<u64>>> = Arc::default();
    let noted = calls.clone();
    let callback = move |message: &Message| {
        let n: u64 = message.payload().as_json().parse()?;
        noted.lock().push(n);
        match n {
            1 => Err("one is refused".into()),
            2 => panic!("two is too much"),
            _ => Ok(()),
        }
    };
    let bob = channel.register_listener(Arc::new(FnListener::new(id("bob"), callback))).await.unwrap();
    bob.start();
    (bob, calls)
}

#[tokio::test]
async fn a_failing_callback_is_reported_and_auto_moves_on() {
    let (hub, channel, _) = channel().await;
    let (bob, calls) = register_bob(&channel).await;
    for n in 0..4 {
        channel.broadcast(message(n)).await.unwrap();
    }
    let mut stream = channel.message_stream(&bob).await.unwrap();
    let mut found = Vec::new();
    while let Some(delivery) = next(&mut stream) {
        let reason = delivery.failure().map(|failure| failure.reason.to_string());
        assert_eq!(delivery.attempt(), 1);
        assert!(!delivery.failure().is_some_and(|failure| failure.is_dead));
        found.push((number(&delivery), reason));
    }
    let failure = |reason: &str| Some(reason.to_owned());
    let expected = [
        (0, None),
        (1, failure("one is refused")),
        (2, failure("the callback panicked: two is too much")),
        (3, None),
    ];
    assert_eq!(found, expected);
    assert_eq!(*calls.lock(), [0, 1, 2, 3]);
    assert_eq!(hub.stats().deliveries_failed.count(), 2);
    drop(stream);
    assert_eq!(bob.info().await.unwrap().backlog, 0, "the cursor passed what failed");
}

#[tokio::test]
async fn a_failing_callback_is_tried_again_in_order_with_manual_acknowledgement() {
    let (hub, channel, _) = channel().await;
    let (bob, calls) = register_bob(&channel).await;
    for n in 0..4 {
        channel.broadcast(message(n)).await.unwrap();
    }
    let manual = Subscribe { ack: Ack::Manual, ..Subscribe::default() };
    let mut stream = channel.message_stream_with(bob.id(), manual).await.unwrap();
    let mut found = Vec::new();
    while let Some(delivery) = next(&mut stream) {
        let is_dead = delivery.failure().is_some_and(|failure| failure.is_dead);
        found.push((number(&delivery), delivery.attempt(), is_dead));
    }
    let tries = |n| (1..=5).map(move |attempt| (n, attempt, attempt == 5));
    let expected: Vec<_> =
        [(0, 1, false)].into_iter().chain(tries(1)).chain(tries(2)).chain([(3, 1, false)]).collect();
    assert_eq!(found, expected);
    assert_eq!(calls.lock().len(), 12);
    assert_eq!(hub.stats().deliveries_failed.count(), 10);
    drop(stream);
    assert_eq!(bob.info().await.unwrap().backlog, 4, "nothing was acknowledged");
}

#[tokio::test]
async fn a_callback_runs_for_dispatches_and_broadcasts_in_log_order() {
    let (_hub, channel, _) = channel().await;
    let (bob, calls) = register_bob(&channel).await;
    for n in 10..16 {
        match n % 2 {
            0 => channel.broadcast(message(n)).await.unwrap(),
            _ => channel.dispatch(bob.id(), message(n)).await.unwrap(),
        };
    }
    let mut stream = channel.message_stream(&bob).await.unwrap();
    for expected in 10..16 {
        assert!(!calls.lock().contains(&expected), "a callback runs when its message is delivered");
        assert_eq!(number(&next(&mut stream).unwrap()), expected);
    }
    assert_eq!(*calls.lock(), [10, 11, 12, 13, 14, 15]);
}

#[tokio::test]
async fn a_listener_that_is_stopped_goes_on_filling_and_resumes_when_started() {
    let (_hub, channel, _) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    assert!(!bob.is_running(), "a new listener does not run");
    channel.broadcast(message(1)).await.unwrap();
    let mut early = channel.message_stream(&bob).await.unwrap();
    assert!(early.next().await.is_none(), "nothing is delivered to who does not run");
    assert_eq!(early.end(), Some(End::Stopped));
    drop(early);
    bob.start();
    let mut stream = channel.message_stream(&bob).await.unwrap();
    assert_eq!(number(&next(&mut stream).unwrap()), 1);
    assert!(next_pending(&mut stream));
    bob.stop();
    assert!(stream.next().await.is_none());
    assert_eq!(stream.end(), Some(End::Stopped));
    drop(stream);
    channel.broadcast(message(2)).await.unwrap();
    channel.dispatch(bob.id(), message(3)).await.unwrap();
    assert!(channel.deliver_next(bob.id()).await.unwrap().is_none());
    assert_eq!(bob.info().await.unwrap().backlog, 2);
    bob.start();
    let mut stream = channel.message_stream(&bob).await.unwrap();
    assert_eq!(number(&next(&mut stream).unwrap()), 2);
    assert_eq!(number(&next(&mut stream).unwrap()), 3);
}

fn next_pending(stream: &mut MessageStream) -> bool {
    stream.next().now_or_never().is_none()
}

#[tokio::test(start_paused = true)]
async fn a_stream_wakes_and_ends_when_its_listener_goes_or_another_takes_over() {
    for end in [End::Stopped, End::Removed, End::Replaced] {
        let (_hub, channel, _) = channel().await;
        let bob = channel.add_listener().await.unwrap();
        bob.start();
        let mut stream = channel.message_stream(&bob).await.unwrap();
        let (next, successor) = tokio::join!(soon(stream.next()), async {
            tokio::task::yield_now().await;
            end_by(end, &channel, &bob).await
        });
        assert!(next.is_none(), "{end:?}");
        assert_eq!(stream.end(), Some(end));
        assert!(stream.next().await.is_none(), "an ended stream stays ended");
        assert_eq!(successor.is_some(), end == End::Replaced);
    }
}

#[tokio::test]
async fn a_stream_that_is_over_delivers_nothing_of_what_it_had_read_already() {
    for end in [End::Stopped, End::Removed, End::Replaced] {
        let (_hub, channel, _) = channel().await;
        let (bob, calls) = register_bob(&channel).await;
        for n in 3..6 {
            channel.broadcast(message(n)).await.unwrap();
        }
        let mut stream = channel.message_stream(&bob).await.unwrap();
        assert_eq!(number(&next(&mut stream).unwrap()), 3);
        let successor = end_by(end, &channel, &bob).await;
        assert!(stream.next().await.is_none(), "{end:?}");
        assert_eq!(stream.end(), Some(end));
        assert_eq!(*calls.lock(), [3], "no callback ran after the end");
        drop((stream, successor));
        if end == End::Stopped {
            bob.start();
            let mut stream = channel.message_stream(&bob).await.unwrap();
            assert_eq!(number(&next(&mut stream).unwrap()), 4, "nothing was lost");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_relieved_says_what_was_consumed_before_the_successor_begins() {
    let (_hub, channel, _) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    channel.relieve(bob.id()).await.expect("nobody is there to wait for");
    for n in 1..=3 {
        channel.broadcast(message(n)).await.unwrap();
    }
    let mut first = channel.subscribe(bob.id(), Subscribe::default()).await.unwrap();
    let mut items = Vec::new();
    assert_eq!(first.next_items(&mut items).await.unwrap(), None);
    let Item::Entry(second) = &items[1] else { panic!("{items:?}") };
    first.consumed(second.entry().offset());
    let ((), end) = tokio::join!(async { soon(channel.relieve(bob.id())).await.unwrap() }, async {
        let end = first.next_items(&mut Vec::new()).await.unwrap();
        first.close();
        end
    });
    assert_eq!(end, Some(End::Replaced));
    soon(channel.relieve(bob.id())).await.expect("who has let go is not waited for");
    let mut successor = channel.subscribe(bob.id(), Subscribe::default()).await.unwrap();
    let mut items = Vec::new();
    assert_eq!(successor.next_items(&mut items).await.unwrap(), None);
    assert_eq!(items.len(), 1, "the third message alone");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_pauses_ends_at_once() {
    for end in [End::Stopped, End::Removed, End::Replaced] {
        let settings = ChannelSettings { stream_delay_ms: 60_000, ..ChannelSettings::in_memory() };
        let (_hub, channel, _clock) = channel_of(settings).await;
        let bob = channel.add_listener().await.unwrap();
        bob.start();
        channel.broadcast(message(1)).await.unwrap();
        channel.broadcast(message(2)).await.unwrap();
        let mut stream = channel.message_stream(&bob).await.unwrap();
        assert_eq!(number(&next(&mut stream).unwrap()), 1);
        let (next, _successor) = tokio::join!(soon(stream.next()), async {
            tokio::task::yield_now().await;
            end_by(end, &channel, &bob).await
        });
        assert!(next.is_none(), "{end:?}");
        assert_eq!(stream.end(), Some(end));
    }
}

/// What comes without anybody's help; fails where nothing can happen any more, as time is paused.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nothing came")
}

/// Brings about the end of the present stream of `bob`; its successor, where there is one.
async fn end_by(end: End, channel: &Channel, bob: &Connection) -> Option<MessageStream> {
    match end {
        End::Stopped => bob.stop(),
        End::Removed => channel.remove_listener(bob.id()).await.unwrap(),
        _ => return Some(channel.message_stream(bob).await.unwrap()),
    }
    None
}

#[tokio::test]
async fn a_stream_ends_when_its_channel_is_removed() {
    let (hub, channel, _) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    let mut stream = channel.message_stream(&bob).await.unwrap();
    let mut watcher = channel.watch_stream().unwrap();
    assert!(next_pending(&mut stream) && next_pending(&mut watcher));
    hub.channels().remove(channel.id()).await.unwrap();
    assert!(stream.next().await.is_none() && watcher.next().await.is_none());
    assert_eq!((stream.end(), watcher.end()), (Some(End::Removed), Some(End::Removed)));
    let error = channel.message_stream(&bob).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownChannel);
}

#[tokio::test]
async fn a_stream_pauses_between_messages_as_its_channel_says() {
    let settings = ChannelSettings { stream_delay_ms: 250, ..ChannelSettings::in_memory() };
    let (_hub, channel, clock) = channel_of(settings).await;
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    for n in 1..=3 {
        channel.broadcast(message(n)).await.unwrap();
    }
    let mut stream = channel.message_stream(&bob).await.unwrap();
    assert_eq!(number(&next(&mut stream).unwrap()), 1, "the first comes at once");
    for n in 2..=3 {
        assert!(next_pending(&mut stream));
        clock.advance(Duration::from_millis(249));
        assert!(next_pending(&mut stream), "a millisecond too early");
        clock.advance(Duration::from_millis(1));
        assert_eq!(number(&next(&mut stream).unwrap()), n);
    }
}

#[tokio::test]
async fn deliver_next_delivers_one_by_one_and_refuses_while_a_stream_lives() {
    let settings = ChannelSettings { max_unread_per_listener: 2, ..ChannelSettings::in_memory() };
    let (_hub, channel, _) = channel_of(settings).await;
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    assert!(channel.deliver_next(bob.id()).await.unwrap().is_none(), "nothing is there");
    for n in 1..=3 {
        channel.dispatch(bob.id(), message(n)).await.unwrap();
    }
    let first = channel.deliver_next(bob.id()).await.unwrap().unwrap();
    assert_eq!(number(&first), 2);
    assert_eq!(first.missed().and_then(|gap| gap.missed), Some(1), "what was evicted is told");
    let stream = channel.message_stream(&bob).await.unwrap();
    assert_eq!(channel.deliver_next(bob.id()).await.unwrap_err().kind(), ErrorKind::Conflict);
    drop(stream);
    let second = channel.deliver_next(bob.id()).await.unwrap().unwrap();
    assert_eq!(number(&second), 3);
    assert!(second.missed().is_none(), "and not told twice");
    assert!(channel.deliver_next(bob.id()).await.unwrap().is_none());
    let error = channel.deliver_next(&id("nobody")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownListener);
}

#[tokio::test]
async fn a_connection_dispatches_and_delivers_without_a_look_up() {
    let (hub, channel, _) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    assert!(bob.deliver_next().await.unwrap().is_none(), "it is not running");
    bob.start();
    let taken = bob.dispatch(message(1)).await.unwrap();
    assert_eq!(taken.position, hub.tail());
    let keyed = Publish { message: message(2), key: Some("k".parse().unwrap()) };
    let first = bob.dispatch(keyed.clone()).await.unwrap();
    let again = bob.dispatch(keyed).await.unwrap();
    assert_eq!((again.position, again.first), (first.position, false));
    let reused = Publish { message: message(3), key: Some("k".parse().unwrap()) };
    assert_eq!(bob.dispatch(reused).await.unwrap_err().kind(), ErrorKind::KeyReused);
    for n in 1..=2 {
        assert_eq!(number(&bob.deliver_next().await.unwrap().unwrap()), n);
        assert_eq!(bob.info().await.unwrap().cursor.offset.get(), n, "it is consumed");
    }
    assert!(bob.deliver_next().await.unwrap().is_none());

    channel.remove_listener(bob.id()).await.unwrap();
    assert_eq!(bob.dispatch(message(4)).await.unwrap_err().kind(), ErrorKind::UnknownListener);
    assert_eq!(hub.stats().entries_dead.count(), 1, "a message to nobody is counted");
    assert_eq!(bob.deliver_next().await.unwrap_err().kind(), ErrorKind::UnknownListener);
    bob.stop();
    assert_eq!(bob.deliver_next().await.unwrap_err().kind(), ErrorKind::UnknownListener, "stopped or not");

    let eve = channel.add_listener().await.unwrap();
    eve.start();
    hub.channels().remove(channel.id()).await.unwrap();
    assert_eq!(eve.dispatch(message(5)).await.unwrap_err().kind(), ErrorKind::UnknownChannel);
    assert_eq!(eve.deliver_next().await.unwrap_err().kind(), ErrorKind::UnknownChannel);
    assert_eq!((hub.stats().entries_published.count(), hub.stats().entries_repeated.count()), (2, 1));
}

#[tokio::test]
async fn a_callback_that_fails_has_its_message_delivered_once() {
    let (hub, channel, _) = channel().await;
    let picky = |message: &Message| match message.payload().as_json() {
        "1" => Err("not this one".into()),
        "2" => panic!("nor this one"),
        _ => Ok(()),
    };
    let picky = channel.register_listener(Arc::new(FnListener::new(id("picky"), picky))).await.unwrap();
    picky.start();
    for n in 1..=3 {
        picky.dispatch(message(n)).await.unwrap();
    }
    let mut told = Vec::new();
    while let Some(delivery) = picky.deliver_next().await.unwrap() {
        told.push((number(&delivery), delivery.failure().map(|failure| failure.reason.to_string())));
    }
    let expected = [(1, Some("not this one")), (2, Some("the callback panicked: nor this one")), (3, None)];
    assert_eq!(told, expected.map(|(n, reason)| (n, reason.map(str::to_owned))));
    assert_eq!(hub.stats().deliveries_failed.count(), 2);
}

#[tokio::test]
async fn nobody_else_is_delivered_to_while_a_callback_runs() {
    let (_hub, channel, _) = channel().await;
    let beside: Arc<Mutex<Vec<ErrorKind>>> = Arc::default();
    let (noted, pulled) = (beside.clone(), channel.clone());
    let callback = move |_: &Message| {
        let next = pulled.deliver_next(&id("bob")).now_or_never().expect("in memory it is answered at once");
        noted.lock().push(next.unwrap_err().kind());
        Ok(())
    };
    let bob = channel.register_listener(Arc::new(FnListener::new(id("bob"), callback))).await.unwrap();
    bob.start();
    for n in 1..=2 {
        bob.dispatch(message(n)).await.unwrap();
    }
    assert_eq!(number(&bob.deliver_next().await.unwrap().unwrap()), 1);
    assert_eq!(*beside.lock(), [ErrorKind::Conflict]);
    assert_eq!(backlog(&bob).await, 1, "only the first is consumed");
}

#[tokio::test]
async fn who_takes_over_finds_what_was_read_and_not_committed() {
    let (_hub, channel, _) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    bob.start();
    let mut first = channel.message_stream(&bob).await.unwrap();
    for n in 1..=3 {
        bob.dispatch(message(n)).await.unwrap();
        assert_eq!(number(&next(&mut first).unwrap()), n);
    }
    // The window has let go of what its only reader was given; the log has not.
    let mut second = channel.message_stream(&bob).await.unwrap();
    let mut numbers = Vec::new();
    bob.dispatch(message(4)).await.unwrap();
    while let Some(Some(event)) = second.next().now_or_never() {
        numbers.push(number(&event.unwrap().message().unwrap()));
    }
    assert_eq!(numbers, [1, 2, 3, 4], "the first stream had committed nothing");
    assert!(matches!(first.next().now_or_never(), Some(None)), "it is over");
    assert_eq!(first.end(), Some(End::Replaced));
}

#[tokio::test]
async fn listings_come_in_pages_and_skip_nobody() {
    let (hub, channel, _) = channel().await;
    for n in 0..7 {
        hub.channels().create(format!("c{n}").parse().unwrap(), ChannelSettings::in_memory()).await.unwrap();
        channel.ensure_listener(id(&format!("l{n}"))).await.unwrap();
    }
    hub.channels().remove(&"c3".parse().unwrap()).await.unwrap();
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = hub.channels().page(after.as_ref(), 3).unwrap();
        assert!(page.len() <= 3);
        names.extend(page.iter().map(|channel| channel.id().to_string()));
        match page.last() {
            Some(last) => after = Some(last.id().clone()),
            None => break,
        }
    }
    assert_eq!(names, ["c", "c0", "c1", "c2", "c4", "c5", "c6"]);
    let error = hub.channels().page(Some(&"c3".parse().unwrap()), 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownChannel);

    for (n, name) in [(1, "l4"), (2, "l4"), (3, "l2")] {
        channel.dispatch(&id(name), message(n)).await.unwrap();
    }
    let page = async |after: Option<&str>, order| {
        let after = after.map(id);
        let infos = channel.listeners(after.as_ref(), 3, order).await.unwrap();
        infos.into_iter().map(|info| (info.id.to_string(), info.backlog)).collect::<Vec<_>>()
    };
    let of = |rows: &[(&str, u64)]| rows.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(page(None, ListenerOrder::Age).await, of(&[("l0", 0), ("l1", 0), ("l2", 1)]));
    assert_eq!(page(Some("l5"), ListenerOrder::Age).await, of(&[("l6", 0)]));
    assert_eq!(page(None, ListenerOrder::Backlog).await, of(&[("l4", 2), ("l2", 1), ("l0", 0)]));
    assert_eq!(page(Some("l2"), ListenerOrder::Backlog).await, of(&[("l0", 0), ("l1", 0), ("l3", 0)]));
}

#[tokio::test]
async fn listeners_expire_when_they_were_away_for_longer_than_allowed() {
    let settings = ChannelSettings {
        listener_expires_s: Some(100),
        generated_listener_expires_s: Some(10),
        ..ChannelSettings::in_memory()
    };
    let (hub, channel, clock) = channel_of(settings).await;
    channel.ensure_listener(id("named")).await.unwrap();
    let generated = channel.add_listener().await.unwrap();
    let connected = channel.add_listener().await.unwrap();
    let stream = channel.subscribe(connected.id(), Subscribe::default()).await.unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(hub.expire_listeners().await, 0, "exactly at the limit");
    clock.advance(Duration::from_millis(1));
    assert_eq!(hub.expire_listeners().await, 1, "one past it");
    assert!(channel.listener(generated.id()).is_err());
    drop(stream);
    clock.advance(Duration::from_secs(10));
    assert_eq!(hub.expire_listeners().await, 0, "who was just here has not been away");
    clock.advance(Duration::from_secs(1));
    assert_eq!(hub.expire_listeners().await, 1);
    channel.broadcast(message(1)).await.unwrap();
    channel.ack(&id("named"), hub.tail()).await.unwrap();
    clock.advance(Duration::from_secs(100));
    assert_eq!(hub.expire_listeners().await, 0, "an acknowledgement counts as being here");
    clock.advance(Duration::from_millis(1));
    assert_eq!(hub.expire_listeners().await, 1);
    assert_eq!(channel.listener_ids().len(), 0);
    let never = ChannelSettings {
        listener_expires_s: None,
        generated_listener_expires_s: None,
        ..ChannelSettings::in_memory()
    };
    let (hub, channel, clock) = channel_of(never).await;
    channel.add_listener().await.unwrap();
    clock.advance(Duration::from_secs(1_000_000_000));
    assert_eq!(hub.expire_listeners().await, 0);
}

#[tokio::test]
async fn history_comes_in_pages_and_holds_broadcasts_alone() {
    let (_hub, channel, _) = channel().await;
    let bob = channel.add_listener().await.unwrap();
    for n in 1..=7 {
        channel.broadcast(message(n)).await.unwrap();
        channel.dispatch(bob.id(), message(n + 100)).await.unwrap();
    }
    let (mut numbers, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = channel.history(after, 3).await.unwrap();
        assert!(page.entries.len() <= 3);
        numbers.extend(page.entries.iter().map(|entry| entry.message().payload().as_json().to_owned()));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(pages, 3);
    let (hub, other, _) = self::channel().await;
    other.broadcast(message(1)).await.unwrap();
    let error = channel.history(Some(hub.tail()), 3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "a position of another epoch");
}
