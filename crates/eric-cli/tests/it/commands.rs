//! Every command in `docs/command-line.md`, row by row, as a user's shell runs it; and what a table cannot tell.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::folder::Folder;
use crate::hub::{Hub, PATIENCE};
use crate::numbered::{JOURNEY, Numbered, Routes};
use crate::store::Stores;
use crate::tools::program;

const DOCUMENT: &str = include_str!("../../../../docs/command-line.md");

#[derive(Debug)]
struct Row {
    what: String,
    command: String,
    exit: i32,
    says: String,
}

fn rows() -> Vec<Row> {
    let table = DOCUMENT.split("| what | command | exit | says |").nth(1).expect("the table is there");
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let line = line.replace("\\|", "\u{1}");
            let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
            let [_, what, command, exit, says, _] = &cells[..] else { panic!("four cells: {line}") };
            let code = |cell: &str| cell.trim_matches('`').to_owned();
            Row {
                what: what.clone(),
                command: code(command),
                exit: exit.parse().expect("an exit code"),
                says: code(says),
            }
        })
        .collect()
}

/// `bash` with `eric` in its path.
pub(crate) fn bash(line: &str) -> Command {
    let eric = std::path::Path::new(env!("CARGO_BIN_EXE_eric"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = Command::new("bash");
    bash.args(["-o", "pipefail", "-c", line]);
    bash.env("PATH", format!("{}:{path}", eric.parent().expect("it is in a folder").display()));
    bash.stdin(Stdio::null()).kill_on_drop(true);
    bash
}

#[tokio::test]
async fn every_command_does_and_says_what_the_table_says() {
    let Some(_bash) = program("bash") else { return };
    let folder = Folder::create();
    let socket = folder.path().join("eric.sock");
    let hub = Hub::start(&["--socket", socket.to_str().unwrap()]).await;
    hub.json("PUT", "/v1/channels/news", &json!({})).await;
    hub.json("PUT", "/v1/channels/news/listeners/bob", &json!({})).await;
    let first = hub.json("POST", "/v1/channels/news/messages", &json!({"type": "first", "payload": 1})).await;
    let stores = Stores::make(&folder).await;
    let rows = rows();
    assert!(rows.len() > 120, "the table was found: {} rows", rows.len());
    let mut failed = Vec::new();
    for Row { what, command, exit, says } in rows {
        let mut bash = bash(&command);
        bash.env("ERIC_URL", hub.url()).env("DOWN", "http://127.0.0.1:9").env("SOCKET", &socket);
        bash.env("LAST", first["id"].as_str().unwrap()).current_dir(folder.path());
        stores.name_to(&mut bash);
        let output = timeout(PATIENCE, bash.output()).await.unwrap_or_else(|_| panic!("{what}: it ends"));
        let output = output.unwrap();
        let said = String::from_utf8_lossy(if exit == 0 { &output.stdout } else { &output.stderr });
        if output.status.code() != Some(exit) || !said.contains(&says) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            failed.push(format!(
                "{what}: {command}\n  exit {:?}, says {said:?}, {stderr:?}",
                output.status.code()
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// `eric listen` with its lines.
struct Listening {
    process: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Listening {
    fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eric"));
        command.args(["listen", "c", "l", "--url", url]).args(arguments);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    async fn payload(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("a line comes").unwrap();
        let line: Value = serde_json::from_str(&line.expect("the stream goes on")).unwrap();
        line["payload"].clone()
    }
}

#[tokio::test]
async fn listen_goes_on_after_the_hub_was_restarted() {
    let hub = Hub::start(&[]).await;
    let address = hub.address().to_string();
    let url = hub.url();
    let mut listening = Listening::start(&url, &["--create"]);
    let publish = async |hub: &Hub, payload: u64| {
        hub.json("POST", "/v1/channels/c/messages", &json!({"type": "t", "payload": payload})).await;
    };
    let connected = async |hub: &Hub| {
        let is_there = async {
            while hub.request("GET", "/v1/channels/c/listeners/l", &[], "").await.json()["connected"] != true
            {
            }
        };
        timeout(PATIENCE, is_there).await.expect("it connects");
    };
    connected(&hub).await;
    publish(&hub, 1).await;
    assert_eq!(listening.payload().await, 1);
    hub.terminate().await;
    // The memory engine forgets: the channel and the listener are made again before the stream comes back.
    let hub = Hub::serve(&["--listen", &address, "--engine", "memory"]).await;
    hub.json("PUT", "/v1/channels/c", &json!({})).await;
    hub.json("PUT", "/v1/channels/c/listeners/l", &json!({})).await;
    publish(&hub, 2).await;
    publish(&hub, 3).await;
    assert_eq!(listening.payload().await, 2);
    assert_eq!(listening.payload().await, 3);
    drop(listening.process);
}

#[tokio::test]
async fn listen_prints_every_message_once_and_in_order_over_resets() {
    for flags in [&["--count", "10000"][..], &["--count", "10000", "--ack"]] {
        let numbered = Numbered::start(Routes::V1, &[]).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_eric"));
        command.args(["listen", "numbers", "reader", "--url", &numbered.url()]).args(flags);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines();
        let connections = tokio::spawn(async move {
            let mut connections = 0;
            while let Ok(Some(line)) = said.next_line().await {
                connections += u64::from(line == "connected");
            }
            connections
        });
        let mut received = 0;
        let mut faults = Vec::new();
        numbered.publish_first().await;
        while let Some(line) = timeout(JOURNEY, lines.next_line()).await.expect("it goes on").unwrap() {
            let line: Value = serde_json::from_str(&line).unwrap();
            received += 1;
            if line["payload"]["n"] != received {
                faults.push(line);
            }
            if received == 1 {
                numbered.publish_rest_through_faults().await;
            }
        }
        assert_eq!(process.wait().await.unwrap().code(), Some(0));
        let connections = connections.await.unwrap();
        numbered.judge(&json!({"received": received, "faults": faults, "connections": connections}));
    }
}

#[tokio::test]
async fn what_was_printed_is_acknowledged_and_nothing_else() {
    let hub = Hub::start(&[]).await;
    hub.json("PUT", "/v1/channels/c", &json!({})).await;
    hub.json("PUT", "/v1/channels/c/listeners/l", &json!({})).await;
    for payload in 0..250 {
        hub.json("POST", "/v1/channels/c/messages", &json!({"type": "t", "payload": payload})).await;
    }
    let mut listening = Listening::start(&hub.url(), &["--ack", "--count", "120"]);
    for payload in 0..120 {
        assert_eq!(listening.payload().await, payload);
    }
    let ended = timeout(PATIENCE, listening.process.wait()).await.expect("it ends after its count").unwrap();
    assert_eq!(ended.code(), Some(0));
    let listener = hub.json("GET", "/v1/channels/c/listeners/l", &json!({})).await;
    assert_eq!(listener["backlog"], 130);
}

#[tokio::test]
async fn lines_are_published_as_they_come_and_all_of_them() {
    let hub = Hub::start(&[]).await;
    hub.json("PUT", "/v1/channels/c", &json!({})).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_eric"));
    command.args(["publish", "c", "--ndjson", "--url", &hub.url()]);
    let mut publishing = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = publishing.stdin.take().unwrap();
    input.write_all(b"{\"type\":\"t\",\"payload\":0}\n").await.unwrap();
    // The first line does not wait for the second.
    let is_there = async { while hub.json("GET", "/v1/channels/c", &json!({})).await["messages"] != 1 {} };
    timeout(PATIENCE, is_there).await.expect("it is published");
    let lines: String =
        (1..20_000).map(|number| format!("{{\"type\":\"t\",\"payload\":{number}}}\n")).collect();
    input.write_all(lines.as_bytes()).await.unwrap();
    drop(input);
    let output = timeout(PATIENCE, publishing.wait_with_output()).await.expect("it ends").unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["messages"], 20_000);
    let channel = hub.json("GET", "/v1/channels/c", &json!({})).await;
    assert_eq!(channel["tail"], said["last"]);
    assert!(channel["tail"].as_str().unwrap().ends_with("-20000"), "{channel}");
}

#[tokio::test]
async fn a_reader_that_has_enough_ends_it_quietly() {
    let Some(_bash) = program("bash") else { return };
    let hub = Hub::start(&[]).await;
    hub.json("PUT", "/v1/channels/c", &json!({})).await;
    for payload in 0..5_000 {
        if payload % 100 == 0 {
            let body: String = (0..100)
                .map(|_| format!("{{\"type\":\"t\",\"payload\":\"{}\"}}\n", "x".repeat(500)))
                .collect();
            hub.request("POST", "/v1/channels/c/messages", &[("content-type", "application/x-ndjson")], body)
                .await;
        }
    }
    let mut bash = bash("eric history c | head -1 > /dev/null; echo ${PIPESTATUS[0]}");
    let output =
        timeout(Duration::from_secs(20), bash.env("ERIC_URL", hub.url()).output()).await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "0",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
