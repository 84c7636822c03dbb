//! A line of a stream that is read but for its line break, so that the hub does not count it as consumed yet.
//!
//! The kernel tells the hub what this process has read, in whole pieces of memory: one of which a single byte is unread
//! counts as unread. Whoever dies before it takes the line break closes with something unread, which the hub is told.

use std::io;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::limits::LINE_BYTES_MAX;

/// Bytes that are looked at once: more than the hub writes of small messages in one step.
const PEEK_BYTES: usize = 64 * 1024;

/// What was read of the line that is under way.
#[derive(Debug)]
pub(super) struct Line {
    bytes: Vec<u8>,
    chunk: Box<[u8]>,
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// By a line break, which is still to be taken.
    Break,
    /// By the end of the stream: it was cut off, or is no line at all.
    Cut,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: Vec::new(), chunk: vec![0; PEEK_BYTES].into() }
    }
}

impl Line {
    /// The line, or so much of it as there is.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes room for another one.
    pub(super) fn clear(&mut self) {
        // A large message does not hold its memory until the next one.
        match self.bytes.capacity() > PEEK_BYTES {
            true => self.bytes = Vec::new(),
            false => self.bytes.clear(),
        }
    }

    /// Reads on, up to the line break and no further.
    ///
    /// # Errors
    /// What the socket says; [`io::ErrorKind::InvalidData`] for a line of more than [`LINE_BYTES_MAX`].
    pub(super) fn poll(
        &mut self,
        socket: &UnixStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<LineEnd>> {
        loop {
            ready!(socket.poll_read_ready(context))?;
            let peeked = match receive(socket, &mut self.chunk, RecvFlags::PEEK) {
                Ok(0) => return Poll::Ready(Ok(LineEnd::Cut)),
                Ok(peeked) => peeked,
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let line_break = self.chunk[..peeked].iter().position(|byte| *byte == b'\n');
            let length = line_break.unwrap_or(peeked);
            if self.bytes.len() + length > LINE_BYTES_MAX {
                let text = format!("a line has more than line_bytes_max={LINE_BYTES_MAX} bytes");
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
            take(socket, &mut self.chunk[..length])?;
            self.bytes.extend_from_slice(&self.chunk[..length]);
            if line_break.is_some() {
                return Poll::Ready(Ok(LineEnd::Break));
            }
        }
    }
}

/// Takes the line break of a line that was read: what came up to there is consumed.
///
/// # Errors
/// What the socket says, which has it and so has nothing to say.
pub(super) fn take_break(socket: &UnixStream) -> io::Result<()> {
    take(socket, &mut [0])
}

/// Reads exactly as much as `buffer` holds, which is there.
fn take(socket: &UnixStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut taken = 0;
    while taken < buffer.len() {
        match recv(socket, &mut buffer[taken..], RecvFlags::empty()) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((read, _)) => taken += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn receive(socket: &UnixStream, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    socket.try_io(Interest::READABLE, || Ok(recv(socket, buffer, flags)?.0))
}

/// Whether to ask again: once there is something to read, or at once.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn next(line: &mut Line, socket: &UnixStream) -> io::Result<(Vec<u8>, LineEnd)> {
        let end = poll_fn(|context| line.poll(socket, context)).await?;
        let bytes = line.bytes().to_vec();
        line.clear();
        Ok((bytes, end))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut_and_nothing_beyond_a_line_break_is_read(
            lines in proptest::collection::vec("[a-z]{0,80}", 0..8),
            piece in 1_usize..40,
            rest in "[a-z]{0,9}",
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).chain([rest.clone()]).collect();
            run(async {
                let (mut hub, client) = UnixStream::pair().unwrap();
                let mut line = Line::default();
                let writing = async move {
                    for piece in text.as_bytes().chunks(piece) {
                        hub.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                };
                let reading = async {
                    for expected in &lines {
                        let (told, end) = next(&mut line, &client).await.unwrap();
                        assert_eq!((told.as_slice(), end), (expected.as_bytes(), LineEnd::Break));
                        // The line break is there still, however often one looks.
                        let (none, end) = next(&mut line, &client).await.unwrap();
                        assert_eq!((none.len(), end), (0, LineEnd::Break));
                        take_break(&client).unwrap();
                    }
                    let (told, end) = next(&mut line, &client).await.unwrap();
                    assert_eq!((told.as_slice(), end), (rest.as_bytes(), LineEnd::Cut));
                };
                tokio::join!(writing, reading);
            });
        }
    }

    #[test]
    fn a_line_has_at_most_line_bytes_max() {
        run(async {
            let (mut hub, client) = UnixStream::pair().unwrap();
            let writing = async move {
                let text = vec![b' '; LINE_BYTES_MAX];
                hub.write_all(&text).await.unwrap();
                hub.write_all(b"\n").await.unwrap();
                // Nobody reads the last of it.
                let _ = hub.write_all(&text).await;
                let _ = hub.write_all(b" \n").await;
            };
            let reading = async {
                let mut line = Line::default();
                let (told, end) = next(&mut line, &client).await.unwrap();
                assert_eq!((told.len(), end), (LINE_BYTES_MAX, LineEnd::Break));
                take_break(&client).unwrap();
                let error = next(&mut line, &client).await.unwrap_err();
                assert!(error.to_string().contains("line_bytes_max="), "{error}");
                drop(client);
            };
            tokio::join!(writing, reading);
        });
    }
}
