//! The socket's file: whose it is, who takes it over, and who leaves it alone. No client is needed for this but a few
//! bytes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::stage::flags;
use super::system;
use crate::folder::Folder;
use crate::hub::{Hub, PATIENCE};

/// Bytes of the longest path that a Unix socket can have.
const PATH_BYTES_MAX: usize = 107;

/// A request as any client sends it, and the whole answer.
async fn ask(path: &str, request: &str) -> String {
    let mut socket = UnixStream::connect(path).await.expect("a hub accepts");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    answer
}

async fn create_channel(path: &str) -> String {
    let channel = ask(path, r#"{"v": "c"}"#).await;
    assert_eq!(channel.len(), 36, "{channel}");
    channel
}

async fn has_channel(path: &str, channel: &str) -> bool {
    ask(path, &format!(r#"{{"v": "b", "c": "{channel}", "t": ""}}"#)).await == "ack"
}

/// A hub that cannot start at `path`: it ends with 1 and names the path; what else it says is returned.
async fn refusal(path: &str) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_eric")).arg("serve").args(flags(path)).kill_on_drop(true).output();
    let output = timeout(PATIENCE, output).await.expect("it ends").expect("the binary runs");
    let stderr = String::from_utf8(output.stderr).expect("what it says is UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(output.stdout, b"", "{stderr}");
    assert!(stderr.contains(path), "{path:?} in {stderr}");
    stderr
}

fn identity(path: &str) -> (u64, u64, i64, i64) {
    let file = fs::symlink_metadata(path).unwrap();
    (file.ino(), file.size(), file.mtime(), file.mtime_nsec())
}

#[tokio::test]
async fn a_second_hub_on_a_live_path_fails_and_the_first_goes_on() {
    let folder = Folder::create();
    let path = folder.file("hub.sock");
    let hub = Hub::serve(&flags(&path)).await;
    let channel = create_channel(&path).await;
    let file = identity(&path);
    for _ in 0..3 {
        let stderr = refusal(&path).await;
        assert!(stderr.contains("listens there"), "{stderr}");
    }
    assert_eq!(identity(&path), file);
    assert!(has_channel(&path, &channel).await);
    assert_eq!(hub.terminate().await.status.code(), Some(0));
    assert!(!Path::new(&path).exists());
}

#[tokio::test]
async fn a_file_that_a_killed_hub_left_behind_is_started_over() {
    let folder = Folder::create();
    let path = folder.file("hub.sock");
    let killed = Hub::serve(&flags(&path)).await;
    let channel = create_channel(&path).await;
    system::signal(killed.pid(), Signal::KILL);
    assert_eq!(killed.ended().await.status.code(), None);
    let left = identity(&path);

    let hub = Hub::serve(&flags(&path)).await;
    assert_ne!(identity(&path), left);
    assert!(!has_channel(&path, &channel).await, "the memory engine keeps nothing");
    create_channel(&path).await;
    assert_eq!(hub.terminate().await.status.code(), Some(0));
    assert!(!Path::new(&path).exists());
}

#[tokio::test]
async fn of_hubs_that_start_at_once_on_a_file_left_behind_one_has_it() {
    let folder = Folder::create();
    let path = folder.file("hub.sock");
    let killed = Hub::serve(&flags(&path)).await;
    system::signal(killed.pid(), Signal::KILL);
    killed.ended().await;

    let mut hubs = Vec::new();
    for _ in 0..8 {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_eric"));
        serve.arg("serve").args(flags(&path)).stdout(std::process::Stdio::piped());
        hubs.push(serve.stderr(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap());
    }
    let mut ready = Vec::new();
    for mut hub in hubs {
        let mut line = [0; 5];
        let mut stdout = hub.stdout.take().expect("standard output is piped");
        match timeout(PATIENCE, stdout.read_exact(&mut line)).await.expect("it starts or ends") {
            Ok(_) => ready.push(hub),
            Err(_) => assert_eq!(hub.wait().await.unwrap().code(), Some(1)),
        }
    }
    assert_eq!(ready.len(), 1, "one hub has the path");
    create_channel(&path).await;
}

#[tokio::test]
async fn what_is_not_a_socket_stays_untouched() {
    let folder = Folder::create();
    let (file, link, inner) = (folder.file("file"), folder.file("link"), folder.file("folder"));
    fs::write(&file, "not yours\0").unwrap();
    symlink(&file, &link).unwrap();
    fs::create_dir(&inner).unwrap();
    let before = [&file, &link, &inner].map(|path| identity(path));
    for path in [&file, &link, &inner] {
        refusal(path).await;
    }
    assert_eq!([&file, &link, &inner].map(|path| identity(path)), before);
    assert_eq!(fs::read(&file).unwrap(), b"not yours\0");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else was left there");
}

#[tokio::test]
async fn a_path_that_cannot_be_is_named_with_the_reason() {
    let folder = Folder::create();
    let missing = folder.file("missing/hub.sock");
    let stderr = refusal(&missing).await;
    assert!(stderr.contains("No such file or directory"), "{stderr}");

    let name_bytes = PATH_BYTES_MAX - folder.file("").len();
    let longest = folder.file(&"x".repeat(name_bytes));
    let stderr = refusal(&format!("{longest}x")).await;
    assert!(stderr.contains("107"), "{stderr}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was left there");
    let hub = Hub::serve(&flags(&longest)).await;
    assert_eq!(hub.ready("socket"), longest);
    create_channel(&longest).await;
}

#[tokio::test]
async fn only_its_owner_may_use_the_socket() {
    let folder = Folder::create();
    let path = folder.file("hub.sock");
    let _hub = Hub::serve(&flags(&path)).await;
    let mode = fs::symlink_metadata(&path).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600, "{mode:o}");
}

#[tokio::test]
async fn a_hub_that_ends_leaves_a_file_alone_that_is_no_longer_its_own() {
    let folder = Folder::create();
    let path = folder.file("hub.sock");
    let first = Hub::serve(&flags(&path)).await;
    fs::remove_file(&path).unwrap();
    let second = Hub::serve(&flags(&path)).await;
    let channel = create_channel(&path).await;
    let ended = first.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
    assert!(ended.stderr.iter().any(|line| line.contains(&path)), "it says so: {:?}", ended.stderr);
    assert!(has_channel(&path, &channel).await, "the second is still reached");

    fs::remove_file(&path).unwrap();
    fs::write(&path, "somebody's").unwrap();
    assert_eq!(second.terminate().await.status.code(), Some(0));
    assert_eq!(fs::read(&path).unwrap(), b"somebody's");
}
