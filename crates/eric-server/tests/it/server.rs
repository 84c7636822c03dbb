//! A real server on a port of its own, and a client that speaks bytes.

use std::path::PathBuf;
use std::time::Duration;

use eric_server::{Handle, Server, ServerSettings};
use eric_sse::Hub;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Within this everything that is not about time has happened.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A server in this process; it stops when dropped.
pub(crate) struct TestServer {
    pub(crate) hub: Hub,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) socket: PathBuf,
    _folder: TempDir,
    handle: Handle,
    pub(crate) running: Option<JoinHandle<usize>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::start_with(ServerSettings::default())
    }

    pub(crate) fn start_with(settings: ServerSettings) -> Self {
        let (hub, folder) = (Hub::in_memory(), TempDir::new().expect("a folder"));
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = folder.path().join("eric.sock");
        let settings = ServerSettings { listen: Some(listen), socket: Some(socket.clone()), ..settings };
        let server = Server::bind(hub.clone(), settings).unwrap();
        let (address, handle) = (server.local().expect("HTTP listens"), server.handle());
        let running = Some(tokio::spawn(server.run()));
        Self { hub, address, socket, _folder: folder, handle, running }
    }

    /// A request on the socket, after which the client goes on writing.
    pub(crate) async fn ask_open(&self, request: &[u8]) -> UnixStream {
        let mut socket = UnixStream::connect(&self.socket).await.unwrap();
        // Who is refused early may find the door closed while it still writes; the answer is there to read.
        let _ = socket.write_all(request).await;
        socket
    }

    /// A request on the socket, and its whole answer.
    pub(crate) async fn ask(&self, request: &[u8]) -> String {
        let mut socket = self.ask_open(request).await;
        let _ = socket.shutdown().await;
        let mut answer = String::new();
        timeout(SOON, socket.read_to_string(&mut answer)).await.expect("an answer comes").unwrap();
        answer
    }

    /// A request on the socket that must be answered by `ack`.
    pub(crate) async fn ask_for_ack(&self, request: Value) {
        assert_eq!(self.ask(request.to_string().as_bytes()).await, "ack", "{request}");
    }

    /// A stream on the socket.
    pub(crate) async fn lines(&self, request: Value) -> TestLines {
        let mut socket = self.ask_open(request.to_string().as_bytes()).await;
        socket.shutdown().await.unwrap();
        TestLines(BufReader::new(socket))
    }

    pub(crate) fn stop(&self) {
        self.handle.stop();
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_with(method, path, "", body).await
    }

    pub(crate) async fn send_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut socket = self.connect().await;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        timeout(SOON, socket.read_to_end(&mut bytes)).await.expect("an answer comes").unwrap();
        Answer::parse(&bytes).expect("the answer is HTTP")
    }

    /// A request that must succeed with `status`.
    pub(crate) async fn expect(&self, status: u16, method: &str, path: &str, body: &str) -> Value {
        let answer = self.send(method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.body);
        if answer.body.is_empty() { Value::Null } else { serde_json::from_str(&answer.body).unwrap() }
    }

    /// A stream, opened and past its head.
    pub(crate) async fn stream(&self, path: &str, headers: &str) -> TestStream {
        let mut stream = TestStream { socket: self.connect().await, bytes: Vec::new(), text: String::new() };
        let request = format!("GET {path} HTTP/1.1\r\nHost: hub\r\n{headers}\r\n");
        stream.socket.write_all(request.as_bytes()).await.unwrap();
        stream.head().await;
        stream
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// A stream of lines on the socket.
pub(crate) struct TestLines(pub(crate) BufReader<UnixStream>);

impl TestLines {
    /// The next line; empty at the end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(SOON, self.0.read_line(&mut line)).await.expect("something comes").unwrap();
        line
    }

    /// The `data` of the next line.
    pub(crate) async fn data(&mut self) -> Value {
        let line = self.line().await;
        let frame: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        frame["data"].clone()
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }
}

/// A stream that is being read; chunks are checked and taken apart.
pub(crate) struct TestStream {
    pub(crate) socket: TcpStream,
    bytes: Vec<u8>,
    /// What was decoded and not taken yet.
    pub(crate) text: String,
}

impl TestStream {
    async fn fill(&mut self) -> usize {
        timeout(SOON, self.socket.read_buf(&mut self.bytes)).await.expect("something comes").unwrap()
    }

    async fn head(&mut self) {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(self.bytes.drain(..end + 4).collect()).unwrap();
                assert!(
                    head.starts_with("HTTP/1.1 200 OK\r\n"),
                    "{head} {:?}",
                    String::from_utf8_lossy(&self.bytes)
                );
                assert!(!head.to_ascii_lowercase().contains("content-length"), "{head}");
                return;
            }
            assert!(self.fill().await > 0, "the head comes whole");
        }
    }

    /// Reads one chunk; false at the end of the stream.
    async fn chunk(&mut self) -> bool {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|two| two == b"\r\n") {
                let size =
                    usize::from_str_radix(std::str::from_utf8(&self.bytes[..end]).unwrap(), 16).unwrap();
                if self.bytes.len() >= end + 2 + size + 2 {
                    let chunk: Vec<u8> = self.bytes.drain(..end + 2 + size + 2).collect();
                    self.text.push_str(std::str::from_utf8(&chunk[end + 2..end + 2 + size]).unwrap());
                    assert!(chunk.ends_with(b"\r\n"), "a chunk ends as announced");
                    return size > 0;
                }
            }
            if self.fill().await == 0 {
                panic!("the stream was cut: {:?}", self.text);
            }
        }
    }

    /// The next block that ends with a blank line, without that line.
    pub(crate) async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return block;
            }
            assert!(self.chunk().await, "the stream ended: {:?}", self.text);
        }
    }

    /// The next block that is an event, without comments and retry lines.
    pub(crate) async fn event(&mut self) -> String {
        let block = self.block().await;
        let is_field = |line: &&str| !line.starts_with(':') && !line.starts_with("retry:");
        block.lines().filter(is_field).collect::<Vec<_>>().join("\n")
    }

    /// The `data` of the next event.
    pub(crate) async fn data(&mut self) -> String {
        let event = self.event().await;
        event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default().to_owned()
    }

    /// Reads to the end of the stream, which must be a proper one, and returns what came.
    pub(crate) async fn rest(&mut self) -> String {
        while self.chunk().await {}
        std::mem::take(&mut self.text)
    }

    pub(crate) async fn wait_for(&mut self, text: &str) {
        while !self.text.contains(text) {
            assert!(self.chunk().await, "the stream ended: {:?}", self.text);
        }
    }
}
