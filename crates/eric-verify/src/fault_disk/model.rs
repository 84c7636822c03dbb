//! The disk against models that are too simple to be wrong.

use std::collections::BTreeMap;

use eric_store::Disk;
use proptest::prelude::*;

use super::inode::SECTOR_BYTES;
use super::{Crash, FaultDisk};

#[derive(Debug, Clone)]
enum Step {
    Create { name: u8, len: u16 },
    Write { name: u8, at: u16, len: u16, byte: u8 },
    Sync { name: u8 },
    Rename { from: u8, to: u8 },
    Remove { name: u8 },
    SyncNames,
    Snapshot,
    Restore,
    LoseAll,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..4u8;
    prop_oneof![
        2 => (name(), 0..9000u16).prop_map(|(name, len)| Step::Create { name, len }),
        8 => (name(), 0..9000u16, 0..3000u16, 1..=255u8)
            .prop_map(|(name, at, len, byte)| Step::Write { name, at, len, byte }),
        4 => name().prop_map(|name| Step::Sync { name }),
        2 => (name(), name()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => name().prop_map(|name| Step::Remove { name }),
        2 => Just(Step::SyncNames),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restore),
        1 => Just(Step::LoseAll),
        1 => Just(Step::Kill),
    ]
}

/// Whole files and whole directories, copied.
#[derive(Debug, Clone, Default)]
struct Model {
    files: Vec<ModelFile>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
}

#[derive(Debug, Clone)]
struct ModelFile {
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl Model {
    fn now(&self) -> BTreeMap<String, Vec<u8>> {
        self.names.iter().map(|(name, file)| (name.clone(), self.files[*file].now.clone())).collect()
    }

    fn lose_all(&mut self) {
        self.names = self.durable_names.clone();
        for file in &mut self.files {
            file.now = file.durable.clone();
        }
    }
}

fn contents(disk: &FaultDisk) -> BTreeMap<String, Vec<u8>> {
    let names = disk.names().into_iter();
    names.map(|name| (name.clone(), disk.content(&name).expect("it has this name"))).collect()
}

fn write(disk: &FaultDisk, model: &mut Model, name: &str, at: usize, data: &[u8]) {
    let file = disk.open(name).expect("the model has it");
    file.write(data, at as u64).expect("no fault is planned");
    if !data.is_empty() {
        let now = &mut model.files[model.names[name]].now;
        now.resize(now.len().max(at + data.len()), 0);
        now[at..at + data.len()].copy_from_slice(data);
    }
}

fn apply(disk: &FaultDisk, model: &mut Model, step: &Step) {
    let text = |name: &u8| format!("file-{name}");
    match step {
        Step::Create { name, len } => {
            disk.create(&text(name), u64::from(*len)).expect("there is room");
            let zeros = vec![0; usize::from(*len)];
            model.names.insert(text(name), model.files.len());
            model.files.push(ModelFile { now: zeros.clone(), durable: zeros });
        }
        Step::Write { name, at, len, byte } if model.names.contains_key(&text(name)) => {
            write(disk, model, &text(name), usize::from(*at), &vec![*byte; usize::from(*len)]);
        }
        Step::Sync { name } if model.names.contains_key(&text(name)) => {
            disk.open(&text(name)).and_then(|file| file.sync()).expect("no fault is planned");
            let file = &mut model.files[model.names[&text(name)]];
            file.durable = file.now.clone();
        }
        Step::Rename { from, to } => {
            let file = model.names.remove(&text(from));
            assert_eq!(disk.rename(&text(from), &text(to)).is_ok(), file.is_some());
            if let Some(file) = file {
                model.names.insert(text(to), file);
            }
        }
        Step::Remove { name } => {
            let is_there = model.names.remove(&text(name)).is_some();
            assert_eq!(disk.remove(&text(name)).is_ok(), is_there);
        }
        Step::SyncNames => {
            disk.sync_names().expect("no fault is planned");
            model.durable_names = model.names.clone();
        }
        Step::LoseAll => {
            disk.crash(Crash::LoseAll);
            model.lose_all();
        }
        Step::Kill => disk.crash(Crash::Process),
        Step::Write { .. } | Step::Sync { .. } | Step::Snapshot | Step::Restore => {}
    }
}

proptest! {
    #[test]
    fn a_crash_that_loses_all_leaves_exactly_what_was_synced(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let disk = FaultDisk::new();
        let mut model = Model::default();
        let mut saved = (disk.snapshot(), model.clone());
        for step in &steps {
            match step {
                Step::Snapshot => saved = (disk.snapshot(), model.clone()),
                Step::Restore => {
                    disk.restore(&saved.0);
                    model = saved.1.clone();
                }
                step => apply(&disk, &mut model, step),
            }
            prop_assert_eq!(contents(&disk), model.now());
        }
        disk.crash(Crash::LoseAll);
        model.lose_all();
        prop_assert_eq!(contents(&disk), model.now());
        let bytes: usize = model.now().values().map(Vec::len).sum();
        prop_assert_eq!(disk.bytes(), bytes as u64);
    }

    #[test]
    fn each_sector_of_a_torn_crash_is_old_or_new(
        steps in prop::collection::vec(step(), 0..40),
        writes in prop::collection::vec((0..9000usize, 0..3000usize, 1..=255u8), 0..6),
        seed: u64,
    ) {
        let disk = FaultDisk::new();
        let mut model = Model::default();
        for step in &steps {
            apply(&disk, &mut model, step);
        }
        let file = disk.create("torn", 5000).expect("there is room");
        disk.sync_names().expect("no fault is planned");
        for (at, len, byte) in writes {
            file.write(&vec![byte; len], at as u64).expect("no fault is planned");
        }
        let now = disk.content("torn").expect("it was made");
        disk.crash(Crash::Torn(seed));
        let torn = disk.content("torn").expect("its name is durable");
        prop_assert!((5000..=now.len()).contains(&torn.len()));
        for (index, sector) in torn.chunks(SECTOR_BYTES).enumerate() {
            let new = &now[index * SECTOR_BYTES..][..sector.len()];
            prop_assert!(sector == new || sector.iter().all(|byte| *byte == 0), "sector={index}");
        }
        for name in disk.names() {
            prop_assert!(disk.is_durable(&name), "what survived is durable");
        }
    }
}
