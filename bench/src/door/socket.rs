//! The Unix socket: a connection per request, which ends with the end of what either side has to say.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Door, PATIENCE};
use crate::stream::{Framing, Stream};

pub(super) struct Socket {
    path: PathBuf,
    /// The connection of the request that was sent.
    asked: Option<UnixStream>,
    answer: Vec<u8>,
}

impl Socket {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, asked: None, answer: Vec::new() }
    }

    fn connect(&self, request: &[u8]) -> anyhow::Result<UnixStream> {
        let mut connection = UnixStream::connect(&self.path).context("cannot connect")?;
        connection.set_read_timeout(Some(PATIENCE)).context("cannot limit the patience")?;
        connection.write_all(request).context("the server does not take the request")?;
        connection.shutdown(Shutdown::Write).context("cannot end the request")?;
        Ok(connection)
    }

    fn receive(&mut self) -> anyhow::Result<()> {
        let mut connection = self.asked.take().context("nothing was asked")?;
        self.answer.clear();
        connection.read_to_end(&mut self.answer).context("no answer")?;
        Ok(())
    }

    /// A request that is answered with an id.
    fn id(&mut self, request: &Value) -> anyhow::Result<String> {
        self.send(request.to_string().as_bytes())?;
        self.receive()?;
        let answer = String::from_utf8_lossy(&self.answer).into_owned();
        ensure!(answer.len() == 36 && !answer.contains('('), "{request} was answered with {answer:?}");
        Ok(answer)
    }
}

impl Door for Socket {
    fn create_channel(&mut self) -> anyhow::Result<String> {
        self.id(&json!({"v": "c"}))
    }

    fn add_listener(&mut self, channel: &str) -> anyhow::Result<String> {
        self.id(&json!({"v": "r", "c": channel}))
    }

    fn open_stream(&mut self, channel: &str, listener: &str) -> anyhow::Result<Stream> {
        let request = json!({"v": "l", "c": channel, "r": listener});
        let connection = self.connect(request.to_string().as_bytes())?;
        connection.set_nonblocking(true).context("cannot stop waiting")?;
        Ok(Stream::new(connection.into(), Framing::Lines))
    }

    fn broadcast(&self, channel: &str, kind: &str, payload: &Value) -> Vec<u8> {
        json!({"v": "b", "c": channel, "t": kind, "p": payload}).to_string().into_bytes()
    }

    fn send(&mut self, broadcast: &[u8]) -> anyhow::Result<()> {
        self.asked = Some(self.connect(broadcast)?);
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.receive()?;
        ensure!(
            self.answer == b"ack",
            "a broadcast was answered with {:?}",
            String::from_utf8_lossy(&self.answer)
        );
        Ok(())
    }

    fn rest(&mut self) {
        self.asked = None;
    }
}
