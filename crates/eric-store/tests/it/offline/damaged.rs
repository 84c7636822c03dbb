//! Damage of every sort: all of it is found, what is saved is what was there, and what is not is told.

use std::collections::BTreeMap;

use eric_store::offline::Repaired;
use eric_testkit::fault_disk::{Crash, FaultDisk};
use fastrand::Rng;
use serde_json::Value;

use super::{Export, Left};

const MISSING: &str = "its file is missing";

/// A damaged store beside what it was.
struct Damaged {
    left: Left,
    before: Export,
    /// Every entry that any segment ever told of, alive or not, without its key.
    entries: BTreeMap<u64, Value>,
}

fn plain(mut entry: Value) -> Value {
    entry.as_object_mut().unwrap().remove("key");
    entry
}

impl Damaged {
    fn by(seed: u64, changes: usize) -> Self {
        let left = Left::by(seed, changes, seed.is_multiple_of(2));
        let before = left.export();
        let entries = before.entries().into_iter().map(|(offset, entry)| (offset, plain(entry))).collect();
        Self { left, before, entries }
    }

    /// Checks what is told and saved after `what` was done to the store; returns what was saved. Where the end of the
    /// log may look as a crash leaves it, what was there is not told.
    fn judge(&self, what: &str, is_end_certain: bool) -> Option<(Export, Repaired)> {
        let checked = self.left.check();
        let opened = self.left.try_open();
        assert_eq!(checked.is_whole(), opened.is_ok(), "{what}: {:?}, {opened:?}", checked.damages);
        if checked.is_whole() {
            return None;
        }
        let (saved, repaired) = self.left.repair();
        assert!(saved.check().is_whole(), "{what}: what was saved is whole");
        saved.try_open().unwrap_or_else(|error| panic!("{what}: {error}"));
        let export = saved.export();
        let entries = export.entries();
        for (offset, entry) in &entries {
            if let Some(before) = self.entries.get(offset) {
                assert_eq!(&plain(entry.clone()), before, "{what}: an entry is what it was");
            }
        }
        let lost_lanes: Vec<u64> = repaired.lost_lanes.iter().map(|lost| lost.lane.get()).collect();
        let tail = export.head()["tail"].as_u64().unwrap();
        for (offset, entry) in self.entries.iter().filter(|(offset, _)| is_end_certain || **offset <= tail) {
            let is_saved = entries.contains_key(offset);
            let is_told = repaired.may_miss_more
                || repaired.missing.iter().any(|(first, last)| (first.get()..=last.get()).contains(offset))
                || lost_lanes.contains(&entry["lane"].as_u64().unwrap());
            assert!(is_saved || is_told, "{what}: {entry} is missing, and that is not told: {repaired:?}");
        }
        Some((export, repaired))
    }
}

#[test]
fn every_turned_bit_is_found_or_does_no_harm_and_nothing_else_is_lost() {
    let (mut found, mut harmless) = (0, 0);
    let damaged = Damaged::by(5, 60);
    let whole = damaged.left.disk.snapshot();
    for name in damaged.left.disk.names() {
        let content = damaged.left.disk.content(&name).unwrap();
        let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 64);
        // Where nothing was written a sample does.
        for byte in (0..content.len()).filter(|byte| *byte < used || byte % 64 == 0) {
            let byte = byte as u64;
            let bit = (byte % 8) as u8;
            damaged.left.disk.flip(&name, byte, bit);
            let what = format!("{name}, byte {byte}, bit {bit}");
            match damaged.judge(&what, true) {
                Some((_, repaired)) => {
                    // Where it is the record that lets a segment go, that one is missing.
                    let elsewhere = repaired.damages.iter().filter(|damage| damage.what != MISSING);
                    assert_eq!(elsewhere.count(), 1, "{what}: {:?}", repaired.damages);
                    found += 1;
                }
                None => {
                    assert_eq!(damaged.left.export().text, damaged.before.text, "{what}");
                    harmless += 1;
                }
            }
            damaged.left.disk.restore(&whole);
        }
    }
    assert!(found > 1_000 && harmless > 100, "{found} {harmless}");
}

/// Does something bad to a disk; says what.
fn harm(disk: &FaultDisk, random: &mut Rng) -> String {
    let names: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".log")).collect();
    let name = &names[random.usize(..names.len())];
    let mut content = disk.content(name).unwrap();
    if content.is_empty() {
        return format!("{name} was empty");
    }
    let at = random.usize(..content.len());
    match random.u32(..6) {
        0 if names.len() > 1 => {
            disk.put(name, b"");
            let file = eric_store::Disk::remove(disk, name);
            file.and_then(|()| eric_store::Disk::sync_names(disk)).unwrap();
            format!("{name} is gone")
        }
        1 => {
            content.truncate(at);
            disk.put(name, &content);
            format!("{name} is cut at {at}")
        }
        2 => {
            let to = content.len().min(at + 512);
            content[at..to].fill(0);
            disk.put(name, &content);
            format!("{name} has zeros from {at} to {to}")
        }
        3 => {
            let to = content.len().min(at + random.usize(1..2000));
            content[at..to].iter_mut().for_each(|byte| *byte = random.u8(..));
            disk.put(name, &content);
            format!("{name} has noise from {at} to {to}")
        }
        _ => {
            let bit = random.u8(..8);
            disk.flip(name, at as u64, bit);
            format!("{name} has bit {bit} of byte {at} turned")
        }
    }
}

#[test]
fn whatever_happened_to_a_store_what_is_saved_was_there_and_what_is_not_is_told() {
    let (mut repaired, mut whole, mut saved) = (0, 0, 0);
    for seed in 0..400 {
        let mut random = Rng::with_seed(seed);
        let damaged = Damaged::by(seed, random.usize(20..200));
        let times = random.usize(1..6);
        let last = damaged.left.disk.names().into_iter().rfind(|name| name.ends_with(".log")).unwrap();
        let harms: Vec<String> = (0..times).map(|_| harm(&damaged.left.disk, &mut random)).collect();
        let is_end_certain = !harms.iter().any(|harm| harm.starts_with(&last));
        match damaged.judge(&format!("seed {seed}: {harms:?}"), is_end_certain) {
            Some((export, _)) => {
                repaired += 1;
                saved += export.entries().len();
            }
            None => whole += 1,
        }
        damaged.left.disk.crash(Crash::LoseAll);
    }
    assert!(repaired > 200 && whole > 0 && saved > 2_000, "{repaired} {whole} {saved}");
}

#[test]
fn a_store_that_is_whole_is_saved_as_it_is() {
    for seed in 0..40 {
        let left = Left::by(seed, 150, seed.is_multiple_of(2));
        let before = left.export();
        let (saved, repaired) = left.repair();
        assert_eq!(
            (&repaired.missing[..], repaired.may_miss_more, repaired.damages.len()),
            (&[][..], false, 0)
        );
        assert_eq!(repaired.lost_lanes, []);
        assert_eq!(saved.export().rest(), before.rest(), "seed {seed}");
    }
}

#[test]
fn a_segment_that_is_gone_is_named_with_the_offsets_it_held() {
    let damaged = Damaged::by(7, 200);
    let names: Vec<String> =
        damaged.left.disk.names().into_iter().filter(|name| name.ends_with(".log")).collect();
    let gone = &names[names.len() - 2];
    eric_store::Disk::remove(&damaged.left.disk, gone).unwrap();
    let checked = damaged.left.check();
    let told: Vec<String> = checked.damages.iter().map(ToString::to_string).collect();
    assert_eq!(told, [format!("segment {gone} is damaged at byte 0: its file is missing")]);
    damaged.judge("a segment is gone", true).expect("it is damaged");
}
