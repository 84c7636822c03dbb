//! A server under test: started fresh on its core, and gone with all its parts when dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::peer::{Peer, folder};

/// The server's core; the generator has the next.
const CORE: &str = "0";

/// Longer than any server takes to listen.
const START_MAX: Duration = Duration::from_secs(30);

/// How long a server has to end its parts before they are killed.
const STOP_MAX: Duration = Duration::from_secs(3);

const POLL: Duration = Duration::from_millis(20);

/// Ports that no connection gets by itself; a server may use the next two as well.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
const PORTS_EACH: u16 = 3;

/// Hands out ports, each once, so that no connection of the server before is in the way.
#[derive(Debug)]
pub(crate) struct Ports(std::iter::Cycle<std::iter::StepBy<std::ops::Range<u16>>>);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Ports {
    pub(crate) fn new() -> Self {
        Self(PORTS.step_by(usize::from(PORTS_EACH)).cycle())
    }

    /// The next that are free.
    fn take(&mut self) -> anyhow::Result<u16> {
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let mut tried = self.0.by_ref().take(PORTS.len());
        tried.find(|first| (0..PORTS_EACH).all(|next| is_free(first + next))).context("no port is free")
    }
}

impl Server {
    /// Starts it, and returns when it answers. Its output goes to `out`.
    pub(crate) fn start(peer: &Peer, ports: &mut Ports, out: &Path) -> anyhow::Result<Self> {
        let port = ports.take()?;
        let log = out.join(format!("{}.log", peer.name));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // It ends with this process, even if that is killed.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", CORE])
            .arg(folder(peer.name).join("start"))
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("cannot open the log twice")?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .context("cannot run setpriv, of util-linux")?;
        let mut server = Self { process, address: (Ipv4Addr::LOCALHOST, port).into(), log };
        server.wait_until_ready(peer)?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    fn wait_until_ready(&mut self, peer: &Peer) -> anyhow::Result<()> {
        let start = Instant::now();
        while !peer.dialect.is_spoken_at(self.address) {
            if let Some(status) = self.process.try_wait().context("cannot wait for a server")? {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} ended with {status}: {}", peer.name, said.lines().last().unwrap_or_default());
            }
            if start.elapsed() > START_MAX {
                bail!("{} does not answer after {START_MAX:?}", peer.name);
            }
            std::thread::sleep(POLL);
        }
        std::thread::sleep(Duration::from_secs_f64(peer.dialect.ready_after_s));
        Ok(())
    }

    /// Has it end by itself, and kills what is left of its processes.
    fn stop(&mut self) {
        let parts = eric_load::family(self.process.id()).unwrap_or_default();
        kill(self.process.id(), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP_MAX && parts.iter().any(|part| is_alive(*part)) {
            std::thread::sleep(POLL);
        }
        parts.into_iter().filter(|part| is_alive(*part)).for_each(|part| kill(part, Signal::KILL));
        let _ = self.process.wait();
    }
}

fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether there is such a process, and not only what its parent has yet to hear of it.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_it_has_ended() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(is_alive(child.id()));
        kill(child.id(), Signal::KILL);
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
    }

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let mut ports = Ports::new();
        let first = ports.take().unwrap();
        let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, first + PORTS_EACH + 1)).unwrap();
        assert!(ports.take().unwrap() >= first + 2 * PORTS_EACH);
    }
}
