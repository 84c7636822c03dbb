//! `eric bench`: every scenario with tiny numbers, the files that it writes, and a hub that is left as it was found.

use std::fs;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::folder::Folder;
use crate::hub::{Hub, PATIENCE};

const DIALECT: &str = include_str!("../../src/bench/eric.json");

/// `eric bench`, with `line` after it.
fn command(url: &str, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eric"));
    command.arg("bench").args(line.split_whitespace()).env("ERIC_URL", url).kill_on_drop(true);
    command
}

async fn bench(url: &str, line: &str) -> Output {
    timeout(PATIENCE, command(url, line).output()).await.expect("it ends").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs it against a hub, on which nothing must be left; it must succeed. Returns its one line.
async fn report(line: &str) -> Value {
    let hub = Hub::start(&[]).await;
    let output = bench(&hub.url(), line).await;
    assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
    assert_eq!(channels(&hub).await, 0, "{line}");
    serde_json::from_str(text(&output.stdout).trim()).unwrap()
}

async fn channels(hub: &Hub) -> usize {
    hub.json("GET", "/v1/channels", &json!({})).await["channels"]
        .as_array()
        .expect("a page of channels")
        .len()
}

const BRIEF: &str = "--listeners 10 --duration 0.3 --warm-up 0.1";

#[tokio::test]
async fn every_scenario_runs_and_leaves_nothing_behind() {
    let rows = [
        ("fan-out", "fan-out-closed", "deliveries_per_s"),
        ("fan-out --rate 200", "fan-out-open", "delivery"),
        ("fan-out --window 3 --anonymous --payload-bytes 48", "fan-out-closed", "answer"),
        ("unicast --registered 20", "unicast", "messages_per_s"),
        ("idle", "idle", "opened"),
        ("churn --rate 200 --away 0.05", "churn", "returns"),
        ("slow --stuck 3", "slow", "delivery"),
        ("elsewhere --rate 20", "elsewhere", "delivery"),
    ];
    for (line, name, figure) in rows {
        let report = report(&format!("{line} {BRIEF}")).await;
        assert_eq!(report["scenario"], name, "{report}");
        assert_eq!(report["settings"]["listeners"], 10, "{report}");
        assert!(!report[figure].is_null() && report["failure"].is_null(), "{figure}: {report}");
    }
    assert!(report("connects --listeners 20").await["opened"]["per_s"].as_f64().unwrap() > 0.0);
    assert!(report("storm --listeners 10 --missed 20").await["caught_up_s"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn names_resolve_and_the_hubs_process_is_measured() {
    let hub = Hub::start(&[]).await;
    let url = format!("http://localhost:{}", hub.address().port());
    let output = bench(&url, &format!("fan-out {BRIEF} --pid {}", hub.pid())).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("10 listeners") && said.contains("is removed at the end"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["memory_at_end"]["resident"].as_u64().unwrap() > 1_000_000, "{report}");
    assert!(report["processor"]["share"].is_number(), "{report}");
}

#[tokio::test]
async fn the_files_can_be_plotted_and_agree_with_the_report() {
    let folder = Folder::create();
    let [csv, hgrm] = ["a.csv", "a.hgrm"].map(|name| folder.file(name));
    let line = format!("fan-out --listeners 5 --duration 1 --warm-up 0 --out {csv} --histogram {hgrm}");
    let report = report(&line).await;
    let table = fs::read_to_string(csv).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("time_s,published,delivered,p50_ms,p99_ms,max_ms"));
    let rows: Vec<Vec<f64>> =
        lines.map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
    assert!((5..=11).contains(&rows.len()), "a row for each 100 ms: {table}");
    assert!(rows.is_sorted_by(|one, next| one[0] < next[0]), "{table}");
    assert!(rows.iter().all(|row| row[3] <= row[4] && row[4] <= row[5]), "{table}");
    let delivered: f64 = rows.iter().map(|row| row[2]).sum();
    let reported = report["deliveries_per_s"].as_f64().unwrap() * report["seconds"].as_f64().unwrap();
    assert!(delivered <= reported + 1.0 && delivered > reported / 2.0, "{delivered} of {reported}");

    let text = fs::read_to_string(hgrm).unwrap();
    let rows = text.lines().skip(2).filter(|line| !line.starts_with('#'));
    let rows: Vec<Vec<f64>> =
        rows.map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect()).collect();
    let last = rows.last().unwrap();
    assert_eq!(last[1], 1.0);
    assert!((last[0] - report["delivery"]["max_ms"].as_f64().unwrap()).abs() < 1e-3, "{last:?} {report}");
    assert!(last[2] >= delivered, "{last:?} {delivered}");
}

/// A run that lasts until somebody ends it, and its channel; messages are under way.
async fn endless(hub: &Hub) -> (Child, String) {
    let mut command = command(&hub.url(), "fan-out --listeners 5 --duration 3600 --warm-up 0 --window 1");
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(running.stderr.as_mut().unwrap());
    timeout(PATIENCE, said.read_line(&mut line)).await.expect("it says what it does").unwrap();
    let channel =
        line.split(' ').find(|word| word.starts_with("bench-")).expect("it names its channel").to_owned();
    let path = format!("/v1/channels/{channel}");
    let is_under_way = async {
        while hub.request("GET", &path, &[], "").await.json()["messages"]
            .as_u64()
            .is_none_or(|count| count < 10)
        {}
    };
    timeout(PATIENCE, is_under_way).await.expect("messages come");
    (running, channel)
}

#[tokio::test]
async fn a_signal_ends_it_with_what_was_measured_and_removes_the_channel() {
    for signal in [Signal::INT, Signal::TERM] {
        let hub = Hub::start(&[]).await;
        let (running, _) = endless(&hub).await;
        let pid = Pid::from_raw(i32::try_from(running.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let output = timeout(PATIENCE, running.wait_with_output()).await.expect("it ends").unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("interrupted: the figures are those of"), "{said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["is_cancelled"], true);
        assert!(report["deliveries_per_s"].as_f64().unwrap() > 0.0, "{report}");
        assert!(report["delivery"]["p50_ms"].as_f64().unwrap() > 0.0, "{report}");
        assert_eq!(channels(&hub).await, 0);
    }
}

#[tokio::test]
async fn a_hub_that_dies_fails_it_and_what_stays_is_named() {
    let hub = Hub::start(&[]).await;
    let (running, channel) = endless(&hub).await;
    hub.kill().await;
    let output = timeout(PATIENCE, running.wait_with_output()).await.expect("it ends").unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("the channel {channel} stays: ")), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["failure"].is_string(), "{report}");
}

#[tokio::test]
async fn another_hub_is_spoken_to_in_its_dialect_and_a_failed_check_is_told() {
    let folder = Folder::create();
    let [other, wrong, broken] = ["other.json", "wrong.json", "broken.json"].map(|name| folder.file(name));
    fs::write(&other, DIALECT.replace("\"title\": \"eric\"", "\"title\": \"another\"")).unwrap();
    fs::write(&wrong, DIALECT.replace(r#""\"{message}\"""#, r#""\"{message} \"""#)).unwrap();
    fs::write(&broken, "{}").unwrap();
    assert_eq!(report(&format!("fan-out {BRIEF} --dialect {other}")).await["server"], "another");
    let hub = Hub::start(&[]).await;
    let rows =
        [(wrong, "corrupt: listener"), (broken, "this is no dialect"), (folder.file("none"), "cannot read")];
    for (dialect, reason) in rows {
        let output = bench(&hub.url(), &format!("fan-out {BRIEF} --dialect {dialect}")).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(channels(&hub).await, 0, "what a failed run made is removed too");
}
