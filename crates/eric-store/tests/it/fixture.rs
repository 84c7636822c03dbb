//! What an earlier version wrote is read by this one: a directory of format version 1, and what it holds as a text.
//!
//! A new version of the format gets a fixture of its own, made by running this test with `ERIC_WRITE_FIXTURE=1`; an old
//! one never changes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eric_sse::cursor::{Authority, Commit, Cursors as _};
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::log::{Budget, Log as _, NewEntry, Ticket};
use eric_sse::persist::KvStore as _;
use eric_sse::{Clock as _, Message, Offset, Position};
use eric_store::{Store, StoreSettings};
use eric_testkit::ManualClock;
use eric_testkit::fault_disk::FaultDisk;
use futures_util::FutureExt as _;

const RETENTION: Retention = Retention {
    max_messages: 40,
    max_bytes: 1 << 20,
    max_age_s: 604_800,
    history: 5,
    max_unread_per_listener: 100,
    max_unread_bytes_per_listener: 1 << 20,
    overflow: Overflow::DropOldest,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn open(disk: &FaultDisk, clock: &ManualClock) -> Store {
    let settings =
        StoreSettings { segment_bytes_min: 4096, segment_bytes_max: 8192, ..StoreSettings::default() };
    Store::open_stepped(disk.mount(), settings, Arc::new(clock.clone())).unwrap()
}

/// Lets the store work, and takes the answer.
fn done<T: Unpin>(store: &Store, ticket: Ticket<T>) -> T {
    while store.step() {}
    ticket.now_or_never().expect("it is answered").unwrap()
}

/// A store with something of every kind in it.
fn make(disk: &FaultDisk, clock: &ManualClock) {
    let store = open(disk, clock);
    let news = done(&store, store.open(RETENTION));
    let gone = done(&store, store.open(RETENTION));
    done(&store, store.retain(news, Retention { history: 3, overflow: Overflow::Reject, ..RETENTION }));
    let bob = done(&store, store.join(news)).lane;
    let eve = done(&store, store.join(news)).lane;
    done(&store, store.upsert("channel/1", bytes::Bytes::from_static(b"{\"id\":\"news\"}")));
    done(&store, store.upsert("channel/2", bytes::Bytes::from_static(b"{}")));
    done(&store, store.delete("channel/2"));
    for n in 0..120_u64 {
        let lane = match n % 3 {
            0 => news,
            1 => bob,
            _ if n <= 90 => gone,
            _ => news,
        };
        let mut message = Message::of(&format!("type {}", n % 2), &"x".repeat((n % 50) as usize)).unwrap();
        if n % 4 == 0 {
            message = message.with_id(format!("id {n}").parse().unwrap());
        }
        if n % 5 == 0 {
            message = message.with_sender("sender".parse().unwrap());
        }
        let key = if n % 4 == 0 { Some(format!("id {n}")) } else { (n % 7 == 0).then(|| format!("key {n}")) };
        let key = key.map(|key| key.parse().unwrap());
        let taken = done(&store, store.submit(vec![NewEntry { lane, message, key, taken_at: clock.now() }]));
        clock.advance(Duration::from_millis(40));
        if n % 6 == 0 {
            let to = Position { offset: Offset::new(taken[0].position.offset.get()), ..store.tail() };
            let listener = if n % 12 == 0 { bob } else { eve };
            done(&store, store.commit(vec![Commit { listener, to, by: Authority::Ack }])).remove(0).unwrap();
        }
        if n == 90 {
            done(&store, store.close(gone));
        }
        store.tidy().unwrap();
    }
    done(&store, store.leave(eve));
}

/// What a store holds, as a text.
fn tell(store: &Store) -> String {
    let mut text = String::new();
    let tail = store.tail();
    writeln!(text, "tail {tail}").unwrap();
    for (key, value) in store.fetch_all(None, 100).now_or_never().unwrap().unwrap() {
        writeln!(text, "value {key} {}", String::from_utf8_lossy(&value)).unwrap();
    }
    for open in store.lanes() {
        let info = store.lane(open.lane).now_or_never().unwrap().unwrap();
        writeln!(text, "lane {} of {:?} {info:?}", open.lane, open.channel.map(Lane::get)).unwrap();
        match open.channel {
            None => writeln!(text, "  {:?}", store.retention(open.lane)).unwrap(),
            Some(_) => {
                let cursor = store.load(open.lane).now_or_never().unwrap().unwrap();
                writeln!(text, "  cursor {} floor {}", cursor.position, cursor.floor).unwrap();
            }
        }
        let mut at = Offset::ZERO;
        while at < tail.offset {
            let page = store.read(open.lane, at, Budget::default()).now_or_never().unwrap().unwrap();
            for entry in &page.entries {
                let message = entry.message();
                let (id, sender) = (message.id(), message.sender());
                let (kind, payload) = (message.kind(), message.payload().as_json());
                writeln!(
                    text,
                    "  {} {} {kind} {id:?} {sender:?} {payload}",
                    entry.offset(),
                    entry.taken_at()
                )
                .unwrap();
            }
            at = page.searched_to;
        }
    }
    text
}

#[test]
fn format_version_1_is_read() {
    let (folder, clock) = (folder(), ManualClock::new());
    if std::env::var_os("ERIC_WRITE_FIXTURE").is_some() {
        let disk = FaultDisk::new();
        make(&disk, &clock);
        std::fs::create_dir_all(&folder).unwrap();
        for name in disk.names().iter().filter(|name| name.ends_with(".log")) {
            std::fs::write(folder.join(name), disk.content(name).unwrap()).unwrap();
        }
        std::fs::write(folder.join("holds.txt"), tell(&open(&disk, &clock))).unwrap();
    }
    let disk = FaultDisk::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".log") {
            disk.put(name, &std::fs::read(&path).unwrap());
        }
    }
    assert!(disk.names().len() > 1, "there are several segments");
    let store = open(&disk, &clock);
    assert_eq!(tell(&store), std::fs::read_to_string(folder.join("holds.txt")).unwrap());
    // A key that was used is still known.
    let again = NewEntry {
        lane: Lane::new(1),
        message: Message::of("type 0", &"x".repeat(8)).unwrap().with_id("id 108".parse().unwrap()),
        key: Some("id 108".parse().unwrap()),
        taken_at: clock.now(),
    };
    let taken = done(&store, store.submit(vec![again]));
    assert!(!taken[0].first, "it was taken before");
}
