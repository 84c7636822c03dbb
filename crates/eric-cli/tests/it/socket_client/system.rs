//! What the system tells of a process from outside, and what it does to it.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::hub::PATIENCE;

pub(super) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process has a pid");
    kill_process(pid, signal).expect("a process of our own takes signals");
}

/// Lets a process stand still, and returns when it does.
pub(super) async fn stop(pid: u32) {
    signal(pid, Signal::STOP);
    until("the process stands still", || status(pid, "State:").starts_with('T')).await;
}

/// Waits until `is_so`, and returns how long that took.
pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it never comes that {what}");
        tokio::task::yield_now().await;
    }
    start.elapsed()
}

/// The most memory that a process has had resident, in kB.
pub(super) fn resident_kb_max(pid: u32) -> u64 {
    status(pid, "VmHWM:").trim_end_matches(" kB").parse().unwrap()
}

/// How many connections to the Unix socket at `path` its process has or has yet to accept.
pub(super) fn connections(path: &str) -> usize {
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    let ends = sockets.lines().filter(|line| line.split(' ').next_back() == Some(path)).count();
    ends.saturating_sub(1)
}

/// A line of `/proc/PID/status`.
fn status(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
}
