//! Everybody comes at once.

use serde::{Deserialize, Serialize};

use super::Subject;
use super::measure::told_opened;
use crate::load::Cast;
use crate::report::Report;

/// So many connect without waiting for each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connects {
    /// Listeners on the channel.
    pub listeners: usize,
}

impl Default for Connects {
    fn default() -> Self {
        Self { listeners: 5000 }
    }
}

impl Connects {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let mut load =
            subject.prepare(Cast { listeners: self.listeners, publishers: 1, ..Cast::default() })?;
        let seconds = load.open(self.listeners, subject.settings.patience_s)?;
        report.opened = Some(told_opened(&load, seconds));
        let now = load.clock.nanos();
        load.publish(0, now)?;
        subject.finish(&mut load, report)
    }
}
