//! Messages to all at set times, while some read their stream's head and nothing else.

use serde::{Deserialize, Serialize};

use super::Subject;
use super::fan_out::publish_due;
use super::measure::told_memory;
use crate::load::Cast;
use crate::report::Report;
use crate::schedule::Beat;
use crate::usage::{queues, socket_memory};

/// What matters is what the stuck ones do to the others, and to the server's memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slow {
    /// Listeners that read.
    pub listeners: usize,
    /// Listeners that do not.
    pub stuck: usize,
    /// The size of their receive buffers; 0 is as the system has it.
    pub receive_buffer_bytes: usize,
    /// Messages a second.
    pub rate: f64,
}

impl Default for Slow {
    fn default() -> Self {
        Self { listeners: 900, stuck: 100, receive_buffer_bytes: 4096, rate: 200.0 }
    }
}

impl Slow {
    pub(super) fn run(&self, subject: Subject<'_>, report: &mut Report) -> anyhow::Result<()> {
        let publishers = subject.settings.publishers;
        let cast = Cast { listeners: self.listeners, stuck: self.stuck, publishers, ..Cast::default() };
        let mut load = subject.prepare(cast)?;
        load.crowd.stuck_buffer = Some(self.receive_buffer_bytes).filter(|bytes| *bytes > 0);
        let before = subject.steady_memory(&mut load)?;
        subject.open(&mut load, report)?;
        let sockets_before = socket_memory()?;
        let mut beat = Beat::new(load.clock.nanos(), self.rate);
        subject.measure(&mut load, report, |load, now| publish_due(load, 0, &mut beat, now))?;
        // Once the others have everything, what is left in sockets is for the stuck ones.
        subject.finish(&mut load, report)?;
        let kernel = socket_memory()? as i64 - sockets_before as i64;
        let queues = queues(subject.target.server.port())?;
        let after = subject.memory_now()?;
        report.memory = told_memory(before, after, load.crowd.len());
        if let Some(memory) = &mut report.memory {
            memory.kernel = Some(kernel);
            memory.stuck_sockets = Some(queues.len());
            let held: u64 = queues.iter().sum();
            memory.kernel_per_stuck_stream = (!queues.is_empty()).then(|| held as f64 / queues.len() as f64);
        }
        Ok(())
    }
}
