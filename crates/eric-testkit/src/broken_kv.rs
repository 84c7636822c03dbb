//! Stores that are broken on purpose, one promise each: what proves that [`kv_suite`](crate::kv_suite()) would notice.

use std::sync::Arc;

use bytes::Bytes;
use eric_sse::Result;
use eric_sse::log::{BoxFuture, Ticket};
use eric_sse::persist::{KvStore, MemoryKv};
use futures_util::FutureExt;

/// A promise that a store breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvFault {
    /// An upsert of a key that is there changes nothing.
    KeepsFirst,
    /// A delete also takes the next key.
    DeletesTwo,
    /// What was deleted stays.
    DeletesNothing,
    /// A page begins with the key that it should come after.
    RepeatsAfter,
    /// A page has more than was asked for.
    IgnoresLimits,
    /// A page is the wrong way round.
    ReversesPages,
    /// A page goes beyond its prefix.
    IgnoresPrefixes,
    /// The order of changes is that of awaiting them.
    OrdersByPoll,
    /// What is too large is taken, and lost.
    LosesLarge,
}

impl KvFault {
    /// All faults, each with the name of the check that was written to find it.
    pub const ALL: &[(Self, &str)] = &[
        (Self::KeepsFirst, "an_upsert_overwrites"),
        (Self::DeletesTwo, "what_was_upserted_is_fetched_and_what_was_deleted_is_not"),
        (Self::DeletesNothing, "what_was_upserted_is_fetched_and_what_was_deleted_is_not"),
        (Self::RepeatsAfter, "pages_go_on_after_a_key_that_need_not_be_there"),
        (Self::IgnoresLimits, "a_prefix_is_fetched_in_the_order_of_bytes"),
        (Self::ReversesPages, "a_prefix_is_fetched_in_the_order_of_bytes"),
        (Self::IgnoresPrefixes, "a_prefix_is_fetched_in_the_order_of_bytes"),
        (Self::OrdersByPoll, "changes_are_ordered_by_their_calls"),
        (Self::LosesLarge, "a_key_has_1_to_1024_bytes"),
    ];
}

/// The store in memory behind a wrapper that lies in one way.
#[derive(Debug)]
pub struct BrokenKv {
    fault: KvFault,
    kv: Arc<MemoryKv>,
}

impl BrokenKv {
    /// A store that breaks the promise `fault`.
    pub fn new(fault: KvFault) -> Self {
        Self { fault, kv: Arc::default() }
    }

    fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
        self.kv.fetch_by_prefix(prefix, after, limit)
    }

    /// The change, now or when it is awaited.
    fn change(&self, change: impl FnOnce(&MemoryKv) -> Ticket<()> + Send + 'static) -> Ticket<()> {
        if self.fault != KvFault::OrdersByPoll {
            return change(&self.kv);
        }
        let kv = self.kv.clone();
        Ticket::from_future(async move { change(&kv).await })
    }
}

impl KvStore for BrokenKv {
    fn fetch_one(&self, key: &str) -> BoxFuture<'_, Result<Option<Bytes>>> {
        self.kv.fetch_one(key)
    }

    fn fetch_by_prefix(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
        match self.fault {
            KvFault::RepeatsAfter => {
                let again = after.map(|after| self.page(after, None, 1)).and_then(FutureExt::now_or_never);
                let rest = self.page(prefix, after, limit);
                Box::pin(async move {
                    let again = again.transpose()?.unwrap_or_default();
                    Ok(again.into_iter().chain(rest.await?).take(limit).collect())
                })
            }
            KvFault::IgnoresLimits => self.page(prefix, after, limit + 1),
            KvFault::ReversesPages => {
                let page = self.page(prefix, after, limit);
                Box::pin(async move { Ok(page.await?.into_iter().rev().collect()) })
            }
            KvFault::IgnoresPrefixes => self.page("", after.or(Some(prefix)), limit),
            _ => self.page(prefix, after, limit),
        }
    }

    fn upsert(&self, key: &str, value: Bytes) -> Ticket<()> {
        let is_there =
            self.kv.fetch_one(key).now_or_never().is_some_and(|value| matches!(value, Ok(Some(_))));
        match self.fault {
            KvFault::KeepsFirst if is_there => return Ticket::ready(Ok(())),
            KvFault::LosesLarge if eric_sse::persist::kv::check(key, &value).is_err() => {
                return Ticket::ready(Ok(()));
            }
            _ => {}
        }
        let key = key.to_owned();
        self.change(move |kv| kv.upsert(&key, value))
    }

    fn delete(&self, key: &str) -> Ticket<()> {
        match self.fault {
            KvFault::DeletesNothing => return Ticket::ready(Ok(())),
            KvFault::DeletesTwo => {
                if let Some(Ok(next)) = self.page("", Some(key), 1).now_or_never() {
                    next.iter().for_each(|(key, _)| drop(self.kv.delete(key)));
                }
            }
            _ => {}
        }
        let key = key.to_owned();
        self.change(move |kv| kv.delete(&key))
    }
}
