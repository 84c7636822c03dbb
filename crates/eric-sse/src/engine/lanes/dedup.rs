//! Which keys were used in which lane, for as long and as many as the limits say.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use rustc_hash::FxHashMap;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::entry::Offset;
use crate::id::IdempotencyKey;
use crate::lane::Lane;
use crate::limits::{DEDUP_KEYS_MAX, DEDUP_WINDOW_S};

/// The keys that are remembered, each as 128 bits of it and its lane under a secret of this process: no two that
/// anybody can find are the same.
#[derive(Debug)]
pub(super) struct Dedup {
    secret: (u64, u64),
    known: FxHashMap<u128, Known>,
    order: VecDeque<u128>,
    remembered: u64,
}

/// What is remembered of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) offset: Offset,
    pub(super) digest: u128,
    used_ms: u64,
}

impl Default for Dedup {
    fn default() -> Self {
        let random = RandomState::new();
        let secret = (random.hash_one(0), random.hash_one(1));
        Self { secret, known: FxHashMap::default(), order: VecDeque::new(), remembered: 0 }
    }
}

impl Dedup {
    fn name(&self, lane: Lane, key: &IdempotencyKey) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        std::hash::Hasher::write_u64(&mut hasher, lane.get());
        std::hash::Hasher::write(&mut hasher, key.as_str().as_bytes());
        hasher.finish128().as_u128()
    }

    /// Forgets what is older than the window at `now_ms`.
    pub(super) fn forget_old(&mut self, now_ms: u64) {
        while let Some(oldest) = self.order.front() {
            let is_old = |known: &Known| now_ms.saturating_sub(known.used_ms) > DEDUP_WINDOW_S * 1000;
            if self.known.get(oldest).is_some_and(|known| !is_old(known)) {
                return;
            }
            self.known.remove(oldest);
            self.order.pop_front();
        }
    }

    pub(super) fn recall(&self, lane: Lane, key: &IdempotencyKey) -> Option<Known> {
        self.known.get(&self.name(lane, key)).copied()
    }

    pub(super) fn remember(
        &mut self,
        lane: Lane,
        key: &IdempotencyKey,
        digest: u128,
        offset: Offset,
        now_ms: u64,
    ) {
        if self.known.len() >= DEDUP_KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let name = self.name(lane, key);
        if self.known.insert(name, Known { offset, digest, used_ms: now_ms }).is_none() {
            self.order.push_back(name);
            self.remembered += 1;
        }
    }

    /// How many keys were ever remembered, and how many of those were forgotten since: the oldest ones.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.remembered, self.remembered - self.order.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> IdempotencyKey {
        number.to_string().parse().unwrap()
    }

    #[test]
    fn a_key_is_remembered_for_600_s_and_no_longer() {
        let mut dedup = Dedup::default();
        dedup.remember(Lane::new(1), &key(1), 0, Offset::new(1), 0);
        dedup.forget_old(DEDUP_WINDOW_S * 1000);
        assert!(dedup.recall(Lane::new(1), &key(1)).is_some());
        dedup.forget_old(DEDUP_WINDOW_S * 1000 + 1);
        assert!(dedup.recall(Lane::new(1), &key(1)).is_none());
    }

    #[test]
    fn a_million_keys_are_remembered_and_no_more() {
        let mut dedup = Dedup::default();
        for number in 0..DEDUP_KEYS_MAX {
            dedup.remember(Lane::new(1), &key(number), 0, Offset::new(1), 0);
        }
        assert!(dedup.recall(Lane::new(1), &key(0)).is_some());
        dedup.remember(Lane::new(1), &key(DEDUP_KEYS_MAX), 0, Offset::new(1), 0);
        assert!(dedup.recall(Lane::new(1), &key(0)).is_none());
        assert!(dedup.recall(Lane::new(1), &key(1)).is_some());
    }

    #[test]
    fn lanes_do_not_share_keys() {
        let mut dedup = Dedup::default();
        dedup.remember(Lane::new(1), &key(1), 0, Offset::new(1), 0);
        assert!(dedup.recall(Lane::new(2), &key(1)).is_none());
    }
}
