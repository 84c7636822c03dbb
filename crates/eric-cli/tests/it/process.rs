//! The process from outside: flags, exit codes, signals, descriptors.

use std::time::Duration;

use eric_sse::limits::DESCRIPTORS_RESERVED;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::hub::{Hub, PATIENCE};

/// Runs `eric` to its end: its exit code, standard output and standard error.
async fn eric(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_eric")).args(arguments).kill_on_drop(true).output();
    let output = timeout(PATIENCE, output).await.expect("it ends").expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("what it says is UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn misuse_is_2_and_failure_is_1_and_both_say_why() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let rows: [(&[&str], i32, &str); 13] = [
        (&["serve", "--listen", "off"], 2, "no door"),
        (&["serve", "--listen", "0.0.0.0:0"], 2, "--insecure"),
        (&["serve", "--listen", "nonsense"], 2, "--listen nonsense"),
        (&["serve", "--listen", "127.0.0.1:99999"], 2, "--listen"),
        (&["serve", "--engine", "paper"], 2, "paper"),
        (&["serve", "--log-format", "xml"], 2, "xml"),
        (&["serve", "--log-level", "a=b=c"], 2, "--log-level"),
        (&["serve", "--cors-origin", "example.org"], 2, "example.org"),
        (&["serve", "--cors-origin", "*,http://a.example"], 2, "alone"),
        (&["serve", "--logging-channel", "eric.logs"], 2, "reserved"),
        (&["serve", "--listen", "off", "--socket", "a\nb"], 1, "control character"),
        (&["serve", "--colour"], 2, "--colour"),
        (&["serve", "--listen", &address], 1, &address),
    ];
    for (arguments, code, reason) in rows {
        let (exit, stdout, stderr) = eric(arguments).await;
        assert_eq!(exit, Some(code), "{arguments:?} {stderr}");
        assert!(stderr.contains(reason), "{arguments:?} {stderr}");
        assert_eq!(stdout, "", "{arguments:?}");
    }
    let (exit, stdout, _) = eric(&["serve", "--help"]).await;
    assert_eq!(exit, Some(0));
    for flag in [
        "--listen",
        "--socket",
        "--logging-channel",
        "--engine",
        "--durability",
        "--log-level",
        "--log-format",
        "--shutdown-grace",
        "--cors-origin",
        "--insecure",
    ] {
        assert!(stdout.contains(flag) && stdout.contains("ERIC_"), "{flag} is explained");
    }
}

#[tokio::test]
async fn the_ready_line_is_all_there_is_on_standard_output_and_logs_may_be_json() {
    let hub = Hub::start(&["--log-format", "json"]).await;
    assert_eq!(hub.ready("engine"), "memory");
    assert_ne!(hub.address().port(), 0);
    let ended = hub.terminate().await;
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.stdout.is_empty(), "{:?}", ended.stdout);
    for line in &ended.stderr {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert!(ended.stderr.iter().any(|line| line.contains("stopped")), "{:?}", ended.stderr);
}

#[tokio::test]
async fn the_hubs_own_log_is_broadcast_where_that_is_wished_for() {
    let hub = Hub::start(&["--logging-channel", "logs", "--log-level", "eric_server=debug,info"]).await;
    assert_eq!(hub.json("GET", "/channels", &json!({})).await, json!(["logs"]));
    let mut logs = TcpStream::connect(hub.address()).await.unwrap();
    let request = b"GET /v1/channels/logs/events?after=earliest HTTP/1.1\r\nHost: h\r\n\r\n";
    logs.write_all(request).await.unwrap();
    let text = read_until(&mut logs, "stream begins").await;
    for record in [
        "event: WARNING\ndata: \"eric::engine: engine=memory: everything is gone with the process\"\n",
        "event: INFO\ndata: \"eric::serve: as many connections as descriptors allow descriptors=",
        "event: DEBUG\ndata: \"eric_server::http::events: stream begins channel=logs",
    ] {
        assert!(text.contains(record), "{record:?} in {text}");
    }
    // A channel that somebody removed is there again with the next record.
    hub.request("DELETE", "/v1/channels/logs", &[], "").await;
    hub.json("PUT", "/v1/channels/other", &json!({})).await;
    drop(stream(&hub, "/v1/channels/other/events").await);
    let start = Instant::now();
    while hub.json("GET", "/channels", &json!({})).await != json!(["other", "logs"]) {
        assert!(start.elapsed() < PATIENCE, "the channel comes back");
    }
}

#[tokio::test]
async fn every_flag_is_an_environment_variable_too() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_eric"))
        .arg("serve")
        .env("ERIC_LISTEN", "127.0.0.1:0")
        .env("ERIC_ENGINE", "paper")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = String::new();
    process.stderr.take().unwrap().read_to_string(&mut stderr).await.unwrap();
    assert_eq!(process.wait().await.unwrap().code(), Some(2));
    assert!(stderr.contains("paper"), "{stderr}");
}

/// A stream that was answered.
async fn stream(hub: &Hub, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(hub.address()).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
    read_until(&mut socket, "retry: ").await;
    socket
}

async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(wanted) {
        let read = timeout(PATIENCE, socket.read_buf(&mut bytes)).await.expect("it comes").unwrap();
        assert!(read > 0, "the stream ended before {wanted:?}: {:?}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn sigterm_tells_a_thousand_streams_ends_them_and_exits_0_within_the_grace() {
    let hub = Hub::start(&["--shutdown-grace", "5"]).await;
    hub.json("PUT", "/v1/channels/c", &json!({})).await;
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        streams.push(stream(&hub, "/v1/channels/c/events").await);
    }
    let start = Instant::now();
    let ending = tokio::spawn(hub.terminate());
    let mut retries = std::collections::HashSet::new();
    for socket in &mut streams {
        let mut rest = Vec::new();
        timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("it ends").expect("in order");
        let rest = String::from_utf8(rest).unwrap();
        assert!(rest.contains("event: eric.shutdown\nretry: ") && rest.ends_with("0\r\n\r\n"), "{rest}");
        retries.insert(rest.split("retry: ").nth(1).unwrap().split('\n').next().unwrap().to_owned());
    }
    drop(streams);
    let ended = ending.await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(retries.len() > 100, "reconnects are spread: {} times", retries.len());
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_hold_up_the_end() {
    let hub = Hub::start(&["--shutdown-grace", "3"]).await;
    hub.json("PUT", "/v1/channels/c", &json!({})).await;
    let stuck = stream(&hub, "/v1/channels/c/events").await;
    for _ in 0..2 {
        hub.json("POST", "/v1/channels/c/messages", &json!({"type": "t", "payload": "x".repeat(15 << 20)}))
            .await;
    }
    let start = Instant::now();
    let ended = hub.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    drop(stuck);
}

#[tokio::test]
async fn connections_are_as_many_as_descriptors_allow_less_256() {
    let script = format!(
        "ulimit -n {0} && exec {1} serve --listen 127.0.0.1:0 --engine memory",
        DESCRIPTORS_RESERVED + 5,
        env!("CARGO_BIN_EXE_eric")
    );
    let mut process = Command::new("bash")
        .args(["-c", &script])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = Vec::new();
    let mut stdout = process.stdout.take().unwrap();
    while !line.ends_with(b"\n") {
        stdout.read_buf(&mut line).await.unwrap();
    }
    let line = String::from_utf8(line).unwrap();
    let address = line.split("http=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let request = b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut served = Vec::new();
    for _ in 0..5 {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        socket.write_all(request).await.unwrap();
        read_until(&mut socket, "live").await;
        served.push(socket);
    }
    let mut waiting = TcpStream::connect(&address).await.unwrap();
    waiting.write_all(request).await.unwrap();
    // The five are served again and again; the sixth is not, until one of them leaves.
    for socket in &mut served {
        socket.write_all(request).await.unwrap();
        read_until(socket, "live").await;
    }
    let mut byte = [0];
    assert!(waiting.try_read(&mut byte).is_err(), "the sixth waits");
    drop(served.pop());
    read_until(&mut waiting, "live").await;
}
