//! A program that runs beside a test: what it prints comes line by line, with a deadline, and it is killed at the end.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any one line may take; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines that are read ahead.
const LINES_AHEAD: usize = 1_024;

/// An example that was built beside this test.
pub(crate) fn example(name: &str) -> Command {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program: PathBuf = profile.join("examples").join(name);
    assert!(program.is_file(), "{} is not built: cargo test --examples does it", program.display());
    Command::new(program)
}

/// A program that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = sync_channel(LINES_AHEAD);
        // It ends with the program's output, or with the test's interest in it.
        thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| sender.send(line.trim_end_matches('\r').to_owned()).is_ok())
            {
            }
        });
        Self { stdin: process.stdin.take(), process, lines }
    }

    /// The next line; none where the output has ended.
    pub(crate) fn next_line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing for {PATIENCE:?}"),
        }
    }

    /// The next line.
    pub(crate) fn line(&self) -> String {
        self.next_line().expect("there is more to come")
    }

    /// What the next line says after `word`.
    pub(crate) fn word(&self, word: &str) -> String {
        let line = self.line();
        let rest = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
        rest.unwrap_or_else(|| panic!("{line:?} does not begin with {word:?}")).to_owned()
    }

    /// All lines to the end, which must be a success.
    pub(crate) fn rest(mut self) -> Vec<String> {
        let lines = std::iter::from_fn(|| self.next_line()).collect();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status} after {lines:?}");
        lines
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Says that nothing more will be typed.
    pub(crate) fn end_typing(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to stop, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Ends it as a desktop does, so that it takes its own processes along, and waits for that.
    pub(crate) fn terminate(mut self) {
        self.signal(Signal::TERM);
        self.process.wait().unwrap();
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("it has an id"), signal).unwrap();
    }

    /// Ends it in the middle of whatever it does, by SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        assert!(!self.process.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Whether it has ended by itself makes no difference.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
