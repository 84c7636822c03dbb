//! Everybody comes at once, or one after the other.

use serde::{Deserialize, Serialize};

use super::Subject;
use super::measure::told_opened;
use crate::load::Cast;
use crate::report::Report;

/// What it takes to come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connects {
    /// Listeners on the channel.
    pub listeners: usize,
    /// How many are under way at once; 0 is all.
    pub at_once: usize,
}

impl Default for Connects {
    fn default() -> Self {
        Self { listeners: 5000, at_once: 0 }
    }
}

impl Connects {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let mut load =
            subject.prepare(Cast { listeners: self.listeners, publishers: 1, ..Cast::default() })?;
        let at_once = if self.at_once > 0 { self.at_once } else { self.listeners };
        let moment = subject.moment(&load)?;
        let seconds = load.open(at_once, subject.settings.patience_s)?;
        subject.tell_since(&load, &moment, report)?;
        report.opened = Some(told_opened(&load, seconds));
        let now = load.clock.nanos();
        load.publish(0, now)?;
        subject.finish(&mut load, report)
    }
}
