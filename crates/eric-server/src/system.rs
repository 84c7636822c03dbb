//! What no safe call asks of the system: the one file with `unsafe`, and a safe surface.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Bytes that were written to `socket` and that its peer has not taken: for TCP, that the peer's kernel has not
/// acknowledged (valid after a reset too; a FIN of our own counts as 1); for a Unix socket, memory that the peer's
/// process has not read. `None` where the system does not tell.
#[expect(unsafe_code, reason = "no crate wraps SIOCOUTQ; the call reads one integer")]
pub(crate) fn untaken_bytes(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for the length of the borrow, and SIOCOUTQ (= TIOCOUTQ) writes one `int` to the
    // pointer, which is valid and aligned.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome == 0 { u64::try_from(bytes).ok() } else { None }
}

/// Waits for an epoll to have something to tell.
///
/// # Errors
/// What the system says of the registration.
#[expect(unsafe_code, reason = "a descriptor cannot say by its type that it stays open")]
pub(crate) fn register_epoll(epoll: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, always the same, and closed only when it is dropped, which the `AsyncFd` does.
    Ok(unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) }?)
}

/// Waits for `interest` in `socket` alone.
///
/// # Errors
/// What the system says of the registration.
#[expect(unsafe_code, reason = "a socket cannot say by its type that its descriptor stays open")]
pub(crate) fn register(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: a `UnixStream` owns its descriptor: it is open, always the same, and closed only when the stream is
    // dropped, which the `AsyncFd` does; nobody gets the stream out of it by `&mut`.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}
