//! Many streams of one channel: every message must come on each of them, exactly once and in order.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use serde_json::json;

use crate::door::{Door, PATIENCE};
use crate::stream::{Stream, TYPE};

/// How many streams are read before the system is asked again which have something.
const READY_MAX: usize = 256;

/// The streams, and how far they are.
#[derive(Debug)]
pub(crate) struct Crowd {
    channel: String,
    epoll: OwnedFd,
    streams: Vec<Stream>,
    /// The number of the last message that was sent.
    sent: u64,
    /// The number of the last message on each stream.
    received: Vec<u64>,
}

impl Crowd {
    /// Streams of a channel to which nothing was sent yet.
    pub(crate) fn new(channel: String, streams: Vec<Stream>) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot wait for many streams")?;
        for (index, stream) in streams.iter().enumerate() {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, stream, data, epoll::EventFlags::IN).context("cannot wait for a stream")?;
        }
        let received = vec![0; streams.len()];
        Ok(Self { channel, epoll, streams, sent: 0, received })
    }

    /// Broadcasts the next message; returns the seconds until the last stream has it.
    pub(crate) fn fan_out(&mut self, door: &mut dyn Door) -> anyhow::Result<f64> {
        self.sent += 1;
        let broadcast = door.broadcast(&self.channel, TYPE, &json!(self.sent));
        let start = Instant::now();
        door.send(&broadcast)?;
        let mut left = self.streams.len();
        while left > 0 {
            ensure!(
                start.elapsed() < PATIENCE,
                "after {PATIENCE:?} {left} of {} streams do not have message {}",
                self.streams.len(),
                self.sent
            );
            left -= self.read(PATIENCE)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        door.finish()?;
        Ok(seconds)
    }

    /// Reads on for a while, in which no stream may bring a message.
    pub(crate) fn bring_no_more(&mut self, time: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while let Some(left) = time.checked_sub(start.elapsed()) {
            self.read(left)?;
        }
        Ok(())
    }

    /// Reads the streams that have something, within `time`; returns how many messages that brought.
    fn read(&mut self, time: Duration) -> anyhow::Result<usize> {
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        let time = Timespec::try_from(time).context("such a time cannot be waited for")?;
        let ready = match epoll::wait(&self.epoll, &mut ready, Some(&time)) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => return Ok(0),
            Err(error) => return Err(error).context("cannot wait for many streams"),
        };
        let mut count = 0;
        for event in ready {
            let index = event.data.u64() as usize;
            let received = &mut self.received[index];
            self.streams[index].read(&mut |number| {
                ensure!(number == *received + 1, "stream {index} brought message {number} after {received}");
                ensure!(
                    number <= self.sent,
                    "stream {index} brought message {number}, which nobody sent yet"
                );
                *received = number;
                count += 1;
                Ok(())
            })?;
        }
        Ok(count)
    }
}
