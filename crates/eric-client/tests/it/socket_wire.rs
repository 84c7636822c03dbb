//! What a process that reads over the socket has acknowledged does not come again, and everything else does.
//!
//! A wire that is dropped is a process that is killed: its socket closes with what was not read in it.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::pin::pin;

use eric_client::{HttpClient, Message, SocketClient, SocketWire};
use eric_sse::limits::MESSAGE_BYTES_MAX;
use eric_sse::prefab::distributed::{Incoming, Messages, Wire as _};
use eric_sse::{ErrorKind, Position};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::timeout;

use crate::hub::{SOON, TestHub, id, listener};

fn wire(hub: &TestHub) -> SocketWire {
    hub.socket_client().wire(id("c"), listener("l"))
}

/// Publishes one message after another to the listener `l`.
async fn publish(http: &HttpClient, payloads: impl IntoIterator<Item = String>) {
    for payload in payloads {
        http.dispatch(&id("c"), &listener("l"), Message::of("t", &payload).unwrap()).await.unwrap();
    }
}

fn numbers(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

async fn next(messages: &mut Messages) -> Option<eric_sse::Result<Incoming>> {
    timeout(SOON, messages.next()).await.expect("something comes")
}

/// The next message: where it stands, and its payload, a text.
async fn message(messages: &mut Messages) -> (Position, String) {
    match next(messages).await {
        Some(Ok(Incoming::Message(position, message))) => {
            (position, serde_json::from_str(message.payload().as_json()).unwrap())
        }
        other => panic!("{other:?} is no message"),
    }
}

/// The next message is this one, and is acknowledged.
async fn take(wire: &SocketWire, messages: &mut Messages, expected: &str) {
    let (position, payload) = message(messages).await;
    assert!(payload == expected, "{:.20} is {:.20}", payload, expected);
    wire.acknowledge(position).await.unwrap();
}

async fn until_consumed(http: &HttpClient) {
    let consumed = async { while http.listener(&id("c"), &listener("l")).await.unwrap().backlog > 0 {} };
    timeout(SOON, consumed).await.expect("everything is consumed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_before_acknowledging_gets_it_again_whatever_its_size() {
    let hub = TestHub::start();
    let (http, _, _) = hub.with_listener().await;
    // Larger than a step, than what is looked at once, than the socket's buffer, and the largest there is.
    for bytes in [0, 1, 4_000, 5_000, 70_000, 1_000_000, MESSAGE_BYTES_MAX - 3] {
        let payload = "x".repeat(bytes);
        publish(&http, [payload.clone(), "after".to_owned()]).await;
        for _ in 0..3 {
            let killed = wire(&hub);
            let mut messages = killed.receive().await.unwrap();
            assert!(message(&mut messages).await.1 == payload, "{bytes}");
        }
        for expected in [payload.as_str(), "after"] {
            let wire = wire(&hub);
            let mut messages = wire.receive().await.unwrap();
            take(&wire, &mut messages, expected).await;
            // Both were small: written together, they are consumed together.
            if bytes < 4_000 {
                take(&wire, &mut messages, "after").await;
                break;
            }
        }
        until_consumed(&http).await;
    }
}

#[tokio::test]
async fn what_was_written_together_comes_again_together() {
    let hub = TestHub::start();
    let (http, _, _) = hub.with_listener().await;
    publish(&http, numbers(0..20)).await;
    for acknowledged in [1, 19] {
        let killed = wire(&hub);
        let mut messages = killed.receive().await.unwrap();
        for number in numbers(0..acknowledged) {
            take(&killed, &mut messages, &number).await;
        }
        assert_eq!(message(&mut messages).await.1, acknowledged.to_string());
    }
    let last = wire(&hub);
    let mut messages = last.receive().await.unwrap();
    for number in numbers(0..20) {
        take(&last, &mut messages, &number).await;
    }
    publish(&http, numbers(20..21)).await;
    assert_eq!(message(&mut messages).await.1, "20", "none of the twenty");
    drop((last, messages));
    let mut messages = wire(&hub).receive().await.unwrap();
    assert_eq!(message(&mut messages).await.1, "20");
}

#[tokio::test]
async fn in_the_same_process_nothing_that_was_acknowledged_comes_again() {
    let mut hub = TestHub::start();
    let (http, _, _) = hub.with_listener().await;
    publish(&http, numbers(0..40)).await;
    let wire = wire(&hub);
    let mut messages = wire.receive().await.unwrap();
    for number in 0..40 {
        let (position, payload) = message(&mut messages).await;
        assert_eq!(payload, number.to_string());
        match number % 20 {
            3 => {
                // The hub does not hear of it before it stops.
                let same = hub.hub.clone();
                hub.restart(same).await;
            }
            6 => {
                messages = {
                    // Not acknowledged: to another stream of the same wire it comes again.
                    let mut again = wire.receive().await.unwrap();
                    assert_eq!(message(&mut again).await, (position, payload));
                    assert!(next(&mut messages).await.is_none(), "a newer stream ends the older");
                    again
                }
            }
            _ => {}
        }
        wire.acknowledge(position).await.unwrap();
    }
    until_consumed(&http).await;
}

#[tokio::test]
async fn the_next_message_comes_when_the_last_is_acknowledged() {
    let hub = TestHub::start();
    let (http, _, _) = hub.with_listener().await;
    publish(&http, numbers(0..2)).await;
    let wire = wire(&hub);
    let mut messages = wire.receive().await.unwrap();
    let (first, _) = message(&mut messages).await;
    let mut waiting = pin!(messages.next());
    assert!(waiting.as_mut().now_or_never().is_none());
    let before = Position { offset: eric_sse::Offset::new(first.offset.get() - 1), ..first };
    wire.acknowledge(before).await.unwrap();
    assert!(waiting.as_mut().now_or_never().is_none(), "another one was acknowledged");
    let later = async {
        tokio::task::yield_now().await;
        wire.acknowledge(first).await.unwrap();
        wire.acknowledge(first).await.unwrap();
    };
    let (second, ()) = timeout(SOON, async { tokio::join!(waiting, later) }).await.unwrap();
    assert!(matches!(second, Some(Ok(Incoming::Message(position, _))) if position.offset > first.offset));
}

#[tokio::test]
async fn what_is_unknown_is_an_error_at_first_and_the_end_once_it_was_there() {
    let hub = TestHub::start();
    let (http, c, l) = hub.with_listener().await;
    for (channel, listener, kind) in [
        (id("c"), listener("nobody"), ErrorKind::UnknownListener),
        (id("nope"), listener("l"), ErrorKind::UnknownChannel),
    ] {
        let mut messages = hub.socket_client().wire(channel, listener).receive().await.unwrap();
        let error = next(&mut messages).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(next(&mut messages).await.is_none());
    }
    publish(&http, numbers(0..1)).await;
    let wire = wire(&hub);
    let mut messages = wire.receive().await.unwrap();
    take(&wire, &mut messages, "0").await;
    http.remove_listener(&c, &l).await.unwrap();
    assert!(next(&mut messages).await.is_none());
    assert!(next(&mut messages).await.is_none());
}

#[tokio::test]
async fn an_answer_of_the_largest_size_goes_over_the_socket_and_a_key_s_second_use_is_final() {
    let hub = TestHub::start();
    hub.with_listener().await;
    let wire = wire(&hub);
    let huge = Message::of("t", &"x".repeat(MESSAGE_BYTES_MAX - 3)).unwrap();
    wire.dispatch(&listener("l"), huge.clone().with_id("k".parse().unwrap())).await.unwrap();
    wire.dispatch(&listener("l"), huge.with_id("k".parse().unwrap())).await.unwrap();
    let other = Message::of("t", &1).unwrap().with_id("k".parse().unwrap());
    let error = wire.dispatch(&listener("l"), other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMessage, "{error}");
    wire.dispatch(&listener("l"), Message::of("t", &"end").unwrap()).await.unwrap();
    let mut messages = wire.receive().await.unwrap();
    let (position, payload) = message(&mut messages).await;
    assert_eq!(payload.len(), MESSAGE_BYTES_MAX - 3);
    wire.acknowledge(position).await.unwrap();
    take(&wire, &mut messages, "end").await;
}

/// Writes each of `answers` to a connection of its own and closes it, as a hub that dies in the middle does.
fn script(answers: Vec<String>) -> (tempfile::TempDir, SocketClient) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eric.sock");
    let acceptor = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = acceptor.accept().unwrap();
            std::io::copy(&mut socket, &mut std::io::sink()).unwrap();
            socket.write_all(answer.as_bytes()).unwrap();
        }
    });
    (folder, SocketClient::new(path))
}

#[tokio::test]
async fn a_line_that_was_cut_off_is_discarded_and_a_hub_that_is_away_for_a_while_is_waited_for() {
    let line = |number: u64| {
        format!(
            "{{\"event\": \"t\", \"retry\": 100, \"data\": \"{number}\", \"id\": \"0123456789ab-{number}\", \
             \"message_id\": null, \"sender_id\": null}}\n"
        )
    };
    let whole = line(2);
    let (_folder, client) = script(vec![
        "RepositoryError('not yet')".to_owned(),
        String::new(),
        format!("{}{}", line(1), &whole[..40]),
        whole[..whole.len() - 1].to_owned(),
        // The first was acknowledged when the hub was gone already.
        format!("{}{whole}", line(1)),
        "InvalidListenerException('Invalid listener l')".to_owned(),
    ]);
    let wire = client.wire(id("c"), listener("l"));
    let mut messages = wire.receive().await.unwrap();
    take(&wire, &mut messages, "1").await;
    take(&wire, &mut messages, "2").await;
    assert!(next(&mut messages).await.is_none());
}

#[tokio::test]
async fn what_is_no_hub_s_is_an_error() {
    for (answer, reason) in [
        ("nonsense\n", "not in a hub's words"),
        ("{\"event\": \"t\", \"retry\": 100, \"data\": 1}\n", "tells no ids"),
        ("InvalidMessageFormat('why')", "InvalidMessageFormat('why')"),
    ] {
        let (_folder, client) = script(vec![answer.to_owned()]);
        let mut messages = client.wire(id("c"), listener("l")).receive().await.unwrap();
        let error = next(&mut messages).await.unwrap().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(next(&mut messages).await.is_none());
    }
}
