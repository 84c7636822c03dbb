//! The order of one channel's messages, as whoever sees a message first tells it, and what was counted.

use crate::latency::Latency;
use crate::limits::RECENT_MAX;

/// Who gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// So many listeners, all in the same order.
    All(u32),
    /// One listener, whom the message is for.
    One,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) audience: Audience,
    /// Numbers of messages, in the order in which they were seen.
    pub(crate) entries: Vec<u32>,
    /// The data of the last entries, one slot after the other.
    recent: Vec<u8>,
    data_bytes: usize,
    pub(crate) count: Count,
}

/// What was counted since the start, and times since the measurement began.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) delivered: u64,
    /// Messages that were answered and that everybody has.
    pub(crate) complete: u64,
    /// Deliveries that listeners missed who could not resume.
    pub(crate) missed: u64,
    /// From due to delivered.
    pub(crate) delivery: Latency,
    /// From due to answered.
    pub(crate) answer: Latency,
}

impl Log {
    /// A log of events that have `data_bytes` of data.
    pub(crate) fn new(audience: Audience, data_bytes: usize) -> anyhow::Result<Self> {
        let slots = if audience == Audience::One { 0 } else { RECENT_MAX };
        let count = Count {
            sent: 0,
            answered: 0,
            delivered: 0,
            complete: 0,
            missed: 0,
            delivery: Latency::new()?,
            answer: Latency::new()?,
        };
        Ok(Self { audience, entries: Vec::new(), recent: vec![0; slots * data_bytes], data_bytes, count })
    }

    /// Adds the next entry, with the data of its event.
    pub(crate) fn push(&mut self, number: u32, data: &[u8]) {
        let slot = self.slot(self.entries.len());
        self.recent[slot..slot + self.data_bytes].copy_from_slice(data);
        self.entries.push(number);
    }

    /// The data of an entry, while it is kept.
    #[inline]
    pub(crate) fn data(&self, entry: usize) -> Option<&[u8]> {
        let slot = self.slot(entry);
        (entry + RECENT_MAX >= self.entries.len()).then(|| &self.recent[slot..slot + self.data_bytes])
    }

    fn slot(&self, entry: usize) -> usize {
        entry % RECENT_MAX * self.data_bytes
    }

    /// Deliveries that all that was sent makes.
    pub(crate) fn owed(&self) -> u64 {
        match self.audience {
            Audience::All(listeners) => self.count.sent * u64::from(listeners),
            Audience::One => self.count.sent,
        }
    }
}
