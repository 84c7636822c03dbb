//! Messages to one listener each, in turn.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::Subject;
use crate::load::{Cast, Load};
use crate::report::Report;

/// As many messages are under way as `window` says, no two of them to the same listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unicast {
    /// Listeners that are connected, and get messages.
    pub listeners: usize,
    /// Listeners that the server knows, these included.
    pub registered: usize,
    /// Messages that are under way at once.
    pub window: usize,
}

impl Default for Unicast {
    fn default() -> Self {
        Self { listeners: 1000, registered: 1000, window: 16 }
    }
}

impl Unicast {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let listeners = self.listeners;
        ensure!(self.window <= listeners, "a window of {} for {listeners} listeners", self.window);
        let cast = Cast {
            listeners,
            absent: self.registered.saturating_sub(listeners),
            is_unicast: true,
            publishers: self.window,
            ..Cast::default()
        };
        let mut load = subject.prepare(cast)?;
        subject.open(&mut load, report)?;
        let mut turn = 0;
        subject.measure(&mut load, report, |load, now| {
            self.publish(load, &mut turn, now)?;
            Ok(u64::MAX)
        })?;
        subject.finish(&mut load, report)
    }

    /// Publishes until the window is full, to the next listeners that have nothing under way.
    fn publish(&self, load: &mut Load<'_>, turn: &mut usize, now: u64) -> anyhow::Result<()> {
        let count = &load.ledger.logs[0].count;
        for _ in count.sent - count.complete..self.window as u64 {
            while load.ledger.has_under_way(*turn) {
                *turn = (*turn + 1) % self.listeners;
            }
            load.publish(*turn as u32, now)?;
            *turn = (*turn + 1) % self.listeners;
        }
        Ok(())
    }
}
