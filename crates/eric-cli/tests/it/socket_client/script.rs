//! A Python script of `tests/clients` that runs: what it is told, a line each, and what it says, a JSON value a line.

use std::fmt::Display;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::system;
use crate::hub::PATIENCE;
use crate::tools::client;

/// Killed when dropped.
#[derive(Debug)]
pub(super) struct Script {
    name: &'static str,
    process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Script {
    pub(super) fn start(python: &Path, name: &'static str, arguments: &[&str]) -> Self {
        let mut process = Command::new(python)
            .arg(client(name))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the interpreter starts");
        let stdin = process.stdin.take().expect("standard input is piped");
        let stdout = process.stdout.take().expect("standard output is piped");
        Self { name, process, stdin, lines: BufReader::new(stdout).lines() }
    }

    /// What it says next.
    pub(super) async fn next(&mut self) -> Value {
        let line = timeout(PATIENCE, self.line()).await;
        let line = line.unwrap_or_else(|_| panic!("{} says nothing", self.name));
        let line = line.unwrap_or_else(|| panic!("{} has ended", self.name));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{} said {line}: {error}", self.name))
    }

    /// Tells it a line.
    pub(super) async fn tell(&mut self, line: impl Display) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.expect("it reads what it is told");
    }

    /// Tells it a line, and returns what it says to that.
    pub(super) async fn ask(&mut self, line: impl Display) -> Value {
        self.tell(line).await;
        self.next().await
    }

    /// Waits for so long; it must not say anything meanwhile.
    pub(super) async fn is_silent_for(&mut self, time: Duration) {
        let said = timeout(time, self.line()).await;
        assert!(said.is_err(), "{} said {said:?}", self.name);
    }

    /// Closes its standard input and waits for its end, before which it must not say anything.
    pub(super) async fn end(mut self) {
        drop(self.stdin);
        let rest = timeout(PATIENCE, self.lines.next_line()).await.expect("it ends in time");
        assert_eq!(rest.expect("standard output is UTF-8"), None, "{} had more to say", self.name);
        assert!(self.process.wait().await.expect("it ends").success(), "{} failed", self.name);
    }

    /// Lets it stand still, as a client that has hung up in some work of its own.
    pub(super) async fn stop(&self) {
        let pid = self.process.id().expect("it runs");
        system::stop(pid).await;
    }

    /// Kills it, whatever it is about.
    pub(super) async fn kill(mut self) {
        system::signal(self.process.id().expect("it runs"), Signal::KILL);
        self.process.wait().await.expect("a process of our own can be waited for");
    }

    async fn line(&mut self) -> Option<String> {
        self.lines.next_line().await.expect("standard output is UTF-8")
    }
}
