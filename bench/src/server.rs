//! A server under test, as a process of its own that never outlives its `Server`, nor this process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

use crate::cores::Cores;
use crate::door::{self, Door};
use crate::options::Options;
use crate::subject::{Address, Subject};

/// Longer than any server takes to listen.
const START_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// How much of a log is shown after a failure.
const LAST_LINES: usize = 12;

/// A running server; killed with all its children when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    address: Address,
    log: PathBuf,
}

impl Server {
    /// Starts it on its core, and returns when it listens.
    pub(crate) fn start(subject: Subject, options: &Options, cores: &Cores) -> anyhow::Result<Self> {
        let log = options.folder.join("log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let _ = fs::remove_file(options.folder.join("socket"));
        let mut command = subject.command(options);
        command
            // What this user has set is not the server's: no .env file, no ERIC_… or REDIS_… variable.
            .current_dir(&options.folder)
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| ["PATH", "HOME", "LANG"].contains(&name.as_str())))
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("cannot open the log twice")?)
            .stderr(output)
            .process_group(0);
        die_with_parent(&mut command);
        let process = cores.on_the_servers(|| command.spawn())?;
        let process = process.with_context(|| format!("cannot start {:?}", command.get_program()))?;
        // From here on it is killed, whatever happens.
        let mut server = Self { process, address: Address::Socket(PathBuf::new()), log };
        server.address = server.wait_for_address(subject, options)?;
        Ok(server)
    }

    /// A way in.
    pub(crate) fn door(&self) -> anyhow::Result<Box<dyn Door>> {
        door::open(&self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The end of its log, for a failure's text.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        match last {
            [] => "the server said nothing".to_owned(),
            last => format!("the server said last:\n{}", last.join("\n")),
        }
    }

    fn wait_for_address(&mut self, subject: Subject, options: &Options) -> anyhow::Result<Address> {
        let start = Instant::now();
        loop {
            if let Some(address) = subject.address(&options.folder, &self.log()) {
                return Ok(address);
            }
            if let Some(status) = self.process.try_wait().context("cannot wait for a child")? {
                bail!("the server ended with {status}; {}", self.last_words());
            }
            if start.elapsed() > START_MAX {
                bail!("the server does not listen after {START_MAX:?}; {}", self.last_words());
            }
            std::thread::sleep(POLL);
        }
    }

    fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It leads the group that it was started in. One that has ended already is none.
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

/// Has the kernel kill the child when this process is gone, even if that was killed itself.
fn die_with_parent(command: &mut std::process::Command) {
    let die = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from);
    #[expect(unsafe_code, reason = "there is no other way to say it in the child")]
    // SAFETY: between fork and exec, `die` makes one system call; it neither allocates nor locks.
    unsafe {
        command.pre_exec(die);
    }
}
