//! What the checks share: engines and hubs on one clock, a feed that records, readers that say what they saw.

use std::fmt::{self, Display};
use std::future::{Future, poll_fn};
use std::sync::{Arc, Barrier};
use std::task::Poll;

use eric_sse::cursor::{Authority, Commit, Committed, Fence};
use eric_sse::engine::{Engine, Feed, FeedEvent};
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::log::{BoxFuture, Budget, NewEntry, Taken};
use eric_sse::{
    Channel, ChannelSettings, Clock, End, Entry, Evicted, EvictedBy, Hub, Item, Limits, ListenerId, Message,
    Offset, Position, Publish, Subscription, Timestamp,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::MakeEngine;
use crate::clock::ManualClock;

/// What a check found wrong.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) String);

pub(crate) type Checked<T = ()> = Result<T, Wrong>;

impl<T: Display> From<T> for Wrong {
    fn from(text: T) -> Self {
        Self(text.to_string())
    }
}

/// One claim about engines.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a Rig<'a>) -> BoxFuture<'a, Checked>,
}

/// The list of a group's checks: functions whose names are the claims.
macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        pub(crate) const CHECKS: &[crate::suite::rig::Check] = &[
            $(crate::suite::rig::Check { name: stringify!($check), run: |rig| Box::pin($check(rig)) }),*
        ];
    };
}

/// Fails the check with a text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(crate::suite::rig::Wrong(format!($($text)+)));
        }
    };
}

/// Fails the check unless what was found is what was expected.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $what:expr) => {{
        let (found, expected) = (&$found, &$expected);
        if found != expected {
            let text = format!("{}: found {found:?}, expected {expected:?}", $what);
            return Err(crate::suite::rig::Wrong(text));
        }
    }};
}

/// Fails the check unless the result is an error of this kind.
macro_rules! ensure_kind {
    ($result:expr, $kind:ident, $what:expr) => {
        match $result {
            Err(error) if error.kind() == eric_sse::ErrorKind::$kind => {}
            other => {
                let text = format!("{}: found {other:?}, expected an error {}", $what, stringify!($kind));
                return Err(crate::suite::rig::Wrong(text));
            }
        }
    };
}

pub(crate) use {checks, ensure, ensure_eq, ensure_kind};

/// Makes what one check needs.
pub(crate) struct Rig<'a> {
    make: &'a MakeEngine<'a>,
    pub(crate) clock: ManualClock,
}

impl<'a> Rig<'a> {
    pub(crate) fn new(make: &'a MakeEngine<'a>) -> Self {
        Self { make, clock: ManualClock::new() }
    }

    /// A new engine that nobody is attached to.
    pub(crate) fn bare_engine(&self) -> Arc<dyn Engine> {
        (self.make)(Arc::new(self.clock.clone()))
    }

    /// A new engine and what it reports.
    pub(crate) fn engine(&self) -> Seam {
        let engine = self.bare_engine();
        let recorder = Arc::new(Recorder::default());
        engine.attach(recorder.clone());
        Seam { engine, recorder }
    }

    /// A hub on a new engine.
    pub(crate) fn hub(&self) -> Hub {
        self.hub_with(Limits::default())
    }

    pub(crate) fn hub_with(&self, limits: Limits) -> Hub {
        Hub::builder(self.bare_engine()).clock(Arc::new(self.clock.clone())).limits(limits).open()
    }

    /// A hub on a new engine with one channel.
    pub(crate) async fn channel(&self, settings: ChannelSettings) -> Checked<(Hub, Channel)> {
        let hub = self.hub();
        let channel = hub.channels().create("c".parse()?, settings).await?;
        Ok((hub, channel))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// An engine and what it reports.
#[derive(Clone)]
pub(crate) struct Seam {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) recorder: Arc<Recorder>,
}

/// Room for everything that a check publishes.
pub(crate) fn roomy() -> Retention {
    Retention {
        max_messages: 1_000_000,
        max_bytes: 1 << 30,
        max_age_s: 1 << 40,
        history: 1_000_000,
        max_unread_per_listener: 1_000_000,
        max_unread_bytes_per_listener: 1 << 30,
        overflow: Overflow::DropOldest,
    }
}

/// The message that number `n` is published as.
pub(crate) fn message(n: u64) -> Message {
    Message::of("t", &n).expect("a number is a message")
}

/// What a hub publishes number `n` as, under a key.
pub(crate) fn keyed(n: u64, key: &str) -> Checked<Publish> {
    Ok(Publish { message: message(n), key: Some(key.parse()?) })
}

impl Seam {
    pub(crate) fn new_entry(&self, lane: Lane, n: u64) -> NewEntry {
        NewEntry { lane, message: message(n), key: None, taken_at: Timestamp::from_ms(0) }
    }

    /// Opens a lane with room for everything.
    pub(crate) async fn open(&self) -> Checked<Lane> {
        Ok(self.engine.open(roomy()).await?)
    }

    pub(crate) async fn join(&self, channel: Lane) -> Checked<Lane> {
        Ok(self.engine.join(channel).await?.lane)
    }

    /// Publishes number `n`, taken now by `rig`'s clock.
    pub(crate) async fn put(&self, rig: &Rig<'_>, lane: Lane, n: u64) -> Checked<Taken> {
        let new = NewEntry { taken_at: rig.now(), ..self.new_entry(lane, n) };
        Ok(self.engine.submit(vec![new]).await?[0])
    }

    /// The position at `offset` in the present epoch.
    pub(crate) fn at(&self, offset: u64) -> Position {
        Position { epoch: self.engine.tail().epoch, offset: Offset::new(offset) }
    }

    pub(crate) async fn commit(&self, listener: Lane, to: Position, by: Authority) -> Checked<Committed> {
        let mut answers = self.engine.commit(vec![Commit { listener, to, by }]).await?;
        ensure_eq!(answers.len(), 1, "answers to one commit");
        Ok(answers.remove(0)?)
    }

    pub(crate) async fn ack(&self, listener: Lane, offset: u64) -> Checked<Committed> {
        self.commit(listener, self.at(offset), Authority::Ack).await
    }

    pub(crate) async fn cursor(&self, listener: Lane) -> Checked<u64> {
        Ok(self.engine.load(listener).await?.position.offset.get())
    }

    /// Reads all that is kept of `lane`, page by page, and checks what every page promises.
    pub(crate) async fn read_all(&self, lane: Lane, budget: Budget) -> Checked<Vec<Entry>> {
        let (mut at, mut entries) = (Offset::ZERO, Vec::new());
        let tail = self.engine.tail().offset;
        while at < tail {
            let page = self.engine.read(lane, at, budget).await?;
            let last = page.entries.last().map_or(at, Entry::offset);
            ensure!(page.searched_to >= last, "a page searched to {} and holds {last}", page.searched_to);
            ensure!(page.searched_to > at, "a page after {at} searched no further");
            let present = self.engine.tail().offset;
            ensure!(page.searched_to <= present, "a page searched beyond the tail {present}");
            ensure!(page.entries.len() <= budget.entries.max(1), "a page is larger than its budget");
            entries.extend(page.entries);
            at = page.searched_to;
        }
        Ok(entries)
    }

    /// The offsets of what is kept of `lane`.
    pub(crate) async fn kept(&self, lane: Lane) -> Checked<Vec<u64>> {
        Ok(offsets(&self.read_all(lane, Budget::default()).await?))
    }
}

pub(crate) fn offsets(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.offset().get()).collect()
}

/// Something that a feed was told, apart from entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Trimmed { lane: Lane, to: Offset, unread: Evicted },
    LeaseTaken { listener: Lane, fence: Fence },
    Removed { lane: Lane },
}

/// A feed that records what it is told.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    record: Mutex<Record>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct Record {
    entries: Vec<Entry>,
    told: Vec<Told>,
    is_unsettled: bool,
}

impl Recorder {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.record.lock().entries.clone()
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.record.lock().told.clone()
    }

    /// How many entries of `lane` were reported as gone, and how many of them as unread.
    pub(crate) fn unread_trimmed(&self, lane: Lane) -> u64 {
        self.evicted(lane).sum()
    }

    /// The same, by the limit that let them go.
    pub(crate) fn evicted(&self, lane: Lane) -> Evicted {
        let mut evicted = Evicted::default();
        for told in &self.record.lock().told {
            match told {
                Told::Trimmed { lane: trimmed, unread, .. } if *trimmed == lane => {
                    EvictedBy::ALL.into_iter().for_each(|by| evicted.add(by, unread.by(by)));
                }
                _ => {}
            }
        }
        evicted
    }

    /// Waits until the engine has woken whom it should for everything it has reported.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if !self.record.lock().is_unsettled {
                return;
            }
            settled.await;
        }
    }
}

impl Feed for Recorder {
    fn event(&self, event: FeedEvent<'_>) {
        let mut record = self.record.lock();
        record.is_unsettled = true;
        let told = match event {
            FeedEvent::Appended(entries) => {
                record.entries.extend_from_slice(entries);
                return;
            }
            FeedEvent::Trimmed { lane, to, unread } => Told::Trimmed { lane, to, unread },
            FeedEvent::LeaseTaken { listener, fence } => Told::LeaseTaken { listener, fence },
            FeedEvent::Removed { lane } => Told::Removed { lane },
            _ => return,
        };
        record.told.push(told);
    }

    fn settle(&self) {
        self.record.lock().is_unsettled = false;
        self.settled.notify_waiters();
    }
}

/// Runs `work` on `count` threads that begin together.
pub(crate) async fn on_threads<T, W, F>(count: usize, work: W) -> Checked<Vec<T>>
where
    T: Send + 'static,
    W: Fn(u64) -> F + Clone + Send + 'static,
    F: Future<Output = Checked<T>>,
{
    let barrier = Arc::new(Barrier::new(count));
    let run = |thread: u64| {
        let (barrier, work) = (barrier.clone(), work.clone());
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            barrier.wait();
            runtime.block_on(work(thread))
        })
    };
    let threads: Vec<_> = (0..count as u64).map(run).collect();
    let mut answers = Vec::with_capacity(count);
    for thread in threads {
        answers.push(thread.await??);
    }
    Ok(answers)
}

/// What a reader saw: numbers as they were published, and gaps as `gap <reason> <missed>`.
pub(crate) fn seen(items: &[Item]) -> Vec<String> {
    let label = |item: &Item| match item {
        Item::Entry(framed) => framed.entry().message().payload().as_json().to_owned(),
        Item::Gap(gap) => {
            format!("gap {} {}", gap.reason, gap.missed.map_or("?".into(), |missed| missed.to_string()))
        }
    };
    items.iter().map(label).collect()
}

/// Polls of a reader that has nothing more to say before that is believed.
const QUIET_POLLS: usize = 64;

/// Reads everything up to the hub's tail; fails where the subscription ends before.
pub(crate) async fn drain(hub: &Hub, subscription: &mut Subscription) -> Checked<Vec<Item>> {
    drain_to(subscription, hub.tail().offset).await
}

/// Reads everything up to `to`, and what is at hand after it.
pub(crate) async fn drain_to(subscription: &mut Subscription, to: Offset) -> Checked<Vec<Item>> {
    let (mut items, mut quiet) = (Vec::new(), 0);
    let end = poll_fn(|context| {
        loop {
            let mut more = Vec::new();
            match subscription.poll_items(context, Budget::default(), &mut more) {
                Poll::Ready(Ok(None)) => items.append(&mut more),
                Poll::Ready(Ok(Some(end))) => return Poll::Ready(Ok(Some(end))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if subscription.position().offset < to => return Poll::Pending,
                Poll::Pending if quiet == QUIET_POLLS => return Poll::Ready(Ok(None)),
                Poll::Pending => {
                    quiet += 1;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    });
    match end.await? {
        None => Ok(items),
        Some(end) => Err(Wrong(format!("the subscription ended: {end:?}, after {:?}", seen(&items)))),
    }
}

/// Waits for the end of a subscription, whatever comes before it.
pub(crate) async fn end_of(subscription: &mut Subscription) -> Checked<End> {
    let mut items = Vec::new();
    loop {
        if let Some(end) = subscription.next_items(&mut items).await? {
            return Ok(end);
        }
    }
}

/// Takes note that everything in `items` was consumed.
pub(crate) fn consume(subscription: &mut Subscription, items: &[Item]) {
    for item in items {
        if let Item::Entry(framed) = item {
            subscription.consumed(framed.entry().offset());
        }
    }
}

pub(crate) fn id(text: &str) -> ListenerId {
    text.parse().expect("the checks' ids are ids")
}

impl fmt::Debug for Rig<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rig").finish_non_exhaustive()
    }
}
