//! What is asked of lanes: how much each keeps and where, which are open, which keys are remembered.

use super::{Lanes, ListenerLane, Shelf};
use crate::entry::Offset;
use crate::error::Result;
use crate::id::IdempotencyKey;
use crate::lane::{Lane, LaneInfo, OpenLane, Span};

impl<S: Shelf> Lanes<S> {
    /// What is kept of `lane`, and the last entry of it that was trimmed.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind) where it was removed.
    ///
    /// ```
    /// # use eric_sse::{Offset, engine::lanes::Shelf as _};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline; 3])?;
    /// let (shelf, trimmed_to) = lanes.shelf(news)?;
    /// assert_eq!((shelf.len(), trimmed_to), (3, Offset::ZERO));
    /// # Ok(())
    /// # });
    /// ```
    pub fn shelf(&self, lane: Lane) -> Result<(&S, Offset)> {
        self.keep_of(lane).map(|keep| (&keep.shelf, keep.trimmed.to()))
    }

    /// What is kept of `lane`, to have its entries found elsewhere from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind) where it was removed.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline])?;
    /// // The entry was written anew elsewhere.
    /// let shelf = lanes.shelf_mut(news)?;
    /// let (kept, entry) = shelf.pop().unwrap();
    /// shelf.push(kept, entry);
    /// assert_eq!(lanes.info(news)?.messages, 1);
    /// # Ok(())
    /// # });
    /// ```
    pub fn shelf_mut(&mut self, lane: Lane) -> Result<&mut S> {
        self.keep_mut(lane).map(|keep| &mut keep.shelf)
    }

    /// What the stretch of `lane` after `after` up to `to` holds.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind) where it was removed.
    ///
    /// ```
    /// # use eric_sse::Offset;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline; 3])?;
    /// let span = lanes.span(news, Offset::new(1), Offset::MAX)?;
    /// assert_eq!((span.entries, span.last), (Some(2), Some(Offset::new(3))));
    /// # Ok(())
    /// # });
    /// ```
    pub fn span(&self, lane: Lane, after: Offset, to: Offset) -> Result<Span> {
        Ok(self.keep_of(lane)?.span(after, to.min(self.shown), |offset| self.mark(lane, offset)))
    }

    /// What is kept of `lane`.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind) where it was removed.
    ///
    /// ```
    /// # use eric_sse::ErrorKind;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline.clone()])?;
    /// assert_eq!(lanes.info(news)?.bytes, headline.message.bytes() as u64);
    /// lanes.close(news);
    /// assert_eq!(lanes.info(news).unwrap_err().kind(), ErrorKind::Closed);
    /// # Ok(())
    /// # });
    /// ```
    pub fn info(&self, lane: Lane) -> Result<LaneInfo> {
        self.keep_of(lane).map(|keep| keep.info(self.shown))
    }

    /// The lanes that are open, in the order of their numbers.
    ///
    /// ```
    /// # use eric_sse::lane::OpenLane;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let bob = lanes.join(news)?.lane;
    /// assert_eq!(lanes.list()[1], OpenLane { lane: bob, channel: Some(news) });
    /// # Ok(())
    /// # });
    /// ```
    pub fn list(&self) -> Vec<OpenLane> {
        let channels = self.channels.keys().map(|lane| OpenLane { lane: *lane, channel: None });
        let of_listener = |(lane, listener): (&Lane, &ListenerLane<S>)| OpenLane {
            lane: *lane,
            channel: Some(listener.channel),
        };
        let mut lanes: Vec<OpenLane> = channels.chain(self.listeners.iter().map(of_listener)).collect();
        lanes.sort_unstable_by_key(|open| open.lane);
        lanes
    }

    /// How many idempotency keys were ever remembered, and how many of these, the oldest, are forgotten at `now_ms`.
    ///
    /// ```
    /// # use eric_sse::{limits::DEDUP_WINDOW_S, log::NewEntry};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let order = NewEntry { key: Some("order-17".parse()?), ..headline };
    /// lanes.admit(vec![order], 0)?;
    /// assert_eq!(lanes.keys(0), (1, 0));
    /// assert_eq!(lanes.keys(DEDUP_WINDOW_S * 1000 + 1), (1, 1));
    /// # Ok(())
    /// # });
    /// ```
    pub fn keys(&mut self, now_ms: u64) -> (u64, u64) {
        self.dedup.forget_old(now_ms);
        self.dedup.counts()
    }

    /// Where and for what a key was used, while that is remembered.
    ///
    /// ```
    /// # use eric_sse::{Offset, log::NewEntry};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let (key, digest) = ("order-17".parse()?, headline.message.digest());
    /// assert_eq!(lanes.recall(news, &key), None);
    /// lanes.admit(vec![NewEntry { key: Some(key.clone()), ..headline }], 0)?;
    /// assert_eq!(lanes.recall(news, &key), Some((Offset::new(1), digest)));
    /// # Ok(())
    /// # });
    /// ```
    pub fn recall(&self, lane: Lane, key: &IdempotencyKey) -> Option<(Offset, u128)> {
        self.dedup.recall(self.dedup.name(lane, key)).map(|known| (known.offset, known.digest))
    }
}
