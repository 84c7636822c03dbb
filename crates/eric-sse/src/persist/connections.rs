//! Connections: who listens on a channel, and where what they hear goes on to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kv::KvStore;
use super::record::{ListenerRecord, QueueRecord, Seat};
use super::repository::{ListenerRepository, QueueRepository};
use crate::error::Result;
use crate::lane::Lane;
use crate::log::Ticket;

/// A connection that is remembered: a listener, and its queue where that is one of the user's own.
///
/// ```
/// use eric_sse::lane::Lane;
/// use eric_sse::persist::{ConnectionRecord, ListenerRecord, QueueRecord, Recipe, Seat};
///
/// let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
/// let bob = ListenerRecord { id: "bob".parse()?, seat, is_generated: false, seen_ms: 0, recipe: None };
/// let spool = QueueRecord { seat, recipe: Recipe::of("spool") };
/// let connection = ConnectionRecord { listener: bob, queue: Some(spool) };
/// assert_eq!(connection.queue.unwrap().seat, connection.listener.seat);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionRecord {
    /// Who listens.
    pub listener: ListenerRecord,
    /// Where messages go on to; none where they wait in the listener's lane only.
    pub queue: Option<QueueRecord>,
}

/// The connections that are remembered. None has a record of its own: a connection is its listener's record, and its
/// queue's where it has one.
///
/// The listener's record is what makes a connection: it is written last and deleted first. A crash in between leaves
/// a queue of nobody, which [`ConnectionRepository::load_all`] returns.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::lane::Lane;
/// use eric_sse::persist::{
///     ConnectionRecord, ConnectionRepository, ListenerRecord, MemoryKv, QueueRecord, Recipe, Seat,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let connections = ConnectionRepository::new(Arc::new(MemoryKv::default()));
/// let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
/// let bob = ConnectionRecord {
///     listener: ListenerRecord { id: "bob".parse()?, seat, is_generated: false, seen_ms: 0, recipe: None },
///     queue: Some(QueueRecord { seat, recipe: Recipe::of("spool") }),
/// };
/// connections.persist(&bob).await?;
/// assert_eq!(connections.load_of(seat.channel).await?, [bob]);
/// connections.delete(seat).await?;
/// assert_eq!(connections.load_one(seat).await?, None);
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ConnectionRepository {
    /// The listeners of all connections.
    pub listeners: ListenerRepository,
    /// The queues of those that have one.
    pub queues: QueueRepository,
}

impl ConnectionRepository {
    /// The connections in `kv`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::lane::Lane;
    /// use eric_sse::persist::{ConnectionRepository, MemoryKv};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let connections = ConnectionRepository::new(Arc::new(MemoryKv::default()));
    /// assert!(connections.load_of(Lane::new(7)).await?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn new(kv: Arc<dyn KvStore>) -> Self {
        Self { listeners: ListenerRepository::new(kv.clone()), queues: QueueRepository::new(kv) }
    }

    /// Remembers what is in `connection`.
    ///
    /// # Errors
    /// As [`KvStore::upsert`]; there is no new connection then.
    ///
    /// # Cancel safety
    /// If dropped, it may be remembered or not.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::lane::Lane;
    /// # use eric_sse::persist::{ConnectionRecord, ConnectionRepository, ListenerRecord, MemoryKv, Seat};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let connections = ConnectionRepository::new(Arc::new(MemoryKv::default()));
    /// let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
    /// let bob = ListenerRecord { id: "bob".parse()?, seat, is_generated: false, seen_ms: 0, recipe: None };
    /// let mut connection = ConnectionRecord { listener: bob, queue: None };
    /// connections.persist(&connection).await?;
    /// connection.listener.seen_ms = 1_795_399_738_871;
    /// connections.persist(&connection).await?;
    /// assert_eq!(connections.load_of(seat.channel).await?, [connection], "the later one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn persist(&self, connection: &ConnectionRecord) -> Result<()> {
        if let Some(queue) = &connection.queue {
            self.queues.persist(queue).await?;
        }
        self.listeners.persist(&connection.listener).await
    }

    /// Forgets the connection at `seat`; where none is nothing happens.
    ///
    /// # Errors
    /// As [`KvStore::delete`]; the connection is still there then.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::lane::Lane;
    /// # use eric_sse::persist::{ConnectionRecord, ConnectionRepository, ListenerRecord, MemoryKv, Seat};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let connections = ConnectionRepository::new(Arc::new(MemoryKv::default()));
    /// # let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
    /// # let bob = ListenerRecord { id: "bob".parse()?, seat, is_generated: false, seen_ms: 0, recipe: None };
    /// # connections.persist(&ConnectionRecord { listener: bob, queue: None }).await?;
    /// connections.delete(seat).await?;
    /// connections.delete(seat).await?;
    /// assert_eq!(connections.load_one(seat).await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn delete(&self, seat: Seat) -> Ticket<()> {
        let listener = self.listeners.delete(seat);
        // Ordered after it. One that stays is nobody's.
        drop(self.queues.delete(seat));
        listener
    }

    /// The connection at `seat`; none where none is.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind) where it cannot be read, and what the store says.
    ///
    /// # Cancel safety
    /// Nothing changes.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::lane::Lane;
    /// # use eric_sse::persist::{ConnectionRecord, ConnectionRepository, ListenerRecord, MemoryKv, Seat};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let connections = ConnectionRepository::new(Arc::new(MemoryKv::default()));
    /// # let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
    /// # let bob = ListenerRecord { id: "bob".parse()?, seat, is_generated: false, seen_ms: 0, recipe: None };
    /// # connections.persist(&ConnectionRecord { listener: bob, queue: None }).await?;
    /// let bob = connections.load_one(seat).await?.expect("he is remembered");
    /// assert_eq!(bob.listener.id.as_str(), "bob");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn load_one(&self, seat: Seat) -> Result<Option<ConnectionRecord>> {
        let Some(listener) = self.listeners.load_one(seat).await? else { return Ok(None) };
        Ok(Some(ConnectionRecord { listener, queue: self.queues.load_one(seat).await? }))
    }

    /// The connections of one channel, in the order of their registration.
    ///
    /// # Errors
    /// As [`ConnectionRepository::load_one`].
    ///
    /// # Cancel safety
    /// Nothing changes.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::lane::Lane;
    /// # use eric_sse::persist::{ConnectionRecord, ConnectionRepository, ListenerRecord, MemoryKv, Seat};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let connections = ConnectionRepository::new(Arc::new(MemoryKv::default()));
    /// for (channel, lane, id) in [(7, 12, "carol"), (7, 9, "bob"), (8, 10, "alice")] {
    ///     let seat = Seat { channel: Lane::new(channel), lane: Lane::new(lane) };
    ///     let listener = ListenerRecord { id: id.parse()?, seat, is_generated: false, seen_ms: 0, recipe: None };
    ///     connections.persist(&ConnectionRecord { listener, queue: None }).await?;
    /// }
    /// let found = connections.load_of(Lane::new(7)).await?;
    /// assert!(found.iter().map(|connection| connection.listener.id.as_str()).eq(["bob", "carol"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn load_of(&self, channel: Lane) -> Result<Vec<ConnectionRecord>> {
        let mut connections = Vec::new();
        self.load(&Seat::prefix(channel), |connection| connections.push(connection)).await?;
        Ok(connections)
    }

    /// Hands every connection to `take`: channel after channel in the order of their lanes, each one's in the order of
    /// their registration. Returns the queues that are nobody's.
    ///
    /// # Errors
    /// As [`ConnectionRepository::load_one`], with the first that cannot be read.
    ///
    /// # Cancel safety
    /// Nothing changes.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::lane::Lane;
    /// use eric_sse::persist::{ConnectionRepository, MemoryKv, QueueRecord, Recipe, Seat};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let connections = ConnectionRepository::new(Arc::new(MemoryKv::default()));
    ///
    /// // A crash left a queue whose listener was not written any more.
    /// let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
    /// let spool = QueueRecord { seat, recipe: Recipe::of("spool") };
    /// connections.queues.persist(&spool).await?;
    ///
    /// let mut found = Vec::new();
    /// let nobodys = connections.load_all(|connection| found.push(connection)).await?;
    /// assert_eq!((found.len(), nobodys), (0, vec![spool]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn load_all(&self, take: impl FnMut(ConnectionRecord)) -> Result<Vec<QueueRecord>> {
        self.load("", take).await
    }

    /// Those whose seat begins with `prefix`. Few have a queue of their own, so these are looked up first.
    async fn load(&self, prefix: &str, mut take: impl FnMut(ConnectionRecord)) -> Result<Vec<QueueRecord>> {
        let mut queues: BTreeMap<Seat, QueueRecord> = BTreeMap::new();
        self.queues.load_below(prefix, |queue| drop(queues.insert(queue.seat, queue))).await?;
        let take = |listener: ListenerRecord| {
            let queue = queues.remove(&listener.seat);
            take(ConnectionRecord { listener, queue });
        };
        self.listeners.load_below(prefix, take).await?;
        Ok(queues.into_values().collect())
    }
}
