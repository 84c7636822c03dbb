//! Every route: what it answers, and how it refuses.

use std::time::Duration;

use eric_client::{
    Code, Conflict, Error, ErrorKind, GapReason, HttpClient, ListenerOrder, Message, Overflow, Paging,
    Payload, Position, PullOptions, SettingsPatch,
};
use proptest::prelude::*;
use serde_json::json;

use crate::hub::{TestHub, id, listener};

fn message(payload: u64) -> Message {
    Message::of("n", &payload).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, code: Code, text: &str) {
    let error = outcome.unwrap_err();
    assert_eq!((error.code(), error.status()), (Some(code), Some(code.status())), "{error}");
    assert!(error.to_string().contains(text), "{error} has {text}");
}

#[tokio::test]
async fn channels_are_made_changed_shown_listed_and_removed() {
    let hub = TestHub::start();
    let client = hub.http();
    let settings =
        SettingsPatch { retry_ms: Some(500), overflow: Some(Overflow::Reject), ..Default::default() };
    let (channel, is_new) = client.ensure_channel(&id("c"), &settings).await.unwrap();
    assert!(is_new && channel.id == id("c") && channel.tail.is_none());
    assert_eq!(
        (&channel.settings["retry_ms"], &channel.settings["overflow"]),
        (&json!(500), &json!("reject"))
    );
    let never = SettingsPatch { generated_listener_expires_s: Some(None), ..Default::default() };
    let (channel, is_new) = client.ensure_channel(&id("c"), &never).await.unwrap();
    assert!(!is_new);
    assert_eq!(channel.settings["generated_listener_expires_s"], json!(null));
    assert_eq!(channel.settings["retry_ms"], json!(500), "what is not given stays");
    let other = client.create_channel(&SettingsPatch::default()).await.unwrap();
    assert_eq!(client.channel(&other.id).await.unwrap(), other);

    let taken = client.broadcast(&id("c"), message(1)).await.unwrap();
    let channel = client.channel(&id("c")).await.unwrap();
    assert_eq!((channel.tail, channel.messages, channel.listeners), (Some(taken.id), 1, 0));

    let page = client.channels(&Paging { limit: Some(1), ..Paging::default() }).await.unwrap();
    assert_eq!((page.items.len(), &page.next), (1, &Some(id("c"))));
    let page = client.channels(&Paging { limit: None, after: page.next }).await.unwrap();
    assert_eq!((&page.items[0].id, &page.next), (&other.id, &None));

    client.remove_channel(&id("c")).await.unwrap();
    refused(client.remove_channel(&id("c")).await, Code::UnknownChannel, "id=c");
    refused(client.channel(&id("c")).await, Code::UnknownChannel, "id=c");
    let page = Paging { after: Some(id("c")), ..Paging::default() };
    refused(client.channels(&page).await, Code::UnknownChannel, "id=c");
    let page = Paging { limit: Some(0), ..Paging::default() };
    refused(client.channels(&page).await, Code::BadRequest, "limit=0");
    let settings = SettingsPatch { retry_ms: Some(99), ..Default::default() };
    refused(client.ensure_channel(&id("d"), &settings).await, Code::BadRequest, "retry_ms=99");
    refused(client.create_channel(&settings).await, Code::BadRequest, "retry_ms=99");
}

#[tokio::test]
async fn listeners_are_added_shown_listed_acknowledged_and_removed() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    assert!(!client.ensure_listener(&c, &l).await.unwrap(), "it was there");
    let other = client.add_listener(&c).await.unwrap();
    let first = client.dispatch(&c, &l, message(1)).await.unwrap().id;
    let second = client.broadcast(&c, message(2)).await.unwrap().id;
    let shown = client.listener(&c, &l).await.unwrap();
    assert_eq!((&shown.id, shown.backlog, shown.is_connected), (&l, 2, false));
    client.ack(&c, &l, first).await.unwrap();
    let shown = client.listener(&c, &l).await.unwrap();
    assert_eq!((shown.cursor, shown.backlog, shown.backlog_bytes), (first, 1, 2));
    client.ack(&c, &l, second).await.unwrap();
    client.ack(&c, &l, first).await.unwrap();

    let page = client.listeners(&c, &Paging::default(), ListenerOrder::Backlog).await.unwrap();
    assert_eq!((&page.items[0].id, page.items.len()), (&other, 2));
    let one = Paging { limit: Some(1), ..Paging::default() };
    let page = client.listeners(&c, &one, ListenerOrder::Age).await.unwrap();
    assert_eq!((&page.items[0].id, &page.next), (&l, &Some(l.clone())));

    let beyond: Position = format!("{}-99", first.epoch).parse().unwrap();
    refused(client.ack(&c, &l, beyond).await, Code::Conflict, "beyond the tail");
    refused(client.ack(&c, &l, "past-1".parse().unwrap()).await, Code::Conflict, "epoch");
    client.remove_listener(&c, &other).await.unwrap();
    refused(client.remove_listener(&c, &other).await, Code::UnknownListener, other.as_str());
    refused(client.listener(&c, &other).await, Code::UnknownListener, other.as_str());
    refused(client.ack(&c, &other, first).await, Code::UnknownListener, other.as_str());
    let after = Paging { after: Some(other.clone()), ..Paging::default() };
    refused(client.listeners(&c, &after, ListenerOrder::Age).await, Code::UnknownListener, other.as_str());
    let nope = id("nope");
    refused(client.listeners(&nope, &one, ListenerOrder::Age).await, Code::UnknownChannel, "id=nope");
    refused(client.add_listener(&nope).await, Code::UnknownChannel, "id=nope");
    refused(client.ensure_listener(&nope, &l).await, Code::UnknownChannel, "id=nope");
}

#[tokio::test]
async fn what_is_published_is_kept_as_it_was_and_a_repetition_is_told() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let payload = Payload::from_json(r#"{"b": [1, null], "a": "é\n"}"#).unwrap();
    let signed = Message::new("".parse().unwrap(), payload).unwrap();
    let signed = signed.with_id("k \"1\"".parse().unwrap()).with_sender("bób".parse().unwrap());
    let first = client.broadcast(&c, signed.clone()).await.unwrap();
    assert!(!first.is_repetition);
    let again = client.broadcast(&c, signed.clone()).await.unwrap();
    assert!(again.is_repetition && again.id == first.id);
    let other = message(1).with_id("k \"1\"".parse().unwrap());
    refused(client.broadcast(&c, other.clone()).await, Code::KeyReused, "k");
    assert!(!client.dispatch(&c, &l, other).await.unwrap().is_repetition, "a listener's keys are its own");
    let keyed = eric_client::Publish { message: message(2), key: Some("own".parse().unwrap()) };
    assert!(!client.broadcast(&c, keyed.clone()).await.unwrap().is_repetition);
    assert!(client.broadcast(&c, keyed).await.unwrap().is_repetition);
    for _ in 0..2 {
        assert!(!client.broadcast(&c, message(3)).await.unwrap().is_repetition, "equal is not the same");
    }

    let history = client.history(&c, &Paging::default()).await.unwrap();
    let payloads: Vec<&str> = history.items.iter().map(|received| received.payload.as_str()).collect();
    assert_eq!(payloads, [r#"{"b":[1,null],"a":"é\n"}"#, "2", "3", "3"]);
    let received = &history.items[0];
    assert_eq!((received.id, received.kind.as_str()), (first.id, ""));
    assert_eq!(received.message_id.as_deref(), Some("k \"1\""));
    assert_eq!(received.sender_id.as_deref(), Some("bób"));
    assert!(received.taken_at.ends_with('Z'));
    assert_eq!(received.value::<serde_json::Value>().unwrap()["b"], json!([1, null]));
    assert_eq!(history.items[1].message_id, None, "a key is not shown");

    let page = Paging { limit: Some(2), ..Paging::default() };
    let page = client.history(&c, &page).await.unwrap();
    let page = client.history(&c, &Paging { limit: Some(5), after: page.next }).await.unwrap();
    assert_eq!((page.items.len(), page.next), (2, None));
    let past = Paging { limit: None, after: Some("past-1".parse().unwrap()) };
    refused(client.history(&c, &past).await, Code::Conflict, "epoch");
    refused(client.history(&id("nope"), &past).await, Code::UnknownChannel, "id=nope");
    refused(client.broadcast(&id("nope"), message(1)).await, Code::UnknownChannel, "id=nope");
    refused(client.dispatch(&c, &listener("nope"), message(1)).await, Code::UnknownListener, "id=nope");
}

#[tokio::test]
async fn a_batch_is_contiguous_and_an_error_names_its_line() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let batch: Vec<Message> = (0..10_000).map(message).collect();
    let taken = client.broadcast_lines(&c, &batch).await.unwrap();
    assert_eq!((taken.ids.len(), taken.are_repetitions), (10_000, false));
    assert!(taken.ids.windows(2).all(|pair| pair[0].offset.next() == pair[1].offset));
    let named: Vec<Message> = (0..3).map(|n| message(n).with_id(format!("k{n}").parse().unwrap())).collect();
    let first = client.dispatch_lines(&c, &l, &named).await.unwrap();
    let again = client.dispatch_lines(&c, &l, &named).await.unwrap();
    assert!(again.are_repetitions && again.ids == first.ids);
    let clash = [message(7), message(8).with_id("k1".parse().unwrap())];
    let error = client.dispatch_lines(&c, &l, &clash).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::KeyReused));
    refused(client.broadcast_lines(&id("nope"), &named).await, Code::UnknownChannel, "id=nope");
    let error = client.broadcast_lines(&c, &[]).await.unwrap_err();
    assert_eq!((error.code(), error.status()), (Some(Code::BadRequest), None));
    assert_eq!(client.listener(&c, &l).await.unwrap().backlog, 10_003, "what is refused is refused whole");
}

#[tokio::test]
async fn a_limit_that_is_reached_is_named() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let settings = SettingsPatch {
        max_unread_per_listener: Some(1),
        overflow: Some(Overflow::Reject),
        ..SettingsPatch::default()
    };
    client.ensure_channel(&c, &settings).await.unwrap();
    client.dispatch(&c, &l, message(1)).await.unwrap();
    let error = client.dispatch(&c, &l, message(2)).await.unwrap_err();
    assert_eq!((error.code(), error.limit()), (Some(Code::LimitExceeded), Some("max_unread_per_listener")));
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_worker_of_its_own_can_pull() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    client.broadcast(&c, message(7)).await.unwrap();
    let worker = tokio::spawn(async move { client.pull(&c, &l, &PullOptions::default()).await });
    let page = worker.await.unwrap().unwrap();
    assert_eq!(page.messages[0].value::<u64>().unwrap(), 7);
}

#[tokio::test]
async fn what_is_pulled_comes_again_until_it_is_acknowledged() {
    let hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let page = client.pull(&c, &l, &PullOptions::default()).await.unwrap();
    assert!(page.messages.is_empty() && page.gaps.is_empty());
    for number in 0..5 {
        client.broadcast(&c, message(number)).await.unwrap();
    }
    let two = PullOptions { limit: Some(2), wait: Duration::from_secs(60), ..PullOptions::default() };
    let page = client.pull(&c, &l, &two).await.unwrap();
    let payloads = |page: &eric_client::Pulled| {
        page.messages.iter().map(|received| received.value().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(payloads(&page), [0, 1]);
    let skipping = PullOptions { after: Some(page.messages[1].id), ..two.clone() };
    assert_eq!(payloads(&client.pull(&c, &l, &skipping).await.unwrap()), [2, 3]);
    client.ack(&c, &l, page.messages[0].id).await.unwrap();
    assert_eq!(payloads(&client.pull(&c, &l, &two).await.unwrap()), [1, 2]);

    let settings = SettingsPatch { max_messages: Some(1), ..SettingsPatch::default() };
    client.ensure_channel(&c, &settings).await.unwrap();
    client.broadcast(&c, message(5)).await.unwrap();
    let page = client.pull(&c, &l, &PullOptions::default()).await.unwrap();
    assert_eq!((payloads(&page), &page.gaps[0].reason), (vec![5], &GapReason::Trimmed));
    assert_eq!(page.gaps[0].missed, Some(4));

    let mut events = client.subscribe(&c, &l, Default::default());
    crate::hub::connected(&mut events).await;
    refused(client.pull(&c, &l, &PullOptions::default()).await, Code::Conflict, "");
    let replacing = PullOptions { conflict: Conflict::Replace, ..PullOptions::default() };
    client.pull(&c, &l, &replacing).await.unwrap();
    refused(client.pull(&c, &listener("nope"), &two).await, Code::UnknownListener, "id=nope");
    let long = PullOptions { wait: Duration::from_secs(61), ..PullOptions::default() };
    refused(client.pull(&c, &l, &long).await, Code::BadRequest, "wait_s=61");
}

#[tokio::test]
async fn a_hub_that_is_down_is_unreachable_and_the_error_says_so() {
    let mut hub = TestHub::start();
    let (client, c, l) = hub.with_listener().await;
    let client = client.with_retry(eric_client::RetryPolicy::never());
    hub.stop().await;
    for error in [
        client.channel(&c).await.unwrap_err(),
        client.broadcast(&c, message(1)).await.unwrap_err(),
        client.ack(&c, &l, "e-1".parse().unwrap()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        let text = error.to_string();
        assert!(text.contains(&hub.address.to_string()) && text.contains("is the hub running?"), "{text}");
        assert!(error.is_temporary() && std::error::Error::source(&error).is_some());
    }
    let socket = hub.socket_client();
    assert_eq!(socket.remove_channel(&c).await.unwrap_err().kind(), ErrorKind::Unreachable);
}

#[test]
fn an_address_that_cannot_be_is_refused() {
    for url in ["", "127.0.0.1:8000", "localhost:8000", "ftp://x", "file:///x", "http://"] {
        assert_eq!(HttpClient::new(url).unwrap_err().code(), Some(Code::BadRequest), "{url}");
    }
    assert_eq!(HttpClient::new("https://x").is_ok(), cfg!(feature = "tls"));
    HttpClient::new("http://[::1]:8000/behind/a/proxy/").unwrap();
}

#[test]
fn any_id_reaches_the_hub_as_it_is() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (hub, client) = runtime.block_on(async {
        let hub = TestHub::start();
        let client = hub.http();
        (hub, client)
    });
    let text = prop_oneof![
        "\\PC{1,40}",
        "[ ./%?#\\\\:&=+;a]{1,40}",
        Just("%2e%2e".to_owned()),
        Just("...".to_owned()),
        Just("a/../b".to_owned()),
    ];
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&(text.clone(), text), |(channel, listener)| {
            let (Ok(c), Ok(l)) = (channel.parse(), listener.parse()) else { return Ok(()) };
            runtime.block_on(async {
                prop_assert_eq!(
                    client.ensure_channel(&c, &Default::default()).await.unwrap().0.id,
                    c.clone()
                );
                client.ensure_listener(&c, &l).await.unwrap();
                prop_assert_eq!(client.listener(&c, &l).await.unwrap().id, l.clone());
                let page = Paging { limit: None, after: Some(l) };
                prop_assert!(client.listeners(&c, &page, ListenerOrder::Age).await.unwrap().items.is_empty());
                client.remove_channel(&c).await.unwrap();
                Ok(())
            })
        })
        .unwrap();
    drop(hub);
}
