//! Everybody comes back at once, after a time in which messages were published.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::Subject;
use crate::clock::seconds;
use crate::load::{Cast, Load};
use crate::report::Report;

/// All listeners read something, leave, and come back with the id of their last event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storm {
    /// Listeners on the channel.
    pub listeners: usize,
    /// Messages before they leave.
    pub before: u64,
    /// Messages while they are away.
    pub missed: u64,
    /// Messages that are under way at once.
    pub window: usize,
}

impl Default for Storm {
    fn default() -> Self {
        Self { listeners: 1000, before: 10, missed: 1000, window: 16 }
    }
}

impl Storm {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let dialect = subject.target.dialect;
        ensure!(dialect.resume.is_some(), "{} has no way to come back to a stream", dialect.title);
        ensure!(self.before > 0, "whoever comes back must have had a message");
        let cast =
            Cast { listeners: self.listeners, publishers: self.window, resumes: true, ..Cast::default() };
        let mut load = subject.prepare(cast)?;
        subject.open(&mut load, report)?;
        self.publish_all(subject, &mut load, self.before)?;
        load.run_until(subject.settings.patience_s, |load| load.ledger.is_settled())?;
        for listener in 0..self.listeners {
            load.crowd.leave(listener);
        }
        self.publish_all(subject, &mut load, self.before + self.missed)?;
        self.come_back(subject, &mut load, report)?;
        subject.finish(&mut load, report)
    }

    /// Publishes until so many messages were, and waits for the answers.
    fn publish_all(&self, subject: Subject<'_>, load: &mut Load<'_>, messages: u64) -> anyhow::Result<()> {
        loop {
            let count = &load.ledger.logs[0].count;
            let left = messages - count.sent;
            let room = self.window as u64 - (count.sent - count.answered);
            for _ in 0..left.min(room) {
                let now = load.clock.nanos();
                load.publish(0, now)?;
            }
            let answered = load.ledger.logs[0].count.answered;
            if answered == messages {
                return Ok(());
            }
            load.run_until(subject.settings.patience_s, |load| {
                load.ledger.logs[0].count.answered > answered
            })?;
        }
    }

    /// All connect at once; the time runs until all have everything.
    fn come_back(
        &self,
        subject: Subject<'_>,
        load: &mut Load<'_>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        load.begin_measurement(0);
        let (moment, patience_s) = (subject.moment(load)?, subject.settings.patience_s);
        let start = load.clock.nanos();
        load.reopen(0..self.listeners, self.listeners, patience_s)?;
        load.run_until(patience_s, |load| load.ledger.is_settled())?;
        report.caught_up_s = Some(seconds(load.clock.nanos() - start));
        report.slices = load.end_measurement();
        subject.tell_since(load, &moment, report)
    }
}
