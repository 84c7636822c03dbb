//! Ten thousand idle streams: they cost next to nothing, and leave nothing behind.
//!
//! A round lasts as long as the heartbeats it waits for: one by default, and as many as `ERIC_TEST_HEARTBEATS` says
//! (four are 56 s). What is measured is printed; beside other work only a busy loop is noticed, alone 1 % counts.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::hub::{Hub, PATIENCE};

const STREAMS: usize = 10_000;
/// A stream is never silent for longer.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Descriptors that the hub itself holds, at most.
const OWN_DESCRIPTORS: usize = 32;

/// Processor time of a process so far, user and system, in seconds.
pub(crate) fn processor_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Resident memory of a process, in kB.
fn resident_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Files and sockets that a process has open.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

async fn open(hub: &Hub) -> TcpStream {
    let mut socket = TcpStream::connect(hub.address()).await.unwrap();
    socket.write_all(b"GET /v1/channels/c/events HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    wait_for(&mut socket, b"retry: 3000\n", PATIENCE).await;
    socket
}

async fn wait_for(socket: &mut TcpStream, wanted: &[u8], patience: Duration) {
    let mut bytes = Vec::with_capacity(1024);
    while !bytes.windows(wanted.len()).any(|window| window == wanted) {
        let read = timeout(patience, socket.read_buf(&mut bytes)).await.expect("it comes in time").unwrap();
        assert!(read > 0, "the stream ended");
    }
}

/// Waits until the hub holds no descriptor of a client's, and returns how long that took.
async fn released(pid: u32) -> Duration {
    let start = Instant::now();
    while descriptors(pid) > OWN_DESCRIPTORS {
        assert!(start.elapsed() < PATIENCE, "{} descriptors are left", descriptors(pid));
        tokio::task::yield_now().await;
    }
    start.elapsed()
}

/// How many heartbeats a round waits for, and what share of a processor it may take.
fn effort() -> (u32, f64) {
    match std::env::var("ERIC_TEST_HEARTBEATS") {
        Ok(heartbeats) => (heartbeats.parse().expect("a number of heartbeats"), 0.01),
        Err(_) => (1, 0.1),
    }
}

/// One round of idle streams; returns the hub's resident memory while they are open.
#[expect(clippy::print_stdout, reason = "what was measured is shown")]
async fn round(hub: &Hub, leaves_by_reset: bool) -> u64 {
    let (heartbeats, share_max) = effort();
    let pid = hub.pid();
    let mut streams = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        streams.push(open(hub).await);
    }
    let (start, spent) = (Instant::now(), processor_seconds(pid));
    for _ in 0..heartbeats {
        for socket in &mut streams {
            wait_for(socket, b":\n", SILENCE_MAX).await;
        }
    }
    let share = (processor_seconds(pid) - spent) / start.elapsed().as_secs_f64();
    let resident = resident_kb(pid);
    println!(
        "{STREAMS} streams, {heartbeats} heartbeats on each in {:.1} s: {:.2} % of a processor, {resident} kB",
        start.elapsed().as_secs_f64(),
        share * 100.0
    );
    assert!(share < share_max, "{:.2} % of a processor", share * 100.0);
    for socket in &streams {
        if leaves_by_reset {
            socket.set_zero_linger().unwrap();
        }
    }
    drop(streams);
    let took = released(pid).await;
    assert!(took < Duration::from_secs(1), "descriptors are released after {took:?}");
    resident
}

#[tokio::test]
async fn ten_thousand_idle_streams_cost_nothing_and_leave_nothing() {
    rustix::process::setrlimit(rustix::process::Resource::Nofile, {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum }
    })
    .unwrap();
    let hub = Hub::start(&["--log-level", "warn"]).await;
    hub.json("PUT", "/v1/channels/c", &json!({})).await;
    let first = round(&hub, false).await;
    let second = round(&hub, true).await;
    assert!(second <= first + first / 10, "the second round took {second} kB, the first {first} kB");
}
