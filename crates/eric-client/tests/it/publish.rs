//! Publishing through connections that are cut: whatever is repeated, nothing is doubled and nothing lost.

use std::time::Duration;

use eric_client::{ErrorKind, HttpClient, Message, Paging, Position, RetryPolicy};

use crate::hub::{TestHub, http};
use crate::proxy::{Fate, Proxy};

/// A client that tries again at once, and for long.
fn stubborn(proxy: &Proxy) -> HttpClient {
    let (first, longest) = (Duration::from_millis(1), Duration::from_millis(4));
    http(proxy.address).with_retry(RetryPolicy { first, longest, give_up_after: Duration::from_secs(60) })
}

/// All payloads that the hub keeps.
async fn kept(client: &HttpClient) -> Vec<u64> {
    let (mut kept, mut after) = (Vec::new(), None);
    loop {
        let page = client.history(&crate::hub::id("c"), &Paging { limit: Some(1_000), after }).await.unwrap();
        kept.extend(page.items.iter().map(|received| received.value::<u64>().unwrap()));
        after = page.next;
        if after.is_none() {
            return kept;
        }
    }
}

fn message(number: u64) -> Message {
    Message::of("n", &number).unwrap()
}

/// Cut after some bytes, on either side; the same each time for the same connection.
fn random(connection: usize, bytes: usize) -> Fate {
    let mut random = fastrand::Rng::with_seed(connection as u64);
    match random.bool() {
        true => Fate::answer(random.usize(0..bytes)),
        false => Fate::request(random.usize(0..bytes)),
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_at_any_byte_doubles_nothing() {
    let hub = TestHub::start();
    let (direct, c, l) = hub.with_listener().await;
    // The whole answer has fewer bytes than this, and each cut leaves one more of them.
    let proxy = Proxy::start(hub.address, |number| Fate::answer(number % 500)).await;
    let client = stubborn(&proxy);
    let mut positions: Vec<Position> = Vec::new();
    for number in (0..120).step_by(4) {
        positions.push(client.broadcast(&c, message(number)).await.unwrap().id);
        let batch = [message(number + 1), message(number + 2), message(number + 3)];
        positions.extend(client.broadcast_lines(&c, &batch).await.unwrap().ids);
        client.dispatch(&c, &l, message(number)).await.unwrap();
    }
    assert_eq!(kept(&direct).await, (0..120).collect::<Vec<_>>());
    assert!(positions.windows(2).all(|pair| pair[0].offset < pair[1].offset), "in order");
    assert_eq!(direct.listener(&c, &l).await.unwrap().backlog, 120 + 30);
    assert!(proxy.cuts() > 100, "{} cuts", proxy.cuts());
}

#[tokio::test]
async fn a_request_or_answer_that_is_cut_anywhere_loses_and_doubles_nothing() {
    let hub = TestHub::start();
    let (direct, c, l) = hub.with_listener().await;
    let proxy = Proxy::start(hub.address, |connection| random(connection, 40_000)).await;
    let client = stubborn(&proxy);
    let numbers: Vec<u64> = (0..20_000).collect();
    for batch in numbers.chunks(400) {
        let batch: Vec<Message> = batch.iter().copied().map(message).collect();
        client.broadcast_lines(&c, &batch).await.unwrap();
        client.dispatch_lines(&c, &l, &batch[..10]).await.unwrap();
    }
    assert_eq!(kept(&direct).await, numbers);
    assert_eq!(direct.listener(&c, &l).await.unwrap().backlog, 20_000 + 50 * 10);
    assert!(proxy.cuts() >= 20, "{} cuts", proxy.cuts());
}

#[tokio::test]
async fn who_tries_once_is_told_that_nothing_is_known() {
    let hub = TestHub::start();
    let (direct, c, _) = hub.with_listener().await;
    let proxy = Proxy::start(hub.address, |_| Fate::answer(0)).await;
    let client = http(proxy.address).with_retry(RetryPolicy::never());
    let error = client.broadcast(&c, message(7)).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unreachable, None), "{error}");
    assert_eq!(kept(&direct).await, [7], "it was taken all the same");
}

#[tokio::test]
async fn a_publish_outlives_a_restart_of_the_hub() {
    let mut hub = TestHub::start();
    let (client, c, _) = hub.with_listener().await;
    client.broadcast(&c, message(1)).await.unwrap();
    hub.stop().await;
    let publishing = tokio::spawn(async move { client.broadcast(&c, message(2)).await });
    let next = eric_sse::Hub::in_memory();
    next.channels().create("c".parse().unwrap(), Default::default()).await.unwrap();
    let hub = TestHub::start_at(hub.address, next);
    publishing.await.unwrap().unwrap();
    assert_eq!(kept(&hub.http()).await, [2]);
}
