//! Things by id, in the order of their lanes: what the container and a channel's members are made of.
//!
//! The engine numbers lanes in the order in which they are asked for, so that is the order of registration, before a
//! restart and after it. Who is on the way in, or out, has a [`Place`], so that limits are exact whatever goes on at
//! once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::ops::Bound;

use parking_lot::RwLock;

use crate::lane::Lane;

/// Values by id; listing follows the order of lanes, in pages.
#[derive(Debug)]
pub(crate) struct Registry<K, V> {
    by_id: HashMap<K, (Lane, V)>,
    by_lane: BTreeMap<Lane, K>,
    places: usize,
    is_closed: bool,
}

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), by_lane: BTreeMap::new(), places: 0, is_closed: false }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Registry<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: &K) -> Option<V> {
        self.by_id.get(id).map(|(_, value)| value.clone())
    }

    /// The lane of who has this id.
    pub(crate) fn lane_of(&self, id: &K) -> Option<Lane> {
        self.by_id.get(id).map(|(lane, _)| *lane)
    }

    /// Whose lane this is.
    pub(crate) fn id_of(&self, lane: Lane) -> Option<K> {
        self.by_lane.get(&lane).cloned()
    }

    /// Adds what is not there yet.
    pub(crate) fn insert(&mut self, id: K, lane: Lane, value: V) {
        let replaced = self.by_id.insert(id.clone(), (lane, value));
        assert!(replaced.is_none(), "an id is registered once");
        let replaced = self.by_lane.insert(lane, id);
        assert!(replaced.is_none(), "a lane's number is never given twice");
    }

    fn remove(&mut self, id: &K) -> Option<V> {
        let (lane, value) = self.by_id.remove(id)?;
        self.by_lane.remove(&lane);
        Some(value)
    }

    /// All values, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.by_lane.values().map(|id| &self.by_id[id].1)
    }

    /// The values after `after`, in order, with their lanes.
    pub(crate) fn after(&self, after: Option<Lane>) -> impl Iterator<Item = (Lane, &V)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_lane.range((start, Bound::Unbounded)).map(|(lane, id)| (*lane, &self.by_id[id].1))
    }

    /// At most `limit` values after the one with id `after`; none where that is not there.
    pub(crate) fn page(&self, after: Option<&K>, limit: usize) -> Option<Vec<V>> {
        let after = match after {
            Some(id) => Some(self.by_id.get(id)?.0),
            None => None,
        };
        Some(self.after(after).take(limit).map(|(_, value)| value.clone()).collect())
    }

    /// Empties it for good: nobody arrives any more. Returns the lanes of those who were there.
    pub(crate) fn close(&mut self) -> Vec<Lane> {
        self.is_closed = true;
        self.by_id = HashMap::new();
        std::mem::take(&mut self.by_lane).into_keys().collect()
    }
}

/// A place in a registry that counts as taken; free again when dropped.
pub(crate) struct Place<'a, K, V>(Option<&'a RwLock<Registry<K, V>>>);

impl<'a, K: Clone + Eq + Hash, V: Clone> Place<'a, K, V> {
    /// A place for somebody new, where fewer than `max` are taken.
    pub(crate) fn keep(registry: &'a RwLock<Registry<K, V>>, max: usize) -> Option<Self> {
        let mut state = registry.write();
        let has_room = state.len() + state.places < max;
        has_room.then(|| {
            state.places += 1;
            Self(Some(registry))
        })
    }

    /// Takes out who has this id, if `may` allows it; the place remains taken.
    pub(crate) fn vacate(
        registry: &'a RwLock<Registry<K, V>>,
        id: &K,
        may: impl FnOnce(&V) -> bool,
    ) -> Option<(Self, V)> {
        let mut state = registry.write();
        if !state.by_id.get(id).is_some_and(|(_, value)| may(value)) {
            return None;
        }
        let value = state.remove(id)?;
        state.places += 1;
        Some((Self(Some(registry)), value))
    }

    /// Puts somebody here; whether the registry was still open.
    pub(crate) fn fill(mut self, id: K, lane: Lane, value: V) -> bool {
        let mut state = self.0.take().expect("a place is filled once").write();
        state.places -= 1;
        if !state.is_closed {
            state.insert(id, lane, value);
        }
        !state.is_closed
    }
}

impl<K, V> Drop for Place<'_, K, V> {
    fn drop(&mut self) {
        if let Some(registry) = self.0 {
            registry.write().places -= 1;
        }
    }
}

impl<K, V> fmt::Debug for Place<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &[(&'static str, u64)]) -> RwLock<Registry<&'static str, &'static str>> {
        let mut registry = Registry::default();
        for (id, lane) in ids {
            registry.insert(*id, Lane::new(*lane), *id);
        }
        RwLock::new(registry)
    }

    #[test]
    fn pages_follow_the_order_of_lanes() {
        let registry = of(&[("d", 9), ("c", 1), ("a", 2), ("b", 5)]);
        drop(Place::vacate(&registry, &"a", |_| true));
        let registry = registry.read();
        assert_eq!(registry.page(None, 2).unwrap(), ["c", "b"]);
        assert_eq!(registry.page(Some(&"b"), 2).unwrap(), ["d"]);
        assert_eq!(registry.page(Some(&"a"), 2), None);
    }

    #[test]
    fn a_place_counts_as_taken_until_it_is_dropped() {
        let registry = of(&[("a", 1)]);
        let place = Place::keep(&registry, 2).unwrap();
        assert!(Place::keep(&registry, 2).is_none());
        drop(place);
        assert!(Place::keep(&registry, 2).unwrap().fill("b", Lane::new(2), "b"));
        let (place, _) = Place::vacate(&registry, &"a", |_| true).unwrap();
        assert!(Place::keep(&registry, 2).is_none(), "who is on the way out may come back");
        assert!(place.fill("a", Lane::new(1), "a"));
        assert_eq!(registry.read().page(None, 9).unwrap(), ["a", "b"]);
    }

    #[test]
    fn nobody_arrives_where_it_is_closed() {
        let registry = of(&[("a", 1)]);
        let place = Place::keep(&registry, 2).unwrap();
        assert_eq!(registry.write().close(), [Lane::new(1)]);
        assert!(!place.fill("b", Lane::new(2), "b"));
        assert_eq!((registry.read().len(), registry.read().places), (0, 0));
    }
}
