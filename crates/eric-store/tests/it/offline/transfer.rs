//! From a store to lines and back: nothing is lost, and a crash in between leaves no store.

use eric_sse::cursor::Cursors as _;
use eric_sse::engine::Engine as _;
use eric_sse::lane::Lane;
use eric_sse::log::{Log as _, NewEntry};
use eric_sse::persist::KvStore as _;
use eric_sse::{Clock as _, ErrorKind, Message};
use eric_store::StoreSettings;
use eric_store::offline::{self, Imported};
use eric_testkit::fault_disk::{Crash, FaultDisk, FaultPlan, Op, What};
use eric_verify::log::settings;
use futures_util::FutureExt as _;

use super::{Export, Left, open};

#[test]
fn an_export_of_an_import_of_an_export_is_the_same_but_for_its_epoch() {
    let mut entries = 0;
    for seed in 0..60 {
        let left = Left::by(seed, 20 + 5 * seed as usize, seed.is_multiple_of(2));
        let export = left.export();
        let disk = export.import(&left.clock);
        let again = Export::of(&disk, &left.clock).unwrap();
        assert_ne!(again.epoch, export.epoch);
        assert_eq!(again.rest(), export.rest(), "seed {seed}");
        entries += export.entries().len();
    }
    assert!(entries > 1_000, "there was something to lose: {entries} entries");
}

#[test]
fn an_imported_store_holds_what_the_exported_one_held() {
    for seed in 0..30 {
        let left = Left::by(seed, 150, true);
        let export = left.export();
        let disk = export.import(&left.clock);
        let (old, new) = (
            open(&left.disk, settings(None), &left.clock).unwrap(),
            open(&disk, settings(None), &left.clock).unwrap(),
        );
        assert_eq!(old.lanes(), new.lanes());
        let values =
            |store: &eric_store::Store| store.fetch_all(None, usize::MAX).now_or_never().unwrap().unwrap();
        assert_eq!(values(&old), values(&new));
        assert_eq!(old.tail().offset, new.tail().offset);
        assert_ne!(old.tail().epoch, new.tail().epoch);
        for open in old.lanes() {
            assert_eq!(old.retention(open.lane), new.retention(open.lane));
            let cursor = |store: &eric_store::Store| store.load(open.lane).now_or_never().unwrap().ok();
            if let (Some(old), Some(new)) = (cursor(&old), cursor(&new)) {
                assert_eq!(
                    (old.position, old.floor),
                    (new.position, new.floor),
                    "listeners see where they stood"
                );
            }
        }
        assert!(new.health().is_ok() && new.opening().cut_bytes == 0 && !new.opening().has_new_epoch);
    }
}

#[test]
fn keys_survive_and_are_still_forgotten() {
    let (mut survived, mut apart) = (0, 0);
    for seed in 0..40 {
        let left = Left::by(seed, 150, true);
        let export = left.export();
        let disk = export.import(&left.clock);
        let keyed = export.of_kind("entry").into_iter().filter(|entry| entry.get("key").is_some());
        for entry in keyed.collect::<Vec<_>>() {
            let store = open(&disk, settings(None), &left.clock).unwrap();
            let payload = entry["payload"].clone();
            let new = NewEntry {
                lane: Lane::new(entry["lane"].as_u64().unwrap()),
                message: Message::of("t", &payload).unwrap(),
                key: Some(entry["key"].as_str().unwrap().parse().unwrap()),
                taken_at: left.clock.now(),
            };
            let ticket = store.submit(vec![new]);
            while store.step() {}
            let taken = ticket.now_or_never().unwrap().unwrap();
            assert!(!taken[0].first && taken[0].position.offset.get() == entry["offset"], "{entry}");
            survived += 1;
        }
        apart += export.of_kind("key").len();
    }
    assert!(survived > 20 && apart > 20, "{survived} keys with entries, {apart} without");
}

/// Makes a store of many small segments.
fn import(export: &Export, disk: &FaultDisk, left: &Left) -> eric_sse::Result<Imported> {
    let settings = StoreSettings { segment_bytes_max: 2_048, ..settings(None) };
    offline::import(&*disk.mount(), &settings, left.clock.now(), &mut export.text.as_bytes(), &mut |_| ())
}

#[test]
fn every_operation_of_an_import_may_be_the_last() {
    let lefts = (0..20).map(|seed| Left::by(seed, 300, true));
    let (left, export) = lefts
        .map(|left| (left.export(), left))
        .max_by_key(|(export, _)| export.text.len())
        .map(|(export, left)| (left, export))
        .unwrap();
    let disk = FaultDisk::new();
    import(&export, &disk, &left).unwrap();
    assert!(disk.names().len() > 4, "it has several segments: {:?}", disk.names());
    let operations = disk.operations().of(Op::Mutation);
    let (mut stores, mut refused, mut nothing) = (0, 0, 0);
    for nth in 1..=operations {
        for (what, how) in [
            (What::CrashHere, Crash::LoseAll),
            (What::CrashHere, Crash::Process),
            (What::CrashHere, Crash::Torn(nth)),
            (What::CrashHere, Crash::Torn(nth + 1000)),
            (What::EIO, Crash::LoseAll),
            (What::EIO, Crash::Process),
        ] {
            let disk = FaultDisk::new();
            disk.fail(FaultPlan::once(Op::Mutation, nth, what));
            let imported = import(&export, &disk, &left);
            disk.crash(how);
            let has_segments = disk.names().iter().any(|name| name.ends_with(".log"));
            if !has_segments {
                assert!(imported.is_err(), "operation {nth}, {what:?}, {how:?}: it was answered and is gone");
                disk.arm();
                import(&export, &disk, &left).expect("what is left is no store, so it can be tried again");
                nothing += 1;
                continue;
            }
            match open(&disk, settings(None), &left.clock) {
                Ok(store) => {
                    drop(store);
                    let again = Export::of(&disk, &left.clock).unwrap();
                    assert_eq!(again.rest(), export.rest(), "operation {nth}, {what:?}, {how:?}");
                    stores += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    assert!(imported.is_err());
                    refused += 1;
                }
            }
        }
    }
    assert!(stores > 0 && refused > 0 && nothing > 0, "{stores} {refused} {nothing}");
}

#[test]
fn a_directory_with_anything_in_it_is_refused_and_stays_as_it_was() {
    let left = Left::by(1, 60, true);
    let export = left.export();
    for name in ["00000000000000000001.log", "notes.txt", "spare-0"] {
        let disk = FaultDisk::new();
        disk.put(name, b"precious");
        let error = import(&export, &disk, &left).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!((disk.names(), disk.content(name)), (vec![name.to_owned()], Some(b"precious".to_vec())));
    }
    let disk = FaultDisk::new();
    disk.put("lock", b"");
    disk.put("00000000000000000009.log.tmp", b"of an attempt that was ended");
    import(&export, &disk, &left).unwrap();
    assert!(!disk.names().contains(&"00000000000000000009.log.tmp".to_owned()));
}

#[test]
fn a_full_disk_leaves_no_store() {
    let left = Left::by(1, 120, true);
    let export = left.export();
    let disk = FaultDisk::new();
    disk.set_capacity(3_000);
    assert_eq!(import(&export, &disk, &left).unwrap_err().kind(), ErrorKind::NoSpace);
    assert!(disk.names().is_empty(), "{:?}", disk.names());
}

#[test]
fn an_export_that_cannot_be_written_says_why() {
    struct Broken;
    impl std::io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let left = Left::by(1, 60, true);
    let error = offline::export(&left.disk, left.clock.now(), &mut Broken, &mut |_| ()).unwrap_err();
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(source.map(std::io::Error::kind), Some(std::io::ErrorKind::BrokenPipe), "{error}");
}
