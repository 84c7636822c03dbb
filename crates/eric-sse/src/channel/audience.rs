//! Audiences: the live readers of one channel that one driver serves.
//!
//! A subscription that has handed out all that was there can take a seat in an [`Audience`]. From then on the audience
//! looks at the channel's lane once for all of them, and each is handed what is dispatched to it alone; an idle seat
//! costs a few hundred bytes and no task. Whoever has to be served by itself again (its socket is slow, its
//! subscription ends) leaves as the subscription that it was.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use slab::Slab;

use super::Channel;
use super::inbox::{Inbox, Mail};
use super::signal::Signal;
use super::subscribe::Ack;
use super::subscription::{Item, Reader, Subscription, Work};
use crate::cursor::{Authority, Commit};
use crate::entry::{Epoch, Offset, Position};
use crate::error::Result;
use crate::follow::{End, Follow, ReadFrom};
use crate::framed::Framed;
use crate::id::ListenerId;
use crate::log::Budget;
use crate::stats::Stats;
use crate::window::{Follower, Following, WindowRead};

/// Live readers of one channel. See [`Channel::audience`].
///
/// ```
/// # use eric_sse::{Audience, Message};
/// use std::task::Waker;
/// use eric_sse::log::Budget;
/// use eric_sse::{Heard, Subscribe};
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let mut audience = news.audience(Waker::noop().clone())?;
/// let subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
/// let seat = audience.join(subscription.into(), &mut Vec::new()).expect("it has handed out all there was");
///
/// news.broadcast(Message::of("headline", "Eric runs")?).await?;
/// news.dispatch(bob.id(), Message::of("note", "for bob alone")?).await?;
/// let mut heard = Vec::new();
/// audience.hear(Budget::default(), &mut heard);
/// assert!(matches!(&heard[..], [Heard::All(_), Heard::One(to, _)] if *to == seat));
/// # Ok(())
/// # });
/// ```
pub struct Audience {
    channel: Channel,
    inbox: Arc<Inbox>,
    following: Following,
    epoch: Epoch,
    /// Everybody was handed what is theirs up to here.
    at: Offset,
    seats: Slab<Seated>,
    /// Dispatches beyond `at`.
    mail: Vec<(usize, Framed)>,
    found: Vec<Framed>,
    commits: Vec<Commit>,
    is_behind: bool,
}

/// One reader.
struct Seated {
    reader: Option<Reader>,
    signal: Arc<Signal>,
}

/// What an audience hears.
///
/// ```
/// # use eric_sse::Message;
/// use std::task::Waker;
/// use eric_sse::log::Budget;
/// use eric_sse::{End, Heard, Subscribe};
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let mut audience = news.audience(Waker::noop().clone())?;
/// let subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
/// audience.join(subscription.into(), &mut Vec::new()).expect("nothing waits");
///
/// bob.stop();
/// let mut heard = Vec::new();
/// audience.hear(Budget::default(), &mut heard);
/// assert!(matches!(&heard[..], [Heard::Ended(0, End::Stopped)]));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub enum Heard {
    /// An entry for everybody.
    All(Framed),
    /// An entry for the reader in this seat alone.
    One(usize, Framed),
    /// The subscription of the reader in this seat is over: it is to leave.
    Ended(usize, End),
}

/// How far an audience could look.
///
/// ```
/// use std::task::Waker;
/// use eric_sse::Hearing;
/// use eric_sse::log::Budget;
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let mut audience = news.audience(Waker::noop().clone())?;
/// assert_eq!(audience.hear(Budget::default(), &mut Vec::new()), Hearing::Silence);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// There was something; there may be more.
    Something,
    /// There is nothing more. The audience's waker is woken when there is.
    Silence,
    /// The window does not reach back to where the audience is: all are to leave, and to read the log by themselves.
    Behind,
}

impl Channel {
    /// Begins an audience, with nobody in it. `waker` is woken, from any thread and perhaps under a lock of the hub,
    /// when there is something to hear; it must not call back.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownChannel`](crate::ErrorKind) where the channel was removed.
    ///
    /// ```
    /// use std::task::Waker;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let audience = news.audience(Waker::noop().clone())?;
    /// assert!(audience.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub fn audience(&self, waker: Waker) -> Result<Audience> {
        let inbox = Arc::new(Inbox::new(waker));
        let follower: Arc<dyn Follower> = inbox.clone();
        let following = self.core().window.follow(&[self.0.lane], &follower);
        following.wait();
        if self.0.is_removed.load(Ordering::SeqCst) {
            return Err(self.unknown());
        }
        let at = self.core().window.tail();
        Ok(Audience {
            channel: self.clone(),
            inbox,
            following,
            epoch: self.core().engine.tail().epoch,
            at,
            seats: Slab::new(),
            mail: Vec::new(),
            found: Vec::new(),
            commits: Vec::new(),
            is_behind: false,
        })
    }
}

impl Audience {
    /// The channel it listens to.
    ///
    /// ```
    /// use std::task::Waker;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// assert_eq!(news.audience(Waker::noop().clone())?.channel().id(), news.id());
    /// # Ok(())
    /// # });
    /// ```
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The hub's counters, for those who encode frames.
    ///
    /// ```
    /// use std::task::Waker;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let audience = news.audience(Waker::noop().clone())?;
    /// assert!(std::ptr::eq(audience.stats(), hub.stats()));
    /// # Ok(())
    /// # });
    /// ```
    pub fn stats(&self) -> &Stats {
        &self.channel.core().stats
    }

    /// How many readers it has.
    ///
    /// ```
    /// use std::task::Waker;
    /// use eric_sse::ReadFrom;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let mut audience = news.audience(Waker::noop().clone())?;
    /// for _ in 0..3 {
    ///     audience.join(news.watch(ReadFrom::Latest)?.into(), &mut Vec::new()).expect("nothing waits");
    /// }
    /// assert_eq!(audience.len(), 3);
    /// # Ok(())
    /// # });
    /// ```
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether it has no readers.
    ///
    /// ```
    /// use std::task::Waker;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// assert!(news.audience(Waker::noop().clone())?.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// The epoch of the positions that it hears of.
    ///
    /// ```
    /// use std::task::Waker;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// assert_eq!(news.audience(Waker::noop().clone())?.epoch(), hub.tail().epoch);
    /// # Ok(())
    /// # });
    /// ```
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Everybody was handed what is theirs up to here.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::task::Waker;
    /// use eric_sse::log::Budget;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let mut audience = news.audience(Waker::noop().clone())?;
    /// let taken = news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// assert!(audience.position() < taken.position.offset);
    /// audience.hear(Budget::default(), &mut Vec::new());
    /// assert_eq!(audience.position(), taken.position.offset);
    /// # Ok(())
    /// # });
    /// ```
    pub fn position(&self) -> Offset {
        self.at
    }

    /// Gives a subscription a seat, whose number is returned. What the audience has heard and the subscription has not
    /// handed out is added to `items`, and is to be handed out first.
    ///
    /// # Errors
    /// The subscription, where it has not got to the window yet (it is to be served by itself until it has nothing left
    /// to hand out) or is ahead of the audience (which is to hear first), or reads another channel.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::task::Waker;
    /// use eric_sse::Subscribe;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut audience = news.audience(Waker::noop().clone())?;
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// let subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// let mut subscription = audience.join(subscription.into(), &mut Vec::new()).expect_err("one waits");
    ///
    /// let mut items = Vec::new();
    /// subscription.next_items(&mut items).await?;
    /// assert!(audience.join(subscription, &mut items).is_ok());
    /// assert_eq!(items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    pub fn join(
        &mut self,
        mut subscription: Box<Subscription>,
        items: &mut impl Extend<Item>,
    ) -> std::result::Result<usize, Box<Subscription>> {
        let (from, is_live) = (subscription.position().offset, subscription.is_live());
        if self.seats.is_empty() {
            drop(self.inbox.take());
            (self.mail, self.is_behind) = (Vec::new(), false);
            self.at = self.at.max(from);
        }
        let is_ours = Arc::ptr_eq(&self.channel.0, &subscription.channel.0);
        if !is_ours || !is_live || from > self.at || self.is_behind {
            return Err(subscription);
        }
        let Some(following) = &mut subscription.following else { return Err(subscription) };
        let seat = self.seats.vacant_entry();
        let (key, signal) = (seat.key(), subscription.signal.clone());
        let follower: Arc<dyn Follower> = signal.clone();
        signal.sit(&self.inbox, key);
        if !following.seat(&follower, from, self.at, &mut self.found) {
            signal.stand_up();
            return Err(subscription);
        }
        items.extend(self.found.drain(..).map(Item::Entry));
        seat.insert(Seated { reader: subscription.reader.take(), signal });
        // What ended it, or came for it, meanwhile has woken nobody.
        self.inbox.look_at(key);
        Ok(key)
    }

    /// Adds what is next, at least one and about `budget`, to `heard`, in log order; ends come last.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::task::Waker;
    /// use eric_sse::Hearing;
    /// use eric_sse::log::Budget;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let mut audience = news.audience(Waker::noop().clone())?;
    /// for n in 0..3 {
    ///     news.broadcast(Message::of("number", &n)?).await?;
    /// }
    /// let two = Budget { entries: 2, ..Budget::default() };
    /// let mut heard = Vec::new();
    /// assert_eq!(audience.hear(two, &mut heard), Hearing::Something);
    /// assert_eq!(heard.len(), 2);
    /// audience.hear(two, &mut heard);
    /// assert_eq!(audience.hear(two, &mut heard), Hearing::Silence);
    /// assert_eq!(heard.len(), 3);
    /// # Ok(())
    /// # });
    /// ```
    pub fn hear(&mut self, budget: Budget, heard: &mut Vec<Heard>) -> Hearing {
        self.inbox.listen();
        self.following.wait();
        let before = heard.len();
        // The window's tail is loaded in here, so what was handed out up to there is in the inbox afterwards.
        let read = self.following.read(self.at, budget, &mut self.found);
        let Mail { entries, mut to_look_at, is_lost, is_removed, .. } = self.inbox.take();
        self.is_behind |= is_lost;
        let upto = match read {
            WindowRead::Upto(upto) if !self.is_behind => upto,
            WindowRead::One(framed, upto) if !self.is_behind => {
                self.found.push(framed);
                upto
            }
            _ => {
                self.is_behind = true;
                return Hearing::Behind;
            }
        };
        self.at = upto;
        self.mail.extend(entries);
        self.merge(heard);
        if is_removed {
            self.seats.iter().for_each(|(_, seated)| seated.signal.removed());
        }
        to_look_at.sort_unstable();
        to_look_at.dedup();
        for seat in to_look_at {
            if let Some(end) = self.seats.get(seat).and_then(Seated::end) {
                heard.push(Heard::Ended(seat, end));
            }
        }
        if heard.len() > before || is_removed { Hearing::Something } else { Hearing::Silence }
    }

    /// Moves what was found, and the mail up to here, to `heard`.
    fn merge(&mut self, heard: &mut Vec<Heard>) {
        let at = self.at;
        if self.mail.is_empty() {
            return heard.extend(self.found.drain(..).map(Heard::All));
        }
        let start = heard.len();
        heard.extend(self.found.drain(..).map(Heard::All));
        let due = self.mail.extract_if(.., |(_, framed)| framed.entry().offset() <= at);
        heard.extend(due.map(|(seat, framed)| Heard::One(seat, framed)));
        heard[start..].sort_by_key(|heard| match heard {
            Heard::All(framed) | Heard::One(_, framed) => framed.entry().offset(),
            Heard::Ended(..) => Offset::MAX,
        });
    }

    /// The listener whose reader is in `seat`; none for a watcher.
    ///
    /// # Panics
    /// Where nobody sits there.
    ///
    /// ```
    /// use std::task::Waker;
    /// use eric_sse::Subscribe;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut audience = news.audience(Waker::noop().clone())?;
    /// let subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// let seat = audience.join(subscription.into(), &mut Vec::new()).expect("nothing waits");
    /// assert_eq!(audience.listener(seat), Some(bob.id()));
    /// # Ok(())
    /// # });
    /// ```
    pub fn listener(&self, seat: usize) -> Option<&ListenerId> {
        self.seats[seat].reader.as_ref().map(|reader| &reader.member.id)
    }

    /// Takes note that a slow reader is not handed so many entries, which it is told of by a gap.
    ///
    /// ```
    /// use std::task::Waker;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// news.audience(Waker::noop().clone())?.skipped(3);
    /// assert_eq!(hub.stats().entries_skipped.count(), 3);
    /// # Ok(())
    /// # });
    /// ```
    pub fn skipped(&self, entries: u64) {
        self.stats().entries_skipped.add(entries);
        self.stats().gaps_told.add(1);
    }

    /// Takes note that the reader in `seat` has consumed everything up to `offset`. With [`Ack::Auto`] its cursor
    /// follows when [`Audience::commit`] is called, or when it leaves.
    ///
    /// # Panics
    /// Where nobody sits there.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::task::Waker;
    /// use eric_sse::Subscribe;
    /// use eric_sse::log::Budget;
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut audience = news.audience(Waker::noop().clone())?;
    /// let subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// let seat = audience.join(subscription.into(), &mut Vec::new()).expect("nothing waits");
    /// let taken = news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// audience.hear(Budget::default(), &mut Vec::new());
    /// assert_eq!(bob.info().await?.backlog, 1);
    ///
    /// audience.consumed(seat, taken.position.offset);
    /// audience.commit();
    /// assert_eq!(bob.info().await?.backlog, 0);
    /// # Ok(())
    /// # });
    /// ```
    pub fn consumed(&mut self, seat: usize, offset: Offset) {
        let Some(reader) = &mut self.seats[seat].reader else { return };
        reader.consumed = reader.consumed.max(offset);
        if reader.ack == Ack::Auto && reader.consumed > reader.committed {
            reader.committed = reader.consumed;
            let to = Position { epoch: self.epoch, offset: reader.consumed };
            self.commits.push(Commit {
                listener: reader.member.lane,
                to,
                by: Authority::Reader(reader.fence),
            });
        }
    }

    /// Moves the cursors of all readers to what they have consumed, in one call to the engine. A commit that is lost
    /// means redelivery, never loss.
    ///
    /// ```
    /// use std::task::Waker;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let mut audience = news.audience(Waker::noop().clone())?;
    /// audience.commit();
    /// assert!(audience.is_empty(), "nobody had consumed anything");
    /// # Ok(())
    /// # });
    /// ```
    pub fn commit(&mut self) {
        if !self.commits.is_empty() {
            // Ordered by the call; whoever reads next finds it.
            drop(self.channel.core().engine.commit(std::mem::take(&mut self.commits)));
        }
    }

    /// The reader in `seat` leaves, as a subscription that goes on after `at`: the last that it handed out.
    ///
    /// # Panics
    /// Where nobody sits there.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::task::Waker;
    /// use eric_sse::{Item, Subscribe};
    ///
    /// # eric_testkit::example(async |_hub, news, bob| {
    /// let mut audience = news.audience(Waker::noop().clone())?;
    /// let subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
    /// let seat = audience.join(subscription.into(), &mut Vec::new()).expect("nothing waits");
    /// let begin = audience.position();
    /// news.dispatch(bob.id(), Message::of("note", "for bob alone")?).await?;
    ///
    /// let mut subscription = audience.leave(seat, begin);
    /// let mut items = Vec::new();
    /// subscription.next_items(&mut items).await?;
    /// assert!(matches!(&items[..], [Item::Entry(_)]), "it was not heard, so it comes now");
    /// # Ok(())
    /// # });
    /// ```
    pub fn leave(&mut self, seat: usize, at: Offset) -> Box<Subscription> {
        self.commit();
        let Seated { reader, signal } = self.seats.remove(seat);
        let core = self.channel.core();
        let channel = self.channel.lane();
        let lanes = [channel, reader.as_ref().map_or(channel, |reader| reader.member.lane)];
        let followed = if reader.is_some() { &lanes[..] } else { &lanes[..1] };
        let follower: Arc<dyn Follower> = signal.clone();
        // Followed first, so that its own lane is never without a follower.
        let following = core.window.follow(followed, &follower);
        core.window.unseat(lanes[1], &follower);
        signal.stand_up();
        self.inbox.forget(seat);
        self.mail.retain(|(to, _)| *to != seat);
        let tail = core.engine.tail();
        let from = ReadFrom::After(Position { epoch: self.epoch, offset: at });
        Box::new(Subscription {
            channel: self.channel.clone(),
            reader,
            lanes,
            signal,
            following: Some(following),
            follow: Follow::start(from, None, tail),
            work: Work::Window,
            found: Vec::new(),
        })
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        let seats: Vec<usize> = self.seats.iter().map(|(seat, _)| seat).collect();
        for seat in seats {
            drop(self.leave(seat, self.at));
        }
    }
}

impl Seated {
    fn end(&self) -> Option<End> {
        self.signal.end(self.reader.as_ref().map(|reader| reader.fence))
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audience")
            .field("channel", self.channel.id())
            .field("readers", &self.len())
            .field("position", &self.at)
            .finish_non_exhaustive()
    }
}
