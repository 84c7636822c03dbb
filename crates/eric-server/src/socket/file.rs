//! The socket that listens, and its file: taken without stealing it from anybody, and removed only while it is ours.

use std::io::{self, Error, ErrorKind};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eric_sse::limits::LISTEN_BACKLOG;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};

use crate::acceptor::Acceptor;

/// Who may use the socket: its owner.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Bytes of a path that every client can reach.
const PATH_BYTES_MAX: usize = 107;
/// How often a lock on the folder is tried for, and the pause in between.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A socket that listens, with its file, which is removed when it is dropped, if it is still there.
#[derive(Debug)]
pub(crate) struct SocketAcceptor {
    path: PathBuf,
    /// Device and inode of the file. They are nobody else's while the socket is open, which it is until the file is
    /// gone; and whoever asks meanwhile whether it lives is told so.
    identity: (u64, u64),
    listener: UnixListener,
}

/// Listens at `path`. A file that a hub which is gone left behind is replaced; nothing else is.
///
/// # Errors
/// [`ErrorKind::AddrInUse`] where something else is there, and what the system says; nothing has changed then.
pub(crate) fn bind(path: &Path) -> io::Result<SocketAcceptor> {
    if path.as_os_str().as_bytes().iter().any(u8::is_ascii_control) {
        return Err(Error::new(ErrorKind::InvalidInput, "the path has a control character"));
    }
    // The system takes one byte more, without the NUL at its end; but many clients do not.
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the path is longer than {PATH_BYTES_MAX} bytes"),
        ));
    }
    let address = SocketAddrUnix::new(path)?;
    // Nobody else looks and binds at the same time.
    let _lock = lock(path)?;
    if is_left_behind(path, &address)? {
        rustix::fs::unlink(path)?;
    }
    let socket = socket()?;
    // A socket's mode, less the umask, becomes that of its file: it is never open to others, not even for a moment.
    let _ = rustix::fs::fchmod(&socket, MODE);
    rustix::net::bind(&socket, &address)?;
    rustix::fs::chmod(path, MODE)?;
    rustix::net::listen(&socket, LISTEN_BACKLOG)?;
    let identity = identity(&stat(path)?);
    let listener = UnixListener::from_std(socket.into())?;
    Ok(SocketAcceptor { path: path.to_owned(), identity, listener })
}

/// A lock on the folder of `path`, held until it is dropped; none where its file system has none.
fn lock(path: &Path) -> io::Result<Option<OwnedFd>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = match rustix::fs::open(folder, flags, Mode::empty()) {
        // One that may be written to and not read.
        Err(Errno::ACCESS) => return Ok(None),
        folder => folder?,
    };
    for _ in 0..LOCK_TRIES {
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(folder)),
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => {
                tracing::debug!(%error, "a folder that cannot be locked");
                return Ok(None);
            }
        }
        #[expect(clippy::disallowed_methods, reason = "a lock cannot be waited for with a limit of time")]
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(Error::new(ErrorKind::WouldBlock, "its folder is locked by another process"))
}

/// Whether what is at `path` is a socket to which nobody listens any more; false where nothing is.
fn is_left_behind(path: &Path, address: &SocketAddrUnix) -> io::Result<bool> {
    let in_use = |what: &str| Err(Error::new(ErrorKind::AddrInUse, what));
    match stat(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Socket => {
            return in_use("there is something that is not a socket; it stays untouched");
        }
        Ok(_) => {}
    }
    let probe = socket()?;
    match rustix::net::connect(probe.as_fd(), address) {
        Err(Errno::CONNREFUSED) => Ok(true),
        // One that is too busy to take a connection at once is alive too.
        Ok(()) | Err(Errno::AGAIN) => in_use("a server that lives listens there"),
        Err(error) => in_use(&format!("there is a socket that cannot be asked whether it lives: {error}")),
    }
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

fn stat(path: &Path) -> io::Result<Stat> {
    Ok(rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[expect(clippy::unnecessary_cast, reason = "the fields' types differ between systems")]
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

impl Acceptor for SocketAcceptor {
    type Socket = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        let (socket, _) = self.listener.accept().await?;
        Ok(socket)
    }
}

impl SocketAcceptor {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketAcceptor {
    fn drop(&mut self) {
        let _lock = lock(&self.path);
        match stat(&self.path) {
            Ok(stat) if identity(&stat) == self.identity => {
                if let Err(error) = rustix::fs::unlink(&self.path) {
                    tracing::warn!(path = %self.path.display(), %error, "the socket's file stays behind");
                }
            }
            _ => {
                tracing::warn!(path = %self.path.display(), "the socket's file was replaced or removed by somebody")
            }
        }
    }
}
