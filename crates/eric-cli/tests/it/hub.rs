//! A hub to test against: the real binary as a process of its own, on a port of its own, killed when dropped.
//!
//! `Hub::start` returns when the ready line is there. Requests go over plain sockets, so that a test sees the bytes
//! that the hub sent and not what a client library made of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than any one answer may take; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running `eric serve`.
#[derive(Debug)]
pub(crate) struct Hub {
    serving: Serving,
    ready: HashMap<String, String>,
}

/// An `eric serve` that need not be ready.
#[derive(Debug)]
pub(crate) struct Serving {
    process: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: watch::Receiver<Vec<String>>,
    stderr_reader: JoinHandle<()>,
}

/// `eric serve` with exactly these flags, to be started.
pub(crate) fn serve(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eric"));
    command.arg("serve").args(flags);
    command
}

impl Hub {
    /// Starts a memory hub on a free port of the loopback, with further flags.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let mut serve = vec!["--listen", "127.0.0.1:0", "--engine", "memory"];
        serve.extend(flags);
        Self::serve(&serve).await
    }

    /// Starts `eric serve` with exactly these flags.
    pub(crate) async fn serve(flags: &[&str]) -> Self {
        Serving::start(serve(flags)).ready().await
    }

    /// A value of the ready line, as `http`, `socket` or `engine`.
    pub(crate) fn ready(&self, key: &str) -> &str {
        self.ready.get(key).unwrap_or_else(|| panic!("the ready line has no {key}: {:?}", self.ready))
    }

    /// Where the HTTP door is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.ready("http").parse().expect("http= is an address with a port")
    }

    /// The same as the beginning of an address that a client takes.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The process, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.serving.pid()
    }

    /// Waits until standard error is as wanted, and returns its lines so far.
    pub(crate) async fn stderr_when(&mut self, is_wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        self.serving.stderr_when(is_wanted).await
    }

    /// Asks the hub to stop, as a supervisor does, and waits for its end.
    pub(crate) async fn terminate(self) -> Ended {
        self.serving.end_by(Signal::TERM).await
    }

    /// Ends the hub in the middle of whatever it does.
    pub(crate) async fn kill(self) -> Ended {
        self.serving.end_by(Signal::KILL).await
    }

    /// Waits for the hub's end, whatever brings it about.
    pub(crate) async fn ended(self) -> Ended {
        self.serving.ended().await
    }

    /// One request on a connection of its own, and its whole answer.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let exchange = exchange(self.address(), method, path, headers, body.as_ref());
        let Ok(answer) = timeout(PATIENCE, exchange).await else {
            panic!("no answer to {method} {path} within {PATIENCE:?} from the hub with pid {}", self.pid());
        };
        answer
    }

    /// A request with a JSON body that must succeed; returns the body of the answer.
    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer =
            self.request(method, path, &[("content-type", "application/json")], body.to_string()).await;
        assert!((200..300).contains(&answer.status), "{method} {path} {body}: {answer:?}");
        answer.json()
    }
}

impl Serving {
    /// Starts what `command` says, which becomes `eric serve`.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary was built with this test");
        let stdout = process.stdout.take().expect("standard output is piped");
        let (stderr, stderr_reader) = collect(process.stderr.take().expect("standard error is piped"));
        Self { process, stdout: BufReader::new(stdout).lines(), stderr, stderr_reader }
    }

    /// Waits for the ready line.
    pub(crate) async fn ready(mut self) -> Hub {
        let line = timeout(PATIENCE, self.stdout.next_line())
            .await
            .expect("a ready line in time")
            .expect("standard output is UTF-8")
            .unwrap_or_default();
        let Some(words) = line.strip_prefix("ready ") else {
            panic!("no ready line but {line:?}; stderr: {:#?}", self.ended().await.stderr);
        };
        let ready = words
            .split(' ')
            .filter_map(|word| word.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Hub { serving: self, ready }
    }

    fn pid(&self) -> u32 {
        self.process.id().expect("the hub still runs")
    }

    /// Waits until standard error is as wanted, and returns its lines so far.
    pub(crate) async fn stderr_when(&mut self, is_wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let lines = self.stderr.wait_for(|lines| is_wanted(lines));
        timeout(PATIENCE, lines).await.expect("the lines in time").expect("the hub still writes").clone()
    }

    /// Sends a signal that ends it, and waits for that.
    pub(crate) async fn end_by(self, signal: Signal) -> Ended {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process has a pid");
        kill_process(pid, signal).expect("a process of our own takes signals");
        self.ended().await
    }

    /// Waits for its end, whatever brings it about.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = timeout(PATIENCE, self.process.wait()).await.expect("the hub ends in time");
        let mut stdout = Vec::new();
        while let Some(line) = self.stdout.next_line().await.expect("standard output is UTF-8") {
            stdout.push(line);
        }
        self.stderr_reader.await.expect("the reader of standard error does not panic");
        let stderr = self.stderr.borrow().clone();
        Ended { status: status.expect("a process of our own can be waited for"), stdout, stderr }
    }
}

/// What a hub left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The lines after the ready line.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

/// What a request brought back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of this (lower-case) name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is empty.
    pub(crate) fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut stream = TcpStream::connect(address).await.expect("the hub accepts");
    stream.write_all(&[head.as_bytes(), body].concat()).await.expect("the hub takes the request");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the hub ends its answer in order");
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let end = find(bytes, b"\r\n\r\n").unwrap_or_else(|| panic!("no head in {:?}", lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..end]).expect("the head is UTF-8");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status: status.parse().expect("a status"), headers, body: Vec::new() };
    let rest = &bytes[end + 4..];
    answer.body = match answer.header("transfer-encoding") {
        Some("chunked") => unchunk(rest),
        _ => rest.to_vec(),
    };
    answer
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").unwrap_or_else(|| panic!("no chunk in {:?}", lossy(rest)));
        let size = usize::from_str_radix(&lossy(&rest[..end]), 16).expect("a chunk's size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn collect(stderr: ChildStderr) -> (watch::Receiver<Vec<String>>, JoinHandle<()>) {
    let (sender, receiver) = watch::channel(Vec::new());
    let reader = tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|seen| seen.push(line));
        }
    });
    (receiver, reader)
}
