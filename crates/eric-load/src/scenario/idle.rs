//! Streams on which nothing happens: what opening them takes, and having them.

use serde::{Deserialize, Serialize};

use super::Subject;
use super::measure::told_memory;
use crate::load::Cast;
use crate::report::Report;

/// So many streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Idle {
    /// Listeners on the channel.
    pub listeners: usize,
}

impl Default for Idle {
    fn default() -> Self {
        Self { listeners: 10_000 }
    }
}

impl Idle {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let fresh = subject.memory_now()?;
        let mut load =
            subject.prepare(Cast { listeners: self.listeners, publishers: 1, ..Cast::default() })?;
        let before = subject.steady_memory(&mut load)?;
        subject.open(&mut load, report)?;
        let after = subject.steady_memory(&mut load)?;
        report.memory = told_memory(before, after, self.listeners);
        if let (Some(memory), Some(fresh)) = (&mut report.memory, fresh) {
            memory.fresh = Some(fresh.anonymous);
            let added = memory.after as f64 - fresh.anonymous as f64;
            memory.per_listener = Some(added / self.listeners as f64);
        }
        subject.measure(&mut load, report, |_, _| Ok(u64::MAX))?;
        // That they are streams, and not only heads: a message comes on each of them.
        let now = load.clock.nanos();
        load.publish(0, now)?;
        subject.finish(&mut load, report)
    }
}
