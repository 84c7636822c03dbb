//! Segments that are out of use are used again, and what they held before is nothing that anybody sees.

use std::sync::Arc;

use eric_sse::lane::{Overflow, Retention};
use eric_sse::log::{Log as _, NewEntry, Ticket};
use eric_sse::{Message, Timestamp};
use eric_store::{Store, StoreSettings};
use eric_testkit::ManualClock;
use eric_testkit::fault_disk::{Crash, FaultDisk, Op};
use futures_util::FutureExt as _;

const SEGMENT_BYTES: u64 = 64 * 1024;

fn open(disk: &FaultDisk) -> Store {
    let settings = StoreSettings {
        segment_bytes_min: SEGMENT_BYTES,
        segment_bytes_max: SEGMENT_BYTES,
        ..StoreSettings::default()
    };
    Store::open_stepped(disk.mount(), settings, Arc::new(ManualClock::new())).unwrap()
}

/// Works until nothing is left to do, and keeps house.
fn settle<T: Unpin>(store: &Store, ticket: Ticket<T>) -> T {
    while store.step() {}
    store.tidy().unwrap();
    while store.step() {}
    ticket.now_or_never().expect("it is answered").unwrap()
}

#[test]
fn where_segments_come_and_go_none_is_made() {
    let disk = FaultDisk::new();
    let store = open(&disk);
    let lane = settle(
        &store,
        store.open(Retention {
            max_messages: 100,
            max_bytes: 1 << 40,
            max_age_s: 1 << 40,
            history: 100,
            max_unread_per_listener: 100,
            max_unread_bytes_per_listener: 1 << 40,
            overflow: Overflow::DropOldest,
        }),
    );
    let publish = |count| {
        for _ in 0..count {
            let message = Message::of("t", &"x".repeat(2_000)).unwrap();
            let entry = NewEntry { lane, message, key: None, taken_at: Timestamp::from_ms(1) };
            settle(&store, store.submit(vec![entry]));
        }
    };
    let made = || disk.operations().of(Op::Create);
    publish(500);
    let (made_before, bytes_before) = (made(), disk.bytes());
    let segment_before = disk.names().into_iter().max();
    publish(1_000);
    assert_ne!(disk.names().into_iter().max(), segment_before, "segments have come and gone");
    assert_eq!(made(), made_before);
    assert_eq!(disk.bytes(), bytes_before);

    // The last one is full of what stood there before, and nothing of that is taken for a torn end.
    let tail = store.tail();
    store.abandon();
    disk.crash(Crash::Process);
    let store = open(&disk);
    let info = store.lane(lane).now_or_never().unwrap().unwrap();
    assert_eq!((store.opening().cut_bytes, store.tail(), info.messages), (0, tail, 100));
}
