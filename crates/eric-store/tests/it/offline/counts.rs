//! What is counted of a store is what is in it, and how far anything has got is told in order.

use eric_sse::Clock as _;
use eric_sse::engine::Engine as _;
use eric_sse::log::Log as _;
use eric_store::Sync;
use eric_store::offline::{self, Progress};
use eric_testkit::fault_disk::FaultDisk;
use eric_verify::log::settings;
use futures_util::FutureExt as _;

use super::{Export, Left, open};

#[test]
fn stats_count_what_an_export_holds() {
    for seed in 0..30 {
        let left = Left::by(seed, 150, seed.is_multiple_of(2));
        let (export, checked) = (left.export(), left.check());
        let stats = offline::stats(&left.disk, left.clock.now(), &mut |_| ()).unwrap();
        let count = |kind: &str| export.of_kind(kind).len() as u64;
        assert_eq!(
            (stats.channels, stats.listeners, stats.entries, stats.values),
            (count("channel"), count("listener"), count("entry"), count("value"))
        );
        let keyed = export.of_kind("entry").iter().filter(|entry| entry.get("key").is_some()).count() as u64;
        assert_eq!(stats.keys, count("key") + keyed);
        assert_eq!(stats.is_closed, seed.is_multiple_of(2));
        assert_eq!((stats.openings, stats.tail.epoch.as_str()), (1, export.epoch.as_str()));
        assert!(stats.last_opening.is_none_or(|opening| opening.sync == Sync::Fsync));
        assert_eq!(stats.entries == 0, stats.index_bytes == 0);
        let counting = checked.segments.iter().filter(|segment| !segment.is_leftover);
        for (counted, checked) in stats.segments.iter().zip(counting) {
            assert_eq!((counted.number, Some(counted.live_bytes)), (checked.number, checked.live_bytes));
        }
    }
}

#[test]
fn progress_goes_on_and_ends_where_it_said() {
    let left = Left::by(2, 300, true);
    let mut told: Vec<Progress> = Vec::new();
    let mut watch = |progress| told.push(progress);
    let now = left.clock.now();
    offline::check(&left.disk, now, &mut watch).unwrap();
    offline::export(&left.disk, now, &mut Vec::new(), &mut watch).unwrap();
    offline::repair(&left.disk, &FaultDisk::new(), &settings(None), now, &mut watch).unwrap();
    let mut stages = Vec::new();
    for stage in told.chunk_by(|before, next| before.stage == next.stage) {
        assert!(stage.is_sorted_by_key(|progress| progress.done_bytes), "{stage:?}");
        let last = stage.last().unwrap();
        assert_eq!(Some(last.done_bytes), last.total_bytes, "{stage:?}");
        stages.push(last.stage);
    }
    assert_eq!(
        stages,
        ["reading", "comparing", "opening", "exporting", "reading", "understanding", "saving", "verifying"]
    );
}

#[test]
fn whatever_byte_of_an_export_is_another_it_is_refused_or_is_a_store() {
    let left = Left::by(11, 100, true);
    let export = left.export();
    let (mut taken, mut refused) = (0, 0);
    for (at, is) in export.text.bytes().enumerate() {
        for other in [b'0', b'9', b'"', b'x'].into_iter().filter(|other| *other != is) {
            let mut bytes = export.text.clone().into_bytes();
            bytes[at] = other;
            let disk = FaultDisk::new();
            let mut lines = bytes.as_slice();
            if offline::import(&disk, &settings(None), left.clock.now(), &mut lines, &mut |_| ()).is_err() {
                assert!(disk.names().is_empty());
                refused += 1;
                continue;
            }
            Export::of(&disk, &left.clock).unwrap();
            let store = open(&disk, settings(None), &left.clock).unwrap();
            for open in store.lanes() {
                store.lane(open.lane).now_or_never().unwrap().unwrap();
            }
            store.health().unwrap();
            taken += 1;
        }
    }
    assert!(taken > 100 && refused > 1_000, "{taken} {refused}");
}
