//! The claims that tests of a store rely on.

use std::io;
use std::sync::Arc;

use eric_store::{Disk, DiskFile};

use super::inode::SECTOR_BYTES;
use super::{Crash, FaultDisk, FaultPlan, Op, Traced, What};

const EIO: Option<i32> = Some(5);

/// A disk with one durable file of so many sectors, open.
fn disk_with(name: &str, sectors: usize) -> (FaultDisk, Arc<dyn DiskFile>) {
    let disk = FaultDisk::new();
    let file = disk.create(name, (sectors * SECTOR_BYTES) as u64).unwrap();
    disk.sync_names().unwrap();
    (disk, file)
}

fn ones(sectors: usize) -> Vec<u8> {
    vec![1; sectors * SECTOR_BYTES]
}

/// The first byte of each sector.
fn firsts(content: &[u8]) -> Vec<u8> {
    content.chunks(SECTOR_BYTES).map(|sector| sector[0]).collect()
}

fn read(file: &dyn DiskFile, len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len];
    file.read(&mut buffer, 0).unwrap();
    buffer
}

// Sectors and crashes.

#[test]
fn what_is_written_is_read_and_is_durable_once_it_is_synced() {
    let (disk, file) = disk_with("log", 2);
    file.write(b"across", 509).unwrap();
    let mut buffer = [0; 6];
    assert!(file.read_if_cached(&mut buffer, 509).unwrap());
    assert_eq!(&buffer, b"across");
    assert_eq!(disk.volatile_sectors("log"), Some(vec![0, 1]));
    assert_eq!(disk.durable_content("log").unwrap(), [0; 1024]);
    file.sync().unwrap();
    assert!(disk.is_durable("log"));
    assert_eq!(&disk.durable_content("log").unwrap()[509..515], b"across");
}

#[test]
fn a_read_beyond_the_end_is_an_unexpected_end() {
    let (_, file) = disk_with("log", 1);
    for (at, len) in [(512, 1), (511, 2), (u64::MAX, 2)] {
        let error = file.read(&mut vec![0; len], at).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "at={at} len={len}");
    }
    file.read(&mut [], 512).unwrap();
}

#[test]
fn only_sectors_that_were_touched_since_the_sync_can_be_lost() {
    let (disk, file) = disk_with("log", 20);
    file.write(&ones(20), 0).unwrap();
    file.sync().unwrap();
    file.write(&[2], 9 * 512 + 511).unwrap();
    file.write(&[2; 513], 17 * 512).unwrap();
    assert_eq!(disk.volatile_sectors("log"), Some(vec![9, 17, 18]));
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.content("log").unwrap(), ones(20));
}

#[test]
fn a_torn_crash_is_the_same_for_the_same_seed_and_any_sectors_survive() {
    let (disk, file) = disk_with("log", 4);
    file.write(&ones(4), 0).unwrap();
    let before = disk.snapshot();
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let torn = || {
            disk.restore(&before);
            disk.crash(Crash::Torn(seed));
            disk.content("log").unwrap()
        };
        let content = torn();
        assert_eq!(content, torn(), "seed={seed}");
        assert!(content.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        outcomes.insert(firsts(&content));
    }
    assert_eq!(outcomes.len(), 16, "each of four sectors survives or not: {outcomes:?}");
}

#[test]
fn a_file_that_grew_is_torn_in_length_and_content() {
    let disk = FaultDisk::new();
    disk.put("log", b"begun");
    disk.open("log").unwrap().write(&[1; 1500], 5).unwrap();
    let before = disk.snapshot();
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..400 {
        disk.restore(&before);
        disk.crash(Crash::Torn(seed));
        let content = disk.content("log").unwrap();
        assert_eq!(&content[..5], b"begun");
        lengths.insert(content.len());
        // What was cut off does not come back when the file grows over it.
        let file = disk.open("log").unwrap();
        file.write(&[7], 4000).unwrap();
        let cut = read(&*file, 4000);
        assert!(cut[content.len()..].iter().all(|byte| *byte == 0), "seed={seed}");
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [5, 512, 1024, 1505]);
    disk.restore(&before);
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.content("log").unwrap(), b"begun");
}

#[test]
fn a_killed_process_loses_nothing_until_power_is_gone() {
    let (disk, file) = disk_with("log", 1);
    file.write(b"cached", 0).unwrap();
    disk.create("other", 0).unwrap();
    disk.crash(Crash::Process);
    assert_eq!(disk.names(), ["log", "other"]);
    assert_eq!(&disk.content("log").unwrap()[..6], b"cached");
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.names(), ["log"]);
    assert_eq!(&disk.content("log").unwrap()[..6], &[0; 6]);
}

// Names and handles.

#[test]
fn a_made_file_is_synced_and_its_name_is_not() {
    let disk = FaultDisk::new();
    disk.create("log", 1000).unwrap();
    assert!(!disk.is_durable("log"));
    let made = disk.snapshot();
    disk.sync_names().unwrap();
    assert!(disk.is_durable("log"));
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.content("log").unwrap(), [0; 1000]);
    disk.restore(&made);
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.names(), [""; 0]);
}

#[test]
fn of_changes_of_names_the_first_few_survive() {
    let disk = FaultDisk::new();
    disk.put("a", b"a");
    disk.put("b", b"b");
    disk.create("c", 0).unwrap();
    disk.rename("a", "b").unwrap();
    disk.remove("c").unwrap();
    disk.rename("b", "d").unwrap();
    let before = disk.snapshot();
    let stages = [vec!["a", "b"], vec!["a", "b", "c"], vec!["b", "c"], vec!["b"], vec!["d"]];
    let mut seen = [0; 5];
    for seed in 0..200 {
        disk.restore(&before);
        disk.crash(Crash::Torn(seed));
        let names = disk.names();
        let stage = stages.iter().position(|stage| *stage == names);
        seen[stage.unwrap_or_else(|| panic!("no prefix seed={seed} {names:?}"))] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn a_name_that_is_durable_leads_to_what_was_synced_under_another() {
    let disk = FaultDisk::new();
    let file = disk.create("1.tmp", 3).unwrap();
    file.write(b"abc", 0).unwrap();
    disk.rename("1.tmp", "1.log").unwrap();
    disk.sync_names().unwrap();
    let unsynced = disk.snapshot();
    file.sync().unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.content("1.log").unwrap(), b"abc");
    disk.restore(&unsynced);
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.content("1.log").unwrap(), [0; 3], "the name came before the content");
}

#[test]
fn a_file_that_is_replaced_or_removed_stays_for_who_has_it_open() {
    let disk = FaultDisk::new();
    for name in ["a", "b", "c"] {
        disk.put(name, name.as_bytes());
    }
    let files = ["a", "b", "c"].map(|name| disk.open(name).unwrap());
    disk.remove("a").unwrap();
    disk.rename("c", "b").unwrap();
    disk.create("c", 1).unwrap();
    disk.sync_names().unwrap();
    let contents = files.each_ref().map(|file| read(&**file, 1));
    assert_eq!(contents, [b"a", b"b", b"c"]);
    files[0].write(b"x", 0).unwrap();
    files[0].sync().unwrap();
    assert_eq!(read(&*files[0], 1), b"x");
    assert_eq!(disk.content("b").unwrap(), b"c");
    assert_eq!(disk.content("c").unwrap(), [0]);
    assert_eq!(disk.bytes(), 4);
    drop(files);
    assert_eq!(disk.bytes(), 2, "who closes it last lets it go");
}

#[test]
fn a_replaced_file_comes_back_where_its_name_was_not_synced() {
    let disk = FaultDisk::new();
    disk.put("log", b"old");
    disk.create("log", 3).unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.content("log").unwrap(), b"old");
}

#[test]
fn what_is_not_there_is_not_found() {
    let disk = FaultDisk::new();
    let errors = [
        disk.open("log").map(drop).unwrap_err(),
        disk.rename("log", "other").unwrap_err(),
        disk.remove("log").unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == io::ErrorKind::NotFound), "{errors:?}");
}

#[test]
fn handles_are_dead_after_a_crash_of_any_kind() {
    for how in [Crash::Process, Crash::LoseAll, Crash::Torn(1)] {
        let (disk, file) = disk_with("log", 1);
        let mount = disk.mount();
        disk.crash(how);
        disk.arm();
        let errors = [
            file.size().map(drop),
            file.read(&mut [0], 0),
            file.read_if_cached(&mut [0], 0).map(drop),
            file.write(&[1], 0),
            file.sync(),
            mount.list().map(drop),
            mount.open("log").map(drop),
            mount.create("new", 0).map(drop),
        ];
        for error in errors {
            assert_eq!(error.unwrap_err().raw_os_error(), EIO);
        }
        assert_eq!(disk.operations(), Default::default(), "the dead are not counted");
        drop(file);
        disk.mount().open("log").unwrap().write(&[1], 0).unwrap();
    }
}

// Faults.

#[test]
fn the_nth_operation_of_a_kind_fails_and_no_other() {
    let (disk, file) = disk_with("log", 1);
    disk.arm();
    disk.fail(FaultPlan::once(Op::Write, 2, What::EIO));
    disk.fail(FaultPlan::from_then(Op::Sync, 2, What::Error(io::ErrorKind::TimedOut)));
    disk.fail(FaultPlan::once(Op::Mutation, 7, What::EIO));
    file.write(b"1", 0).unwrap();
    assert_eq!(file.write(b"2", 0).unwrap_err().raw_os_error(), EIO);
    assert_eq!(read(&*file, 1), b"1");
    file.write(b"3", 0).unwrap();
    file.sync().unwrap();
    for _ in 0..2 {
        assert_eq!(file.sync().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
    assert_eq!(disk.remove("log").unwrap_err().raw_os_error(), EIO);
    disk.remove("log").unwrap();
    let operations = disk.operations();
    let counts = [Op::Write, Op::Sync, Op::Remove, Op::Read, Op::Mutation, Op::Open];
    assert_eq!(counts.map(|op| operations.of(op)), [3, 3, 2, 1, 8, 0]);
}

#[test]
fn a_short_write_puts_its_first_sectors() {
    let (disk, file) = disk_with("log", 4);
    disk.arm();
    disk.fail(FaultPlan::once(Op::Write, 1, What::Short(2)));
    assert_eq!(file.write(&ones(3), 100).unwrap_err().raw_os_error(), EIO);
    let content = disk.content("log").unwrap();
    assert_eq!(content[100..1024], ones(2)[100..]);
    assert_eq!(content[1024..], [0; 1024]);
    file.sync().unwrap();
    assert_eq!(disk.durable_content("log").unwrap(), content);
}

#[test]
fn a_sync_that_fails_can_forget_what_it_was_to_sync() {
    let (disk, file) = disk_with("log", 3);
    disk.arm();
    disk.fail(FaultPlan::once(Op::Sync, 1, What::SyncLost));
    file.write(&ones(2), 0).unwrap();
    assert_eq!(file.sync().unwrap_err().raw_os_error(), EIO);
    file.write(&[2; 512], 1024).unwrap();
    file.sync().unwrap();
    assert_eq!(firsts(&read(&*file, 1536)), [1, 1, 2], "the cache has it");
    assert_eq!(disk.volatile_sectors("log"), Some(vec![0, 1]));
    let forgotten = disk.snapshot();
    for how in [Crash::LoseAll, Crash::Torn(3)] {
        disk.restore(&forgotten);
        disk.crash(how);
        assert_eq!(firsts(&disk.content("log").unwrap()), [0, 0, 2], "the disk has not");
    }
    disk.restore(&forgotten);
    let file = disk.open("log").unwrap();
    file.write(&[3; 512], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.volatile_sectors("log"), Some(vec![1]));
    disk.crash(Crash::LoseAll);
    assert_eq!(firsts(&disk.content("log").unwrap()), [3, 0, 2], "what is written again is synced");
}

#[test]
fn a_sync_that_fails_otherwise_can_be_repeated() {
    let (disk, file) = disk_with("log", 1);
    disk.fail(FaultPlan::once(Op::Sync, 1, What::EIO));
    file.write(b"abc", 0).unwrap();
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert!(disk.is_durable("log"));
}

#[test]
fn a_sync_that_lies_makes_nothing_durable() {
    let (disk, file) = disk_with("log", 1);
    disk.arm();
    disk.fail(FaultPlan::from_then(Op::Sync, 1, What::Lie));
    disk.fail(FaultPlan::once(Op::SyncNames, 1, What::Lie));
    file.write(b"abc", 0).unwrap();
    disk.rename("log", "other").unwrap();
    file.sync().unwrap();
    disk.sync_names().unwrap();
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.content("log").unwrap(), [0; 512]);
}

#[test]
fn a_machine_dies_at_any_operation_and_its_caller_sees_an_error_of_input_and_output() {
    let scenario = |disk: &FaultDisk| -> io::Result<()> {
        let file = disk.create("1.tmp", 1024)?;
        file.write(&ones(2), 0)?;
        file.sync()?;
        disk.rename("1.tmp", "1.log")?;
        disk.sync_names()?;
        disk.remove("0.log")?;
        disk.sync_names()
    };
    let disk = FaultDisk::new();
    disk.put("0.log", b"0");
    let before = disk.snapshot();
    scenario(&disk).unwrap();
    let operations = disk.operations().of(Op::Mutation);
    assert_eq!(operations, 7);
    for nth in 1..=operations {
        disk.restore(&before);
        disk.fail(FaultPlan::once(Op::Mutation, nth, What::CrashHere));
        assert_eq!(scenario(&disk).unwrap_err().raw_os_error(), EIO);
        assert!(disk.has_crashed());
        assert_eq!(disk.list().unwrap_err().raw_os_error(), EIO);
        assert_eq!(disk.operations().of(Op::Mutation), nth);
        disk.crash(Crash::LoseAll);
        assert!(!disk.has_crashed());
        let names = disk.names();
        assert_eq!(names, if nth <= 5 { vec!["0.log"] } else { vec!["0.log", "1.log"] }, "nth={nth}");
        if nth > 5 {
            assert_eq!(disk.content("1.log").unwrap(), ones(2));
        }
    }
}

#[test]
fn a_write_at_which_the_machine_dies_is_torn() {
    for (what, written) in [(What::CrashHere, [1, 1, 1]), (What::CrashShort(1), [1, 0, 0])] {
        let (disk, file) = disk_with("log", 3);
        disk.fail(FaultPlan::once(Op::Write, 1, what));
        file.write(&ones(3), 0).unwrap_err();
        let dead = disk.snapshot();
        disk.crash(Crash::Process);
        assert_eq!(firsts(&disk.content("log").unwrap()), written);
        disk.restore(&dead);
        disk.crash(Crash::LoseAll);
        assert_eq!(firsts(&disk.content("log").unwrap()), [0, 0, 0]);
    }
}

#[test]
fn a_file_that_is_being_made_when_the_machine_dies_can_be_there_and_too_short() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = FaultDisk::new();
        disk.fail(FaultPlan::once(Op::Create, 1, What::CrashHere));
        disk.create("spare-1", 1024).unwrap_err();
        disk.crash(Crash::Torn(seed));
        lengths.insert(disk.size("spare-1"));
    }
    let expected = [None, Some(0), Some(512), Some(1024)];
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_full_disk_overwrites_and_does_not_grow_until_space_is_back() {
    let (disk, file) = disk_with("log", 1);
    disk.arm();
    disk.fail(FaultPlan::once(Op::Create, 2, What::Full));
    disk.create("first", 1).unwrap();
    for _ in 0..2 {
        let error = disk.create("first", 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
    assert_eq!(disk.names(), ["log"], "then no file is left");
    file.write(b"over", 0).unwrap();
    assert_eq!(file.write(&[1; 2], 511).unwrap_err().kind(), io::ErrorKind::StorageFull);
    disk.remove("log").unwrap();
    disk.space_is_back();
    file.write(&[1; 2], 511).unwrap();
    disk.create("second", 1).unwrap();
}

#[test]
fn what_does_not_fit_is_not_made_and_of_a_write_the_sectors_that_fit_are() {
    let (disk, file) = disk_with("log", 1);
    disk.set_capacity(2000);
    assert_eq!(disk.create("spare", 1489).unwrap_err().kind(), io::ErrorKind::StorageFull);
    disk.create("spare", 400).unwrap();
    assert_eq!(file.write(&ones(4), 256).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.size().unwrap(), 1536);
    assert_eq!(read(&*file, 1536)[256..], ones(3)[256..]);
    assert_eq!(disk.bytes(), 1936);
    disk.remove("spare").unwrap();
    assert_eq!(disk.bytes(), 1936, "a crash can bring it back");
    disk.sync_names().unwrap();
    assert_eq!(disk.bytes(), 1536);
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.bytes(), 512, "what grew is gone");
    disk.open("log").unwrap().write(&ones(3), 464).unwrap();
}

#[test]
fn reads_fail_and_err_and_are_not_cached_as_planned() {
    let (disk, file) = disk_with("log", 1);
    disk.fail(FaultPlan::once(Op::Read, 1, What::EIO));
    disk.fail(FaultPlan::once(Op::Read, 2, What::Flip { byte: 5, bit: 3 }));
    disk.fail(FaultPlan::once(Op::Read, 3, What::NotCached));
    let mut buffer = [0; 4];
    assert_eq!(file.read(&mut buffer, 0).unwrap_err().raw_os_error(), EIO);
    file.read(&mut buffer, 0).unwrap();
    assert_eq!(buffer, [0, 8, 0, 0]);
    assert!(!file.read_if_cached(&mut buffer, 0).unwrap());
    assert_ne!(buffer, [0; 4]);
    assert!(file.read_if_cached(&mut buffer, 0).unwrap());
    assert_eq!(buffer, [0; 4]);
}

#[test]
#[should_panic(expected = "this cannot happen to such an operation")]
fn a_plan_that_makes_no_sense_is_refused() {
    FaultDisk::new().fail(FaultPlan::once(Op::Write, 1, What::Lie));
}

#[test]
fn a_flipped_bit_is_flipped_for_good() {
    let (disk, file) = disk_with("log", 1);
    file.write(&[0b1000], 0).unwrap();
    disk.flip("log", 0, 3);
    disk.flip("log", 1, 0);
    assert_eq!(read(&*file, 2), [0, 1]);
    disk.crash(Crash::LoseAll);
    assert_eq!(disk.content("log").unwrap()[..2], [0b1000, 1]);
}

// Again, and in which order.

#[test]
fn a_snapshot_does_not_change_and_can_be_restored_again_and_again() {
    let (disk, file) = disk_with("log", 20);
    file.write(&ones(20), 0).unwrap();
    file.sync().unwrap();
    file.write(b"dirty", 5000).unwrap();
    disk.remove("log").unwrap();
    disk.create("other", 0).unwrap();
    let snapshot = disk.snapshot();
    for _ in 0..2 {
        disk.put("other", b"changed");
        disk.put("log", b"changed");
        disk.fail(FaultPlan::from_then(Op::Open, 1, What::EIO));
        disk.restore(&snapshot);
        assert_eq!(disk.operations(), Default::default());
        assert_eq!(file.size().unwrap_err().raw_os_error(), EIO);
        assert_eq!(disk.names(), ["other"]);
        assert_eq!(disk.open("other").unwrap().size().unwrap(), 0);
        assert_eq!(disk.bytes(), 20 * 512);
        disk.crash(Crash::LoseAll);
        assert_eq!(disk.content("log").unwrap(), ones(20));
    }
}

#[test]
fn a_trace_says_what_came_before_what() {
    let (disk, file) = disk_with("log", 1);
    disk.trace_last(4);
    disk.arm();
    disk.fail(FaultPlan::once(Op::Sync, 1, What::Lie));
    file.read(&mut [0], 0).unwrap();
    file.write(b"abc", 7).unwrap();
    file.sync().unwrap();
    disk.note("acknowledged");
    disk.rename("log", "other").unwrap();
    let line = |op, to: Option<&str>, bytes, fault| Traced::Operation {
        op,
        name: "log".into(),
        to: to.map(Arc::from),
        bytes,
        is_ok: true,
        fault,
    };
    let expected = [
        line(Op::Write, None, 7..10, None),
        line(Op::Sync, None, 0..0, Some(What::Lie)),
        Traced::Note("acknowledged".to_owned()),
        line(Op::Rename, Some("other"), 0..0, None),
    ];
    assert_eq!(disk.trace(), expected);
    disk.trace_last(0);
    assert_eq!(disk.trace(), []);
}

#[test]
fn a_large_file_costs_what_is_written_of_it() {
    let (disk, file) = disk_with("log", 64 << 11);
    let empty = disk.snapshot();
    file.write(b"end", (64 << 20) - 3).unwrap();
    file.sync().unwrap();
    disk.crash(Crash::LoseAll);
    let file = disk.open("log").unwrap();
    let mut end = [0; 3];
    file.read(&mut end, (64 << 20) - 3).unwrap();
    assert_eq!(&end, b"end");
    disk.restore(&empty);
    assert_eq!(disk.content("log").unwrap()[(64 << 20) - 3..], [0; 3]);
}
