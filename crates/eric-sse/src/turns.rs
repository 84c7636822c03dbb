//! Turns: changes of one id happen one after another, in the order of asking; those of different ids at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

type Queue = Arc<tokio::sync::Mutex<()>>;

/// Who waits for whom, by id. An id is in here only while somebody changes it.
#[derive(Debug)]
pub(crate) struct Turns<K: Eq + Hash>(Mutex<HashMap<K, Queue>>);

impl<K: Eq + Hash> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// The turn of one change; the next one's begins when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a, K: Eq + Hash> {
    turns: &'a Turns<K>,
    id: K,
    queue: Option<Queue>,
    guard: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// Waits until it is the caller's turn to change `id`.
    ///
    /// # Cancel safety
    /// If dropped, the place in the queue is given up.
    pub(crate) async fn take(&self, id: &K) -> Turn<'_, K> {
        let queue = self.0.lock().entry(id.clone()).or_default().clone();
        let mut turn = Turn { turns: self, id: id.clone(), queue: Some(queue.clone()), guard: None };
        turn.guard = Some(queue.lock_owned().await);
        turn
    }
}

impl<K: Eq + Hash> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        self.guard = None;
        let mut queues = self.turns.0.lock();
        // Clones are made under this lock: where this one and the map's are left, nobody waits.
        if self.queue.take().is_some_and(|queue| Arc::strong_count(&queue) == 2) {
            queues.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn turns_of_one_id_come_one_after_another_and_leave_nothing() {
        let turns = Turns::default();
        let first = turns.take(&"a").now_or_never().expect("nobody is before it");
        let mut second = pin!(turns.take(&"a"));
        let mut third = Box::pin(turns.take(&"a"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        assert!(turns.take(&"b").now_or_never().is_some(), "another id waits for nobody");
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "it is the second's turn");
        drop(third);
        drop(second.as_mut().now_or_never().expect("its turn has come"));
        assert!(turns.0.lock().is_empty());
    }
}
