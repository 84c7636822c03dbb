//! Small things that all measurements share.

use std::time::Duration;

use eric_sse::lane::{Overflow, Retention};

/// Room for everything.
pub(crate) fn roomy() -> Retention {
    Retention {
        max_messages: 1 << 40,
        max_bytes: 1 << 50,
        max_age_s: 1 << 40,
        history: 1 << 40,
        max_unread_per_listener: 1 << 40,
        max_unread_bytes_per_listener: 1 << 50,
        overflow: Overflow::DropOldest,
    }
}

/// The value in the middle.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value below which this part is.
pub(crate) fn at(sorted: &[Duration], part: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

/// Processor time of this process.
pub(crate) fn usage() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Bytes of memory that this process has resident, from `/proc`.
pub(crate) fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|line| line.split_whitespace().next()).unwrap_or("0").parse()?;
    Ok(kib * 1024)
}
