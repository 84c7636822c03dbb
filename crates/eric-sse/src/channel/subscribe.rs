//! Subscriptions: one live reading of a queue, or of a channel by a watcher.
//!
//! A [`Subscription`] drives [`Follow`]: it reads where that says so, waits where there is nothing, and commits what
//! its owner says was consumed. Catching up and following live are one loop.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Channel;
use super::members::Member;
use crate::cursor::{Authority, Commit, Conflict, Fence};
use crate::entry::{Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::follow::{End, Follow, Gap, LanePage, ReadFrom, Step};
use crate::hub::HubCore;
use crate::id::ListenerId;
use crate::lane::{Lane, Span};
use crate::log::{BoxFuture, Budget};
use crate::stats::Stats;
use crate::window::{Follower, Following, Framed, WindowRead};

/// Who moves a listener's cursor.
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

/// What a subscription hands out.
#[derive(Debug, Clone)]
pub enum Item {
    /// An entry, with the frames it was encoded to.
    Entry(Arc<Framed>),
    /// Something was missed right before what follows.
    Gap(Gap),
}

/// One live reading. Dropping it commits what was consumed and gives the lease back.
///
/// ```
/// use eric_sse::{ChannelSettings, Hub, Item, Message, Subscribe};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let channel = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// let bob = channel.add_listener().await?;
/// channel.broadcast(Message::of("t", &1)?).await?;
///
/// let mut subscription = channel.subscribe(bob.id(), Subscribe::default()).await?;
/// let mut items = Vec::new();
/// assert_eq!(subscription.next_items(&mut items).await?, None);
/// let [Item::Entry(framed)] = &items[..] else { panic!() };
/// subscription.consumed(framed.entry().offset());
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
pub struct Subscription {
    channel: Channel,
    reader: Option<Reader>,
    lanes: [Lane; 2],
    signal: Arc<Signal>,
    following: Following,
    follow: Follow,
    work: Work,
}

/// The part of a subscription that only a listener's has.
struct Reader {
    member: Arc<Member>,
    fence: Fence,
    ack: Ack,
    consumed: Offset,
    committed: Offset,
}

/// What a subscription waits for.
enum Work {
    /// For its followed lanes to move.
    Window,
    Log(BoxFuture<'static, Result<Vec<LanePage>>>),
    BeforeJoin(BoxFuture<'static, Result<Span>>),
}

/// How the window, and whoever stops a listener, reach a subscription that waits.
#[derive(Default)]
pub(crate) struct Signal {
    waker: Mutex<Option<Waker>>,
    /// The latest fence that was handed out for the listener.
    lease_taken: AtomicU64,
    ended: AtomicU8,
    /// Tells whoever relieves the subscription that it has let go.
    closed: Notify,
}

const REMOVED: u8 = 1;
const STOPPED: u8 = 2;
/// Its successor is there, and waits for it to say what was consumed.
const RELIEVED: u8 = 4;
const CLOSED: u8 = 8;

impl Signal {
    pub(crate) fn stop(&self) {
        self.ended.fetch_or(STOPPED, Ordering::AcqRel);
        self.wake();
    }

    /// Ends the subscription as replaced, and waits until it has let go.
    async fn relieve(&self) {
        let mut closed = pin!(self.closed.notified());
        closed.as_mut().enable();
        if self.ended.fetch_or(RELIEVED, Ordering::AcqRel) & CLOSED == 0 {
            self.wake();
            closed.await;
        }
    }

    fn close(&self) {
        self.ended.fetch_or(CLOSED, Ordering::AcqRel);
        self.closed.notify_waiters();
    }

    fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wait(&self, waker: &Waker) {
        let mut present = self.waker.lock();
        match &mut *present {
            Some(present) => present.clone_from(waker),
            None => *present = Some(waker.clone()),
        }
    }

    fn end(&self, fence: Option<Fence>) -> Option<End> {
        let ended = self.ended.load(Ordering::Acquire);
        let is_replaced = fence.is_some_and(|fence| self.lease_taken.load(Ordering::Acquire) > fence.0);
        match ended {
            _ if ended & REMOVED != 0 => Some(End::Removed),
            _ if is_replaced || ended & RELIEVED != 0 => Some(End::Replaced),
            _ if ended & STOPPED != 0 => Some(End::Stopped),
            _ => None,
        }
    }
}

impl Follower for Signal {
    fn moved(&self) {
        self.wake();
    }

    fn lease_taken(&self, fence: Fence) {
        self.lease_taken.fetch_max(fence.0, Ordering::AcqRel);
        self.wake();
    }

    fn removed(&self) {
        self.ended.fetch_or(REMOVED, Ordering::AcqRel);
        self.wake();
    }
}

impl Channel {
    /// Starts the listener and begins a live reading of its queue; takes its lease.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownListener`], [`ErrorKind::Conflict`] where another subscription lives and is not to be
    /// replaced, and what the engine says.
    ///
    /// # Cancel safety
    /// If dropped, the lease may have been taken from another subscription; nothing was consumed.
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
    /// [`ErrorKind::UnknownListener`].
    ///
    /// # Cancel safety
    /// If dropped, the subscription ends nevertheless.
    pub async fn relieve(&self, id: &ListenerId) -> Result<()> {
        let present = self.member(id)?.present();
        if let Some(signal) = present {
            signal.relieve().await;
        }
        Ok(())
    }

    /// [`Channel::subscribe`] for a listener that is started, or not, by its owner.
    pub(crate) async fn read(&self, member: Arc<Member>, options: Subscribe) -> Result<Subscription> {
        // At once: who comes back is not to expire while the engine makes it its lease.
        member.see(self.core().clock.now().as_ms());
        let signal = Arc::new(Signal::default());
        let lanes = [self.0.lane, member.lane];
        // Followed first, so that nothing that happens after the lease is missed.
        let follower: Arc<dyn Follower> = signal.clone();
        let following = self.core().window.follow(&lanes, &follower);
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
        member.see(self.core().clock.now().as_ms());
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
        })
    }

    /// Begins a live reading of the channel's broadcasts by nobody in particular: an unnamed listener that lives as
    /// long as its stream. [`ReadFrom::Cursor`] is the tail.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`] where the channel was removed.
    pub fn watch(&self, from: ReadFrom) -> Result<Subscription> {
        let signal = Arc::new(Signal::default());
        let lanes = [self.0.lane; 2];
        let follower: Arc<dyn Follower> = signal.clone();
        let following = self.core().window.follow(&lanes[..1], &follower);
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
        })
    }
}

impl Subscription {
    /// The channel it reads.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The listener it reads for; none for a watcher.
    pub fn listener(&self) -> Option<&ListenerId> {
        self.reader.as_ref().map(|reader| &reader.member.id)
    }

    pub(crate) fn member(&self) -> Option<&Arc<Member>> {
        self.reader.as_ref().map(|reader| &reader.member)
    }

    /// Whether what is consumed moves a cursor.
    pub fn is_auto(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.ack == Ack::Auto)
    }

    /// Everything that is its reader's up to here was handed out.
    pub fn position(&self) -> Position {
        self.follow.at()
    }

    /// The hub's counters, for those who encode frames.
    pub fn stats(&self) -> &Stats {
        &self.channel.core().stats
    }

    /// Waits for the next items; see [`Subscription::poll_items`].
    ///
    /// # Errors
    /// What the engine says.
    ///
    /// # Cancel safety
    /// Nothing is lost: items are in `items`, or come later.
    pub async fn next_items(&mut self, items: &mut Vec<Item>) -> Result<Option<End>> {
        poll_fn(|context| self.poll_items(context, Budget::default(), items)).await
    }

    /// Adds the next items, within `budget`, to `items` and is ready; or tells why the subscription is over.
    ///
    /// # Errors
    /// What the engine says; it may be polled again.
    pub fn poll_items(
        &mut self,
        context: &mut Context<'_>,
        budget: Budget,
        items: &mut Vec<Item>,
    ) -> Poll<Result<Option<End>>> {
        loop {
            if let Some(end) = self.poll_end(context) {
                return Poll::Ready(Ok(Some(end)));
            }
            match &mut self.work {
                Work::Window => {}
                Work::Log(work) => {
                    let pages = ready!(work.as_mut().poll(context));
                    self.work = Work::Window;
                    let entries = match pages {
                        Ok(pages) => self.follow.on_log(pages),
                        Err(error) => return Poll::Ready(self.fail(error)),
                    };
                    items.extend(self.follow.take_gap().map(|gap| self.tell(gap)));
                    items.extend(entries.into_iter().map(Item::Entry));
                    if !items.is_empty() {
                        return Poll::Ready(Ok(None));
                    }
                }
                Work::BeforeJoin(work) => {
                    let span = ready!(work.as_mut().poll(context));
                    self.work = Work::Window;
                    match span {
                        Ok(span) => self.follow.on_before_join(span),
                        Err(error) => return Poll::Ready(self.fail(error)),
                    }
                }
            }
            match self.follow.step() {
                Step::Tell(gap) => {
                    items.push(self.tell(gap));
                    return Poll::Ready(Ok(None));
                }
                Step::ReadLog(after) => self.work = Work::Log(self.read_log(after, budget)),
                Step::CountBeforeJoin { asked, floor } => {
                    let (core, lane) = (self.channel.core().clone(), self.lanes[0]);
                    self.work =
                        Work::BeforeJoin(Box::pin(async move { core.engine.span(lane, asked, floor).await }));
                }
                Step::ReadWindow(after) => {
                    let mut entries = Vec::new();
                    match self.following.read(after, budget, &mut entries) {
                        WindowRead::Behind => self.follow.on_window(None),
                        WindowRead::Upto(to) => {
                            self.follow.on_window(Some(to));
                            if entries.is_empty() {
                                return Poll::Pending;
                            }
                            items.extend(entries.into_iter().map(Item::Entry));
                            return Poll::Ready(Ok(None));
                        }
                    }
                }
            }
        }
    }

    /// Why the subscription is over, if it is; else whoever polls is woken when it ends, or has something.
    pub fn poll_end(&self, context: &mut Context<'_>) -> Option<End> {
        self.signal.wait(context.waker());
        self.signal.end(self.reader.as_ref().map(|reader| reader.fence))
    }

    /// Whether the last poll found nothing, rather than waits for the engine.
    pub fn is_caught_up(&self) -> bool {
        matches!(self.work, Work::Window)
    }

    fn tell(&self, gap: Gap) -> Item {
        self.stats().gaps_told.add(1);
        Item::Gap(gap)
    }

    fn read_log(&self, after: Offset, budget: Budget) -> BoxFuture<'static, Result<Vec<LanePage>>> {
        let core = self.channel.core().clone();
        let lanes = if self.reader.is_some() { self.lanes.to_vec() } else { self.lanes[..1].to_vec() };
        let told = self.follow.told();
        Box::pin(async move {
            let mut pages = Vec::with_capacity(lanes.len());
            for (lane, told) in lanes.into_iter().zip(told) {
                pages.push(read_lane(&core, lane, after, told, budget).await?);
            }
            Ok(pages)
        })
    }

    /// A lane that is gone is an end, even where the feed has not said so yet.
    fn fail(&self, error: Error) -> Result<Option<End>> {
        match error.kind() {
            ErrorKind::Closed => Ok(Some(End::Removed)),
            _ => Err(error),
        }
    }

    /// Takes note that everything up to `offset` was consumed. With [`Ack::Auto`] the cursor follows when
    /// [`Subscription::commit`] is called, or at the end.
    pub fn consumed(&mut self, offset: Offset) {
        if let Some(reader) = &mut self.reader {
            reader.consumed = reader.consumed.max(offset);
        }
    }

    /// Moves the cursor to what was consumed. A commit that is lost means redelivery, never loss.
    pub fn commit(&mut self) {
        let epoch = self.follow.at().epoch;
        let Some(reader) = self.reader.as_mut().filter(|reader| reader.ack == Ack::Auto) else { return };
        if reader.consumed > reader.committed {
            let to = Position { epoch, offset: reader.consumed };
            let commit = Commit { listener: reader.member.lane, to, by: Authority::Reader(reader.fence) };
            // Ordered by the call; whoever reads next finds it.
            drop(self.channel.core().engine.commit(vec![commit]));
            reader.committed = reader.consumed;
            reader.member.see(self.channel.core().clock.now().as_ms());
        }
    }
}

async fn read_lane(
    core: &HubCore,
    lane: Lane,
    after: Offset,
    told: Offset,
    budget: Budget,
) -> Result<LanePage> {
    let page = core.engine.read(lane, after, budget).await?;
    let missed = match page.trimmed_to > told {
        true => Some(core.engine.span(lane, told, page.trimmed_to).await?),
        false => None,
    };
    Ok(LanePage { page, missed })
}

impl Subscription {
    /// Commits what was consumed, and gives the lease back; what dropping it does. It is not to be polled further.
    pub fn close(&mut self) {
        self.commit();
        if let Some(reader) = self.reader.take() {
            drop(self.channel.core().engine.release(reader.member.lane, reader.fence));
            reader.member.see(self.channel.core().clock.now().as_ms());
            if reader.member.depart() {
                self.channel.0.connected.fetch_sub(1, Ordering::Relaxed);
            }
            self.signal.close();
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("channel", self.channel.id())
            .field("listener", &self.listener())
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").finish_non_exhaustive()
    }
}
