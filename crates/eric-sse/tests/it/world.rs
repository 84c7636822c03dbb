//! What outlives hubs in these tests: an engine and its records, and a store that can be made to fail or to wait.

use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use eric_sse::engine::Engine;
use eric_sse::engine::memory::MemoryEngine;
use eric_sse::lane::OpenLane;
use eric_sse::log::{BoxFuture, Log as _, Resolver, Ticket};
use eric_sse::persist::{KvStore, MemoryKv};
use eric_sse::{Channel, ChannelSettings, Error, ErrorKind, Hub, Limits, ListenerId, Message, Result};
use eric_testkit::{ManualClock, SlowEngine, SlowKv};
use futures_util::FutureExt as _;
use parking_lot::Mutex;

/// An engine and a store in memory. A hub that is dropped and another one that is restored from them is a restart.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) kv: Arc<TestKv>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let engine = Arc::new(MemoryEngine::new(Arc::new(clock.clone())));
        Self { clock, engine, kv: Arc::default() }
    }

    pub(crate) async fn hub(&self) -> Hub {
        self.hub_on(self.engine.clone(), self.kv.clone(), Limits::default()).await.unwrap()
    }

    /// A hub whose engine and store take several polls for every answer.
    pub(crate) async fn slow_hub(&self, limits: Limits) -> Hub {
        let engine = Arc::new(SlowEngine::new(self.engine.clone()));
        self.hub_on(engine, Arc::new(SlowKv::new(self.kv.clone())), limits).await.unwrap()
    }

    pub(crate) fn hub_on(
        &self,
        engine: Arc<dyn Engine>,
        kv: Arc<dyn KvStore>,
        limits: Limits,
    ) -> BoxFuture<'static, Result<Hub>> {
        let builder = Hub::builder(engine).clock(Arc::new(self.clock.clone())).limits(limits);
        Box::pin(builder.restore(kv))
    }

    /// All keys that the store has.
    pub(crate) fn keys(&self) -> Vec<String> {
        let all = self.kv.kv.fetch_all(None, usize::MAX).now_or_never().unwrap().unwrap();
        all.into_iter().map(|(key, _)| key).collect()
    }

    /// The engine, the records and the hub speak of the same channels and listeners.
    pub(crate) fn assert_agreed(&self, hub: &Hub, when: &str) {
        let key = |open: OpenLane| match open.channel {
            None => format!("channel/{:020}", open.lane.get()),
            Some(channel) => format!("listener/{:020}/{:020}", channel.get(), open.lane.get()),
        };
        let mut lanes: Vec<String> = self.engine.lanes().into_iter().map(key).collect();
        lanes.sort_unstable();
        assert_eq!(lanes, self.keys(), "lanes and records {when}");
        let listeners: usize = channels(hub).iter().map(|channel| channel.listener_ids().len()).sum();
        assert_eq!(channels(hub).len() + listeners, lanes.len(), "what the hub has, and lanes, {when}");
    }
}

pub(crate) fn channels(hub: &Hub) -> Vec<Channel> {
    hub.channels().page(None, usize::MAX).unwrap()
}

pub(crate) async fn channel(hub: &Hub, id: &str) -> Channel {
    hub.channels().create(id.parse().unwrap(), ChannelSettings::in_memory()).await.unwrap()
}

pub(crate) fn id(text: &str) -> ListenerId {
    text.parse().unwrap()
}

pub(crate) fn message(n: u64) -> Message {
    Message::of("t", &n).unwrap()
}

/// Polls `future` at most `polls` times; whether it is over.
pub(crate) fn poll_times<T>(future: &mut BoxFuture<'_, T>, polls: usize) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).any(|_| future.as_mut().poll(&mut context).is_ready())
}

/// A store in memory whose changes happen, fail, wait or are lost, as the test says.
#[derive(Debug, Default)]
pub(crate) struct TestKv {
    kv: MemoryKv,
    mode: Mutex<Mode>,
    held: Mutex<Vec<Resolver<()>>>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) enum Mode {
    #[default]
    Happen,
    /// Nothing changes.
    Fail,
    /// Answered when [`TestKv::answer`] says so.
    Wait,
    /// Nothing changes, and nobody ever says so: the process will be gone before.
    Lose,
}

impl TestKv {
    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    /// Changes that wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.held.lock().len()
    }

    pub(crate) fn answer(&self) {
        let held = std::mem::take(&mut *self.held.lock());
        held.into_iter().for_each(|resolver| resolver.resolve(Ok(())));
    }

    fn change(&self, change: impl FnOnce() -> Ticket<()>) -> Ticket<()> {
        let hold = || {
            let (resolver, ticket) = Ticket::pending();
            self.held.lock().push(resolver);
            ticket
        };
        let mode = *self.mode.lock();
        match mode {
            Mode::Happen => change(),
            Mode::Fail => Ticket::ready(Err(Error::new(ErrorKind::NoSpace, "the store is full"))),
            Mode::Wait => {
                drop(change());
                hold()
            }
            Mode::Lose => hold(),
        }
    }
}

impl KvStore for TestKv {
    fn fetch_one(&self, key: &str) -> BoxFuture<'_, Result<Option<Bytes>>> {
        self.kv.fetch_one(key)
    }

    fn fetch_by_prefix(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
        self.kv.fetch_by_prefix(prefix, after, limit)
    }

    fn upsert(&self, key: &str, value: Bytes) -> Ticket<()> {
        self.change(|| self.kv.upsert(key, value))
    }

    fn delete(&self, key: &str) -> Ticket<()> {
        self.change(|| self.kv.delete(key))
    }
}
