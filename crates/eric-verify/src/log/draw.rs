//! What happens next, drawn by a seed from what there is.

use eric_sse::lane::{Overflow, Retention};
use fastrand::Rng;

use super::model::{Change, Model, New};

/// Draws changes; every message is another. The same seed draws the same.
#[derive(Debug)]
pub struct Draw {
    random: Rng,
    published: u64,
}

impl Draw {
    /// What this seed draws.
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), published: 0 }
    }

    /// A change that makes sense in `model`, mostly.
    pub(crate) fn change(&mut self, model: &Model) -> Change {
        let channels: Vec<u64> = lanes(model, true);
        let listeners: Vec<u64> = lanes(model, false);
        let Some(channel) = self.random.choice(channels.iter().copied()) else {
            return Change::Open(self.retention());
        };
        let listener = self.random.choice(listeners.iter().copied());
        match (self.random.u32(..1000), listener) {
            (..15, _) if channels.len() < 6 => Change::Open(self.retention()),
            (15..25, _) => Change::Retain(channel, self.retention()),
            (25..30, _) => Change::Close(channel),
            (30..80, _) if listeners.len() < 20 => Change::Join(channel),
            (80..95, Some(listener)) => Change::Leave(listener),
            (95..250, Some(listener)) => Change::Ack(listener, self.near(model, listener)),
            (250..290, Some(listener)) => Change::Seek(listener, self.near(model, listener)),
            (290..320, _) => Change::Upsert(self.key(), format!("{}", self.random.u64(..))),
            (320..330, _) => Change::Delete(self.key()),
            (330..600, Some(listener)) => Change::Submit(listener, self.batch()),
            _ => Change::Submit(channel, self.batch()),
        }
    }

    /// An offset between where the listener joined and the tail, often one of the last.
    fn near(&mut self, model: &Model, listener: u64) -> u64 {
        let floor = model.lanes[&listener].floor;
        let from = if self.random.bool() { floor } else { model.tail.saturating_sub(8).max(floor) };
        self.random.u64(from..=model.tail)
    }

    fn key(&mut self) -> String {
        format!("key {}", self.random.u32(..12))
    }

    fn batch(&mut self) -> Vec<New> {
        let messages = if self.random.u32(..10) == 0 { self.random.usize(2..9) } else { 1 };
        (0..messages).map(|_| self.message()).collect()
    }

    fn message(&mut self) -> New {
        self.published += 1;
        let size = match self.random.u32(..100) {
            0 => self.random.usize(..6000),
            1..10 => self.random.usize(..800),
            _ => self.random.usize(..60),
        };
        match self.random.u32(..100) {
            // The same message again, or another under its key.
            ..6 => {
                let number = self.random.u64(..16);
                New { number, size: (number % 7) as usize, key: Some(format!("again {number}")) }
            }
            6..9 => {
                New { number: self.published, size, key: Some(format!("again {}", self.random.u64(..16))) }
            }
            9..30 => New { number: self.published, size, key: Some(format!("key {}", self.published)) },
            _ => New { number: self.published, size, key: None },
        }
    }

    fn retention(&mut self) -> Retention {
        let random = &mut self.random;
        let rarely = |random: &mut Rng, small: u64| if random.u32(..3) == 0 { small } else { 1 << 40 };
        Retention {
            max_messages: {
                let small = random.u64(1..40);
                rarely(random, small)
            },
            max_bytes: {
                let small = random.u64(200..9000);
                rarely(random, small)
            },
            max_age_s: {
                let small = random.u64(1..30);
                rarely(random, small)
            },
            history: random.u64(..20),
            max_unread_per_listener: {
                let small = random.u64(1..20);
                rarely(random, small)
            },
            max_unread_bytes_per_listener: {
                let small = random.u64(200..9000);
                rarely(random, small)
            },
            overflow: if random.u32(..4) == 0 { Overflow::Reject } else { Overflow::DropOldest },
        }
    }
}

fn lanes(model: &Model, are_channels: bool) -> Vec<u64> {
    let is_one = |lane: &&u64| model.lanes[lane].channel.is_none() == are_channels;
    model.lanes.keys().filter(is_one).copied().collect()
}
