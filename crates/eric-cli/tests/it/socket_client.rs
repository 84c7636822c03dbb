//! The Unix socket with the client that people have for it: `SocketClient` of the package eric-sse, unmodified.
//!
//! F-1, F-2 and so on are the flaws of that package's own server that the hub must not have. What every byte on the
//! socket has to be is tested beside the door; here is what clients see of it, and what they cost.

mod file;
mod requests;
mod script;
mod stage;
mod system;

use std::path::Path;
use std::time::Duration;

use eric_sse::ChannelSettings;
use eric_sse::limits::WINDOW_BYTES;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout};

use crate::hub::{Hub, PATIENCE};
use crate::idle::{descriptors, processor_seconds};
use script::Script;
use stage::{Calls, Stage, flags};

/// The time for which processor time is counted.
const INTERVAL: Duration = Duration::from_secs(1);
/// The share of a processor that idle streams may take; a busy loop beside other tests takes more.
const IDLE_SHARE_MAX: f64 = 0.1;
/// What a hub gives its streams to end, unless told otherwise.
const GRACE: Duration = Duration::from_secs(5);
/// Memory beside what is kept for clients: requests on their way, and what the allocator holds.
const SLACK_BYTES: u64 = 32 << 20;

/// What `socket_client_streams.py` says next, so many lines of it, in the order of listeners.
async fn said(streams: &mut Script, lines: usize) -> Vec<Value> {
    let mut said = Vec::new();
    for _ in 0..lines {
        said.push(streams.next().await);
    }
    said.sort_by(|a, b| a[0].as_str().cmp(&b[0].as_str()));
    said
}

/// What it says when each stream gets `line`, or ends.
fn on_each(opened: &Value, line: Option<&str>) -> Vec<Value> {
    let mut listeners: Vec<&str> =
        opened["listeners"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    listeners.sort_unstable();
    listeners
        .into_iter()
        .map(|listener| line.map_or(json!([listener]), |line| json!([listener, line])))
        .collect()
}

/// A line of a stream.
fn frame(message_type: &str, data: &str) -> String {
    format!("{{\"event\": \"{message_type}\", \"retry\": 3000, \"data\": {data}}}\n")
}

/// The share of a processor that a process takes while `event` comes about.
async fn processor_share(pid: u32, event: impl Future<Output = ()>) -> f64 {
    let (start, spent) = (Instant::now(), processor_seconds(pid));
    event.await;
    (processor_seconds(pid) - spent) / start.elapsed().as_secs_f64()
}

/// A watcher's stream, as bytes, for which `SocketClient` has no method; its first line has come and was not read.
async fn watch(path: &str, client: &mut Calls, channel: &str) -> BufReader<UnixStream> {
    let mut socket = UnixStream::connect(path).await.expect("the hub accepts");
    socket.write_all(json!({"v": "w", "c": channel}).to_string().as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut watcher = BufReader::new(socket);
    // It begins with what is published once it watches, and nothing tells when that is.
    while timeout(Duration::from_millis(20), watcher.fill_buf()).await.is_err() {
        client.acknowledged(json!(["broadcast_message", channel, "seen", 1])).await;
    }
    watcher
}

/// Reads a watcher's stream to its end; there must be nothing beside what was published for it to begin.
async fn ends(mut watcher: BufReader<UnixStream>) {
    let mut lines = String::new();
    timeout(PATIENCE, watcher.read_to_string(&mut lines)).await.expect("it ends in time").unwrap();
    assert!(lines.starts_with(&frame("seen", "1")), "{lines}");
    assert!(lines.split_inclusive('\n').all(|line| line == frame("seen", "1")), "{lines}");
}

#[tokio::test]
async fn every_payload_and_type_comes_back_as_python_writes_it() {
    let Some(stage) = Stage::set().await else { return };
    let mut script = stage.script("socket_client_payloads.py", &[]);
    let messages = script.next().await;
    assert!(messages.as_u64().unwrap() > 350, "{messages}");
    script.end().await;
}

#[tokio::test]
async fn two_hundred_clients_get_their_own_and_all_broadcasts_in_order_and_once() {
    let Some(stage) = Stage::set().await else { return };
    let mut script = stage.script("socket_client_crowd.py", &["200"]);
    assert_eq!(script.next().await, json!(200 * 25));
    script.end().await;
}

/// F-11. In the second round the hub stands still until all have connected, so that every one of them has to wait.
#[tokio::test]
async fn three_hundred_connections_in_one_moment_are_all_answered() {
    let Some(stage) = Stage::set().await else { return };
    for is_stopped in [false, true] {
        let mut script = stage.script("socket_client_burst.py", &["300"]);
        script.next().await;
        if !is_stopped {
            assert_eq!(script.ask("now").await, json!(300));
        } else {
            system::stop(stage.hub.pid()).await;
            script.tell("now").await;
            system::until("300 wait", || system::connections(&stage.path) >= 300).await;
            system::signal(stage.hub.pid(), Signal::CONT);
            assert_eq!(script.next().await, json!(300));
        }
        script.end().await;
    }
}

#[tokio::test]
async fn a_broadcast_reaches_five_hundred_streams_once_each() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let mut streams = stage.script("socket_client_streams.py", &["500"]);
    let opened = streams.next().await;
    client.acknowledged(json!(["broadcast_message", opened["channel"], "news", 1])).await;
    assert_eq!(said(&mut streams, 500).await, on_each(&opened, Some(&frame("news", "1"))));
    // Had there been more lines, they would come before the ends.
    client.acknowledged(json!(["remove_channel", opened["channel"]])).await;
    assert_eq!(said(&mut streams, 500).await, on_each(&opened, None));
    streams.end().await;
}

/// How a listener's client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    /// It closes its stream and ends.
    Closes,
    /// It is killed in the middle of its stream.
    IsKilled,
    /// It is killed when lines have come that it has not read.
    IsKilledWithUnreadMail,
}

/// The numbered mail of one listener.
struct Mail {
    client: Calls,
    channel: String,
    listener: String,
    published: usize,
    received: usize,
}

impl Mail {
    /// Messages that are published, and that arrive, at a time.
    const BATCH: usize = 10;

    async fn publish(&mut self) {
        for _ in 0..Self::BATCH {
            self.published += 1;
            let call = match self.published % 2 {
                0 => json!(["broadcast_message", self.channel, "mail", self.published]),
                _ => json!(["dispatch", self.channel, self.listener, "mail", self.published]),
            };
            self.client.acknowledged(call).await;
        }
    }

    async fn arrives(&mut self, stream: &mut Script) {
        for _ in 0..Self::BATCH {
            self.received += 1;
            assert_eq!(stream.next().await, json!(frame("mail", &self.received.to_string())));
        }
    }
}

/// F-13: there, a reader that comes back finds nothing of what was published meanwhile, nor of what comes then.
#[tokio::test]
async fn mail_is_kept_while_a_client_is_away_however_it_left() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    let listener = client.register(&channel).await;
    let mut mail =
        Mail { client, channel: channel.clone(), listener: listener.clone(), published: 0, received: 0 };
    mail.publish().await;
    for leaving in [Leaving::Closes, Leaving::IsKilled, Leaving::IsKilledWithUnreadMail].repeat(3) {
        let lines = if leaving == Leaving::Closes { 2 * Mail::BATCH } else { usize::MAX };
        let mut stream = stage.stream(&channel, &listener, lines);
        mail.arrives(&mut stream).await;
        mail.publish().await;
        mail.arrives(&mut stream).await;
        match leaving {
            Leaving::Closes => stream.end().await,
            Leaving::IsKilled => stream.kill().await,
            Leaving::IsKilledWithUnreadMail => {
                stream.stop().await;
                mail.publish().await;
                stream.kill().await;
                continue;
            }
        }
        mail.publish().await;
    }
    let mut stream = stage.stream(&channel, &listener, usize::MAX);
    mail.arrives(&mut stream).await;
    mail.client.acknowledged(json!(["remove_listener", channel, listener])).await;
    stream.end().await;
}

/// F-1, F-2: there, each open stream keeps a processor busy, and goes on doing so when its client has left.
#[tokio::test]
async fn idle_streams_cost_next_to_nothing_and_leave_nothing_behind() {
    let Some(stage) = Stage::set().await else { return };
    let pid = stage.hub.pid();
    let before = descriptors(pid);
    for is_killed in [false, true] {
        let mut streams = stage.script("socket_client_streams.py", &["100"]);
        streams.next().await;
        system::until("only streams are open", || descriptors(pid) == before + 100).await;
        let share = processor_share(pid, streams.is_silent_for(INTERVAL)).await;
        assert!(share < IDLE_SHARE_MAX, "{:.1} % of a processor while they are open", share * 100.0);
        if is_killed {
            streams.kill().await;
        } else {
            streams.end().await;
        }
        let took = system::until("the descriptors are back", || descriptors(pid) == before).await;
        assert!(took < Duration::from_secs(1), "descriptors are released after {took:?}");
        // Nothing happens any more that could be waited for; what is measured is time.
        let share = processor_share(pid, sleep(INTERVAL)).await;
        assert!(share < IDLE_SHARE_MAX, "{:.1} % of a processor when they have left", share * 100.0);
    }
}

/// F-3: there, a stream whose listener goes is flooded with errors, and one whose channel goes stays open for ever.
#[tokio::test]
async fn removal_ends_streams_and_says_nothing_else() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let mut streams = stage.script("socket_client_streams.py", &["10"]);
    let mut opened = streams.next().await;
    let channel = opened["channel"].clone();

    let removed = opened["listeners"].as_array_mut().unwrap().pop().unwrap();
    client.acknowledged(json!(["remove_listener", channel, removed])).await;
    assert_eq!(streams.next().await, json!([removed]));
    client.acknowledged(json!(["broadcast_message", channel, "rest", 1])).await;
    assert_eq!(said(&mut streams, 9).await, on_each(&opened, Some(&frame("rest", "1"))));

    client.acknowledged(json!(["remove_channel", channel])).await;
    assert_eq!(said(&mut streams, 9).await, on_each(&opened, None));
    streams.end().await;
}

#[tokio::test]
async fn a_watcher_sees_broadcasts_until_its_channel_is_removed() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    let watcher = watch(&stage.path, &mut client, &channel).await;
    client.acknowledged(json!(["remove_channel", channel])).await;
    ends(watcher).await;
}

#[tokio::test]
async fn a_second_stream_of_a_listener_ends_the_first_and_goes_on_where_it_was() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    let listener = client.register(&channel).await;
    let mut replaced: Option<Script> = None;
    for n in 0..5 {
        let mut stream = stage.stream(&channel, &listener, usize::MAX);
        if let Some(replaced) = replaced {
            replaced.end().await;
        }
        client.acknowledged(json!(["dispatch", channel, listener, "t", n])).await;
        assert_eq!(stream.next().await, json!(frame("t", &n.to_string())));
        replaced = Some(stream);
    }
}

/// F-3, F-17: there, the text is an exception without one, and what comes then depends.
#[tokio::test]
async fn a_stream_of_the_unknown_is_one_line_that_says_so_and_the_end() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    let listener = client.register(&channel).await;
    for (channel, listener, expected) in [
        (channel.as_str(), "nope", "InvalidListenerException('Invalid listener nope')"),
        ("nope", listener.as_str(), "InvalidChannelException('No channel with id nope')"),
        ("nope", "nope", "InvalidChannelException('No channel with id nope')"),
    ] {
        let mut stream = stage.stream(channel, listener, usize::MAX);
        assert_eq!(stream.next().await, json!(expected));
        stream.end().await;
    }
}

/// F-31: there, the process goes on for as long as a client has a stream open.
#[tokio::test]
async fn sigterm_ends_streams_at_once_and_takes_the_file_along() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    let watcher = watch(&stage.path, &mut client, &channel).await;
    // Who never says that its request is complete does not hold up the end either.
    let mut hesitant = UnixStream::connect(&stage.path).await.unwrap();
    hesitant.write_all(b"{").await.unwrap();
    let mut streams = stage.script("socket_client_streams.py", &["100"]);
    let opened = streams.next().await;

    let start = Instant::now();
    let ended = stage.hub.terminate().await;
    let took = start.elapsed();
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert!(took < GRACE / 2, "it took {took:?}");
    assert!(!Path::new(&stage.path).exists(), "the file is gone");
    assert_eq!(said(&mut streams, 100).await, on_each(&opened, None));
    streams.end().await;
    ends(watcher).await;
    let mut rest = Vec::new();
    timeout(PATIENCE, hesitant.read_to_end(&mut rest)).await.expect("it ends in time").unwrap();
    assert_eq!(rest, b"");
}

/// F-6: there, the server keeps in memory whatever a client does not read.
#[tokio::test]
async fn a_client_that_reads_nothing_costs_no_more_than_its_limits_and_holds_up_nobody() {
    let unread = ChannelSettings::in_memory().max_unread_bytes_per_listener;
    let bound_kb = (unread + WINDOW_BYTES as u64 + SLACK_BYTES) / 1024;
    let Some(stage) = Stage::set().await else { return };
    let before = system::resident_kb_max(stage.hub.pid());
    let mut deaf = stage.script("socket_client_deaf.py", &["3000", "100000"]);
    assert_eq!(deaf.next().await, json!(150));
    let grown = system::resident_kb_max(stage.hub.pid()) - before;
    assert!(grown < bound_kb, "{grown} kB more for 300 MB, which may be {bound_kb} kB");
    deaf.end().await;
}

#[tokio::test]
async fn what_is_published_at_one_door_arrives_at_the_other() {
    let Some(stage) = Stage::set_with("127.0.0.1:0").await else { return };
    let hub = &stage.hub;
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    let listener = client.register(&channel).await;
    let seen = hub.json("GET", &format!("/v1/channels/{channel}"), &Value::Null).await;
    assert_eq!((&seen["id"], &seen["listeners"]), (&json!(channel), &json!(1)));
    hub.json("PUT", &format!("/v1/channels/{channel}/listeners/web"), &json!({})).await;
    let mut web = events(hub, &format!("/v1/channels/{channel}/listeners/web/events")).await;
    let mut stream = stage.stream(&channel, &listener, usize::MAX);

    client.acknowledged(json!(["broadcast_message", channel, "from-socket", {"é": 1}])).await;
    assert_eq!(stream.next().await, json!(frame("from-socket", r#"{"\u00e9": 1}"#)));
    read_until(&mut web, "event: from-socket\ndata: {\"\\u00e9\":1}\n\n").await;
    client.acknowledged(json!(["dispatch", channel, "web", "to-web", [1, 2]])).await;
    read_until(&mut web, "event: to-web\ndata: [1,2]\n\n").await;

    let message = json!({"type": "from-web", "payload": {"é": 2}});
    hub.json("POST", &format!("/v1/channels/{channel}/messages"), &message).await;
    read_until(&mut web, "event: from-web\n").await;
    assert_eq!(stream.next().await, json!(frame("from-web", r#"{"\u00e9": 2}"#)));
    let message = json!({"type": "to-socket"});
    hub.json("POST", &format!("/v1/channels/{channel}/listeners/{listener}/messages"), &message).await;
    assert_eq!(stream.next().await, json!(frame("to-socket", "null")));

    // What one door removes is gone at the other.
    hub.json("DELETE", &format!("/v1/channels/{channel}/listeners/{listener}"), &Value::Null).await;
    stream.end().await;
    client.acknowledged(json!(["remove_channel", channel])).await;
    read_until(&mut web, "event: eric.removed\n").await;
    let answer = hub.request("GET", &format!("/v1/channels/{channel}"), &[], "").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_channel_that_http_named_is_reached_by_that_name() {
    let Some(stage) = Stage::set_with("127.0.0.1:0").await else { return };
    let mut client = stage.calls();
    stage.hub.json("PUT", "/v1/channels/caf%C3%A9%20news", &json!({"retry_ms": 100})).await;
    stage.hub.json("PUT", "/v1/channels/caf%C3%A9%20news/listeners/b%C3%B6b", &json!({})).await;
    client.acknowledged(json!(["dispatch", "café news", "böb", "t", 1])).await;
    let mut stream = stage.stream("café news", "böb", 1);
    assert_eq!(stream.next().await, json!("{\"event\": \"t\", \"retry\": 100, \"data\": 1}\n"));
    stream.end().await;
    client.acknowledged(json!(["remove_channel", "café news"])).await;
}

/// F-23: there, all servers of a process have the same channels.
#[tokio::test]
async fn two_hubs_in_one_folder_share_nothing() {
    let Some(stage) = Stage::set().await else { return };
    let other = Hub::serve(&flags(&stage.folder.file("other.sock"))).await;
    let mut clients = [stage.calls(), stage.calls_at(other.ready("socket"))];
    let channels = [clients[0].create_channel().await, clients[1].create_channel().await];
    for (client, (own, foreign)) in clients.iter_mut().zip([(0, 1), (1, 0)]) {
        let unknown = format!("InvalidChannelException('No channel with id {}')", channels[foreign]);
        client.acknowledged(json!(["broadcast_message", channels[own], "t", 0])).await;
        client.check(json!(["broadcast_message", channels[foreign], "t", 0]), &unknown).await;
    }
    assert_eq!(other.terminate().await.status.code(), Some(0));
    clients[0].create_channel().await;
}

/// A stream of the HTTP door, as bytes.
async fn events(hub: &Hub, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(hub.address()).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
    read_until(&mut socket, "retry: ").await;
    socket
}

/// Reads until `wanted` has come; heartbeats do not prolong that.
async fn read_until(socket: &mut TcpStream, wanted: &str) {
    let mut bytes = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&bytes).contains(wanted) {
            assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "the stream ended");
        }
    };
    let outcome = timeout(PATIENCE, reading).await;
    outcome.unwrap_or_else(|_| panic!("no {wanted:?} in {:?}", String::from_utf8_lossy(&bytes)));
}
