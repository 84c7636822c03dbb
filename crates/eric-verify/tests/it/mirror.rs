//! A disk with real files beside it: they are what it is, through every crash, and it is noticed where they are not.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use eric_store::{Disk as _, RealDisk};
use eric_verify::fault_disk::{Crash, FaultDisk, FaultPlan, Op, What};

fn beside(path: &Path) -> FaultDisk {
    FaultDisk::mirrored_by(Arc::new(RealDisk::open(path).unwrap()))
}

/// The real files are what the disk has.
fn assert_same(disk: &FaultDisk, path: &Path, when: &str) {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "lock").collect();
    names.sort_unstable();
    assert_eq!(names, disk.names(), "{when}");
    for name in names {
        assert!(fs::read(path.join(&name)).unwrap() == disk.content(&name).unwrap(), "{name} {when}");
    }
    assert_eq!(disk.trouble(), None, "{when}");
}

#[test]
fn real_files_go_through_faults_and_crashes_as_the_disk_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("before"), "what was there goes").unwrap();
    let disk = beside(path);
    assert_same(&disk, path, "at the beginning");
    for seed in 0..20 {
        disk.arm();
        let (log, spare) = (format!("log-{seed}"), format!("spare-{seed}"));
        let file = disk.create(&spare, 8192).unwrap();
        disk.sync_names().unwrap();
        file.write(&[1; 5000], 100).unwrap();
        file.sync().unwrap();
        file.write(&[2; 3000], 1000).unwrap();
        disk.rename(&spare, &log).unwrap();
        assert_same(&disk, path, "before the fault");
        let what = [What::Short(2), What::EIO, What::CrashShort(1), What::CrashHere];
        disk.fail(FaultPlan::once(Op::Write, 3, what[seed as usize % 4]));
        file.write(&[3; 4000], 2000).unwrap_err();
        let how = [Crash::Process, Crash::LoseAll, Crash::Torn(seed)];
        disk.crash(how[seed as usize % 3]);
        assert_same(&disk, path, "after the crash");
        for name in disk.names() {
            let (mut buffer, file) = (vec![0; 4096], disk.open(&name).unwrap());
            file.read(&mut buffer, 1024).unwrap();
            assert_eq!(file.size().unwrap(), 8192);
        }
    }
}

#[test]
fn a_file_that_does_not_hold_what_was_written_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let disk = beside(directory.path());
    let file = disk.create("log", 4096).unwrap();
    file.write(b"as it was written", 10).unwrap();
    let mut content = fs::read(directory.path().join("log")).unwrap();
    content[13] ^= 1;
    fs::write(directory.path().join("log"), content).unwrap();
    file.read(&mut [0; 100], 0).unwrap_err();
    assert_eq!(disk.trouble().unwrap(), "log does not hold what was written to it: at byte 13");
}

#[test]
fn a_file_that_somebody_removes_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let disk = beside(directory.path());
    disk.create("log", 4096).unwrap();
    fs::remove_file(directory.path().join("log")).unwrap();
    disk.open("log").unwrap_err();
    assert!(disk.trouble().unwrap().starts_with("the disk itself fails: log: "));
}
