//! The conformance suite of stores of keys and values: what every [`KvStore`] must do, as named checks.
//!
//! As in [`engine_suite`](crate::engine_suite), each check gets a store of its own, and the suite always ends.

use std::sync::Arc;

use bytes::Bytes;
use eric_sse::ErrorKind;
use eric_sse::limits::{KV_KEY_BYTES_MAX, KV_VALUE_BYTES_MAX};
use eric_sse::log::BoxFuture;
use eric_sse::persist::KvStore;
use futures_util::future::try_join_all;

use crate::suite::Report;
use crate::suite::rig::{Checked, ensure, ensure_eq, ensure_kind, on_threads};

/// Makes a store that is empty.
pub type MakeKv<'a> = dyn Fn() -> Arc<dyn KvStore> + Send + Sync + 'a;

type Run = fn(Arc<dyn KvStore>) -> BoxFuture<'static, Checked>;

macro_rules! kv_checks {
    ($($check:ident),* $(,)?) => {
        const CHECKS: &[(&str, Run)] = &[$((stringify!($check), |kv| Box::pin($check(kv)))),*];
    };
}

kv_checks![
    what_was_upserted_is_fetched_and_what_was_deleted_is_not,
    an_upsert_overwrites,
    deleting_what_is_not_there_changes_nothing,
    a_prefix_is_fetched_in_the_order_of_bytes,
    pages_go_on_after_a_key_that_need_not_be_there,
    all_is_fetched_whatever_its_prefix,
    changes_are_ordered_by_their_calls,
    a_change_happens_whether_its_ticket_is_awaited_or_not,
    concurrent_changes_all_happen,
    keys_and_values_are_any_text_and_any_bytes,
    a_key_has_1_to_1024_bytes,
    a_value_has_at_most_1_mib,
];

/// Runs every check on stores that `make` makes, one after the other.
///
/// Must be polled within a Tokio runtime with time enabled.
///
/// # Cancel safety
/// If dropped, threads of a check may run on for a moment.
pub async fn kv_suite(make: &MakeKv<'_>) -> Report {
    let mut report = Report::default();
    for (name, run) in CHECKS {
        report.run(name, run(make())).await;
    }
    report
}

/// Upserts pairs, and waits until they are durable.
async fn fill(kv: &dyn KvStore, pairs: &[(&str, &str)]) -> Checked {
    let tickets: Vec<_> =
        pairs.iter().map(|(key, value)| kv.upsert(key, Bytes::copy_from_slice(value.as_bytes()))).collect();
    try_join_all(tickets).await?;
    Ok(())
}

/// The value of `key` is what is expected.
async fn has(kv: &dyn KvStore, key: &str, expected: Option<&str>, what: &str) -> Checked {
    let found = kv.fetch_one(key).await?.map(|value| String::from_utf8_lossy(&value).into_owned());
    ensure_eq!(found.as_deref(), expected, what);
    Ok(())
}

/// All keys that begin with `prefix`, fetched `limit` at a time.
async fn keys(kv: &dyn KvStore, prefix: &str, limit: usize) -> Checked<Vec<String>> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = kv.fetch_by_prefix(prefix, keys.last().map(String::as_str), limit).await?;
        ensure!(page.len() <= limit, "a page of at most {limit} has {}", page.len());
        if page.is_empty() {
            return Ok(keys);
        }
        for (key, value) in page {
            ensure!(keys.last().is_none_or(|last| *last < key), "{key} comes after {:?}", keys.last());
            ensure_eq!(kv.fetch_one(&key).await?, Some(value), "the value that came with its key");
            keys.push(key);
        }
    }
}

async fn what_was_upserted_is_fetched_and_what_was_deleted_is_not(kv: Arc<dyn KvStore>) -> Checked {
    has(&*kv, "a", None, "what never was").await?;
    fill(&*kv, &[("a", "1"), ("b", "2")]).await?;
    kv.delete("a").await?;
    has(&*kv, "a", None, "what was deleted").await?;
    has(&*kv, "b", Some("2"), "what was not").await?;
    ensure_eq!(keys(&*kv, "", 10).await?, ["b"], "the keys");
    fill(&*kv, &[("a", "3")]).await?;
    has(&*kv, "a", Some("3"), "what was deleted and upserted again").await?;
    Ok(())
}

async fn an_upsert_overwrites(kv: Arc<dyn KvStore>) -> Checked {
    fill(&*kv, &[("a", "a long first value"), ("a", "2")]).await?;
    has(&*kv, "a", Some("2"), "the value").await?;
    fill(&*kv, &[("a", "")]).await?;
    has(&*kv, "a", Some(""), "an empty value").await?;
    ensure_eq!(keys(&*kv, "", 10).await?, ["a"], "the keys");
    Ok(())
}

async fn deleting_what_is_not_there_changes_nothing(kv: Arc<dyn KvStore>) -> Checked {
    fill(&*kv, &[("ab", "1")]).await?;
    for key in ["a", "abc", "", &"k".repeat(KV_KEY_BYTES_MAX + 1)] {
        kv.delete(key).await?;
    }
    ensure_eq!(keys(&*kv, "", 10).await?, ["ab"], "the keys");
    Ok(())
}

/// Keys whose order by bytes is not that of insertion, of length, nor of what people see.
const MIXED: [&str; 10] = ["p/é", "p/10", "p/2", "p", "p/", "p/Z", "p/a", "q/1", "p/🙂", "o/1"];

async fn a_prefix_is_fetched_in_the_order_of_bytes(kv: Arc<dyn KvStore>) -> Checked {
    let pairs = MIXED.map(|key| (key, key));
    fill(&*kv, &pairs).await?;
    let expected = ["p/", "p/10", "p/2", "p/Z", "p/a", "p/é", "p/🙂"];
    for limit in [1, 2, 3, expected.len(), 100] {
        ensure_eq!(keys(&*kv, "p/", limit).await?, expected, format!("the keys, {limit} at a time"));
    }
    ensure_eq!(keys(&*kv, "r/", 10).await?.len(), 0, "keys of a prefix that nothing has");
    ensure_eq!(kv.fetch_by_prefix("p/", None, 0).await?.len(), 0, "a page of nothing");
    Ok(())
}

async fn pages_go_on_after_a_key_that_need_not_be_there(kv: Arc<dyn KvStore>) -> Checked {
    fill(&*kv, &[("o", ""), ("p/1", ""), ("p/3", ""), ("q", "")]).await?;
    let rows: [(&str, &[&str]); 7] = [
        ("a", &["p/1"]),
        ("p/", &["p/1"]),
        ("p/0", &["p/1"]),
        ("p/1", &["p/3"]),
        ("p/2", &["p/3"]),
        ("p/3", &[]),
        ("z", &[]),
    ];
    for (after, expected) in rows {
        let page = kv.fetch_by_prefix("p/", Some(after), 1).await?;
        let found: Vec<&str> = page.iter().map(|(key, _)| key.as_str()).collect();
        ensure_eq!(found, expected, format!("the page after {after}"));
    }
    kv.delete("p/1").await?;
    let page = kv.fetch_by_prefix("p/", Some("p/1"), 1).await?;
    ensure_eq!(page.len(), 1, "what comes after a key that was deleted since");
    Ok(())
}

async fn all_is_fetched_whatever_its_prefix(kv: Arc<dyn KvStore>) -> Checked {
    let pairs = MIXED.map(|key| (key, key));
    fill(&*kv, &pairs).await?;
    let mut expected = MIXED;
    expected.sort_unstable();
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = kv.fetch_all(found.last().map(String::as_str), 3).await?;
        ensure!(page.len() <= 3, "a page of at most 3 has {}", page.len());
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|(key, _)| key));
        ensure!(found.len() <= MIXED.len(), "a key was fetched twice: {found:?}");
    }
    ensure_eq!(found, expected, "all keys");
    Ok(())
}

async fn changes_are_ordered_by_their_calls(kv: Arc<dyn KvStore>) -> Checked {
    for last_is_delete in [false, true] {
        let mut tickets = Vec::new();
        for n in 0..100 {
            tickets.push(kv.upsert("a", n.to_string().into()));
            if n % 3 == 0 {
                tickets.push(kv.delete("a"));
            }
        }
        tickets.push(kv.upsert("a", "last".into()));
        if last_is_delete {
            tickets.push(kv.delete("a"));
        }
        // Awaited the wrong way round: it is the calls that count.
        for ticket in tickets.into_iter().rev() {
            ticket.await?;
        }
        let expected = (!last_is_delete).then_some("last");
        has(&*kv, "a", expected, "what the last call made of it").await?;
    }
    Ok(())
}

async fn a_change_happens_whether_its_ticket_is_awaited_or_not(kv: Arc<dyn KvStore>) -> Checked {
    fill(&*kv, &[("gone", "")]).await?;
    drop(kv.upsert("a", "1".into()));
    drop(kv.delete("gone"));
    fill(&*kv, &[("b", "2")]).await?;
    ensure_eq!(keys(&*kv, "", 10).await?, ["a", "b"], "the keys, once a later change is durable");
    Ok(())
}

async fn concurrent_changes_all_happen(kv: Arc<dyn KvStore>) -> Checked {
    let shared = kv.clone();
    let work = move |thread: u64| {
        let kv = shared.clone();
        async move {
            for n in 0..100 {
                let (own, common) = (format!("own/{thread}/{n:02}"), format!("common/{n:02}"));
                let tickets = [
                    kv.upsert(&own, thread.to_string().into()),
                    kv.upsert(&common, thread.to_string().into()),
                    kv.delete(&format!("own/{thread}/{:02}", n / 2 * 2 + 1)),
                ];
                try_join_all(tickets).await?;
                let own_value = kv.fetch_one(&own).await?;
                ensure_eq!(own_value.is_some(), n % 2 == 0, format!("a key of its own, n={n}"));
            }
            Ok(())
        }
    };
    on_threads(4, work).await?;
    ensure_eq!(keys(&*kv, "own/", 7).await?.len(), 200, "keys of one thread each");
    ensure_eq!(keys(&*kv, "common/", 7).await?.len(), 100, "keys of all threads");
    Ok(())
}

async fn keys_and_values_are_any_text_and_any_bytes(kv: Arc<dyn KvStore>) -> Checked {
    let bytes: Bytes = (0..=255_u8).collect();
    for key in ["\0", "a\nb", "a/../b", "%2F", "a b", "\"", "ü", "u\u{308}", "\u{10ffff}", "*"] {
        kv.upsert(key, bytes.clone()).await?;
        ensure_eq!(kv.fetch_one(key).await?, Some(bytes.clone()), format!("the value of {key:?}"));
    }
    ensure_eq!(keys(&*kv, "", 4).await?.len(), 10, "keys");
    Ok(())
}

async fn a_key_has_1_to_1024_bytes(kv: Arc<dyn KvStore>) -> Checked {
    let (at, past) = ("k".repeat(KV_KEY_BYTES_MAX), "k".repeat(KV_KEY_BYTES_MAX + 1));
    fill(&*kv, &[(at.as_str(), "1"), ("k", "2")]).await?;
    has(&*kv, &at, Some("1"), "a key exactly at the limit").await?;
    ensure_kind!(kv.upsert(&past, "3".into()).await, TooLarge, "a key one past the limit");
    ensure_kind!(kv.upsert("", "3".into()).await, InvalidValue, "an empty key");
    has(&*kv, &past, None, "what was refused").await?;
    ensure_eq!(keys(&*kv, "", 10).await?, ["k".to_owned(), at], "the keys");
    Ok(())
}

async fn a_value_has_at_most_1_mib(kv: Arc<dyn KvStore>) -> Checked {
    let of = |bytes: usize| Bytes::from(vec![7; bytes]);
    kv.upsert("a", of(KV_VALUE_BYTES_MAX)).await?;
    match kv.upsert("a", of(KV_VALUE_BYTES_MAX + 1)).await {
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            ensure!(error.to_string().contains("kv_value_bytes_max"), "the limit is not named: {error}");
        }
        other => return Err(format!("a value one past the limit: {other:?}").into()),
    }
    ensure_eq!(kv.fetch_one("a").await?, Some(of(KV_VALUE_BYTES_MAX)), "the value after a refusal");
    Ok(())
}
