//! The seam to where a hub's records are: keys and values.
//!
//! [`KvStore`] is the contract, [`MemoryKv`] the store beside an engine in memory, [`check`](check()) what every store
//! refuses.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{KV_KEY_BYTES_MAX, KV_VALUE_BYTES_MAX};
use crate::log::{BoxFuture, Ticket};

/// Keys and values that survive as long as the engine's entries do.
///
/// All methods may be called concurrently and from any thread, and none blocks on I/O. As in
/// [`Log`](crate::log::Log), a change is *ordered when it is called* and *durable when its ticket resolves*: the order
/// of calls is the order of changes, whatever keys they are of, and what survives a crash is everything up to some
/// call. A read sees every change whose ticket had resolved when it was called; whether it sees those under way is
/// open. Where a change fails nothing has changed; where the store cannot tell, it fails from then on.
///
/// The contract is checked by `eric-testkit`'s `kv_suite`.
///
/// ```
/// use bytes::Bytes;
/// use eric_sse::Result;
/// use eric_sse::log::{BoxFuture, Ticket};
/// use eric_sse::persist::{KvStore, MemoryKv};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// /// A part of a store, so that several hubs may share it.
/// #[derive(Debug)]
/// struct Part<'a>(&'a MemoryKv, &'a str);
///
/// impl KvStore for Part<'_> {
///     fn fetch_one(&self, key: &str) -> BoxFuture<'_, Result<Option<Bytes>>> {
///         self.0.fetch_one(&format!("{}{key}", self.1))
///     }
///     fn fetch_by_prefix(
///         &self,
///         prefix: &str,
///         after: Option<&str>,
///         limit: usize,
///     ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
///         let after = after.map(|after| format!("{}{after}", self.1));
///         let page = self.0.fetch_by_prefix(&format!("{}{prefix}", self.1), after.as_deref(), limit);
///         Box::pin(async move {
///             let pairs = page.await?.into_iter();
///             Ok(pairs.map(|(key, value)| (key[self.1.len()..].to_owned(), value)).collect())
///         })
///     }
///     fn upsert(&self, key: &str, value: Bytes) -> Ticket<()> {
///         self.0.upsert(&format!("{}{key}", self.1), value)
///     }
///     fn delete(&self, key: &str) -> Ticket<()> {
///         self.0.delete(&format!("{}{key}", self.1))
///     }
/// }
///
/// let all = MemoryKv::default();
/// let (one, other) = (Part(&all, "one/"), Part(&all, "other/"));
/// one.upsert("channel/1", "{}".into()).await?;
/// assert_eq!(one.fetch_all(None, 10).await?, [("channel/1".to_owned(), "{}".into())]);
/// assert!(other.fetch_all(None, 10).await?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait KvStore: fmt::Debug + Send + Sync {
    /// The value of `key`; none where there is none.
    ///
    /// ```
    /// use eric_sse::persist::{KvStore as _, MemoryKv};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let kv = MemoryKv::default();
    /// kv.upsert("channel/1", "{}".into()).await?;
    /// assert_eq!(kv.fetch_one("channel/1").await?.as_deref(), Some(&b"{}"[..]));
    /// assert_eq!(kv.fetch_one("channel/2").await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    fn fetch_one(&self, key: &str) -> BoxFuture<'_, Result<Option<Bytes>>>;

    /// The first keys, in the order of their bytes, that begin with `prefix` and come after `after`, with their
    /// values; at most `limit`. It may be fewer, to bound what is in memory: only an empty page says that there are
    /// no more. `after` need not be a key that is there.
    ///
    /// ```
    /// use eric_sse::persist::{KvStore as _, MemoryKv};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let kv = MemoryKv::default();
    /// for key in ["channel/1", "channel/2", "channel/3", "listener/1"] {
    ///     kv.upsert(key, "{}".into()).await?;
    /// }
    /// let page = kv.fetch_by_prefix("channel/", None, 2).await?;
    /// let (last, _) = page.last().expect("there are some");
    /// let rest = kv.fetch_by_prefix("channel/", Some(last), 2).await?;
    /// assert_eq!((page.len(), rest.len(), &*rest[0].0), (2, 1, "channel/3"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    fn fetch_by_prefix(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>>;

    /// [`KvStore::fetch_by_prefix`] of all keys.
    ///
    /// ```
    /// use eric_sse::persist::{KvStore as _, MemoryKv};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let kv = MemoryKv::default();
    /// kv.upsert("listener/1", "{}".into()).await?;
    /// kv.upsert("channel/1", "{}".into()).await?;
    /// let (keys, _): (Vec<_>, Vec<_>) = kv.fetch_all(None, 100).await?.into_iter().unzip();
    /// assert_eq!(keys, ["channel/1", "listener/1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    fn fetch_all(&self, after: Option<&str>, limit: usize) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
        self.fetch_by_prefix("", after, limit)
    }

    /// Makes `value` the value of `key`, whether it had one or not.
    ///
    /// # Errors
    /// As [`check`], and [`ErrorKind::Unavailable`], [`ErrorKind::NoSpace`].
    ///
    /// ```
    /// use eric_sse::persist::{KvStore as _, MemoryKv};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let kv = MemoryKv::default();
    /// // In the order of their calls, whichever is waited for first.
    /// let (first, second) = (kv.upsert("channel/1", "1".into()), kv.upsert("channel/1", "2".into()));
    /// second.await?;
    /// first.await?;
    /// assert_eq!(kv.fetch_one("channel/1").await?.as_deref(), Some(&b"2"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    fn upsert(&self, key: &str, value: Bytes) -> Ticket<()>;

    /// Removes `key`; where it is not there nothing happens, and nothing is wrong.
    ///
    /// ```
    /// use eric_sse::persist::{KvStore as _, MemoryKv};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let kv = MemoryKv::default();
    /// kv.upsert("channel/1", "{}".into()).await?;
    /// kv.delete("channel/1").await?;
    /// assert!(kv.delete("channel/1").await.is_ok(), "nothing is wrong");
    /// assert_eq!(kv.fetch_one("channel/1").await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    fn delete(&self, key: &str) -> Ticket<()>;
}

/// Whether a store takes this key with this value: every store refuses what this does.
///
/// # Errors
/// [`ErrorKind::InvalidValue`] where the key is empty, [`ErrorKind::TooLarge`] where it has more than
/// [`KV_KEY_BYTES_MAX`] bytes or the value more than [`KV_VALUE_BYTES_MAX`].
///
/// ```
/// use eric_sse::persist::kv::check;
///
/// assert!(check("channel/1", b"{}").is_ok());
/// assert_eq!(check("", b"{}").unwrap_err().to_string(), "key is empty");
/// ```
pub fn check(key: &str, value: &[u8]) -> Result<()> {
    if key.is_empty() {
        return Err(Error::new(ErrorKind::InvalidValue, "key is empty"));
    }
    let rows = [
        ("key", key.len(), "kv_key_bytes_max", KV_KEY_BYTES_MAX),
        ("value", value.len(), "kv_value_bytes_max", KV_VALUE_BYTES_MAX),
    ];
    for (what, bytes, name, max) in rows {
        if bytes > max {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("{what} has {bytes} bytes, more than {name}={max}"),
            ));
        }
    }
    Ok(())
}

/// Keys and values in memory: what [`MemoryEngine`](crate::engine::memory::MemoryEngine) is for entries.
///
/// ```
/// use eric_sse::persist::{KvStore as _, MemoryKv};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let kv = MemoryKv::default();
/// kv.upsert("b/1", "one".into()).await?;
/// kv.upsert("a/1", "other".into()).await?;
/// assert_eq!(kv.fetch_by_prefix("b/", None, 10).await?, [("b/1".to_owned(), "one".into())]);
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct MemoryKv(Mutex<BTreeMap<String, Bytes>>);

impl KvStore for MemoryKv {
    fn fetch_one(&self, key: &str) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(std::future::ready(Ok(self.0.lock().get(key).cloned())))
    }

    fn fetch_by_prefix(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let pairs = self.0.lock();
        let page = pairs
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Box::pin(std::future::ready(Ok(page)))
    }

    fn upsert(&self, key: &str, value: Bytes) -> Ticket<()> {
        Ticket::ready(check(key, &value).map(|()| {
            self.0.lock().insert(key.to_owned(), value);
        }))
    }

    fn delete(&self, key: &str) -> Ticket<()> {
        self.0.lock().remove(key);
        Ticket::ready(Ok(()))
    }
}

impl fmt::Debug for MemoryKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKv").field("keys", &self.0.lock().len()).finish()
    }
}

/// Pairs that are fetched at once when all are gone through.
const PAGE_PAIRS: usize = 1_000;

/// Hands every pair below `prefix` to `take`, in the order of keys, page by page.
pub(crate) async fn each(
    kv: &dyn KvStore,
    prefix: &str,
    mut take: impl FnMut(&str, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut after: Option<String> = None;
    loop {
        let page = kv.fetch_by_prefix(prefix, after.as_deref(), PAGE_PAIRS).await?;
        for (key, value) in &page {
            take(key, value)?;
        }
        let Some((last, _)) = page.into_iter().next_back() else { return Ok(()) };
        assert!(after.is_none_or(|after| after < last), "pages go forward");
        after = Some(last);
    }
}

/// Where a hub that remembers nothing writes: nothing is kept, and everything went well.
#[derive(Debug)]
pub(crate) struct Forgetful;

impl KvStore for Forgetful {
    fn fetch_one(&self, _: &str) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn fetch_by_prefix(
        &self,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn upsert(&self, _: &str, _: Bytes) -> Ticket<()> {
        Ticket::ready(Ok(()))
    }

    fn delete(&self, _: &str) -> Ticket<()> {
        Ticket::ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_taken_at_their_limits_and_refused_past_them() {
        let kind =
            |key: usize, value: usize| check(&"k".repeat(key), &vec![0; value]).map_err(|error| error.kind());
        assert_eq!(kind(KV_KEY_BYTES_MAX, KV_VALUE_BYTES_MAX), Ok(()));
        assert_eq!(kind(1, 0), Ok(()));
        assert_eq!(kind(KV_KEY_BYTES_MAX + 1, 0), Err(ErrorKind::TooLarge));
        assert_eq!(kind(1, KV_VALUE_BYTES_MAX + 1), Err(ErrorKind::TooLarge));
        assert_eq!(kind(0, 0), Err(ErrorKind::InvalidValue));
    }
}
