//! What a server uses, with all the processes that it started: processor time, and memory of its own.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, ensure};
use rustix::param::clock_ticks_per_second;

/// Processor time up to a moment, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Processor {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// What is resident and belongs to no file.
    pub(crate) anonymous: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    processor: Processor,
}

impl Processor {
    pub(crate) fn sum(&self) -> f64 {
        self.user + self.system
    }
}

/// Processor time of some processes, and of those that they waited for.
pub(crate) fn processor(family: &[u32]) -> anyhow::Result<Processor> {
    let mut sum = Processor::default();
    for &pid in family {
        let stat = stat(pid)?;
        sum.user += stat.processor.user;
        sum.system += stat.processor.system;
    }
    Ok(sum)
}

/// Memory of some processes. It is counted page by page: the quick counters may lag by megabytes.
pub(crate) fn memory(family: &[u32]) -> anyhow::Result<Memory> {
    let mut sum = Memory::default();
    for pid in family {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        sum.resident += bytes(&text, "Rss:").with_context(|| format!("no Rss in {path}"))?;
        sum.anonymous += bytes(&text, "Anonymous:").with_context(|| format!("no Anonymous in {path}"))?;
    }
    Ok(sum)
}

/// Processor time of the whole machine, by whomever, in seconds.
///
/// # Errors
/// If the system does not say.
pub fn machine() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    busy(&text).context("no processor time in /proc/stat")
}

/// The first line's user, nice, system, (idle, waiting for disks,) interrupts, their second halves, stolen.
fn busy(text: &str) -> Option<f64> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<f64> = fields.split_whitespace().flat_map(str::parse).collect();
    let ticks = [0, 1, 2, 5, 6, 7].iter().map(|&field| fields.get(field)).sum::<Option<f64>>();
    Some(ticks? / clock_ticks_per_second() as f64)
}

/// Memory of all TCP sockets of the machine, the kernel's, in bytes.
pub(crate) fn socket_memory() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").context("cannot read /proc/net/sockstat")?;
    let pages = text.lines().find(|line| line.starts_with("TCP:")).and_then(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "mem");
        words.nth(1)?.parse::<u64>().ok()
    });
    Ok(pages.context("no TCP mem in /proc/net/sockstat")? * rustix::param::page_size() as u64)
}

/// What the kernel holds for each socket at a port that has something to send, in bytes.
pub(crate) fn queues(port: u16) -> anyhow::Result<Vec<u64>> {
    let output = Command::new("ss").args(["-tmnHO", "sport", "=", &format!(":{port}")]).output();
    let output = output.context("cannot run ss, of iproute2")?;
    ensure!(output.status.success(), "ss failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(queue).collect())
}

/// State, received, to send, addresses, `skmem:(r0,rb131072,t0,tb2626560,f0,w0,…)`: after `w` is what is queued, with
/// what the kernel needs around it.
fn queue(line: &str) -> Option<u64> {
    let to_send: u64 = line.split_whitespace().nth(2)?.parse().ok()?;
    let (_, fields) = line.split_once("skmem:(")?;
    let held = fields.split([',', ')']).find_map(|field| field.strip_prefix('w')?.parse().ok());
    held.filter(|_| to_send > 0)
}

/// A process and its descendants.
///
/// # Errors
/// If there is no such process.
pub fn family(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list processes")? {
        let name = entry.context("cannot list processes")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that ended meanwhile has no parent to tell.
        if let Ok(stat) = stat(pid) {
            parents.push((pid, stat.parent));
        }
    }
    ensure!(parents.iter().any(|(known, _)| *known == pid), "there is no process {pid}");
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        next += 1;
    }
    Ok(family)
}

fn stat(pid: u32) -> anyhow::Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse(&text).with_context(|| format!("cannot understand {path}"))
}

/// The name, in brackets, may have blanks and brackets in it; after it come state, parent and, from the twelfth on,
/// user and system time, own and of children that were waited for.
fn parse(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let seconds = |field: usize| {
        let ticks: f64 = fields.get(field)?.parse().ok()?;
        Some(ticks / clock_ticks_per_second() as f64)
    };
    let parent = fields.get(1)?.parse().ok()?;
    let processor = Processor { user: seconds(11)? + seconds(13)?, system: seconds(12)? + seconds(14)? };
    Some(Stat { parent, processor })
}

/// A number of kilobytes after `name`, in bytes.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_confuse() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 0 0 0 0 0 100 200 300 400 20 0 1 0 5";
        let stat = parse(text).unwrap();
        let tick = 1.0 / clock_ticks_per_second() as f64;
        assert_eq!(stat.parent, 3);
        assert!((stat.processor.user - 400.0 * tick).abs() < 1e-9, "{stat:?}");
        assert!((stat.processor.system - 600.0 * tick).abs() < 1e-9, "{stat:?}");
    }

    #[test]
    fn a_machine_is_busy_with_everything_but_waiting() {
        let tick = 1.0 / clock_ticks_per_second() as f64;
        let told = busy("cpu  1 2 4 1000 2000 8 16 32 0 0\ncpu0 1 2 4").unwrap();
        assert!((told - 63.0 * tick).abs() < 1e-9, "{told}");
        assert!(machine().unwrap() > 0.0);
    }

    #[test]
    fn a_queue_is_that_of_a_socket_that_has_something_to_send() {
        let line = |to_send: u64| {
            format!(
                "ESTAB 0 {to_send} 127.0.0.1:80 127.0.0.1:4 skmem:(r0,rb131072,t0,tb2626560,f1,w66048,o0,bl0,d0)"
            )
        };
        assert_eq!((queue(&line(9)), queue(&line(0)), queue("ESTAB 0")), (Some(66_048), None, None));
    }

    #[test]
    fn descendants_are_counted_with_a_process() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let own = family(std::process::id()).unwrap();
        assert!(own.contains(&child.id()), "{own:?}");
        assert!(memory(&own).unwrap().anonymous > 0);
        assert!(family(u32::MAX).is_err());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
