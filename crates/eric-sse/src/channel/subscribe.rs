//! Subscribing: how a live reading of a queue, or of a channel, begins, and how it makes room for another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Channel;
use super::members::Member;
use super::signal::Signal;
use super::subscription::{Reader, Subscription, Work};
use crate::cursor::{Authority, Commit, Conflict};
use crate::error::Result;
use crate::follow::{Follow, ReadFrom};
use crate::id::ListenerId;
use crate::window::{Follower, Following};

/// Who moves a listener's cursor.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::{Ack, Subscribe};
/// use futures_util::StreamExt as _;
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let manual = Subscribe { ack: Ack::Manual, ..Subscribe::default() };
/// let taken = news.broadcast(Message::of("job", &7)?).await?;
/// news.message_stream_with(bob.id(), manual).await?.next().await.unwrap()?;
/// assert_eq!(bob.info().await?.backlog, 1, "it was delivered, and is not acknowledged");
///
/// news.ack(bob.id(), taken.position).await?;
/// assert_eq!(bob.info().await?.backlog, 0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ack {
    /// The subscription, by what was consumed. Where the stream begins elsewhere, the cursor goes there too.
    #[default]
    Auto,
    /// Only [`Channel::ack`].
    Manual,
}

/// How to subscribe.
///
/// ```
/// use eric_sse::{Ack, Subscribe};
///
/// let options = Subscribe { ack: Ack::Manual, ..Subscribe::default() };
/// assert_eq!(options.from, eric_sse::ReadFrom::Cursor);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subscribe {
    /// Where to begin.
    pub from: ReadFrom,
    /// Who moves the cursor.
    pub ack: Ack,
    /// What to do about another live subscription.
    pub conflict: Conflict,
}

impl Channel {
    /// Starts the listener and begins a live reading of its queue; takes its lease.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind), [`ErrorKind::Conflict`](crate::ErrorKind) where another
    /// subscription lives and is not to be replaced, and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, the lease may have been taken from another subscription; nothing was consumed.
    ///
    /// ```
    /// use eric_sse::{Conflict, ErrorKind, Subscribe};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// assert_eq!(subscription.listener(), Some(bob.id()));
    ///
    /// let politely = Subscribe { conflict: Conflict::Refuse, ..Subscribe::default() };
    /// let second = news.subscribe(bob.id(), politely).await;
    /// assert_eq!(second.unwrap_err().kind(), ErrorKind::Conflict);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn subscribe(&self, id: &ListenerId, options: Subscribe) -> Result<Subscription> {
        let member = self.member(id)?;
        member.start();
        self.read(member, options).await.map_err(|error| self.explain_listener(error, id))
    }

    /// Ends the live subscription of a listener, if this process has one, as replaced, and waits until it has said
    /// what was consumed, so that its successor begins after that. Who serves a subscription lets go at once
    /// ([`Subscription::close`]); who does not poll it may never do so: wait for a limited time.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`](crate::ErrorKind).
    ///
    /// # Cancel safety
    /// If dropped, the subscription ends nevertheless.
    ///
    /// ```
    /// use eric_sse::{End, Subscribe};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut older = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// let serve = async {
    ///     let end = older.next_items(&mut Vec::new()).await;
    ///     older.close();
    ///     end
    /// };
    /// let (relieved, end) = tokio::join!(news.relieve(bob.id()), serve);
    /// assert_eq!((relieved?, end?), ((), Some(End::Replaced)));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn relieve(&self, id: &ListenerId) -> Result<()> {
        let present = self.member(id)?.present();
        if let Some(signal) = present {
            signal.relieve().await;
        }
        Ok(())
    }

    /// [`Channel::subscribe`] for a listener that is started, or not, by its owner.
    pub(crate) async fn read(&self, member: Arc<Member>, options: Subscribe) -> Result<Subscription> {
        let signal = Arc::new(Signal::default());
        // Followed first, so that nothing that happens after the lease is missed.
        let follower: Arc<dyn Follower> = signal.clone();
        let following = self.core().window.follow(&[self.0.lane, member.lane], &follower);
        self.take_lease(member, options, signal, Some(following)).await
    }

    /// A reading of what is in the queue already: it is not woken by what comes, nor by who takes its lease.
    pub(crate) async fn read_queued(&self, member: Arc<Member>, options: Subscribe) -> Result<Subscription> {
        self.take_lease(member, options, Arc::default(), None).await
    }

    async fn take_lease(
        &self,
        member: Arc<Member>,
        options: Subscribe,
        signal: Arc<Signal>,
        following: Option<Following>,
    ) -> Result<Subscription> {
        // At once: who comes back is not to expire while the engine makes it its lease.
        member.see(self.core().clock.now().as_ms());
        let lanes = [self.0.lane, member.lane];
        let engine = &self.core().engine;
        let lease = engine.lease(member.lane, options.conflict).await?;
        let tail = engine.tail();
        let follow = Follow::start(options.from, Some(lease.cursor), tail);
        let at = follow.at();
        if options.ack == Ack::Auto && at != lease.cursor.position {
            let by = Authority::Reader(lease.fence);
            match engine.commit(vec![Commit { listener: member.lane, to: at, by }]).await {
                Ok(answers) => answers.into_iter().try_for_each(|answer| answer.map(drop))?,
                // An engine that has stopped moves no cursor, and still gives what it keeps.
                Err(_) if engine.health().is_err() => {}
                Err(error) => return Err(error),
            }
        }
        if member.arrive(&signal) {
            self.0.connected.fetch_add(1, Ordering::Relaxed);
        }
        if !member.is_running() {
            signal.stop();
        }
        let reader = Reader {
            member,
            fence: lease.fence,
            ack: options.ack,
            consumed: at.offset,
            committed: at.offset,
        };
        let work = Work::Window;
        Ok(Subscription {
            channel: self.clone(),
            reader: Some(reader),
            lanes,
            signal,
            following,
            follow,
            work,
            found: Vec::new(),
        })
    }

    /// Begins a live reading of the channel's broadcasts by nobody in particular: an unnamed listener that lives as
    /// long as its stream. [`ReadFrom::Cursor`] is the tail.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`](crate::ErrorKind) where the channel was removed.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::{Item, ReadFrom};
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let mut watcher = news.watch(ReadFrom::Earliest)?;
    /// let mut items = Vec::new();
    /// watcher.next_items(&mut items).await?;
    /// assert!(matches!(&items[..], [Item::Entry(_)]), "nobody needs to be registered to see it");
    /// # Ok(())
    /// # });
    /// ```
    pub fn watch(&self, from: ReadFrom) -> Result<Subscription> {
        let signal = Arc::new(Signal::default());
        let lanes = [self.0.lane; 2];
        let follower: Arc<dyn Follower> = signal.clone();
        let following = Some(self.core().window.follow(&lanes[..1], &follower));
        if self.0.is_removed.load(Ordering::SeqCst) {
            return Err(self.unknown());
        }
        let follow = Follow::start(from, None, self.core().engine.tail());
        Ok(Subscription {
            channel: self.clone(),
            reader: None,
            lanes,
            signal,
            following,
            follow,
            work: Work::Window,
            found: Vec::new(),
        })
    }
}
