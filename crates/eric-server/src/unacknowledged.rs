//! What the peer's kernel has not acknowledged yet: the one question that needs `ioctl`.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes that were written to `socket` and that the peer's kernel has not acknowledged. For TCP it is valid after a
/// reset too, and a FIN of our own counts as 1. `None` where the system does not tell.
#[expect(unsafe_code, reason = "no crate wraps SIOCOUTQ; the call reads one integer")]
pub(crate) fn unacknowledged_bytes(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for the length of the borrow, and SIOCOUTQ (= TIOCOUTQ) writes one `int` to the
    // pointer, which is valid and aligned.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome == 0 { u64::try_from(bytes).ok() } else { None }
}
