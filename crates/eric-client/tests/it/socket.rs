//! The client of the Unix socket: every verb, every kind of value, frames of any size.

use std::time::Duration;

use eric_client::{ChannelId, Code, Error, Frame, Frames, HttpClient, ListenerId, Message};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::hub::{SOON, TestHub, id, listener};

async fn next(frames: &mut Frames) -> Option<Result<Frame, Error>> {
    timeout(SOON, frames.next()).await.expect("something comes")
}

async fn frame(frames: &mut Frames) -> Frame {
    next(frames).await.expect("the stream goes on").unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, code: Code, text: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Some(code), "{error}");
    assert!(error.to_string().contains(text), "{error} has {text}");
}

/// Waits until the channel has a watcher: what is broadcast before is not seen, and the socket does not say.
async fn watched(http: &HttpClient, channel: &ChannelId, frames: &mut Frames) {
    loop {
        http.broadcast(channel, Message::of("ready", &()).unwrap()).await.unwrap();
        if let Ok(Some(Ok(_))) = timeout(Duration::from_millis(50), frames.next()).await {
            return;
        }
    }
}

/// The next frame that was not published by [`watched`].
async fn watched_frame(frames: &mut Frames) -> Frame {
    loop {
        let frame = frame(frames).await;
        if frame.event != "ready" {
            return frame;
        }
    }
}

#[tokio::test]
async fn every_verb_does_what_it_says() {
    let hub = TestHub::start();
    let (client, http) = (hub.socket_client(), hub.http());
    let channel = client.create_channel().await.unwrap();
    let bob = client.register(&channel).await.unwrap();
    let mut watching = client.watch(&channel).await.unwrap();
    watched(&http, &channel, &mut watching).await;
    client.broadcast_message(&channel, &Message::of("all", &json!({"a": 1})).unwrap()).await.unwrap();
    client.dispatch(&channel, &bob, &Message::of("one", &json!([null])).unwrap()).await.unwrap();
    let seen = watched_frame(&mut watching).await;
    assert_eq!((seen.event.as_str(), seen.data.as_str()), ("all", r#"{"a": 1}"#));
    assert_eq!((seen.retry, seen.id), (Duration::from_secs(3), None));

    let mut listening = client.stream(&channel, &bob).await.unwrap();
    assert_eq!(watched_frame(&mut listening).await, seen);
    assert_eq!(frame(&mut listening).await.data, "[null]");
    client.remove_listener(&channel, &bob).await.unwrap();
    assert!(next(&mut listening).await.is_none(), "the hub ends it");
    assert!(next(&mut listening).await.is_none());
    client.remove_channel(&channel).await.unwrap();
    while next(&mut watching).await.is_some() {}
    refused(client.remove_channel(&channel).await, Code::UnknownChannel, "InvalidChannelException(");
}

#[tokio::test]
async fn every_kind_of_value_comes_as_it_was() {
    let hub = TestHub::start();
    let (http, c, l) = hub.with_listener().await;
    let client = hub.socket_client();
    let large = "漢é\u{0}\u{1f}🙂\"\\\n".repeat(100_000);
    let values = [
        json!(null),
        json!(true),
        json!(-0.5),
        json!(u64::MAX),
        json!(""),
        json!("é\u{2028}\u{7f}"),
        json!([]),
        json!({}),
        json!({"a": [1, {"b": null}], "": [[]]}),
        json!(large),
    ];
    let mut frames = client.stream(&c, &l).await.unwrap();
    for value in &values {
        client.dispatch(&c, &l, &Message::of("v", value).unwrap()).await.unwrap();
    }
    for value in &values {
        let frame = frame(&mut frames).await;
        assert!(frame.data.is_ascii());
        assert!(serde_json::from_str::<Value>(&frame.data).unwrap() == *value);
    }
    let number = "123456789012345678901234567890.10";
    let exact = eric_client::Payload::from_json(number).unwrap();
    client.broadcast_message(&c, &Message::new("n".parse().unwrap(), exact).unwrap()).await.unwrap();
    assert_eq!(frame(&mut frames).await.data, number);
    drop(frames);
    while http.listener(&c, &l).await.unwrap().is_connected {}
}

#[tokio::test]
async fn a_frame_of_the_largest_message_comes_whole() {
    let hub = TestHub::start();
    let (_, c, l) = hub.with_listener().await;
    let client = hub.socket_client();
    let text = "é".repeat((eric_sse::limits::MESSAGE_BYTES_MAX - 3) / 2);
    client.dispatch(&c, &l, &Message::of("v", &text).unwrap()).await.unwrap();
    client.dispatch(&c, &l, &Message::of("v", &1).unwrap()).await.unwrap();
    let mut frames = client.stream(&c, &l).await.unwrap();
    let whole = frame(&mut frames).await;
    assert!(whole.data.len() > 3 * text.len() - 10);
    assert!(serde_json::from_str::<String>(&whole.data).unwrap() == text);
    assert_eq!(frame(&mut frames).await.data, "1");
}

#[tokio::test]
async fn ids_come_where_they_are_asked_for() {
    let hub = TestHub::start();
    let (http, c, l) = hub.with_listener().await;
    let client = hub.socket_client();
    let signed =
        Message::of("t", &1).unwrap().with_id("k".parse().unwrap()).with_sender("s".parse().unwrap());
    let first = http.dispatch(&c, &l, signed.clone()).await.unwrap().id;
    let mut frames = client.stream_with_ids(&c, &l).await.unwrap();
    let told = frame(&mut frames).await;
    assert_eq!(
        (told.id, told.message_id.as_deref(), told.sender_id.as_deref()),
        (Some(first), Some("k"), Some("s"))
    );
    let second = http.dispatch(&c, &l, Message::of("t", &2).unwrap()).await.unwrap().id;
    let told = frame(&mut frames).await;
    assert_eq!((told.id, told.message_id, told.sender_id), (Some(second), None, None));
    let mut watching = client.watch_with_ids(&c).await.unwrap();
    watched(&http, &c, &mut watching).await;
    let third = http.broadcast(&c, Message::of("t", &3).unwrap()).await.unwrap().id;
    assert_eq!(watched_frame(&mut watching).await.id, Some(third));
}

#[tokio::test]
async fn a_message_with_an_id_is_taken_once_over_both_doors() {
    let hub = TestHub::start();
    let (http, c, l) = hub.with_listener().await;
    let client = hub.socket_client();
    let message = |id: &str, payload: u64| {
        Message::of("t", &payload).unwrap().with_id(id.parse().unwrap()).with_sender("s \"".parse().unwrap())
    };
    for _ in 0..2 {
        client.dispatch(&c, &l, &message("k", 1)).await.unwrap();
        client.broadcast_message(&c, &message("k", 1)).await.unwrap();
        client.dispatch(&c, &l, &message("\\ é", 2)).await.unwrap();
    }
    assert!(http.dispatch(&c, &l, message("k", 1)).await.unwrap().is_repetition);
    refused(client.dispatch(&c, &l, &message("k", 2)).await, Code::BadRequest, "other content");
    let only_signed = Message::of("t", &3).unwrap().with_sender("s".parse().unwrap());
    client.dispatch(&c, &l, &only_signed).await.unwrap();
    let mut frames = client.stream_with_ids(&c, &l).await.unwrap();
    for (data, id, sender) in
        [("1", Some("k"), "s \""), ("1", Some("k"), "s \""), ("2", Some("\\ é"), "s \""), ("3", None, "s")]
    {
        let told = frame(&mut frames).await;
        assert_eq!((told.data.as_str(), told.message_id.as_deref()), (data, id));
        assert_eq!(told.sender_id.as_deref(), Some(sender));
    }
}

#[tokio::test]
async fn refusals_are_errors_with_the_hub_s_words() {
    let hub = TestHub::start();
    let (_, c, l) = hub.with_listener().await;
    let client = hub.socket_client();
    let message = Message::of("t", &1).unwrap();
    let (nope, nobody): (ChannelId, ListenerId) = (id("nope"), listener("nobody"));
    refused(client.register(&nope).await, Code::UnknownChannel, "No channel with id nope");
    refused(client.broadcast_message(&nope, &message).await, Code::UnknownChannel, "nope");
    refused(client.dispatch(&nope, &l, &message).await, Code::UnknownChannel, "nope");
    refused(client.dispatch(&c, &nobody, &message).await, Code::UnknownListener, "Invalid listener nobody");
    refused(client.remove_listener(&c, &nobody).await, Code::UnknownListener, "nobody");
    for mut frames in
        [client.stream(&c, &nobody).await.unwrap(), client.stream_with_ids(&c, &nobody).await.unwrap()]
    {
        refused(next(&mut frames).await.unwrap(), Code::UnknownListener, "nobody");
        assert!(next(&mut frames).await.is_none());
    }
    let mut frames = client.watch(&nope).await.unwrap();
    refused(next(&mut frames).await.unwrap(), Code::UnknownChannel, "nope");

    for malformed in [json!(null), json!([1]), json!("c"), json!({}), json!({"v": "zzz"}), json!({"v": "b"})]
    {
        refused(client.send_payload(&malformed).await, Code::BadRequest, "InvalidMessageFormat(");
    }
    let sent = client.send_payload(&json!({"v": "b", "c": c.as_str(), "t": "t", "p": 1})).await.unwrap();
    assert_eq!(sent, "ack");
    let huge = "x".repeat(eric_sse::limits::SOCKET_REQUEST_BYTES_MAX);
    refused(client.send_payload(&huge).await, Code::BadRequest, "InvalidMessageFormat(");
}

#[tokio::test]
async fn a_stream_ends_when_the_hub_stops_or_another_takes_over() {
    let mut hub = TestHub::start();
    let (_, c, l) = hub.with_listener().await;
    let client = hub.socket_client();
    let mut first = client.stream(&c, &l).await.unwrap();
    client.dispatch(&c, &l, &Message::of("t", &1).unwrap()).await.unwrap();
    assert_eq!(frame(&mut first).await.data, "1");
    let mut second = client.stream(&c, &l).await.unwrap();
    assert!(next(&mut first).await.is_none());
    client.dispatch(&c, &l, &Message::of("t", &2).unwrap()).await.unwrap();
    assert_eq!(frame(&mut second).await.data, "2");
    hub.stop().await;
    assert!(next(&mut second).await.is_none());
}
