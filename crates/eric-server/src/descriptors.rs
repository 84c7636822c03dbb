//! How many descriptors the process may open: as many as the system lets it have, and a table that has room for them.

use std::io;
use std::os::fd::AsFd;

use eric_sse::limits::DESCRIPTORS_RESERVED;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open descriptors to the most that is allowed, and returns what it is then.
pub fn raise_descriptor_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open descriptors stays as it is");
            limit.current
        }
    };
    now.map_or(usize::MAX, |now| usize::try_from(now).unwrap_or(usize::MAX))
}

/// Makes room in the process's table of descriptors for so many connections, as far as its limit allows: 8 bytes of the
/// kernel's memory each. A table that grows while connections come keeps all of them waiting, for the kernel doubles
/// that of a process with threads only once all processors have left it alone (`expand_fdtable` in Linux's `fs/file.c`):
/// 8 to 22 ms, six times on the way to 5,000 streams.
///
/// # Errors
/// What the system says, but for the limit.
pub(crate) fn make_room(connections: usize, any: impl AsFd) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = (connections.saturating_add(DESCRIPTORS_RESERVED) as u64).min(limit);
    // The highest is taken and given back; the table stays as long as it is.
    let highest = i32::try_from(wanted.saturating_sub(1)).unwrap_or(i32::MAX);
    match fcntl_dupfd_cloexec(any, highest) {
        // All of the highest are taken: there is room.
        Ok(_) | Err(Errno::MFILE | Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
