//! The store's limits, each exactly at it and one past it.

use std::sync::Arc;

use eric_sse::cursor::{Cursors as _, Fence};
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::limits::{
    MESSAGE_BYTES_MAX, STORE_GROUP_BYTES_MAX, STORE_NOTE_LAG_MS_MAX, STORE_SEGMENT_BYTES,
    STORE_WAITING_BYTES_MAX, STORE_WAITING_MAX,
};
use eric_sse::log::{Log as _, NewEntry, Taken, Ticket};
use eric_sse::{ErrorKind, Message, Result, Timestamp};
use eric_store::{Store, StoreSettings};
use eric_testkit::ManualClock;
use eric_testkit::fault_disk::{FaultDisk, Op, Traced};
use futures_util::FutureExt as _;

/// A store that does nothing but when it is told to, its disk and its clock, and a channel's lane.
struct Bench {
    disk: FaultDisk,
    clock: ManualClock,
    store: Store,
    lane: Lane,
}

fn retention(max_messages: u64) -> Retention {
    Retention {
        max_messages,
        max_bytes: 1 << 40,
        max_age_s: 1 << 40,
        history: 1 << 40,
        max_unread_per_listener: 1 << 40,
        max_unread_bytes_per_listener: 1 << 40,
        overflow: Overflow::DropOldest,
    }
}

impl Bench {
    fn new(max_messages: u64) -> Self {
        let (disk, clock) = (FaultDisk::new(), ManualClock::new());
        let opened = Store::open_stepped(disk.mount(), StoreSettings::default(), Arc::new(clock.clone()));
        let store = opened.unwrap();
        let ticket = store.open(retention(max_messages));
        while store.step() {}
        let lane = ticket.now_or_never().unwrap().unwrap();
        Self { disk, clock, store, lane }
    }

    /// Publishes a message of `bytes` bytes.
    fn submit(&self, bytes: usize) -> Ticket<Vec<Taken>> {
        let message = Message::of("t", &"x".repeat(bytes - 3)).unwrap();
        let new = NewEntry { lane: self.lane, message, key: None, taken_at: Timestamp::from_ms(1) };
        self.store.submit(vec![new])
    }
}

/// What a ticket says without anybody working: none if it waits.
fn at_once<T: Unpin>(ticket: Ticket<T>) -> Option<Result<T>> {
    ticket.now_or_never()
}

#[test]
fn a_segment_has_at_most_64_mib() {
    let bench = Bench::new(1 << 40);
    for _ in 0..24 {
        let taken = bench.submit(MESSAGE_BYTES_MAX);
        while bench.store.step() {}
        assert!(taken.now_or_never().unwrap().is_ok());
    }
    let sizes: Vec<u64> = bench.disk.names().iter().map(|name| bench.disk.size(name).unwrap()).collect();
    assert_eq!(sizes.iter().max(), Some(&STORE_SEGMENT_BYTES), "{sizes:?}");
}

#[test]
fn a_million_changes_may_wait_and_no_more() {
    let bench = Bench::new(1 << 40);
    // It does not fit the first segment, so it waits, and everything after it.
    assert!(at_once(bench.submit(STORE_GROUP_BYTES_MAX)).is_none());
    let wait = || at_once(bench.store.release(bench.lane, Fence(0)));
    for _ in 1..STORE_WAITING_MAX {
        assert!(wait().is_none());
    }
    let refused = wait().unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("store_waiting_max=1000000"), "{refused}");
    while bench.store.step() {}
    assert!(wait().is_none());
}

#[test]
fn messages_of_256_mib_may_wait_and_no_more() {
    let bench = Bench::new(1 << 40);
    let each = size_of::<NewEntry>();
    let mut waiting = vec![bench.submit(STORE_GROUP_BYTES_MAX - each)];
    let mut left = STORE_WAITING_BYTES_MAX - STORE_GROUP_BYTES_MAX;
    while left > MESSAGE_BYTES_MAX + 2 * each {
        waiting.push(bench.submit(MESSAGE_BYTES_MAX - each));
        left -= MESSAGE_BYTES_MAX;
    }
    let refused = at_once(bench.submit(left - each + 1)).unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("store_waiting_bytes_max"), "{refused}");
    waiting.push(bench.submit(left - each));
    while bench.store.step() {}
    assert!(waiting.into_iter().all(|ticket| matches!(at_once(ticket), Some(Ok(_)))));
}

#[test]
fn a_group_takes_no_more_once_it_has_8_mib() {
    let bench = Bench::new(1 << 40);
    bench.disk.trace_last(64);
    // A record has a few bytes beside the message, so this stays below, and the next one goes over.
    let tickets = [STORE_GROUP_BYTES_MAX - 256, 512, 512].map(|bytes| bench.submit(bytes));
    while bench.store.step() {}
    assert!(tickets.into_iter().all(|ticket| matches!(at_once(ticket), Some(Ok(_)))));
    let is_log = |name: &str| name.ends_with(".log");
    let lens = bench.disk.trace().into_iter().filter_map(|traced| match traced {
        Traced::Operation { op: Op::Write, name, bytes, .. } if is_log(&name) => {
            Some(bytes.end - bytes.start)
        }
        _ => None,
    });
    let groups: Vec<u64> = lens.skip_while(|len| *len < STORE_GROUP_BYTES_MAX as u64).collect();
    assert_eq!(groups.len(), 2, "{groups:?}");
    // What goes over is one message, and what fills the page.
    assert!(groups[0] <= STORE_GROUP_BYTES_MAX as u64 + 8192 && groups[1] <= 4096, "{groups:?}");
}

#[test]
fn a_note_of_what_was_let_go_waits_for_at_most_50_ms() {
    let bench = Bench::new(1);
    for _ in 0..2 {
        let taken = bench.submit(10);
        while bench.store.step() {}
        assert!(taken.now_or_never().unwrap().is_ok());
    }
    bench.disk.arm();
    bench.clock.advance(std::time::Duration::from_millis(STORE_NOTE_LAG_MS_MAX - 1));
    while bench.store.step() {}
    assert_eq!(bench.disk.operations().of(Op::Write), 0);
    bench.clock.advance(std::time::Duration::from_millis(1));
    while bench.store.step() {}
    assert_eq!(bench.disk.operations().of(Op::Write), 1);
}
