//! A new epoch begins where acknowledged entries may be missing, and nowhere else.

use std::sync::Arc;

use eric_sse::lane::{Overflow, Retention};
use eric_sse::log::{Log as _, NewEntry, Ticket};
use eric_sse::{Message, Position, Timestamp};
use eric_store::{Store, StoreSettings, Sync};
use eric_testkit::ManualClock;
use eric_testkit::fault_disk::{Crash, FaultDisk};
use futures_util::FutureExt as _;

/// How a store ends.
type End = fn(&FaultDisk, Store);

fn open(disk: &FaultDisk, sync: Sync) -> Store {
    let settings = StoreSettings { sync, ..StoreSettings::default() };
    Store::open_stepped(disk.mount(), settings, Arc::new(ManualClock::new())).unwrap()
}

fn answer<T: Unpin>(store: &Store, ticket: Ticket<T>) -> T {
    while store.step() {}
    ticket.now_or_never().expect("it is answered").unwrap()
}

/// A store that kept an entry, and what became of its machine; then what the next one makes of it.
fn reopened(sync: Sync, end: impl FnOnce(&FaultDisk, Store)) -> (Position, Position, bool) {
    let disk = FaultDisk::new();
    let store = open(&disk, sync);
    let retention = Retention {
        max_messages: 10,
        max_bytes: 1_000,
        max_age_s: 1_000,
        history: 10,
        max_unread_per_listener: 10,
        max_unread_bytes_per_listener: 1_000,
        overflow: Overflow::DropOldest,
    };
    let lane = answer(&store, store.open(retention));
    // A store begins with a checkpoint: who reads the log from there must learn from it whether this is synced.
    let message = Message::of("t", &1).unwrap();
    let entry = NewEntry { lane, message, key: None, taken_at: Timestamp::from_ms(1) };
    let taken = answer(&store, store.submit(vec![entry]));
    end(&disk, store);
    let store = open(&disk, sync);
    (taken[0].position, store.tail(), store.opening().has_new_epoch)
}

#[test]
fn an_unclean_end_without_fsync_begins_an_epoch() {
    for how in [Crash::Process, Crash::LoseAll] {
        let (before, after, has_new_epoch) = reopened(Sync::Os, |disk, store| {
            store.abandon();
            disk.crash(how);
        });
        assert!(has_new_epoch, "{how:?}");
        assert_ne!(before.epoch, after.epoch, "{how:?}");
    }
}

#[test]
fn a_clean_end_and_any_end_with_fsync_do_not() {
    let ends: [(Sync, End); 3] = [
        (Sync::Os, |_, store| drop(store)),
        (Sync::Fsync, |_, store| drop(store)),
        (Sync::Fsync, |disk, store| {
            store.abandon();
            disk.crash(Crash::LoseAll);
        }),
    ];
    for (sync, end) in ends {
        let (before, after, has_new_epoch) = reopened(sync, end);
        assert!(!has_new_epoch, "{sync:?}");
        assert_eq!(before, after, "{sync:?}");
    }
}
