//! How streams end, and what they do not survive.

use std::time::Duration;

use eric_client::{
    Ack, Code, Conflict, EndReason, ErrorKind, Event, Events, GapReason, Message, ReadFrom, Slow,
    SubscribeOptions, WatchOptions,
};

use crate::hub::{TestHub, connected, http, id, listener, next, next_payload, next_told};
use crate::proxy::{Fate, Proxy};

async fn ends(events: &mut Events, reason: EndReason) {
    match next_told(events).await {
        Event::Ended(ended) => assert_eq!(ended, reason),
        other => panic!("{other:?}"),
    }
    assert!(next(events).await.is_none(), "nothing follows");
}

async fn fails(mut events: Events, code: Code) {
    let error = next(&mut events).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(code), "{error}");
    assert!(next(&mut events).await.is_none(), "nothing follows");
}

#[tokio::test]
async fn removal_and_replacement_end_a_stream() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let mut first = client.subscribe(&c, &l, SubscribeOptions::default());
    connected(&mut first).await;
    let mut second = client.subscribe(&c, &l, SubscribeOptions::default());
    connected(&mut second).await;
    ends(&mut first, EndReason::Replaced).await;
    client.remove_listener(&c, &l).await.unwrap();
    ends(&mut second, EndReason::Removed).await;
    let mut watching = client.watch(&c, WatchOptions::default());
    connected(&mut watching).await;
    client.remove_channel(&c).await.unwrap();
    ends(&mut watching, EndReason::Removed).await;
}

#[tokio::test]
async fn what_another_attempt_cannot_mend_ends_a_stream() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    fails(client.subscribe(&id("nope"), &l, Default::default()), Code::UnknownChannel).await;
    fails(client.subscribe(&c, &listener("nope"), Default::default()), Code::UnknownListener).await;
    fails(client.watch(&id("nope"), WatchOptions::default()), Code::UnknownChannel).await;
    let options = SubscribeOptions { after: ReadFrom::Latest, ..SubscribeOptions::default() };
    fails(client.subscribe(&c, &listener("nope"), options), Code::UnknownListener).await;
    let mut live = client.subscribe(&c, &l, SubscribeOptions::default());
    connected(&mut live).await;
    let refusing = SubscribeOptions { conflict: Conflict::Refuse, ..SubscribeOptions::default() };
    fails(client.subscribe(&c, &l, refusing), Code::Conflict).await;
    client.broadcast(&c, Message::of("n", &1).unwrap()).await.unwrap();
    assert_eq!(next_payload(&mut live).await, "1", "it is not disturbed");
}

#[tokio::test]
async fn a_listener_that_is_removed_during_a_cut_ends_the_stream() {
    let hub = TestHub::start();
    let (direct, c, l) = hub.with_listener().await;
    let proxy = Proxy::start(hub.address, |_| Fate::answer(2_000)).await;
    let mut events = http(proxy.address).subscribe(&c, &l, SubscribeOptions::default());
    connected(&mut events).await;
    direct.dispatch(&c, &l, Message::of("n", &"x".repeat(3_000)).unwrap()).await.unwrap();
    let Some(Ok(Event::Disconnected { error, retry_in })) = next(&mut events).await else { panic!() };
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let channel_s = Duration::from_millis(100);
    assert!(channel_s / 2 <= retry_in && retry_in <= channel_s, "{retry_in:?}");
    direct.remove_listener(&c, &l).await.unwrap();
    fails(events, Code::UnknownListener).await;
}

#[tokio::test]
async fn one_that_refuses_company_comes_back_after_a_cut() {
    let hub = TestHub::start();
    let (direct, c, l) = hub.with_listener().await;
    let proxy = Proxy::start(hub.address, |number| Fate::answer(1_000 + 1_000 * number)).await;
    let options = SubscribeOptions { conflict: Conflict::Refuse, ..SubscribeOptions::default() };
    let mut events = http(proxy.address).subscribe(&c, &l, options);
    for number in 0..20 {
        let payload = format!("{number}{}", "x".repeat(200));
        direct.dispatch(&c, &l, Message::of("n", &payload).unwrap()).await.unwrap();
        assert_eq!(next_payload(&mut events).await, format!("{payload:?}"));
    }
    assert!(proxy.cuts() > 2, "{} cuts", proxy.cuts());
    let mut other = direct.subscribe(&c, &l, SubscribeOptions::default());
    connected(&mut other).await;
    ends(&mut events, EndReason::Replaced).await;
}

#[tokio::test]
async fn a_stop_of_the_hub_is_told_and_who_gives_up_gets_the_last_error() {
    let mut hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let give_up_after = Some(Duration::from_secs(2));
    let mut events = client.subscribe(&c, &l, SubscribeOptions { give_up_after, ..Default::default() });
    connected(&mut events).await;
    hub.stop().await;
    let Some(Ok(Event::Disconnected { error, retry_in })) = next(&mut events).await else { panic!() };
    assert!(error.to_string().contains("stopping"), "{error}");
    assert!(retry_in >= Duration::from_millis(500), "the hub spreads reconnects");
    let error = loop {
        match next(&mut events).await.expect("it fails before it ends") {
            Ok(Event::Disconnected { .. }) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("is the hub running?"), "{error}");
    assert!(next(&mut events).await.is_none());
}

#[tokio::test]
async fn a_hub_that_comes_later_is_waited_for() {
    let mut gone = TestHub::start();
    gone.stop().await;
    let mut events = gone.http().watch(&id("c"), WatchOptions::default());
    assert!(matches!(next(&mut events).await, Some(Ok(Event::Disconnected { .. }))));
    let hub = eric_sse::Hub::in_memory();
    hub.channels().create(id("c"), Default::default()).await.unwrap();
    let hub = TestHub::start_at(gone.address, hub);
    connected(&mut events).await;
    hub.http().broadcast(&id("c"), Message::of("n", &1).unwrap()).await.unwrap();
    assert_eq!(next_payload(&mut events).await, "1");
}

#[tokio::test]
async fn dropping_a_stream_lets_go_of_the_listener() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let mut events = client.subscribe(&c, &l, SubscribeOptions::default());
    assert_eq!(events.position(), None);
    connected(&mut events).await;
    assert!(events.position().is_some(), "it is known where the stream begins");
    assert!(client.listener(&c, &l).await.unwrap().is_connected);
    drop(events);
    while client.listener(&c, &l).await.unwrap().is_connected {}
}

#[tokio::test]
async fn what_a_slow_reader_let_be_left_out_is_told_to_the_last_message() {
    let hub = TestHub::start();
    let (client, c, _) = hub.with_listener().await;
    let mut events = client.watch(&c, WatchOptions { slow: Slow::Drop, ..WatchOptions::default() });
    connected(&mut events).await;
    // 24 MB: more than the kernel, the client and the hub together have room for.
    let (messages, text) = (384, "x".repeat(64 * 1024));
    for _ in 0..messages {
        client.broadcast(&c, Message::of("page", &text).unwrap()).await.unwrap();
    }
    let (mut received, mut missed) = (0, 0);
    while received + missed < messages {
        match next_told(&mut events).await {
            Event::Message(page) => received += u64::from(page.payload.len() == text.len() + 2),
            Event::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::Slow);
                missed += gap.missed.expect("what was left out is counted");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(missed > 0, "all {received} were received");
    assert_eq!(received + missed, messages);
    client.broadcast(&c, Message::of("page", "after").unwrap()).await.unwrap();
    assert_eq!(next_payload(&mut events).await, r#""after""#, "and then it goes on");
}

#[tokio::test]
async fn nothing_is_left_out_where_each_message_is_acknowledged() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let options = SubscribeOptions { ack: Ack::Manual, slow: Slow::Latest, ..SubscribeOptions::default() };
    fails(client.subscribe(&c, &l, options), Code::BadRequest).await;
}
