//! Stores for the commands that need no hub, and what these do with more than a table's row tells.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eric_sse::cursor::Cursors as _;
use eric_sse::lane::{Overflow, Retention};
use eric_sse::log::{Log as _, NewEntry};
use eric_sse::persist::KvStore as _;
use eric_sse::{Clock as _, Message, SystemClock};
use eric_store::{RealDisk, Store, StoreSettings};
use serde_json::Value;
use tokio::process::Command;

use crate::commands::bash;
use crate::folder::Folder;
use crate::tools::program;

const RETENTION: Retention = Retention {
    max_messages: 1_000_000,
    max_bytes: 1 << 40,
    max_age_s: 1_000_000,
    history: 1_000_000,
    max_unread_per_listener: 1_000_000,
    max_unread_bytes_per_listener: 1 << 40,
    overflow: Overflow::DropOldest,
};

/// A store that is whole, one that is damaged, and one that somebody has open.
pub(crate) struct Stores {
    whole: PathBuf,
    damaged: PathBuf,
    in_use: PathBuf,
    _held: RealDisk,
}

impl Stores {
    pub(crate) async fn make(folder: &Folder) -> Self {
        let [whole, damaged, in_use] = ["whole", "damaged", "in-use"].map(|name| folder.path().join(name));
        fill(&whole, 3).await;
        fill(&damaged, 3).await;
        turn_a_bit(&damaged);
        let held = RealDisk::open(&in_use).unwrap();
        Self { whole, damaged, in_use, _held: held }
    }

    /// Tells a command where they are.
    pub(crate) fn name_to(&self, command: &mut Command) {
        command.env("STORE", &self.whole).env("DAMAGED", &self.damaged).env("IN_USE", &self.in_use);
        command.env_remove("ERIC_ENGINE");
    }
}

/// A store with a value, a channel, a listener, and so many entries with keys.
async fn fill(path: &Path, entries: u64) {
    let store = Store::open(path, StoreSettings::default(), Arc::new(SystemClock)).unwrap();
    store.upsert("channel/news", "{\"lane\":1}".into()).await.unwrap();
    let lane = store.open(RETENTION).await.unwrap();
    store.join(lane).await.unwrap();
    for number in 0..entries {
        let message = Message::of("t", &format!("message {number}")).unwrap();
        let key = Some(number.to_string().parse().unwrap());
        let new = NewEntry { lane, message, key, taken_at: SystemClock.now() };
        store.submit(vec![new]).await.unwrap();
    }
}

fn turn_a_bit(path: &Path) {
    let path = path.join("00000000000000000001.log");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|window| window == b"message 1").expect("it is there");
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
}

async fn eric(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eric"));
    let output = command.arg("store").args(arguments).env_remove("ERIC_ENGINE").output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test]
async fn a_backup_comes_back_as_it_was_but_for_the_epoch() {
    let folder = Folder::create();
    let (whole, restored, file) =
        (folder.file("whole"), folder.file("restored"), folder.file("backup.ndjson"));
    fill(Path::new(&whole), 2_000).await;
    let (code, said, _) = eric(&["export", "--dir", &whole, "--output", &file]).await;
    assert_eq!((code, &json(&said)["entries"]), (Some(0), &Value::from(2_000)));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, said, said_wrong) = eric(&["import", "--dir", &restored, &file]).await;
    assert_eq!((code, said_wrong.as_str()), (Some(0), ""));
    let (_, again, _) = eric(&["export", "--dir", &restored]).await;
    let first = fs::read_to_string(&file).unwrap();
    let ((head, rest), (head_again, rest_again)) =
        (first.split_once('\n').unwrap(), again.split_once('\n').unwrap());
    assert!(rest == rest_again, "all lines are the same");
    assert_ne!(json(head)["epoch"], json(head_again)["epoch"]);
    assert_eq!(json(head_again)["epoch"], json(&said)["epoch"]);
    assert!(!Path::new(&format!("{file}.part")).exists());
}

#[tokio::test]
async fn reading_a_store_changes_nothing_in_its_directory() {
    let folder = Folder::create();
    let whole = folder.file("whole");
    fill(Path::new(&whole), 10).await;
    let look = || {
        let entries = fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<(PathBuf, Vec<u8>)> =
            entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    fs::remove_file(Path::new(&whole).join("lock")).unwrap();
    let before = look();
    for verb in ["check", "stats", "export"] {
        assert_eq!(eric(&[verb, "--dir", &whole]).await.0, Some(0), "{verb} of a copy without a lock");
    }
    assert!(before == look());
}

#[tokio::test]
async fn what_is_refused_leaves_a_directory_as_it_was() {
    let folder = Folder::create();
    let (papers, new) = (folder.file("papers"), folder.file("new"));
    fs::create_dir(&papers).unwrap();
    fs::write(Path::new(&papers).join("letter"), "dear").unwrap();
    let bad = folder.file("bad.ndjson");
    fs::write(&bad, "{\"eric_export\":1,\"epoch\":\"e\",\"tail\":0,\"last_lane\":0}\nnonsense\n").unwrap();
    let (code, _, said) = eric(&["import", "--dir", &papers, &bad]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("not empty: name=letter"), "{said}");
    assert_eq!(fs::read_dir(&papers).unwrap().count(), 1);
    let (code, _, said) = eric(&["import", "--dir", &new, &bad]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("line 2: byte "), "{said}");
    let names: Vec<_> = fs::read_dir(&new).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["lock"]);
}

#[tokio::test]
async fn a_damaged_store_is_saved_but_for_what_is_damaged_and_that_is_told() {
    let folder = Folder::create();
    let (damaged, saved) = (folder.file("damaged"), folder.file("saved"));
    fill(Path::new(&damaged), 5).await;
    turn_a_bit(Path::new(&damaged));
    let before = fs::read(Path::new(&damaged).join("00000000000000000001.log")).unwrap();
    let (code, said, advice) = eric(&["check", "--dir", &damaged]).await;
    assert_eq!(code, Some(1));
    let lines: Vec<Value> = said.lines().map(json).collect();
    let damage = lines.iter().find(|line| line.get("damage").is_some()).expect("it is told");
    assert_eq!(
        (&damage["segment"], lines.last().unwrap()["is_whole"].as_bool()),
        (&Value::from(1), Some(false))
    );
    assert!(advice.contains("--repair --into NEWDIR"), "{advice}");
    let (code, said, _) = eric(&["check", "--dir", &damaged, "--repair", "--into", &saved]).await;
    assert_eq!(code, Some(0));
    let told = json(said.lines().last().unwrap());
    assert_eq!(
        (&told["missing"], &told["may_miss_more"]),
        (&serde_json::json!([[2, 2]]), &Value::from(false))
    );
    let (_, lines, _) = eric(&["export", "--dir", &saved]).await;
    let payloads: Vec<String> = lines
        .lines()
        .filter_map(|line| Some(json(line).get("entry")?["payload"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(payloads, ["message 0", "message 2", "message 3", "message 4"]);
    assert!(before == fs::read(Path::new(&damaged).join("00000000000000000001.log")).unwrap());
}

#[tokio::test]
async fn an_export_into_a_pipe_that_closes_ends_quietly() {
    let Some(_bash) = program("bash") else { return };
    let folder = Folder::create();
    let whole = folder.file("whole");
    fill(Path::new(&whole), 2_000).await;
    let mut bash = bash("eric store export --dir \"$STORE\" | head -1 > /dev/null; echo ${PIPESTATUS[0]}");
    let output = bash.env("STORE", &whole).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0", "{output:?}");
}
