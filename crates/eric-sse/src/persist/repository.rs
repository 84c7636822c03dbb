//! Repositories: the records of one kind in a store, each under its key.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;

use super::kv::{self, KvStore};
use super::record::{ChannelRecord, ListenerRecord, QueueRecord};
use crate::error::Result;
use crate::log::Ticket;

/// The channels that are remembered, each at its lane.
///
/// ```
/// # use eric_sse::{ChannelSettings, Hub, SystemClock, engine::memory::MemoryEngine};
/// use std::sync::Arc;
/// use eric_sse::persist::{ChannelRepository, MemoryKv};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
/// let records = Arc::new(MemoryKv::default());
/// let hub = Hub::builder(engine).restore(records.clone()).await?;
/// hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
///
/// let mut ids = Vec::new();
/// ChannelRepository::new(records).load_all(|channel| ids.push(channel.id)).await?;
/// assert_eq!(ids, hub.channels().ids());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub type ChannelRepository = Repository<ChannelRecord>;

/// The listeners that are remembered, each at its channel's lane and its own.
///
/// ```
/// # use eric_sse::{ChannelSettings, Hub, SystemClock, engine::memory::MemoryEngine};
/// use std::sync::Arc;
/// use eric_sse::persist::{ListenerRepository, MemoryKv};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
/// let records = Arc::new(MemoryKv::default());
/// let hub = Hub::builder(engine).restore(records.clone()).await?;
/// let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// news.add_listener().await?;
///
/// let mut made_up = 0;
/// let count = |listener: eric_sse::persist::ListenerRecord| made_up += u64::from(listener.is_generated);
/// ListenerRepository::new(records).load_all(count).await?;
/// assert_eq!(made_up, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub type ListenerRepository = Repository<ListenerRecord>;

/// The queues of the users' own that are remembered, each at its listener's place.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::lane::Lane;
/// use eric_sse::persist::{MemoryKv, QueueRecord, QueueRepository, Recipe, Seat};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let queues = QueueRepository::new(Arc::new(MemoryKv::default()));
/// let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
/// queues.persist(&QueueRecord { seat, recipe: Recipe::of("spool") }).await?;
/// assert_eq!(queues.load_one(seat).await?.unwrap().recipe, Recipe::of("spool"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub type QueueRepository = Repository<QueueRecord>;

/// Something that is remembered. A record of the user's own may live in the same store, below a prefix of its own.
///
/// ```
/// use std::sync::Arc;
/// use bytes::Bytes;
/// use eric_sse::persist::{MemoryKv, Record, Repository};
///
/// /// How often somebody was greeted.
/// #[derive(Debug, PartialEq)]
/// struct Greetings(u32, u64);
///
/// impl Record for Greetings {
///     const PREFIX: &'static str = "greetings/";
///     type Place = u32;
///
///     fn key(user: u32) -> String {
///         format!("{}{user:010}", Self::PREFIX)
///     }
///
///     fn encode(&self) -> (String, Bytes) {
///         (Self::key(self.0), self.1.to_string().into())
///     }
///
///     fn decode(key: &str, value: &[u8]) -> eric_sse::Result<Self> {
///         let corrupt = || eric_sse::Error::new(eric_sse::ErrorKind::Corrupt, format!("key={key}"));
///         let user = key.rsplit('/').next().and_then(|user| user.parse().ok()).ok_or_else(corrupt)?;
///         let count = std::str::from_utf8(value).ok().and_then(|count| count.parse().ok());
///         Ok(Self(user, count.ok_or_else(corrupt)?))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let greetings = Repository::<Greetings>::new(Arc::new(MemoryKv::default()));
/// greetings.persist(&Greetings(7, 3)).await?;
/// assert_eq!(greetings.load_one(7).await?, Some(Greetings(7, 3)));
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
pub trait Record: Sized {
    /// What the keys of this kind begin with, and no other.
    const PREFIX: &'static str;

    /// Where it is.
    type Place;

    /// The key of what is remembered at `place`; the order of keys is that in which all are loaded.
    ///
    /// ```
    /// use eric_sse::lane::Lane;
    /// use eric_sse::persist::{ChannelRecord, Record as _};
    ///
    /// assert!(ChannelRecord::key(Lane::new(9)) < ChannelRecord::key(Lane::new(10)), "digits are filled up");
    /// ```
    fn key(place: Self::Place) -> String;

    /// Its key and its value.
    ///
    /// ```
    /// use eric_sse::lane::Lane;
    /// use eric_sse::persist::{QueueRecord, Recipe, Record as _, Seat};
    ///
    /// let seat = Seat { channel: Lane::new(7), lane: Lane::new(9) };
    /// let (key, value) = QueueRecord { seat, recipe: Recipe::of("spool") }.encode();
    /// assert_eq!(key, QueueRecord::key(seat));
    /// assert!(value.starts_with(br#"{"version":1,"channel":7,"lane":9,"recipe":{"kind":"spool","#));
    /// ```
    fn encode(&self) -> (String, Bytes);

    /// The record that `encode` made of.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind) that names the key.
    ///
    /// ```
    /// use eric_sse::ErrorKind;
    /// use eric_sse::persist::{ChannelRecord, Record as _};
    ///
    /// let error = ChannelRecord::decode("channel/00000000000000000007", b"{").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Corrupt);
    /// assert!(error.to_string().starts_with("record key=channel/00000000000000000007 cannot be read"));
    /// ```
    fn decode(key: &str, value: &[u8]) -> Result<Self>;
}

/// The records of one kind in a store.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::lane::Lane;
/// use eric_sse::persist::{ChannelRecord, ChannelRepository, MemoryKv};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let channels = ChannelRepository::new(Arc::new(MemoryKv::default()));
/// let news = ChannelRecord { id: "news".parse()?, lane: Lane::new(7), settings: Default::default() };
/// channels.persist(&news).await?;
/// assert_eq!(channels.load_one(Lane::new(7)).await?, Some(news));
/// channels.delete(Lane::new(7)).await?;
/// channels.load_all(|channel| panic!("{channel:?} was deleted")).await?;
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
pub struct Repository<R> {
    kv: Arc<dyn KvStore>,
    kind: PhantomData<fn() -> R>,
}

impl<R: Record> Repository<R> {
    /// The records of this kind in `kv`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::lane::Lane;
    /// use eric_sse::persist::{ChannelRecord, MemoryKv, Repository};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let channels = Repository::<ChannelRecord>::new(Arc::new(MemoryKv::default()));
    /// assert_eq!(channels.load_one(Lane::new(7)).await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn new(kv: Arc<dyn KvStore>) -> Self {
        Self { kv, kind: PhantomData }
    }

    /// Remembers what is in `record`, whether something was remembered at its place or not.
    ///
    /// # Errors
    /// As [`KvStore::upsert`]; nothing has changed then.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::lane::Lane;
    /// # use eric_sse::persist::{ChannelRecord, ChannelRepository, MemoryKv};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let channels = ChannelRepository::new(Arc::new(MemoryKv::default()));
    /// let mut news = ChannelRecord { id: "news".parse()?, lane: Lane::new(7), settings: Default::default() };
    /// channels.persist(&news).await?;
    /// news.settings.history = 0;
    /// channels.persist(&news).await?;
    /// assert_eq!(channels.load_one(news.lane).await?, Some(news));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn persist(&self, record: &R) -> Ticket<()> {
        let (key, value) = record.encode();
        self.kv.upsert(&key, value)
    }

    /// Forgets what is at `place`; where nothing is nothing happens.
    ///
    /// # Errors
    /// As [`KvStore::delete`]; nothing has changed then.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::lane::Lane;
    /// # use eric_sse::persist::{ChannelRecord, ChannelRepository, MemoryKv};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let channels = ChannelRepository::new(Arc::new(MemoryKv::default()));
    /// # let news = ChannelRecord { id: "news".parse()?, lane: Lane::new(7), settings: Default::default() };
    /// channels.persist(&news).await?;
    /// channels.delete(news.lane).await?;
    /// assert_eq!(channels.load_one(news.lane).await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn delete(&self, place: R::Place) -> Ticket<()> {
        self.kv.delete(&R::key(place))
    }

    /// What is remembered at `place`; none where nothing is.
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
    /// # use eric_sse::persist::{ChannelRecord, ChannelRepository, MemoryKv};
    /// use eric_sse::ErrorKind;
    /// use eric_sse::persist::{KvStore as _, Record as _};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let kv = Arc::new(MemoryKv::default());
    /// # let channels = ChannelRepository::new(kv.clone());
    /// assert_eq!(channels.load_one(Lane::new(7)).await?, None);
    ///
    /// kv.upsert(&ChannelRecord::key(Lane::new(7)), "no record".into()).await?;
    /// assert_eq!(channels.load_one(Lane::new(7)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn load_one(&self, place: R::Place) -> Result<Option<R>> {
        let key = R::key(place);
        let value = self.kv.fetch_one(&key).await?;
        value.map(|value| R::decode(&key, &value)).transpose()
    }

    /// Hands every record to `take`, in the order of their keys, without having all in memory at once.
    ///
    /// # Errors
    /// As [`Repository::load_one`], with the first that cannot be read; those before it were handed out.
    ///
    /// # Cancel safety
    /// Nothing changes.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use eric_sse::lane::Lane;
    /// # use eric_sse::persist::{ChannelRecord, ChannelRepository, MemoryKv};
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # let channels = ChannelRepository::new(Arc::new(MemoryKv::default()));
    /// for (id, lane) in [("film", 10), ("news", 7), ("art", 9)] {
    ///     let record = ChannelRecord { id: id.parse()?, lane: Lane::new(lane), settings: Default::default() };
    ///     channels.persist(&record).await?;
    /// }
    /// let mut ids = Vec::new();
    /// channels.load_all(|channel| ids.push(channel.id.to_string())).await?;
    /// assert_eq!(ids, ["news", "art", "film"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn load_all(&self, take: impl FnMut(R)) -> Result<()> {
        self.load_below("", take).await
    }

    /// [`Repository::load_all`] of those whose key goes on with `prefix`.
    pub(crate) async fn load_below(&self, prefix: &str, mut take: impl FnMut(R)) -> Result<()> {
        let prefix = format!("{}{prefix}", R::PREFIX);
        kv::each(&*self.kv, &prefix, |key, value| R::decode(key, value).map(&mut take)).await
    }
}

impl<R> Clone for Repository<R> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), kind: PhantomData }
    }
}

impl<R> fmt::Debug for Repository<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("kv", &self.kv).finish()
    }
}
