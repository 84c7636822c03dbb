//! What the server uses, and what else goes on meanwhile: processor time, memory, descriptors.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::cores::Cores;

/// Looks at a server, and at the cores that it and the generator run on.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    pub(crate) server: u32,
    pub(crate) cores: &'a Cores,
}

/// Processor time up to a moment, in seconds.
#[derive(Debug)]
pub(crate) struct Usage {
    at: Instant,
    server: f64,
    generator: f64,
    /// Of both cores, by whomever.
    cores: f64,
}

/// What was used between two moments, in cores.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shares {
    pub(crate) server: f64,
    pub(crate) generator: f64,
    /// What others used of the two cores: other processes, and the hypervisor.
    pub(crate) others: f64,
}

impl Meter<'_> {
    pub(crate) fn now(&self) -> anyhow::Result<Usage> {
        Ok(Usage {
            at: Instant::now(),
            server: processor_seconds(self.server)?,
            generator: own_seconds(),
            cores: core_seconds(self.cores)?,
        })
    }

    /// What was used since `start`.
    pub(crate) fn since(&self, start: &Usage) -> anyhow::Result<Shares> {
        let now = self.now()?;
        let seconds = (now.at - start.at).as_secs_f64();
        let server = (now.server - start.server) / seconds;
        let generator = (now.generator - start.generator) / seconds;
        let cores = (now.cores - start.cores) / seconds;
        Ok(Shares { server, generator, others: (cores - server - generator).max(0.0) })
    }

    /// Resident memory, counted page by page: the quick counter in `statm` is off by up to 64 pages a core.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/smaps_rollup", self.server);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kilobytes = text.lines().find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB"));
        let kilobytes: f64 =
            kilobytes.and_then(|number| number.parse().ok()).context("no Rss in smaps_rollup")?;
        Ok(kilobytes * 1024.0)
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/fd", self.server);
        Ok(fs::read_dir(&path).with_context(|| format!("cannot read {path}"))?.count() as f64)
    }
}

/// The smallest processor time that the system tells of a process, in seconds.
pub(crate) fn tick() -> f64 {
    1.0 / clock_ticks_per_second() as f64
}

/// Processor time of this process so far.
pub(crate) fn own_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Processor time of all threads of a process, user and system.
fn processor_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let fields = text.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    ensure!(ticks.len() == 2, "no processor time in {path}");
    Ok(ticks.iter().sum::<u64>() as f64 * tick())
}

/// Processor time of the two cores, by whomever.
fn core_seconds(cores: &Cores) -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let busy = |core: usize| {
        let name = format!("cpu{core} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
        let fields: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
        // user, nice, system, (idle, waiting for disks,) interrupts, their second halves, stolen
        [0, 1, 2, 5, 6, 7].iter().map(|&field| fields.get(field)).sum::<Option<u64>>()
    };
    let ticks = match cores.are_shared() {
        true => busy(cores.server),
        false => busy(cores.server).zip(busy(cores.generator)).map(|(server, generator)| server + generator),
    };
    Ok(ticks.context("no processor time in /proc/stat")? as f64 * tick())
}
