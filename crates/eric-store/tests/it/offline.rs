//! A store that nobody has open: checked, saved, counted, exported and imported.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod counts;
mod damaged;
mod lines;
mod transfer;

use std::collections::BTreeMap;

use eric_sse::{Clock as _, Result};
use eric_store::offline::{self, Checked, Repaired};
use eric_store::{Disk, Store, StoreSettings};
use eric_testkit::ManualClock;
use eric_testkit::fault_disk::{Crash, FaultDisk};
use eric_verify::log::{Draw, World, act, settings};
use fastrand::Rng;
use serde_json::Value;
use std::sync::Arc;

/// A store with some of everything in several segments, that was left at `clock`.
pub(crate) struct Left {
    pub(crate) disk: FaultDisk,
    pub(crate) clock: ManualClock,
}

impl Left {
    /// What so many changes leave, closed or not.
    pub(crate) fn by(seed: u64, changes: usize, is_closed: bool) -> Self {
        let mut world = World::new(FaultDisk::new(), settings(None)).expect("a new disk is whole");
        let (mut draw, mut random) = (Draw::new(seed), Rng::with_seed(seed));
        let mut done = 0;
        while done < changes {
            done += act(&mut world, &mut draw, &mut random).expect("without a fault nothing is wrong");
        }
        match is_closed {
            true => world.close(),
            false => world.crash(Crash::LoseAll),
        }
        Self { disk: world.disk().clone(), clock: world.clock().clone() }
    }

    pub(crate) fn check(&self) -> Checked {
        offline::check(&self.disk, self.clock.now(), &mut |_| ()).expect("there is a store")
    }

    pub(crate) fn export(&self) -> Export {
        Export::of(&self.disk, &self.clock).expect("it is whole")
    }

    /// What is whole of it, and what is told of the rest.
    pub(crate) fn repair(&self) -> (Self, Repaired) {
        let into = FaultDisk::new();
        let repaired = offline::repair(&self.disk, &into, &settings(None), self.clock.now(), &mut |_| ())
            .expect("it is saved");
        (Self { disk: into, clock: self.clock.clone() }, repaired)
    }

    /// Whether it opens; as it was left, whatever came of that.
    pub(crate) fn try_open(&self) -> Result<()> {
        let before = self.disk.snapshot();
        let opened = open(&self.disk, settings(None), &self.clock);
        let result = opened.map(Store::abandon);
        self.disk.restore(&before);
        result
    }
}

pub(crate) fn open(disk: &FaultDisk, settings: StoreSettings, clock: &ManualClock) -> Result<Store> {
    Store::open_stepped(disk.mount(), settings, Arc::new(clock.clone()))
}

/// The lines of an export.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Export {
    pub(crate) epoch: String,
    pub(crate) text: String,
}

impl Export {
    pub(crate) fn of(disk: &dyn Disk, clock: &ManualClock) -> Result<Self> {
        let mut bytes = Vec::new();
        offline::export(disk, clock.now(), &mut bytes, &mut |_| ())?;
        let text = String::from_utf8(bytes).expect("lines are UTF-8");
        let mut export = Self { epoch: String::new(), text };
        export.epoch = export.head()["epoch"].as_str().unwrap().to_owned();
        Ok(export)
    }

    pub(crate) fn head(&self) -> Value {
        serde_json::from_str(self.text.lines().next().expect("there is a first line")).unwrap()
    }

    /// Makes a store of it.
    pub(crate) fn import(&self, clock: &ManualClock) -> FaultDisk {
        let disk = FaultDisk::new();
        offline::import(&disk, &settings(None), clock.now(), &mut self.text.as_bytes(), &mut |_| ())
            .unwrap_or_else(|error| panic!("{error}"));
        disk
    }

    /// All but the first line, which names the epoch.
    pub(crate) fn rest(&self) -> &str {
        self.text.split_once('\n').expect("there is a first line").1
    }

    /// Its lines of one kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Value> {
        let lines = self.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|mut line| Some(line.get_mut(kind)?.take())).collect()
    }

    /// Its entries, by offset.
    pub(crate) fn entries(&self) -> BTreeMap<u64, Value> {
        self.of_kind("entry").into_iter().map(|entry| (entry["offset"].as_u64().unwrap(), entry)).collect()
    }
}
