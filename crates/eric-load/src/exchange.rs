//! Requests outside the measurement: channels and listeners are prepared, some at once, and their answers awaited.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::answer::Answer;

/// Connections on which requests are made at once.
const CONNECTIONS: usize = 32;

/// An answer that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that takes longer does not come.
const CONNECTING: Duration = Duration::from_secs(5);

/// Makes requests of one server.
#[derive(Debug)]
pub(crate) struct Exchange {
    server: SocketAddr,
    connections: Vec<TcpStream>,
    /// A refusal that is as good as success.
    forgives: Option<u16>,
}

impl Exchange {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, connections: Vec::new(), forgives: None }
    }

    /// The same, and what is not there is no failure.
    pub(crate) fn forgiving_absence(self) -> Self {
        Self { forgives: Some(404), ..self }
    }

    /// Makes all requests, and hands out the bodies of the answers in their order.
    ///
    /// # Errors
    /// If one is answered with anything but success.
    pub(crate) fn all(
        &mut self,
        requests: &mut dyn Iterator<Item = Vec<u8>>,
        mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            let group: Vec<Vec<u8>> = requests.take(CONNECTIONS).collect();
            if group.is_empty() {
                return Ok(());
            }
            while self.connections.len() < group.len() {
                self.connections.push(self.connect()?);
            }
            for (request, connection) in group.iter().zip(&mut self.connections) {
                connection.write_all(request).context("a request could not be sent")?;
            }
            for (place, request) in group.iter().enumerate() {
                each(&self.answer(place, request)?)?;
            }
        }
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let server = self.server;
        let connection = TcpStream::connect_timeout(&server, CONNECTING)
            .with_context(|| format!("cannot connect to {server}"))?;
        connection.set_read_timeout(Some(PATIENCE)).context("cannot limit a wait")?;
        connection.set_nodelay(true).context("cannot send small pieces at once")?;
        Ok(connection)
    }

    fn answer(&mut self, place: usize, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (mut answer, mut body, mut buffer) = (Answer::default(), Vec::new(), [0; 4096]);
        let first = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let what = String::from_utf8_lossy(first);
        let head = loop {
            let read = self.connections[place].read(&mut buffer);
            match read.with_context(|| format!("no answer to {what}"))? {
                0 => break answer.close()?,
                read => {
                    if let Some(head) = answer.take(&buffer[..read], |part| body.extend_from_slice(part))? {
                        break head;
                    }
                }
            }
        };
        ensure!(body.len() <= crate::limits::CARRY_BYTES_MAX, "an answer of {} bytes to {what}", body.len());
        if !head.is_success() && self.forgives != Some(head.status) {
            bail!("{what} was answered with {}: {}", head.status, String::from_utf8_lossy(&body));
        }
        if head.closes {
            self.connections[place] = self.connect()?;
        }
        Ok(body)
    }
}
