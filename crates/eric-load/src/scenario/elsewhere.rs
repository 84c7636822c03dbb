//! Messages to one on a channel of its own, while there are messages to many on another.

use serde::{Deserialize, Serialize};

use super::Subject;
use super::fan_out::publish_due;
use crate::load::Cast;
use crate::report::Report;
use crate::schedule::Beat;

/// The times that are told are those of the channel with one listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elsewhere {
    /// Listeners on the busy channel.
    pub listeners: usize,
    /// Messages a second to them.
    pub rate: f64,
    /// Messages a second to the one elsewhere.
    pub aside_rate: f64,
}

impl Default for Elsewhere {
    fn default() -> Self {
        Self { listeners: 5000, rate: 10.0, aside_rate: 200.0 }
    }
}

impl Elsewhere {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let publishers = subject.settings.publishers;
        let cast = Cast { listeners: self.listeners, has_aside: true, publishers, ..Cast::default() };
        let mut load = subject.prepare(cast)?;
        subject.open(&mut load, report)?;
        let start = load.clock.nanos();
        let mut busy = Beat::new(start, self.rate);
        let mut aside = Beat::new(start, self.aside_rate);
        subject.measure(&mut load, report, |load, now| {
            let next = publish_due(load, 0, &mut busy, now)?;
            Ok(publish_due(load, 1, &mut aside, now)?.min(next))
        })?;
        subject.finish(&mut load, report)
    }
}
