//! The four servers: what they are called, how they are started, how they say where they listen.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::options::Options;

/// A server under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `SocketServer` of the Python package eric-sse.
    PythonSocket,
    /// Our socket.
    OurSocket,
    /// The Python package eric-api, in memory.
    PythonHttp,
    /// Our routes of eric-api.
    OurHttp,
}

/// Where a server listens.
#[derive(Debug)]
pub(crate) enum Address {
    Socket(PathBuf),
    Http(SocketAddr),
}

/// As documented, but without a log line per request: ours writes none either.
const SOCKET_SERVER: &str = "\
import logging, sys
from eric_sse.servers import SocketServer
logging.getLogger('eric_sse').setLevel(logging.WARNING)
SocketServer.start(sys.argv[1])
";

impl Subject {
    /// Each of the Python servers, followed by ours.
    pub(crate) const ALL: [Self; 4] = [Self::PythonSocket, Self::OurSocket, Self::PythonHttp, Self::OurHttp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PythonSocket => "eric-sse",
            Self::OurSocket => "ours, socket",
            Self::PythonHttp => "eric-api",
            Self::OurHttp => "ours, HTTP",
        }
    }

    /// How it is started.
    pub(crate) fn command(self, options: &Options) -> Command {
        let socket = socket(&options.folder);
        match self {
            Self::PythonSocket => {
                let mut command = Command::new(&options.eric_sse);
                command.args(["-c", SOCKET_SERVER]).arg(socket);
                command
            }
            Self::PythonHttp => {
                let mut command = Command::new(&options.eric_api);
                command.args(["-m", "uvicorn", "eric_api:app", "--host", "127.0.0.1", "--port", "0"]);
                command.arg("--no-access-log");
                command
            }
            Self::OurSocket => {
                let mut command = Command::new(&options.eric);
                command.args(["serve", "--engine", "memory", "--listen", "off", "--socket"]).arg(socket);
                command
            }
            Self::OurHttp => {
                let mut command = Command::new(&options.eric);
                command.args(["serve", "--engine", "memory", "--listen", "127.0.0.1:0"]);
                command
            }
        }
    }

    /// Where it listens, as soon as it does; `log` is all that it has said so far.
    pub(crate) fn address(self, folder: &Path, log: &str) -> Option<Address> {
        match self {
            Self::PythonSocket => {
                let socket = socket(folder);
                std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(Address::Socket(socket))
            }
            Self::OurSocket => {
                log.lines().any(|line| line.starts_with("ready ")).then(|| Address::Socket(socket(folder)))
            }
            Self::PythonHttp => after(log, "running on http://"),
            Self::OurHttp => after(log, "ready http="),
        }
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

/// The address that follows `words`, once the whole of it is there.
fn after(log: &str, words: &str) -> Option<Address> {
    let (address, _) = log.split_once(words)?.1.split_once(' ')?;
    address.parse().ok().map(Address::Http)
}
