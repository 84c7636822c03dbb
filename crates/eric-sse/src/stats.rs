//! What a hub counts. Counters only grow; reading one is free.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::evicted::{Evicted, EvictedBy};

/// A number that only grows.
///
/// ```
/// # use eric_sse::Message;
/// # eric_testkit::example(async |hub, news, _bob| {
/// let published = &hub.stats().entries_published;
/// let before = published.count();
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// assert_eq!(published.count() - before, 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Its present value.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let repeated = &hub.stats().entries_repeated;
    /// assert_eq!(repeated.count(), 0);
    /// for _ in 0..3 {
    ///     news.broadcast(Message::of("order", "a bicycle")?.with_id("order-7".parse()?)).await?;
    /// }
    /// assert_eq!(repeated.count(), 2);
    /// # Ok(())
    /// # });
    /// ```
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Entries that went before a listener had finished them, by the limit that evicted them.
///
/// ```
/// use eric_sse::{ChannelSettings, EvictedBy, Hub, Message};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let settings = ChannelSettings { max_unread_per_listener: 1, ..ChannelSettings::default() };
/// let channel = hub.channels().create("news".parse()?, settings).await?;
/// let bob = channel.add_listener().await?;
/// for n in 0..3 {
///     channel.dispatch(bob.id(), Message::of("t", &n)?).await?;
/// }
/// let evicted = &hub.stats().entries_evicted;
/// assert_eq!((evicted.by(EvictedBy::Unread), evicted.count()), (2, 2));
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Evictions([Counter; EvictedBy::ALL.len()]);

impl Evictions {
    pub(crate) fn add(&self, evicted: Evicted) {
        // A full lane evicts with every publish, and nearly always by one limit.
        for by in EvictedBy::ALL.into_iter().filter(|by| evicted.by(*by) > 0) {
            self.0[by as usize].add(evicted.by(by));
        }
    }

    /// How many this limit evicted.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::{EvictedBy, SettingsPatch};
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// news.change_settings(&SettingsPatch { max_messages: Some(1), ..SettingsPatch::default() }).await?;
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("number", &n)?).await?;
    /// }
    /// let evicted = &hub.stats().entries_evicted;
    /// assert_eq!((evicted.by(EvictedBy::Messages), evicted.by(EvictedBy::Age)), (2, 0));
    /// # Ok(())
    /// # });
    /// ```
    pub fn by(&self, by: EvictedBy) -> u64 {
        self.0[by as usize].count()
    }

    /// How many there were, whatever evicted them.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::{EvictedBy, SettingsPatch};
    ///
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let one = Some(1);
    /// let small = SettingsPatch { max_messages: one, max_unread_per_listener: one, ..SettingsPatch::default() };
    /// news.change_settings(&small).await?;
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("number", &n)?).await?;
    ///     news.dispatch(bob.id(), Message::of("number", &n)?).await?;
    /// }
    /// let evicted = &hub.stats().entries_evicted;
    /// assert_eq!(evicted.by(EvictedBy::Messages) + evicted.by(EvictedBy::Unread), evicted.count());
    /// assert_eq!(evicted.count(), 4);
    /// # Ok(())
    /// # });
    /// ```
    pub fn count(&self) -> u64 {
        self.0.iter().map(Counter::count).sum()
    }
}

/// The counters of one hub.
///
/// ```
/// # use eric_sse::Message;
/// # eric_testkit::example(async |hub, news, _bob| {
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// let stats = hub.stats();
/// assert_eq!((stats.entries_published.count(), stats.entries_evicted.count()), (1, 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Default)]
pub struct Stats {
    /// Entries that the log took, broadcasts and dispatches.
    pub entries_published: Counter,
    /// Publishes that were recognised as repetitions.
    pub entries_repeated: Counter,
    /// Frames that were encoded: one per entry and format in use.
    pub frames_encoded: Counter,
    /// Entries that a limit evicted before a listener had finished them: each once, however many listeners missed it.
    pub entries_evicted: Evictions,
    /// Listeners that were removed because they had been away for too long.
    pub listeners_expired: Counter,
    /// Dispatches that raced with a removal.
    pub entries_dead: Counter,
    /// Deliveries that a listener's callback failed.
    pub deliveries_failed: Counter,
    /// Broadcasts that slow readers, who had asked for it, were not handed: once for each reader.
    pub entries_skipped: Counter,
    /// Gaps that readers were told of.
    pub gaps_told: Counter,
    /// A bit for each format that anything was encoded to.
    pub(crate) formats_used: AtomicU32,
    /// Bytes by which frames are larger than the window reckoned with when their entries came.
    pub(crate) window_excess: Arc<AtomicUsize>,
}
