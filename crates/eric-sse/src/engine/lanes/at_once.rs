//! One message, taken and shown in one step, or read and consumed: for an engine that has nothing to wait for in
//! between.

use super::cursors::{Moved, live, unknown};
use super::{ChannelLane, First, Keep, Lanes, LetGo, Rules, Shelf, gone};
use crate::cursor::Next;
use crate::engine::FeedEvent;
use crate::entry::{Entry, Offset, Position};
use crate::error::Result;
use crate::lane::{Lane, Overflow};
use crate::log::{NewEntry, Taken};

impl<S: Shelf<Item = Entry>> Lanes<S> {
    /// Takes a message, keeps it and shows it; `tell` hears what a feed is to be told. What [`Lanes::admit`],
    /// [`Lanes::keep`], [`Lanes::show`] and [`Lanes::enforce`] do, with the lane found once. The message is taken at this
    /// moment: its time is what ages and keys are reckoned by.
    ///
    /// # Errors
    /// As [`Lanes::admit`].
    ///
    /// # Panics
    /// If something was taken that is not shown yet.
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// use eric_sse::engine::FeedEvent;
    ///
    /// let mut told = Vec::new();
    /// let tell = |event: FeedEvent<'_>| told.push(format!("{event:?}"));
    /// let taken = lanes.take(headline, tell)?;
    /// assert_eq!(taken.position, lanes.shown());
    /// assert!(told.len() == 1 && told[0].starts_with("Appended"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn take(&mut self, new: NewEntry, tell: impl FnMut(FeedEvent<'_>)) -> Result<Taken> {
        let now_ms = new.taken_at.as_ms();
        self.dedup.forget_old(now_ms);
        if new.key.is_none() {
            return self.take_first(new, tell);
        }
        self.keep_of(new.lane)?;
        match self.first(&new)? {
            First::Now(known) => {
                let taken = self.take_first(new, tell)?;
                if let Some((name, digest)) = known {
                    self.dedup.remember(name, digest, taken.position.offset, now_ms);
                }
                Ok(taken)
            }
            First::Before(offset) => {
                Ok(Taken { position: Position { epoch: self.epoch, offset }, first: false })
            }
            First::InBatch(_) => unreachable!("it is alone"),
        }
    }

    /// Takes a message that was not taken before.
    #[inline]
    fn take_first(&mut self, new: NewEntry, mut tell: impl FnMut(FeedEvent<'_>)) -> Result<Taken> {
        assert_eq!(self.shown, self.tail, "what is taken at once follows what is shown");
        let (lane, shown, now_ms) = (new.lane, self.shown, new.taken_at.as_ms());
        let (epoch, offset) = (self.epoch, self.tail.next());
        let trimmed = |go: LetGo| FeedEvent::Trimmed { lane, to: go.to, unread: go.unread };
        let mut found = self.find(lane).ok_or_else(|| gone(lane))?;
        // Else it is the same whether what has grown too old goes now or in a moment.
        if found.rules.retention.overflow == Overflow::Reject {
            found.enforce(now_ms, shown, |_, _| ()).map(trimmed).map(&mut tell);
        }
        if let Err(refusal) = found.admits(std::iter::once(new.message.bytes() as u64)) {
            return Err(self.explain(refusal, lane));
        }
        let entry = Entry::new(Position { epoch, offset }, lane, new.taken_at, new.message);
        tell(FeedEvent::Appended(std::slice::from_ref(&entry)));
        found.keep.push((&entry).into(), entry);
        found.enforce(now_ms, offset, |_, _| ()).map(trimmed).map(&mut tell);
        (self.tail, self.shown) = (offset, offset);
        Ok(Taken { position: Position { epoch, offset }, first: true })
    }

    /// Moves the cursor of a listener that nobody reads live to its next entry, and tells which that is. `at` finds the
    /// entry at a place of a shelf; `tell` hears what a feed is to be told.
    ///
    /// # Errors
    /// As [`Cursors::take_next`](crate::cursor::Cursors::take_next).
    ///
    /// ```
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # use eric_testkit::Entries;
    /// use eric_sse::cursor::Next;
    ///
    /// let bob = lanes.join(news)?.lane;
    /// # eric_testkit::take(lanes, vec![headline; 2])?;
    /// for expected in [1, 2] {
    ///     let Next::Entry(entry) = lanes.take_next(bob, 0, Entries::get, |_| ())? else { panic!("two wait") };
    ///     assert_eq!(entry.offset().get(), expected);
    ///     assert_eq!(lanes.cursor(bob)?.position, entry.position());
    /// }
    /// # Ok(())
    /// # });
    /// ```
    pub fn take_next(
        &mut self,
        listener: Lane,
        now_ms: u64,
        at: impl Fn(&S, usize) -> Option<&Entry>,
        mut tell: impl FnMut(FeedEvent<'_>),
    ) -> Result<Next> {
        let reader = self.listeners.get(&listener).ok_or_else(|| unknown(listener))?;
        let channel = reader.channel;
        let ChannelLane { keep: shared, retention, readers, .. } =
            self.channels.get(&channel).expect("a listener's channel exists");
        let trimmed_to = shared.trimmed.to().max(reader.keep.trimmed.to());
        if reader.lease.is_some() {
            return Err(live());
        }
        if reader.stale.is_some() || trimmed_to > reader.cursor {
            return Ok(Next::InSteps);
        }
        // Ranks count what is trimmed; a rank is forgotten only where its cursor is behind that.
        let place = |keep: &Keep<S>, rank: u64| usize::try_from(rank.checked_sub(keep.trimmed.total())?).ok();
        let rank = readers.rank(listener, reader.cursor);
        let (Some(shared_place), Some(own_place)) =
            (place(shared, rank), place(&reader.keep, reader.finished))
        else {
            return Ok(Next::InSteps);
        };
        let (shared_next, own_next) = (at(&shared.shelf, shared_place), at(&reader.keep.shelf, own_place));
        let offset = |entry: Option<&Entry>| entry.map_or(Offset::MAX, Entry::offset);
        let is_own = offset(own_next) < offset(shared_next);
        let next = if is_own { own_next } else { shared_next };
        let Some(entry) = next.filter(|entry| entry.offset() <= self.shown) else {
            return Ok(Next::Nothing);
        };
        let rules = Rules { retention, is_own };
        if rules.is_old(entry.taken_at().as_ms(), now_ms) {
            return Ok(Next::InSteps);
        }
        let entry = entry.clone();
        let moved = Moved {
            listener,
            channel,
            to: entry.offset(),
            finished: reader.finished + u64::from(is_own),
            channel_finished: rank + u64::from(!is_own),
        };
        self.place_cursor(&moved);
        // In the other lane it finished nothing.
        let lane = entry.lane();
        if let Some(go) = self.enforce(lane, now_ms, |_, _| ()) {
            tell(FeedEvent::Trimmed { lane, to: go.to, unread: go.unread });
        }
        Ok(Next::Entry(entry))
    }
}
