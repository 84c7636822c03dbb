//! A slow engine, and a slow store: others whose tickets and reads take several polls, and whose reads are short.
//!
//! They keep every promise, so the suites must pass; callers that count on answers at first poll, or on pages that
//! reach the end, fail on them.

use std::sync::Arc;

use bytes::Bytes;
use eric_sse::cursor::{Commit, Committed, Conflict, Cursor, Cursors, Fence, Joined, Lease};
use eric_sse::engine::{Durability, Engine, Feed};
use eric_sse::lane::{Lane, LaneInfo, OpenLane, Retention, Span};
use eric_sse::log::{BoxFuture, Budget, Log, NewEntry, Page, Taken, Ticket};
use eric_sse::persist::KvStore;
use eric_sse::{Offset, Position, Result};

/// Polls that an answer takes at least.
const POLLS: usize = 4;

/// An engine that takes its time: changes are ordered when called, as they must be, and everything is answered
/// late; a page has one entry at most.
#[derive(Debug)]
pub struct SlowEngine(Arc<dyn Engine>);

impl SlowEngine {
    /// `engine`, slowed down.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self(engine)
    }
}

async fn dawdle() {
    for _ in 0..POLLS {
        tokio::task::yield_now().await;
    }
}

fn late<T: Unpin + Send + 'static>(ticket: Ticket<T>) -> Ticket<T> {
    Ticket::from_future(async move {
        dawdle().await;
        ticket.await
    })
}

fn late_read<'a, T: Send + 'a>(
    read: impl Future<Output = Result<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T>> {
    Box::pin(async move {
        dawdle().await;
        let answer = read.await;
        dawdle().await;
        answer
    })
}

impl Engine for SlowEngine {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn durability(&self) -> Durability {
        self.0.durability()
    }

    fn attach(&self, feed: Arc<dyn Feed>) {
        self.0.attach(feed);
    }

    fn health(&self) -> Result<()> {
        self.0.health()
    }
}

impl Log for SlowEngine {
    fn tail(&self) -> Position {
        self.0.tail()
    }

    fn open(&self, retention: Retention) -> Ticket<Lane> {
        late(self.0.open(retention))
    }

    fn retain(&self, channel: Lane, retention: Retention) -> Ticket<()> {
        late(self.0.retain(channel, retention))
    }

    fn close(&self, channel: Lane) -> Ticket<()> {
        late(self.0.close(channel))
    }

    fn submit(&self, batch: Vec<NewEntry>) -> Ticket<Vec<Taken>> {
        late(self.0.submit(batch))
    }

    fn read(&self, lane: Lane, after: Offset, budget: Budget) -> BoxFuture<'_, Result<Page>> {
        let budget = Budget { entries: 1, ..budget };
        late_read(async move { self.0.read(lane, after, budget).await })
    }

    fn span(&self, lane: Lane, after: Offset, to: Offset) -> BoxFuture<'_, Result<Span>> {
        late_read(async move { self.0.span(lane, after, to).await })
    }

    fn lane(&self, lane: Lane) -> BoxFuture<'_, Result<LaneInfo>> {
        late_read(async move { self.0.lane(lane).await })
    }

    fn lanes(&self) -> Vec<OpenLane> {
        self.0.lanes()
    }
}

impl Cursors for SlowEngine {
    fn join(&self, channel: Lane) -> Ticket<Joined> {
        late(self.0.join(channel))
    }

    fn leave(&self, listener: Lane) -> Ticket<()> {
        late(self.0.leave(listener))
    }

    fn lease(&self, listener: Lane, conflict: Conflict) -> Ticket<Lease> {
        late(self.0.lease(listener, conflict))
    }

    fn release(&self, listener: Lane, fence: Fence) -> Ticket<()> {
        late(self.0.release(listener, fence))
    }

    fn commit(&self, commits: Vec<Commit>) -> Ticket<Vec<Result<Committed>>> {
        late(self.0.commit(commits))
    }

    fn load(&self, listener: Lane) -> BoxFuture<'_, Result<Cursor>> {
        late_read(async move { self.0.load(listener).await })
    }
}

/// A store that takes its time, as [`SlowEngine`] does.
#[derive(Debug)]
pub struct SlowKv(Arc<dyn KvStore>);

impl SlowKv {
    /// `kv`, slowed down.
    pub fn new(kv: Arc<dyn KvStore>) -> Self {
        Self(kv)
    }
}

impl KvStore for SlowKv {
    fn fetch_one(&self, key: &str) -> BoxFuture<'_, Result<Option<Bytes>>> {
        let key = key.to_owned();
        late_read(async move { self.0.fetch_one(&key).await })
    }

    fn fetch_by_prefix(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        late_read(async move { self.0.fetch_by_prefix(&prefix, after.as_deref(), limit.min(1)).await })
    }

    fn upsert(&self, key: &str, value: Bytes) -> Ticket<()> {
        late(self.0.upsert(key, value))
    }

    fn delete(&self, key: &str) -> Ticket<()> {
        late(self.0.delete(key))
    }
}
