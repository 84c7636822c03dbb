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
