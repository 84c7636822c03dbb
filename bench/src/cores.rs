//! Which core the server has, and which one asks.

use anyhow::{Context as _, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Two cores, one for either side; with a single one, both share it.
#[derive(Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) generator: usize,
}

impl Cores {
    /// Takes the first two cores that this process may use.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot ask which cores there are")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let server = cores.next();
        ensure!(server.is_some(), "there is no core to run on");
        let server = server.unwrap_or_default();
        let cores = Self { server, generator: cores.next().unwrap_or(server) };
        pin(cores.generator)?;
        Ok(cores)
    }

    pub(crate) fn are_shared(&self) -> bool {
        self.server == self.generator
    }

    /// Runs `start`, whose child process inherits the server's core, which it takes for the only one there is.
    pub(crate) fn on_the_servers<T>(&self, start: impl FnOnce() -> T) -> anyhow::Result<T> {
        pin(self.server)?;
        let started = start();
        pin(self.generator)?;
        Ok(started)
    }
}

/// Pins this thread, the only one.
fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}
