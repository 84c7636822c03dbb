//! Subscriptions: one live reading of a queue, or of a channel by a watcher.
//!
//! A [`Subscription`] drives [`Follow`]: it reads where that says so, waits where there is nothing, and commits what
//! its owner says was consumed. Catching up and following live are one loop.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use super::Channel;
use super::members::Member;
use super::signal::Signal;
use super::subscribe::Ack;
use crate::cursor::{Authority, Commit, Fence};
use crate::entry::{Offset, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::follow::{End, Follow, Gap, LanePage, Step};
use crate::framed::Framed;
use crate::hub::HubCore;
use crate::id::ListenerId;
use crate::lane::{Lane, Span};
use crate::log::{BoxFuture, Budget};
use crate::stats::Stats;
use crate::window::{Following, WindowRead};

/// What a subscription hands out.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::{Item, Subscribe};
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// let mut subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
/// let mut items = Vec::new();
/// subscription.next_items(&mut items).await?;
/// for item in items {
///     match item {
///         Item::Entry(framed) => assert_eq!(framed.entry().message().kind().as_str(), "headline"),
///         Item::Gap(gap) => panic!("nothing was missed, {gap:?}"),
///     }
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub enum Item {
    /// An entry, with the frames it was encoded to.
    Entry(Framed),
    /// Something was missed right before what follows.
    Gap(Box<Gap>),
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
    pub(super) channel: Channel,
    pub(super) reader: Option<Reader>,
    pub(super) lanes: [Lane; 2],
    pub(super) signal: Arc<Signal>,
    /// None where it only reads what is there already.
    pub(super) following: Option<Following>,
    pub(super) follow: Follow,
    pub(super) work: Work,
    /// Empty, with room for a few.
    pub(super) found: Vec<Framed>,
}

/// Entries for which a subscription keeps room while it waits.
const FOUND_KEPT: usize = 4;

/// The part of a subscription that only a listener's has.
pub(super) struct Reader {
    pub(super) member: Arc<Member>,
    pub(super) fence: Fence,
    pub(super) ack: Ack,
    pub(super) consumed: Offset,
    pub(super) committed: Offset,
}

/// What a subscription waits for.
pub(super) enum Work {
    /// For its followed lanes to move.
    Window,
    Log(BoxFuture<'static, Result<Vec<LanePage>>>),
    BeforeJoin(BoxFuture<'static, Result<Span>>),
}

impl Subscription {
    /// The channel it reads.
    ///
    /// ```
    /// use eric_sse::Subscribe;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// assert_eq!(subscription.channel().id(), news.id());
    /// # Ok(())
    /// # });
    /// ```
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The listener it reads for; none for a watcher.
    ///
    /// ```
    /// use eric_sse::{ReadFrom, Subscribe};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// assert_eq!(news.subscribe(bob.id(), Subscribe::default()).await?.listener(), Some(bob.id()));
    /// assert_eq!(news.watch(ReadFrom::Latest)?.listener(), None);
    /// # Ok(())
    /// # });
    /// ```
    pub fn listener(&self) -> Option<&ListenerId> {
        self.reader.as_ref().map(|reader| &reader.member.id)
    }

    pub(crate) fn member(&self) -> Option<&Arc<Member>> {
        self.reader.as_ref().map(|reader| &reader.member)
    }

    /// Whether what is consumed moves a cursor.
    ///
    /// ```
    /// use eric_sse::{Ack, Subscribe};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let manual = Subscribe { ack: Ack::Manual, ..Subscribe::default() };
    /// assert!(!news.subscribe(bob.id(), manual).await?.is_auto());
    /// assert!(news.subscribe(bob.id(), Subscribe::default()).await?.is_auto());
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_auto(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.ack == Ack::Auto)
    }

    /// Everything that is its reader's up to here was handed out.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::ReadFrom;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let before = hub.tail();
    /// let mut watcher = news.watch(ReadFrom::Latest)?;
    /// let taken = news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// assert_eq!(watcher.position(), before);
    /// watcher.next_items(&mut Vec::new()).await?;
    /// assert_eq!(watcher.position(), taken.position);
    /// # Ok(())
    /// # });
    /// ```
    pub fn position(&self) -> Position {
        self.follow.at()
    }

    /// The hub's counters, for those who encode frames.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::sse::encode::Format;
    /// use eric_sse::{Item, ReadFrom};
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let mut watcher = news.watch(ReadFrom::Latest)?;
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let mut items = Vec::new();
    /// watcher.next_items(&mut items).await?;
    /// let Item::Entry(framed) = &items[0] else { panic!("nothing was missed") };
    /// for _ in 0..1_000 {
    ///     framed.frame(Format::Payload, news.settings().retry(), watcher.stats());
    /// }
    /// assert_eq!(hub.stats().frames_encoded.count(), 1, "all readers share it");
    /// # Ok(())
    /// # });
    /// ```
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
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::{End, Subscribe};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("number", &n)?).await?;
    /// }
    /// let mut items = Vec::new();
    /// assert_eq!(subscription.next_items(&mut items).await?, None);
    /// assert_eq!(items.len(), 3, "all that was there");
    ///
    /// bob.stop();
    /// assert_eq!(subscription.next_items(&mut items).await?, Some(End::Stopped));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn next_items(&mut self, items: &mut impl Extend<Item>) -> Result<Option<End>> {
        poll_fn(|context| self.poll_items(context, Budget::default(), items)).await
    }

    /// Adds the next items, within `budget`, to `items` and is ready; or tells why the subscription is over.
    ///
    /// # Errors
    /// What the engine says; it may be polled again.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::future::poll_fn;
    /// use eric_sse::Subscribe;
    /// use eric_sse::log::Budget;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("number", &n)?).await?;
    /// }
    /// let two = Budget { entries: 2, ..Budget::default() };
    /// let mut items = Vec::new();
    /// poll_fn(|context| subscription.poll_items(context, two, &mut items)).await?;
    /// assert_eq!(items.len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    pub fn poll_items(
        &mut self,
        context: &mut Context<'_>,
        budget: Budget,
        items: &mut impl Extend<Item>,
    ) -> Poll<Result<Option<End>>> {
        if let Poll::Ready(answer) = self.read_items(context, budget, items) {
            return Poll::Ready(answer);
        }
        // Who is about to wait asks to be woken, and looks once more: what came in between woke nobody.
        if let Some(end) = self.poll_end(context) {
            return Poll::Ready(Ok(Some(end)));
        }
        self.read_items(context, budget, items)
    }

    /// [`Subscription::poll_items`] that is not woken by what comes, but by the engine's answers only.
    fn read_items(
        &mut self,
        context: &mut Context<'_>,
        budget: Budget,
        items: &mut impl Extend<Item>,
    ) -> Poll<Result<Option<End>>> {
        loop {
            if let Some(end) = self.end() {
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
                    let gap = self.follow.take_gap().map(|gap| self.tell(gap));
                    let has_any = gap.is_some() || !entries.is_empty();
                    items.extend(gap.into_iter().chain(entries.into_iter().map(Item::Entry)));
                    if has_any {
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
                    items.extend([self.tell(gap)]);
                    return Poll::Ready(Ok(None));
                }
                Step::ReadLog(after) => self.work = Work::Log(self.read_log(after, budget)),
                Step::CountBeforeJoin { asked, floor } => {
                    let (core, lane) = (self.channel.core().clone(), self.lanes[0]);
                    self.work =
                        Work::BeforeJoin(Box::pin(async move { core.engine.span(lane, asked, floor).await }));
                }
                Step::ReadWindow(after) => {
                    let Some(following) = &self.following else { return Poll::Pending };
                    match following.read(after, budget, &mut self.found) {
                        WindowRead::Behind => self.follow.on_window(None),
                        WindowRead::One(framed, to) => {
                            self.follow.on_window(Some(to));
                            items.extend(std::iter::once(Item::Entry(framed)));
                            return Poll::Ready(Ok(None));
                        }
                        WindowRead::Upto(to) => {
                            self.follow.on_window(Some(to));
                            if self.found.is_empty() {
                                return Poll::Pending;
                            }
                            items.extend(self.found.drain(..).map(Item::Entry));
                            if self.found.capacity() > FOUND_KEPT {
                                self.found = Vec::new();
                            }
                            return Poll::Ready(Ok(None));
                        }
                    }
                }
            }
        }
    }

    /// Why the subscription is over, if it is; else whoever polls is woken when it ends, or has something.
    ///
    /// ```
    /// use std::task::{Context, Waker};
    /// use eric_sse::{End, ReadFrom};
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let watcher = news.watch(ReadFrom::Latest)?;
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert_eq!(watcher.poll_end(&mut context), None);
    /// hub.channels().remove(news.id()).await?;
    /// assert_eq!(watcher.poll_end(&mut context), Some(End::Removed));
    /// # Ok(())
    /// # });
    /// ```
    pub fn poll_end(&self, context: &mut Context<'_>) -> Option<End> {
        self.signal.wait(context.waker());
        self.following.iter().for_each(Following::wait);
        self.end()
    }

    /// Whether it has caught up with the window, and can take a seat in an [`Audience`](crate::Audience).
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::Subscribe;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let mut subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// assert!(!subscription.is_live(), "the log has something for it");
    /// subscription.next_items(&mut Vec::new()).await?;
    /// assert!(subscription.is_live());
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_live(&self) -> bool {
        self.follow.is_live() && self.is_caught_up()
    }

    /// Why the subscription is over, if it is.
    pub(crate) fn end(&self) -> Option<End> {
        self.signal.end(self.reader.as_ref().map(|reader| reader.fence))
    }

    /// Whether the last poll found nothing, rather than waits for the engine.
    ///
    /// ```
    /// use std::task::{Context, Waker};
    /// use eric_sse::ReadFrom;
    /// use eric_sse::log::Budget;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let mut watcher = news.watch(ReadFrom::Latest)?;
    /// let mut context = Context::from_waker(Waker::noop());
    /// let poll = watcher.poll_items(&mut context, Budget::default(), &mut Vec::new());
    /// assert!(poll.is_pending() && watcher.is_caught_up());
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_caught_up(&self) -> bool {
        matches!(self.work, Work::Window)
    }

    fn tell(&self, gap: Gap) -> Item {
        self.stats().gaps_told.add(1);
        Item::Gap(Box::new(gap))
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
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::{Item, Subscribe};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("number", &n)?).await?;
    /// }
    /// let mut items = Vec::new();
    /// subscription.next_items(&mut items).await?;
    /// let Item::Entry(first) = &items[0] else { panic!("nothing was missed") };
    /// subscription.consumed(first.entry().offset());
    /// drop(subscription);
    /// assert_eq!(bob.info().await?.backlog, 2, "the others come again");
    /// # Ok(())
    /// # });
    /// ```
    pub fn consumed(&mut self, offset: Offset) {
        if let Some(reader) = &mut self.reader {
            reader.consumed = reader.consumed.max(offset);
        }
    }

    /// Moves the cursor to what was consumed. A commit that is lost means redelivery, never loss.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::Subscribe;
    ///
    /// # eric_testkit::example(async |hub, news, bob| {
    /// let mut subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// let taken = news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// subscription.next_items(&mut Vec::new()).await?;
    ///
    /// subscription.consumed(taken.position.offset);
    /// assert_eq!(bob.info().await?.backlog, 1, "the hub does not know it yet");
    /// subscription.commit();
    /// assert_eq!(bob.info().await?.cursor, taken.position);
    /// # Ok(())
    /// # });
    /// ```
    pub fn commit(&mut self) {
        let epoch = self.follow.at().epoch;
        let Some(reader) = self.reader.as_mut().filter(|reader| reader.ack == Ack::Auto) else { return };
        if reader.consumed > reader.committed {
            let to = Position { epoch, offset: reader.consumed };
            let commit = Commit { listener: reader.member.lane, to, by: Authority::Reader(reader.fence) };
            // Ordered by the call; whoever reads next finds it.
            drop(self.channel.core().engine.commit(vec![commit]));
            reader.committed = reader.consumed;
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
    ///
    /// ```
    /// use eric_sse::{Conflict, Subscribe};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// assert!(bob.info().await?.is_connected);
    /// subscription.close();
    /// let politely = Subscribe { conflict: Conflict::Refuse, ..Subscribe::default() };
    /// assert!(news.subscribe(bob.id(), politely).await.is_ok());
    /// # Ok(())
    /// # });
    /// ```
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
