//! Messages to all: as fast as all have them, or at set times.

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::load::{Cast, Load};
use crate::report::Report;
use crate::schedule::Beat;

/// A message's place is free for the next when it was answered and all listeners have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FanOutClosed {
    /// Listeners on the channel.
    pub listeners: usize,
    /// Messages that are under way at once.
    pub window: usize,
}

/// Messages are due at set times, whatever became of those before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FanOutOpen {
    /// Listeners on the channel.
    pub listeners: usize,
    /// Messages a second.
    pub rate: f64,
}

impl Default for FanOutClosed {
    fn default() -> Self {
        Self { listeners: 1000, window: 1 }
    }
}

impl Default for FanOutOpen {
    fn default() -> Self {
        Self { listeners: 1000, rate: 100.0 }
    }
}

impl FanOutClosed {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let cast = Cast { listeners: self.listeners, publishers: self.window, ..Cast::default() };
        let mut load = subject.prepare(cast)?;
        subject.open(&mut load, report)?;
        subject.measure(&mut load, report, |load, now| {
            publish_up_to(load, self.window, now)?;
            Ok(u64::MAX)
        })?;
        subject.finish(&mut load, report)
    }
}

impl FanOutOpen {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let publishers = subject.settings.publishers;
        let cast = Cast { listeners: self.listeners, publishers, ..Cast::default() };
        let mut load = subject.prepare(cast)?;
        subject.open(&mut load, report)?;
        let mut beat = Beat::new(load.clock.nanos(), self.rate);
        subject.measure(&mut load, report, |load, now| publish_due(load, 0, &mut beat, now))?;
        subject.finish(&mut load, report)
    }
}

/// Publishes until `window` messages are under way.
pub(super) fn publish_up_to(load: &mut Load<'_>, window: usize, now: u64) -> anyhow::Result<()> {
    let count = &load.ledger.logs[0].count;
    for _ in count.sent - count.complete..window as u64 {
        load.publish(0, now)?;
    }
    Ok(())
}

/// Publishes what is due on a channel; returns when the next is.
pub(super) fn publish_due(
    load: &mut Load<'_>,
    channel: u32,
    beat: &mut Beat,
    now: u64,
) -> anyhow::Result<u64> {
    while let Some(due) = beat.due(now) {
        load.publish(channel, due)?;
    }
    Ok(beat.next())
}
