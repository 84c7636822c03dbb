//! What `eric serve` makes of the directory that it is to keep its log in: it starts, or it says why not and has
//! touched nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::folder::Folder;
use crate::hub::{Hub, PATIENCE, serve};
use crate::small_disk::SmallDisk;

/// Runs a hub that must not start, and returns what it says.
async fn refusal(mut command: Command) -> String {
    let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await.expect("it ends").unwrap();
    let stderr = String::from_utf8(output.stderr).expect("what it says is UTF-8");
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()), "{stderr}");
    stderr
}

/// Everything in a directory, byte by byte.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// What a hub needs to be told to listen on any port and keep its log in `directory`.
fn flags(engine: &str) -> [&str; 4] {
    ["--listen", "127.0.0.1:0", "--engine", engine]
}

/// Puts a hundred messages into a hub.
async fn fill(hub: &Hub) {
    hub.json("PUT", "/v1/channels/news", &json!({})).await;
    for number in 0..100 {
        hub.json("POST", "/v1/channels/news/messages", &json!({"type": "t", "payload": number})).await;
    }
}

#[tokio::test]
async fn a_read_only_directory_is_refused_and_named() {
    let disk = SmallDisk::mount(24).await;
    disk.make_read_only().await;
    let stderr = refusal(disk.serve(&[])).await;
    assert!(stderr.contains("/data") && stderr.contains("Read-only file system"), "{stderr}");
    disk.make_writable().await;
    let hub = crate::hub::Serving::start(disk.serve(&[])).ready().await;
    fill(&hub).await;
    hub.kill().await;
    let before = content(&disk.path("data"));
    disk.make_read_only().await;
    let stderr = refusal(disk.serve(&[])).await;
    assert!(stderr.contains("/data") && stderr.contains("Read-only file system"), "{stderr}");
    assert!(content(&disk.path("data")) == before, "nothing was touched");
}

#[tokio::test]
async fn a_directory_that_a_hub_has_is_refused_and_that_hub_goes_on() {
    let folder = Folder::create();
    let engine = format!("file:{}", folder.file("data"));
    let hub = Hub::serve(&flags(&engine)).await;
    fill(&hub).await;
    let before = content(&folder.path().join("data"));
    let stderr = refusal(serve(&flags(&engine))).await;
    assert!(stderr.contains("data is in use: another process has its lock"), "{stderr}");
    assert!(content(&folder.path().join("data")) == before, "nothing was touched");
    fill(&hub).await;
    assert_eq!(hub.json("GET", "/v1/channels/news", &json!({})).await["messages"], 200);
    hub.kill().await;
    // A lock dies with its process.
    Hub::serve(&flags(&engine)).await;
}

#[tokio::test]
async fn where_the_port_is_taken_no_directory_is_made() {
    let folder = Folder::create();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let engine = format!("file:{}", folder.file("data"));
    let stderr = refusal(serve(&["--listen", &address, "--engine", &engine])).await;
    assert!(stderr.contains(&address), "{stderr}");
    assert!(content(folder.path()).is_empty(), "nothing was made");
}

#[tokio::test]
async fn a_damaged_log_is_refused_and_nothing_is_touched() {
    let folder = Folder::create();
    let engine = format!("file:{}", folder.file("data"));
    let hub = Hub::serve(&flags(&engine)).await;
    fill(&hub).await;
    hub.terminate().await;
    let path = folder.path().join("data").join("00000000000000000001.log");
    let whole = fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for share in 1..10 {
        let mut damaged = whole.clone();
        let at = used * share / 10;
        damaged[at] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        let before = content(&folder.path().join("data"));
        let stderr = refusal(serve(&flags(&engine))).await;
        for word in ["00000000000000000001.log is damaged at byte", "`eric store check`"] {
            assert!(stderr.contains(word), "byte {at} of {used}: {stderr}");
        }
        assert!(content(&folder.path().join("data")) == before, "byte {at} of {used}: nothing was touched");
    }
    fs::write(&path, &whole).unwrap();
    let hub = Hub::serve(&flags(&engine)).await;
    assert_eq!(hub.json("GET", "/v1/channels/news", &json!({})).await["messages"], 100);
}
