//! What a test begins with: a hub of which only the socket is open, and clients for it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::script::Script;
use crate::folder::Folder;
use crate::hub::Hub;
use crate::tools::tool;

/// Flags of a hub of which only the socket is open.
pub(super) fn flags(path: &str) -> [&str; 6] {
    flags_with("off", path)
}

fn flags_with<'a>(listen: &'a str, path: &'a str) -> [&'a str; 6] {
    ["--listen", listen, "--socket", path, "--engine", "memory"]
}

/// A hub on a socket of its own, and a Python that has the package.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) hub: Hub,
    pub(super) path: String,
    pub(super) folder: Folder,
    python: PathBuf,
}

impl Stage {
    /// None if the test is to be skipped.
    pub(super) async fn set() -> Option<Self> {
        Self::set_with("off").await
    }

    /// The same with an HTTP door too.
    pub(super) async fn set_with(listen: &str) -> Option<Self> {
        let python = tool("ERIC_TEST_PYTHON")?;
        let folder = Folder::create();
        let path = folder.file("hub.sock");
        let hub = Hub::serve(&flags_with(listen, &path)).await;
        assert_eq!(hub.ready("socket"), path);
        Some(Self { hub, path, python, folder })
    }

    /// A script with the path of the socket and further arguments.
    pub(super) fn script(&self, name: &'static str, arguments: &[&str]) -> Script {
        Script::start(&self.python, name, &[&[self.path.as_str()], arguments].concat())
    }

    pub(super) fn calls(&self) -> Calls {
        self.calls_at(&self.path)
    }

    /// Calls to another hub's socket.
    pub(super) fn calls_at(&self, path: &str) -> Calls {
        Calls(Script::start(&self.python, "socket_client_calls.py", &[path]))
    }

    pub(super) fn stream(&self, channel: &str, listener: &str, lines: usize) -> Script {
        self.script("socket_client_stream.py", &[channel, listener, &lines.to_string()])
    }
}

/// A `SocketClient` that does one thing after the other.
#[derive(Debug)]
pub(super) struct Calls(pub(super) Script);

impl Calls {
    /// The reply to a call: the method, then its arguments.
    pub(super) async fn reply(&mut self, call: &Value) -> String {
        let reply = self.0.ask(call).await;
        reply.as_str().unwrap_or_else(|| panic!("{call} -> {reply}")).to_owned()
    }

    pub(super) async fn check(&mut self, call: Value, expected: &str) {
        assert_eq!(self.reply(&call).await, expected, "{call}");
    }

    /// The id that a call makes.
    pub(super) async fn id(&mut self, call: Value) -> String {
        let id = self.reply(&call).await;
        assert!(is_uuid(&id), "{call} -> {id}");
        id
    }

    pub(super) async fn create_channel(&mut self) -> String {
        self.id(json!(["create_channel"])).await
    }

    pub(super) async fn register(&mut self, channel: &str) -> String {
        self.id(json!(["register", channel])).await
    }

    pub(super) async fn acknowledged(&mut self, call: Value) {
        self.check(call, "ack").await;
    }
}

/// Whether it is a version 4 UUID in lower case.
fn is_uuid(text: &str) -> bool {
    let is_right = |(n, byte): (usize, u8)| match n {
        8 | 13 | 18 | 23 => byte == b'-',
        14 => byte == b'4',
        19 => b"89ab".contains(&byte),
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_right)
}
