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
    known: FxHashMap<Name, Known>,
    /// When each was used first, as well: who asks every time whether the oldest is due need not look it up.
    order: VecDeque<(Name, u64)>,
    remembered: u64,
}

/// Stands for a key in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name(u128);

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
    pub(super) fn name(&self, lane: Lane, key: &IdempotencyKey) -> Name {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        std::hash::Hasher::write_u64(&mut hasher, lane.get());
        std::hash::Hasher::write(&mut hasher, key.as_str().as_bytes());
        Name(hasher.finish128().as_u128())
    }

    /// Forgets what is older than the window at `now_ms`.
    pub(super) fn forget_old(&mut self, now_ms: u64) {
        let is_old = |used_ms: u64| now_ms.saturating_sub(used_ms) > DEDUP_WINDOW_S * 1000;
        while let Some((oldest, used_ms)) = self.order.front() {
            if !is_old(*used_ms) || self.known.get(oldest).is_some_and(|known| !is_old(known.used_ms)) {
                return;
            }
            self.known.remove(oldest);
            self.order.pop_front();
        }
    }

    pub(super) fn recall(&self, name: Name) -> Option<Known> {
        self.known.get(&name).copied()
    }

    pub(super) fn remember(&mut self, name: Name, digest: u128, offset: Offset, now_ms: u64) {
        if self.known.len() >= DEDUP_KEYS_MAX
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.known.insert(name, Known { offset, digest, used_ms: now_ms }).is_none() {
            self.order.push_back((name, now_ms));
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

    fn remember(dedup: &mut Dedup, lane: u64, number: usize) {
        let name = dedup.name(Lane::new(lane), &key(number));
        dedup.remember(name, 0, Offset::new(1), 0);
    }

    fn is_known(dedup: &Dedup, lane: u64, number: usize) -> bool {
        dedup.recall(dedup.name(Lane::new(lane), &key(number))).is_some()
    }

    fn key(number: usize) -> IdempotencyKey {
        number.to_string().parse().unwrap()
    }

    #[test]
    fn a_key_is_remembered_for_600_s_and_no_longer() {
        let mut dedup = Dedup::default();
        remember(&mut dedup, 1, 1);
        dedup.forget_old(DEDUP_WINDOW_S * 1000);
        assert!(is_known(&dedup, 1, 1));
        dedup.forget_old(DEDUP_WINDOW_S * 1000 + 1);
        assert!(!is_known(&dedup, 1, 1));
    }

    #[test]
    fn a_million_keys_are_remembered_and_no_more() {
        let mut dedup = Dedup::default();
        for number in 0..DEDUP_KEYS_MAX {
            remember(&mut dedup, 1, number);
        }
        assert!(is_known(&dedup, 1, 0));
        remember(&mut dedup, 1, DEDUP_KEYS_MAX);
        assert!(!is_known(&dedup, 1, 0));
        assert!(is_known(&dedup, 1, 1));
    }

    #[test]
    fn lanes_do_not_share_keys() {
        let mut dedup = Dedup::default();
        remember(&mut dedup, 1, 1);
        assert!(!is_known(&dedup, 2, 1));
    }
}
