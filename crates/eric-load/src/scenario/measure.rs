//! The measurement itself, which most scenarios share: what was counted and used between two moments.

use anyhow::ensure;

use super::{Subject, Target};
use crate::clock::{nanos, seconds};
use crate::distribution::Distribution;
use crate::load::{Cast, Load};
use crate::report::{MemoryAtEnd, MemoryUse, Opened, ProcessorTime, Report};
use crate::usage::{self, Memory, Processor};
use crate::watch::Phase;

/// Memory is steady when it changes by less than this share …
const STEADY_SHARE: f64 = 0.005;

/// … between two looks that are so far apart.
const STEADY_S: f64 = 1.0;

/// Looks at most.
const STEADY_LOOKS_MAX: usize = 20;

/// What was used and counted up to a moment.
#[derive(Debug)]
pub(super) struct Moment {
    at: u64,
    server: Option<Processor>,
    own: Processor,
    machine: f64,
    sent: u64,
    delivered: u64,
}

impl<'a> Subject<'a> {
    /// Prepares a run.
    pub(super) fn prepare(&self, cast: Cast) -> anyhow::Result<Load<'a>> {
        ensure!(cast.listeners > 0, "there must be a listener");
        Load::prepare(self.target.dialect, self.target.server, self.settings, cast, self.watch)
    }

    /// Opens all streams, where that is not what is measured.
    pub(super) fn open(&self, load: &mut Load<'_>, report: &mut Report) -> anyhow::Result<()> {
        let opened = load.open_quietly(self.settings)?;
        report.opened = Some(told_opened(load, opened));
        Ok(())
    }

    /// Warms up, and measures; `act` publishes what is due.
    pub(super) fn measure(
        &self,
        load: &mut Load<'_>,
        report: &mut Report,
        mut act: impl FnMut(&mut Load<'_>, u64) -> anyhow::Result<u64>,
    ) -> anyhow::Result<()> {
        let family = self.target.family()?;
        self.watch.enter(Phase::WarmUp);
        load.run_for(nanos(self.settings.warm_up_s), &mut act)?;
        let start = Moment::take(load, &family)?;
        load.begin_measurement(load.clock.nanos());
        let measured = load.run_for(nanos(self.settings.duration_s), &mut act);
        let ended = self.end(load, &start, &family, report);
        if measured.is_err() {
            tell_counted(load, report);
        }
        measured.and(ended)
    }

    /// Tells what was measured since `start`.
    fn end(
        &self,
        load: &mut Load<'_>,
        start: &Moment,
        family: &[u32],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        report.slices = load.end_measurement();
        Moment::take(load, family)?.tell_since(start, report);
        let memory = self.memory(family)?;
        report.memory_at_end =
            memory.map(|Memory { anonymous, resident }| MemoryAtEnd { anonymous, resident });
        Ok(())
    }

    /// Waits for what is under way, judges, and tells the times.
    pub(super) fn finish(&self, load: &mut Load<'_>, report: &mut Report) -> anyhow::Result<()> {
        let settled = load.settle(self.settings);
        tell_counted(load, report);
        settled
    }

    /// Waits until the server's memory does not change any more.
    pub(super) fn steady_memory(&self, load: &mut Load<'_>) -> anyhow::Result<Option<Memory>> {
        let family = self.target.family()?;
        let Some(mut before) = self.memory(&family)? else { return Ok(None) };
        for _ in 0..STEADY_LOOKS_MAX {
            load.run_for(nanos(STEADY_S), |_, _| Ok(u64::MAX))?;
            let Some(now) = self.memory(&family)? else { break };
            let change = now.anonymous.abs_diff(before.anonymous) as f64;
            before = now;
            if change <= STEADY_SHARE * now.anonymous as f64 {
                break;
            }
        }
        Ok(Some(before))
    }

    /// The server's memory as it is.
    pub(super) fn memory_now(&self) -> anyhow::Result<Option<Memory>> {
        self.memory(&self.target.family()?)
    }

    /// What was used and counted until now.
    pub(super) fn moment(&self, load: &Load<'_>) -> anyhow::Result<Moment> {
        Moment::take(load, &self.target.family()?)
    }

    /// Tells what was used and counted since.
    pub(super) fn tell_since(
        &self,
        load: &Load<'_>,
        start: &Moment,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.moment(load)?.tell_since(start, report);
        Ok(())
    }

    fn memory(&self, family: &[u32]) -> anyhow::Result<Option<Memory>> {
        match family {
            [] => Ok(None),
            family => usage::memory(family).map(Some),
        }
    }
}

impl Target<'_> {
    /// The server's processes; none where its process is not known.
    fn family(&self) -> anyhow::Result<Vec<u32>> {
        self.pid.map_or(Ok(Vec::new()), usage::family)
    }
}

impl Moment {
    fn take(load: &Load<'_>, family: &[u32]) -> anyhow::Result<Self> {
        let logs = &load.ledger.logs;
        Ok(Self {
            at: load.clock.nanos(),
            server: if family.is_empty() { None } else { Some(usage::processor(family)?) },
            own: usage::processor(&[std::process::id()])?,
            machine: usage::machine()?,
            sent: logs.iter().map(|log| log.count.sent).sum(),
            delivered: logs.iter().map(|log| log.count.delivered).sum(),
        })
    }

    fn tell_since(&self, start: &Self, report: &mut Report) {
        let length = seconds(self.at - start.at);
        let delivered = (self.delivered - start.delivered) as f64;
        report.seconds = Some(length);
        report.messages_per_s = Some((self.sent - start.sent) as f64 / length);
        report.deliveries_per_s = Some(delivered / length);
        let own = self.own.sum() - start.own.sum();
        report.generator_share = Some(own / length);
        let Some((server, before)) = self.server.zip(start.server) else { return };
        let (user_s, system_s) = (server.user - before.user, server.system - before.system);
        let used = user_s + system_s;
        report.others_share = Some((self.machine - start.machine - own - used).max(0.0) / length);
        report.processor = Some(ProcessorTime {
            user_s,
            system_s,
            share: used / length,
            s_per_million_deliveries: (delivered > 0.0).then(|| used / delivered * 1e6),
        });
    }
}

/// How streams were opened.
pub(super) fn told_opened(load: &Load<'_>, seconds: f64) -> Opened {
    let streams = load.crowd.len();
    Opened { streams, seconds, per_s: streams as f64 / seconds, head: load.crowd.opening.percentiles() }
}

/// Times of the messages on the last channel, and what else was counted.
fn tell_counted(load: &Load<'_>, report: &mut Report) {
    report.control_events = load.ledger.control_events;
    let count = &load.ledger.logs[load.ledger.logs.len() - 1].count;
    (report.delivery, report.answer) = (count.delivery.percentiles(), count.answer.percentiles());
    report.distribution = Some(Distribution::of(count.delivery.histogram()));
}

/// What `streams` streams added to the server's memory.
pub(super) fn told_memory(
    before: Option<Memory>,
    after: Option<Memory>,
    streams: usize,
) -> Option<MemoryUse> {
    let (before, after) = before.zip(after)?;
    let added = after.anonymous as i64 - before.anonymous as i64;
    Some(MemoryUse {
        before: before.anonymous,
        after: after.anonymous,
        resident: after.resident,
        added,
        per_stream: added as f64 / streams as f64,
        ..MemoryUse::default()
    })
}
