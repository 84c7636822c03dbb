//! What happens next, drawn by a seed.

use eric_sse::lane::Overflow;
use eric_sse::log::Budget;
use eric_sse::{Ack, ChannelSettings};
use fastrand::Rng;

use super::model::New;

/// Ids of channels: few, so that they are made again.
pub(super) const CHANNELS: [&str; 3] = ["a", "b", "c"];
/// Ids of listeners, of every channel.
pub(super) const LISTENERS: [&str; 4] = ["k", "l", "m", "n"];

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Make,
    Set,
    Remove,
    Join,
    Leave,
    Publish,
    GiveUp,
    Ack,
    Listen,
    Read,
    Close,
    Tidy,
    Wait,
}

/// Where a reader wishes to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// After what it got last, which its client remembers.
    Last,
    Cursor,
    /// After some position that there was.
    Any,
    Earliest,
    Latest,
}

/// Draws; every message is another.
#[derive(Debug)]
pub(super) struct Draw {
    pub(super) random: Rng,
    published: u64,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), published: 0 }
    }

    pub(super) fn deed(&mut self) -> Deed {
        match self.random.u32(..1000) {
            ..20 => Deed::Make,
            20..35 => Deed::Set,
            35..41 => Deed::Remove,
            41..90 => Deed::Join,
            90..105 => Deed::Leave,
            105..400 => Deed::Publish,
            400..430 => Deed::GiveUp,
            430..480 => Deed::Ack,
            480..580 => Deed::Listen,
            580..880 => Deed::Read,
            880..920 => Deed::Close,
            920..960 => Deed::Tidy,
            _ => Deed::Wait,
        }
    }

    pub(super) fn wish(&mut self) -> (Wish, Ack) {
        let wish = match self.random.u32(..20) {
            ..8 => Wish::Last,
            8..14 => Wish::Cursor,
            14..17 => Wish::Any,
            17..19 => Wish::Earliest,
            _ => Wish::Latest,
        };
        (wish, if self.random.bool() { Ack::Auto } else { Ack::Manual })
    }

    pub(super) fn budget(&mut self) -> Budget {
        let random = &mut self.random;
        match random.u32(..4) {
            0 => Budget::default(),
            _ => Budget { entries: random.usize(1..6), bytes: random.usize(1..600) },
        }
    }

    /// Messages to be published together. Where they may be refused, `is_told_apart`: each has a key of its own, so that
    /// who does not know whether it was taken can find out.
    pub(super) fn batch(&mut self, is_told_apart: bool) -> Vec<New> {
        let messages = if self.random.u32(..5) == 0 { self.random.usize(2..7) } else { 1 };
        (0..messages).map(|_| self.message(is_told_apart)).collect()
    }

    fn message(&mut self, is_told_apart: bool) -> New {
        self.published += 1;
        let number = self.published;
        let size = match self.random.u32(..100) {
            0 => self.random.usize(..4000),
            1..10 => self.random.usize(..800),
            _ => self.random.usize(..60),
        };
        let text = |number: u64, size: usize| format!("{number} {}", "x".repeat(size));
        let key = || Some(format!("key {number}"));
        if is_told_apart {
            return New { text: text(number, size), key: key() };
        }
        match self.random.u32(..100) {
            // The same message again, or another under its key.
            ..6 => {
                let again = self.random.u64(..16);
                New { text: format!("again {again}"), key: Some(format!("again {again}")) }
            }
            6..8 => {
                let again = self.random.u64(..16);
                New { text: text(number, size), key: Some(format!("again {again}")) }
            }
            8..40 => New { text: text(number, size), key: key() },
            _ => New { text: text(number, size), key: None },
        }
    }

    /// Settings, every other time such that everything is kept.
    pub(super) fn settings(&mut self) -> ChannelSettings {
        let random = &mut self.random;
        let roomy = ChannelSettings { history: 1_000_000, ..ChannelSettings::default() };
        if random.bool() {
            return roomy;
        }
        let mut sometimes = |small: std::ops::Range<u64>, large: u64| {
            let small = random.u64(small);
            if random.u32(..3) == 0 { small } else { large }
        };
        let settings = ChannelSettings {
            max_messages: sometimes(1..40, roomy.max_messages),
            max_bytes: sometimes(200..9_000, roomy.max_bytes),
            max_age_s: sometimes(1..30, roomy.max_age_s),
            max_unread_per_listener: sometimes(1..20, roomy.max_unread_per_listener),
            max_unread_bytes_per_listener: sometimes(200..9_000, roomy.max_unread_bytes_per_listener),
            ..roomy
        };
        let overflow = if random.u32(..4) == 0 { Overflow::Reject } else { Overflow::DropOldest };
        ChannelSettings { history: random.u64(..20), overflow, ..settings }
    }
}
