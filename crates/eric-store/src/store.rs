//! The store as its users see it: an engine that keeps its log in a directory.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use eric_sse::cursor::{Commit, Committed, Conflict, Cursor, Cursors, Fence, Joined, Lease};
use eric_sse::engine::lanes::Shelf as _;
use eric_sse::engine::{Durability, Engine, Feed};
use eric_sse::lane::{Lane, LaneInfo, OpenLane, Retention, Span};
use eric_sse::log::{BoxFuture, Budget, Log, NewEntry, Page, Taken, Ticket};
use eric_sse::persist::KvStore;
use eric_sse::persist::kv::check;
use eric_sse::{Clock, Error, ErrorKind, Offset, Position, Result};
use parking_lot::Mutex;

use crate::disk::{Disk, RealDisk};
use crate::open::{Opening, open};
use crate::request::Request;
use crate::settings::{StoreSettings, Sync};
use crate::shared::Shared;
use crate::state::Tell;
use crate::threads::{Reads, Threads};
use crate::writer::{Turn, Writer};

/// Keeps a hub's log in a directory.
///
/// A change that was answered with success survives what [`StoreSettings::sync`] says. Dropping the store makes
/// everything that waits durable and says in the log that it was closed.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::{ChannelSettings, Hub, Message, SystemClock};
/// use eric_store::{Store, StoreSettings};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let directory = tempfile::tempdir().unwrap();
/// let clock = Arc::new(SystemClock);
/// let store = Store::open(&directory, StoreSettings::default(), clock.clone())?;
/// let hub = Hub::builder(Arc::new(store)).clock(clock).open();
/// let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// // Once this returns, the message is on the disk.
/// news.broadcast(Message::of("greeting", "hello")?).await?;
/// assert_eq!(hub.durability().to_string(), "fsync");
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    opening: Opening,
    run: Run,
}

/// What a store holds at one moment.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::SystemClock;
/// # use eric_store::{Store, StoreSettings};
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::open(&directory, StoreSettings::default(), Arc::new(SystemClock))?;
/// let stats = store.stats();
/// assert!(stats.segments > 0 && stats.live_bytes <= stats.bytes);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Segments.
    pub segments: usize,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes of entries that are alive.
    pub live_bytes: u64,
    /// Lanes that are open.
    pub lanes: usize,
    /// Entries that are kept.
    pub entries: usize,
    /// Bytes of memory in which they are found.
    pub index_bytes: usize,
}

/// Who does the work.
#[derive(Debug)]
enum Run {
    Threads {
        reads: Arc<Reads>,
        threads: Mutex<Option<Threads>>,
    },
    /// Whoever calls [`Store::step`].
    Steps(Mutex<Writer>),
}

impl Store {
    /// Opens the store in the directory `path`, which is made if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where another process has it open; [`ErrorKind::Corrupt`] where it is damaged: nothing
    /// was changed; [`ErrorKind::NoSpace`], [`ErrorKind::Unavailable`] where the disk does not do what it must.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::{ErrorKind, SystemClock};
    /// # use eric_store::{Store, StoreSettings};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let open = || Store::open(&directory, StoreSettings::default(), Arc::new(SystemClock));
    /// let store = open()?;
    /// assert_eq!(open().unwrap_err().kind(), ErrorKind::Conflict, "it is open already");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, settings: StoreSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        let path = path.as_ref();
        let disk = RealDisk::open(path).map_err(|error| cannot_open(path, error))?;
        Self::open_on(Arc::new(disk), settings, clock)
    }

    /// Opens the store that `disk` holds.
    ///
    /// # Errors
    /// As [`Store::open`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::SystemClock;
    /// use eric_store::{Store, StoreSettings};
    ///
    /// // A disk whose faults are chosen: here none.
    /// let disk = Arc::new(eric_testkit::FaultDisk::new());
    /// let store = Store::open_on(disk, StoreSettings::default(), Arc::new(SystemClock))?;
    /// assert!(store.opening().is_new);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn open_on(disk: Arc<dyn Disk>, settings: StoreSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        let (shared, writer, opening) = open(disk, settings, clock)?;
        let threads = Threads::start(&shared, writer).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("the store's threads do not start: {error}"))
        })?;
        let run = Run::Threads { reads: threads.reads(), threads: Mutex::new(Some(threads)) };
        Ok(Self { shared, opening, run })
    }

    /// Opens the store that `disk` holds, without threads: nothing happens but in [`Store::step`] and
    /// [`Store::tidy`]. For simulations, which need every run to be the same.
    ///
    /// # Errors
    /// As [`Store::open`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::{SystemClock, log::Log};
    /// use eric_store::{Store, StoreSettings};
    ///
    /// let disk = Arc::new(eric_testkit::FaultDisk::new());
    /// let store = Store::open_stepped(disk, StoreSettings::default(), Arc::new(SystemClock))?;
    /// let _answer = Log::open(&store, eric_testkit::retention());
    /// while store.step() {}
    /// assert_eq!(store.lanes().len(), 1);
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn open_stepped(disk: Arc<dyn Disk>, settings: StoreSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        let (shared, writer, opening) = open(disk, settings, clock)?;
        Ok(Self { shared, opening, run: Run::Steps(Mutex::new(writer)) })
    }

    /// What was found when it was opened.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::SystemClock;
    /// # use eric_store::{Store, StoreSettings};
    /// # let directory = tempfile::tempdir().unwrap();
    /// let store = Store::open(&directory, StoreSettings::default(), Arc::new(SystemClock))?;
    /// assert_eq!(store.opening().cut_bytes, 0, "no crash has left half a change");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Makes durable what waits, without threads: one group. Whether there may be more to do.
    ///
    /// # Panics
    /// Where the store has threads that do this.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::SystemClock;
    /// # use eric_store::{Store, StoreSettings};
    /// # let disk = Arc::new(eric_testkit::FaultDisk::new());
    /// let store = Store::open_stepped(disk, StoreSettings::default(), Arc::new(SystemClock))?;
    /// while store.step() {}
    /// assert!(!store.step(), "nothing waits");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn step(&self) -> bool {
        let Run::Steps(writer) = &self.run else { panic!("the store's own threads do the work") };
        writer.lock().turn() == Turn::Worked
    }

    /// Keeps house once, without threads: dead segments go, spares are made, mostly dead ones are rewritten.
    ///
    /// # Errors
    /// What the disk says; nothing depends on it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::SystemClock;
    /// # use eric_store::{Store, StoreSettings};
    /// # let disk = Arc::new(eric_testkit::FaultDisk::new());
    /// let store = Store::open_stepped(disk, StoreSettings::default(), Arc::new(SystemClock))?;
    /// assert!(store.tidy().is_ok());
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn tidy(&self) -> std::io::Result<()> {
        self.shared.give_back()?;
        self.shared.prepare_spare()?;
        self.shared.rewrite().map(|_| ())
    }

    /// Makes everything that waits durable and ends. Later changes are refused; what is kept can still be read from
    /// the machine's cache. Dropping the store does the same.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::{SystemClock, log::Log};
    /// # use eric_store::{Store, StoreSettings};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let directory = tempfile::tempdir().unwrap();
    /// let store = Store::open(&directory, StoreSettings::default(), Arc::new(SystemClock))?;
    /// store.shut_down();
    /// assert!(Log::open(&store, eric_testkit::retention()).await.is_err(), "it takes nothing any more");
    /// # Ok::<(), eric_sse::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn shut_down(&self) {
        self.shared.begin_closing();
        match &self.run {
            Run::Threads { threads, .. } => {
                if let Some(threads) = threads.lock().take() {
                    threads.join();
                }
            }
            Run::Steps(_) => {}
        }
    }

    /// Ends without a word in the log, as a crash does; for simulations.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::{SystemClock, log::Log};
    /// # use eric_store::{Store, StoreSettings};
    /// # let disk = Arc::new(eric_testkit::FaultDisk::new());
    /// let open = || Store::open_stepped(disk.clone(), StoreSettings::default(), Arc::new(SystemClock));
    /// let store = open()?;
    /// let unanswered = Log::open(&store, eric_testkit::retention());
    /// store.abandon();
    /// assert_eq!(open()?.lanes().len(), 0, "what was not written is gone");
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn abandon(self) {
        self.shared.stop("it was abandoned");
    }

    /// How the lanes of a channel are kept.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::{SystemClock, log::Log};
    /// # use eric_store::{Store, StoreSettings};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let retention = eric_testkit::retention();
    /// let store = Store::open(&directory, StoreSettings::default(), Arc::new(SystemClock))?;
    /// let news = Log::open(&store, retention).await?;
    /// assert_eq!(store.retention(news), Some(retention));
    /// # Ok::<(), eric_sse::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn retention(&self, channel: Lane) -> Option<Retention> {
        Some(self.shared.state.lock().lanes.channel_state(channel)?.retention)
    }

    /// What it holds, counted lane by lane.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::{ChannelSettings, Hub, Message, SystemClock};
    /// # use eric_store::{Store, StoreSettings};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let directory = tempfile::tempdir().unwrap();
    /// let store = Arc::new(Store::open(&directory, StoreSettings::default(), Arc::new(SystemClock))?);
    /// let hub = Hub::builder(store.clone()).open();
    /// let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
    /// news.broadcast(Message::of("tick", &7)?).await?;
    /// assert_eq!((store.stats().lanes, store.stats().entries), (1, 1));
    /// # Ok::<(), eric_sse::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn stats(&self) -> StoreStats {
        let state = self.shared.state.lock();
        let mut stats = StoreStats {
            segments: state.segments.numbers().len(),
            bytes: state.segments.bytes(),
            live_bytes: state.segments.iter().map(|(_, segment)| segment.live_bytes).sum(),
            ..StoreStats::default()
        };
        for open in state.lanes.list() {
            let Ok((places, _)) = state.lanes.shelf(open.lane) else { continue };
            stats.lanes += 1;
            stats.entries += places.len();
            stats.index_bytes += places.memory_bytes();
        }
        stats
    }

    fn ask<T>(&self, request: impl FnOnce(eric_sse::log::Resolver<T>) -> Request) -> Ticket<T> {
        let (resolver, ticket) = Ticket::pending();
        self.shared.ask(request(resolver));
        ticket
    }
}

fn cannot_open(path: &Path, error: std::io::Error) -> Error {
    let path = path.display();
    match error.kind() {
        std::io::ErrorKind::WouldBlock => {
            Error::new(ErrorKind::Conflict, format!("{path} is in use: another process has its lock"))
        }
        std::io::ErrorKind::StorageFull => {
            Error::new(ErrorKind::NoSpace, format!("{path} cannot be opened: {error}"))
        }
        _ => Error::new(ErrorKind::Unavailable, format!("{path} cannot be opened: {error}")).caused_by(error),
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shut_down();
        if let Run::Steps(writer) = &self.run {
            writer.lock().close();
        }
    }
}

impl Engine for Store {
    fn name(&self) -> &'static str {
        "file"
    }

    fn durability(&self) -> Durability {
        match self.shared.settings.sync {
            Sync::Fsync => Durability::Fsync,
            Sync::Os => Durability::Os,
        }
    }

    fn attach(&self, feed: Arc<dyn Feed>) {
        self.shared.state.lock().feed = Some(Tell(feed));
    }

    fn health(&self) -> Result<()> {
        self.shared.health()
    }
}

impl Log for Store {
    fn tail(&self) -> Position {
        self.shared.state.lock().lanes.shown()
    }

    fn open(&self, retention: Retention) -> Ticket<Lane> {
        self.ask(|resolver| Request::Open(retention, resolver))
    }

    fn retain(&self, channel: Lane, retention: Retention) -> Ticket<()> {
        self.ask(|resolver| Request::Retain(channel, retention, resolver))
    }

    fn close(&self, channel: Lane) -> Ticket<()> {
        self.ask(|resolver| Request::Close(channel, resolver))
    }

    fn submit(&self, batch: Vec<NewEntry>) -> Ticket<Vec<Taken>> {
        self.ask(|resolver| Request::Submit(batch, resolver))
    }

    fn read(&self, lane: Lane, after: Offset, budget: Budget) -> BoxFuture<'_, Result<Page>> {
        Box::pin(async move {
            let fetch = self.shared.find(lane, after, budget)?;
            match &self.run {
                Run::Steps(_) => fetch.read_disk(),
                Run::Threads { reads, .. } => match fetch.read_cached()? {
                    Some(page) => Ok(page),
                    None => reads.page(fetch).await,
                },
            }
        })
    }

    fn span(&self, lane: Lane, after: Offset, to: Offset) -> BoxFuture<'_, Result<Span>> {
        Box::pin(std::future::ready(self.look(lane, |state| state.lanes.span(lane, after, to))))
    }

    fn lane(&self, lane: Lane) -> BoxFuture<'_, Result<LaneInfo>> {
        Box::pin(std::future::ready(self.look(lane, |state| state.lanes.info(lane))))
    }

    fn lanes(&self) -> Vec<OpenLane> {
        self.shared.state.lock().lanes.list()
    }
}

impl Store {
    /// Looks at a lane with what is too old in it gone.
    fn look<T>(&self, lane: Lane, look: impl FnOnce(&crate::state::State) -> Result<T>) -> Result<T> {
        let now_ms = self.shared.clock.now().as_ms();
        let (found, has_trimmed) = {
            let mut state = self.shared.state.lock();
            let has_trimmed = state.enforce([lane], now_ms);
            (look(&state), has_trimmed)
        };
        if has_trimmed {
            self.shared.note(now_ms);
        }
        found
    }
}

impl Cursors for Store {
    fn join(&self, channel: Lane) -> Ticket<Joined> {
        self.ask(|resolver| Request::Join(channel, resolver))
    }

    fn leave(&self, listener: Lane) -> Ticket<()> {
        self.ask(|resolver| Request::Leave(listener, resolver))
    }

    fn lease(&self, listener: Lane, conflict: Conflict) -> Ticket<Lease> {
        self.ask(|resolver| Request::Lease(listener, conflict, resolver))
    }

    fn release(&self, listener: Lane, fence: Fence) -> Ticket<()> {
        self.ask(|resolver| Request::Release(listener, fence, resolver))
    }

    fn commit(&self, commits: Vec<Commit>) -> Ticket<Vec<Result<Committed>>> {
        self.ask(|resolver| Request::Commit(commits, resolver))
    }

    fn load(&self, listener: Lane) -> BoxFuture<'_, Result<Cursor>> {
        Box::pin(std::future::ready(self.shared.state.lock().lanes.cursor(listener)))
    }
}

impl KvStore for Store {
    fn fetch_one(&self, key: &str) -> BoxFuture<'_, Result<Option<Bytes>>> {
        let value = self.shared.state.lock().values.get(key).cloned();
        Box::pin(std::future::ready(Ok(value)))
    }

    fn fetch_by_prefix(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(String, Bytes)>>> {
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        let state = self.shared.state.lock();
        let values = state.values.range::<str, _>((from, Bound::Unbounded));
        let within = values.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        let page = within.map(|(key, value)| (key.clone(), value.clone())).collect();
        Box::pin(std::future::ready(Ok(page)))
    }

    fn upsert(&self, key: &str, value: Bytes) -> Ticket<()> {
        match check(key, &value) {
            Ok(()) => self.ask(|resolver| Request::Upsert(key.to_owned(), value, resolver)),
            Err(error) => Ticket::ready(Err(error)),
        }
    }

    fn delete(&self, key: &str) -> Ticket<()> {
        self.ask(|resolver| Request::Delete(key.to_owned(), resolver))
    }
}
