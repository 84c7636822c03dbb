//! Things by id, in the order of their registration: what the container and a channel's members are made of.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Values by id; listing follows the order of insertion, in pages.
#[derive(Debug)]
pub(crate) struct Registry<K, V> {
    by_id: HashMap<K, (u64, V)>,
    by_age: BTreeMap<u64, K>,
    inserted: u64,
}

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), by_age: BTreeMap::new(), inserted: 0 }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Registry<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: &K) -> Option<V> {
        self.by_id.get(id).map(|(_, value)| value.clone())
    }

    /// Adds what is not there yet.
    pub(crate) fn insert(&mut self, id: K, value: V) {
        self.inserted += 1;
        let replaced = self.by_id.insert(id.clone(), (self.inserted, value));
        assert!(replaced.is_none(), "an id is registered once");
        self.by_age.insert(self.inserted, id);
    }

    pub(crate) fn remove(&mut self, id: &K) -> Option<V> {
        let (age, value) = self.by_id.remove(id)?;
        self.by_age.remove(&age);
        Some(value)
    }

    /// All values, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.by_age.values().map(|id| &self.by_id[id].1)
    }

    /// At most `limit` values after the one with id `after`; none where that is not there.
    pub(crate) fn page(&self, after: Option<&K>, limit: usize) -> Option<Vec<V>> {
        let after = match after {
            Some(id) => self.by_id.get(id)?.0,
            None => 0,
        };
        Some(self.by_age.range(after + 1..).take(limit).map(|(_, id)| self.by_id[id].1.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_order_of_insertion() {
        let mut registry = Registry::default();
        for id in ["c", "a", "b", "d"] {
            registry.insert(id, id);
        }
        registry.remove(&"a");
        assert_eq!(registry.page(None, 2).unwrap(), ["c", "b"]);
        assert_eq!(registry.page(Some(&"b"), 2).unwrap(), ["d"]);
        assert_eq!(registry.page(Some(&"a"), 2), None);
    }
}
