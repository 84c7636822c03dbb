//! The routes of eric-api: one connection that is kept for all requests, and one per stream.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{Door, PATIENCE};
use crate::stream::{Framing, Stream};

/// Longer than any head or answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(super) struct Http {
    address: SocketAddr,
    /// Made by the first request after a rest: servers close one that is idle.
    connection: Option<TcpStream>,
    answer: Vec<u8>,
}

/// What matters of an answer's head.
struct Head {
    /// Where the body begins.
    end: usize,
    status: u16,
    is_chunked: bool,
    body_bytes: usize,
}

impl Http {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, answer: Vec::new() }
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let connection = TcpStream::connect(self.address).context("cannot connect")?;
        connection.set_nodelay(true).context("cannot send at once")?;
        connection.set_read_timeout(Some(PATIENCE)).context("cannot limit the patience")?;
        Ok(connection)
    }

    /// Receives one answer; its body is what follows the head in `self.answer`.
    fn receive(&mut self) -> anyhow::Result<Head> {
        let connection = self.connection.as_mut().context("nothing was asked")?;
        let head = receive_head(connection, &mut self.answer)?;
        while self.answer.len() < head.end + head.body_bytes {
            receive_some(connection, &mut self.answer)?;
        }
        ensure!(!head.is_chunked, "an answer that is not a stream comes in chunks");
        ensure!(self.answer.len() == head.end + head.body_bytes, "more than an answer came");
        Ok(head)
    }

    /// A request without a body, that is answered with an object whose member `member` is an id.
    fn id(&mut self, method: &str, target: &str, member: &str) -> anyhow::Result<String> {
        self.send(request(self.address, method, target, "").as_bytes())?;
        let head = self.receive()?;
        let body = String::from_utf8_lossy(&self.answer[head.end..]);
        ensure!(head.status == 200, "{method} {target} was answered with {} {body}", head.status);
        let body: Value = serde_json::from_str(&body).with_context(|| format!("{body:?} is not JSON"))?;
        let id = body[member].as_str().with_context(|| format!("{body} has no {member}"))?;
        Ok(id.to_owned())
    }
}

impl Door for Http {
    fn create_channel(&mut self) -> anyhow::Result<String> {
        self.id("PUT", "/create", "channel_id")
    }

    fn add_listener(&mut self, channel: &str) -> anyhow::Result<String> {
        self.id("POST", &format!("/subscribe?channel_id={channel}"), "listener_id")
    }

    fn open_stream(&mut self, channel: &str, listener: &str) -> anyhow::Result<Stream> {
        let mut connection = self.connect()?;
        let target = format!("/stream/{channel}/{listener}");
        connection
            .write_all(request(self.address, "GET", &target, "").as_bytes())
            .context("the server does not take the request")?;
        let mut bytes = Vec::new();
        let head = receive_head(&mut connection, &mut bytes)?;
        ensure!(
            head.status == 200,
            "GET {target} was answered with {}",
            String::from_utf8_lossy(&bytes[head.end..])
        );
        connection.set_nonblocking(true).context("cannot stop waiting")?;
        let framing = if head.is_chunked { Framing::ChunkedEvents } else { Framing::Events };
        let mut stream = Stream::new(connection.into(), framing);
        stream.take(&bytes[head.end..], &mut |_| bail!("a message came before any was sent"))?;
        Ok(stream)
    }

    fn broadcast(&self, channel: &str, kind: &str, payload: &Value) -> Vec<u8> {
        let body = json!({"type": kind, "payload": payload}).to_string();
        request(self.address, "POST", &format!("/broadcast?channel_id={channel}"), &body).into_bytes()
    }

    fn send(&mut self, broadcast: &[u8]) -> anyhow::Result<()> {
        if self.connection.is_none() {
            self.connection = Some(self.connect()?);
        }
        let connection = self.connection.as_mut().context("the connection was made")?;
        connection.write_all(broadcast).context("the server does not take the request")
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        let head = self.receive()?;
        let body = &self.answer[head.end..];
        ensure!(
            head.status == 200 && body == b"null",
            "a broadcast was answered with {} {}",
            head.status,
            String::from_utf8_lossy(body)
        );
        Ok(())
    }

    fn rest(&mut self) {
        self.connection = None;
    }
}

fn request(address: SocketAddr, method: &str, target: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Receives until a whole head is there, and perhaps more than that.
fn receive_head(connection: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<Head> {
    bytes.clear();
    loop {
        receive_some(connection, bytes)?;
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            return head(&bytes[..end], end + 4);
        }
    }
}

fn receive_some(connection: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut some = [0; 4096];
    let read = connection.read(&mut some).context("no answer")?;
    ensure!(read > 0, "the server closed the connection");
    bytes.extend_from_slice(&some[..read]);
    ensure!(bytes.len() < ANSWER_BYTES_MAX, "an answer has no end");
    Ok(())
}

fn head(bytes: &[u8], end: usize) -> anyhow::Result<Head> {
    let text = std::str::from_utf8(bytes).context("the head is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.with_context(|| format!("no status in {text:?}"))?;
    let mut head = Head { end, status, is_chunked: false, body_bytes: 0 };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            head.body_bytes = value.trim().parse().with_context(|| format!("content-length {value}"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            head.is_chunked = value.trim() == "chunked";
        }
    }
    Ok(head)
}
