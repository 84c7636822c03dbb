//! Messages to all at set times, while listeners leave, whatever is on its way to them, and come back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Subject;
use super::fan_out::publish_due;
use crate::clock::nanos;
use crate::load::{Cast, Load};
use crate::report::Report;
use crate::schedule::Beat;

/// Who comes back says which event was its last, and must miss nothing; where a server cannot resume, what was missed is
/// counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Churn {
    /// Listeners on the channel.
    pub listeners: usize,
    /// Messages a second.
    pub rate: f64,
    /// Listeners that leave, each second.
    pub leave_rate: f64,
    /// How long they are away.
    pub away_s: f64,
}

/// Who is away, and who goes next.
#[derive(Debug)]
struct Absence {
    /// Listeners that left, and when they come back; in this order.
    away: VecDeque<(u64, usize)>,
    next: usize,
    returns: u64,
    resumes: bool,
}

impl Default for Churn {
    fn default() -> Self {
        Self { listeners: 1000, rate: 100.0, leave_rate: 50.0, away_s: 0.5 }
    }
}

impl Churn {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let resumes = subject.target.dialect.resume.is_some();
        let publishers = subject.settings.publishers;
        let cast = Cast { listeners: self.listeners, publishers, resumes, ..Cast::default() };
        let mut load = subject.prepare(cast)?;
        subject.open(&mut load, report)?;
        let start = load.clock.nanos();
        let mut beat = Beat::new(start, self.rate);
        let mut leaving = Beat::new(start, self.leave_rate);
        let mut absence = Absence { away: VecDeque::new(), next: 0, returns: 0, resumes };
        subject.measure(&mut load, report, |load, now| {
            absence.come_back(load, now)?;
            while leaving.due(now).is_some() {
                absence.leave(load, now + nanos(self.away_s));
            }
            let back = absence.away.front().map_or(u64::MAX, |(back, _)| *back);
            Ok(publish_due(load, 0, &mut beat, now)?.min(leaving.next()).min(back))
        })?;
        absence.come_back(&mut load, u64::MAX)?;
        load.run_until(subject.settings.patience_s, |load| load.crowd.open == load.crowd.len())?;
        // Whoever is adrift learns where it is from one more message.
        let now = load.clock.nanos();
        load.publish(0, now)?;
        report.returns = Some(absence.returns);
        let finished = subject.finish(&mut load, report);
        report.missed = (!resumes).then_some(load.ledger.logs[0].count.missed);
        finished
    }
}

impl Absence {
    /// The next listener leaves, if it is there and has something to come back with.
    fn leave(&mut self, load: &mut Load<'_>, back: u64) {
        let listener = self.next;
        self.next = (self.next + 1) % load.crowd.len();
        if !load.crowd.is_open(listener) || (self.resumes && load.crowd.last_id(listener).is_empty()) {
            return;
        }
        load.crowd.leave(listener);
        if !self.resumes {
            load.ledger.set_adrift(listener);
        }
        self.away.push_back((back, listener));
    }

    /// Those whose time has come connect again.
    fn come_back(&mut self, load: &mut Load<'_>, now: u64) -> anyhow::Result<()> {
        while let Some((_, listener)) = self.away.pop_front_if(|(back, _)| *back <= now) {
            load.connect(listener)?;
            self.returns += 1;
        }
        Ok(())
    }
}
