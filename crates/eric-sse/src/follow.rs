//! Following, as pure decisions: no I/O, no clock, no waiting.
//!
//! A [`Follow`] knows where one reader is and says what to do next ([`Step`]); its driver (`channel/subscription.rs`)
//! does it and reports back. Catching up and following live are the same loop: below the tail it reads, from the
//! window where that reaches and else from the log; at the tail it waits.
//!
//! **Invariant:** everything of the followed lanes up to `at` was handed out, or told as missed.

use std::fmt;
use std::str::FromStr;

use crate::cursor::Cursor;
use crate::entry::{Entry, Offset, Position};
use crate::error::{Error, Result};
use crate::framed::Framed;
use crate::lane::Span;
use crate::log::Page;

/// Where a subscription begins.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::ReadFrom;
///
/// # eric_testkit::example(async |hub, news, bob| {
/// let first = news.broadcast(Message::of("tick", &1)?).await?;
/// news.broadcast(Message::of("tick", &2)?).await?;
/// let mut items = Vec::new();
/// for (from, entries) in [(ReadFrom::Earliest, 2), (ReadFrom::After(first.position), 1)] {
///     items.clear();
///     news.watch(from)?.next_items(&mut items).await?;
///     assert_eq!(items.len(), entries);
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadFrom {
    /// A listener: at its cursor. A watcher: at the tail.
    #[default]
    Cursor,
    /// Right after this position.
    After(Position),
    /// At the earliest kept entry that is the reader's.
    Earliest,
    /// At the tail: only what comes from now on.
    Latest,
}

impl FromStr for ReadFrom {
    type Err = Error;

    /// `earliest`, `latest`, or the position after which to begin: the value of `after` in a request, or of
    /// `Last-Event-ID`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            position => position.parse().map(Self::After),
        }
    }
}

/// Why a reader missed something.
///
/// ```
/// # use eric_sse::{Item, ReadFrom};
/// use eric_sse::GapReason;
///
/// # eric_testkit::example(async |hub, news, bob| {
/// let mut items = Vec::new();
/// news.watch(ReadFrom::After("longago-7".parse()?))?.next_items(&mut items).await?;
/// let Item::Gap(gap) = &items[0] else { panic!("that epoch is over") };
/// assert_eq!(gap.reason, GapReason::Epoch);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// Retention dropped it.
    Trimmed,
    /// The position is of an epoch that ended.
    Epoch,
    /// The position is beyond the tail.
    Ahead,
    /// It was published before the listener joined.
    BeforeJoin,
    /// The reader was slow, and had asked for what is new rather than for all.
    Slow,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trimmed => "trimmed",
            Self::Epoch => "epoch",
            Self::Ahead => "ahead",
            Self::BeforeJoin => "before-join",
            Self::Slow => "slow",
        })
    }
}

/// What a reader is told when it missed something in a lane that it follows.
///
/// ```
/// # use eric_sse::{GapReason, Item, Message, SettingsPatch, Subscribe};
/// # eric_testkit::example(async |hub, news, bob| {
/// let patch = SettingsPatch { max_messages: Some(1), ..SettingsPatch::default() };
/// news.change_settings(&patch).await?;
/// for n in 1..=3 {
///     news.broadcast(Message::of("tick", &n)?).await?;
/// }
/// let mut items = Vec::new();
/// news.subscribe(bob.id(), Subscribe::default()).await?.next_items(&mut items).await?;
/// let Item::Gap(gap) = &items[0] else { panic!("two are gone") };
/// assert_eq!((gap.reason, gap.missed), (GapReason::Trimmed, Some(2)));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The position asked for, or reached; exclusive.
    pub from: Option<Position>,
    /// The last entry that was missed; inclusive. None where it is not known.
    pub to: Option<Position>,
    /// Entries that were missed. None where it is not known.
    pub missed: Option<u64>,
}

/// Why a subscription is over.
///
/// ```
/// # use eric_sse::Subscribe;
/// use eric_sse::End;
///
/// # eric_testkit::example(async |hub, news, bob| {
/// let mut subscription = news.subscribe(bob.id(), Subscribe::default()).await?;
/// news.remove_listener(bob.id()).await?;
/// assert_eq!(subscription.next_items(&mut Vec::new()).await?, Some(End::Removed));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// Another reader took the lease.
    Replaced,
    /// The listener or its channel was removed.
    Removed,
    /// The listener was stopped.
    Stopped,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Tell the reader what it missed.
    Tell(Gap),
    /// Read the log after this offset and report with [`Follow::on_log`].
    ReadLog(Offset),
    /// Read the window after this offset and report with [`Follow::on_window`].
    ReadWindow(Offset),
    /// Count what was missed before the listener joined, and report with [`Follow::on_before_join`].
    CountBeforeJoin { asked: Offset, floor: Offset },
}

/// One lane's part of a log read.
#[derive(Debug)]
pub(crate) struct LanePage {
    pub(crate) page: Page,
    /// What was trimmed beyond [`Follow::told`] of this lane, where anything was.
    pub(crate) missed: Option<Span>,
}

/// Where one reader is, and what it is owed.
#[derive(Debug)]
pub(crate) struct Follow {
    tail: Position,
    at: Offset,
    /// Per lane: what was trimmed up to here was told, or is not this reader's concern.
    told: [Offset; 2],
    gap: Option<Box<Gap>>,
    before_join: Option<Box<(Position, Offset)>>,
    /// Until the log is read for the first time: what was trimmed up to here is not told, for it asked for what there is.
    silent_to: Offset,
    is_behind_window: bool,
}

impl Follow {
    /// A follower that begins at `from`, for a listener with a `cursor` or a watcher without one; `tail` is the
    /// present tail.
    pub(crate) fn start(from: ReadFrom, cursor: Option<Cursor>, tail: Position) -> Self {
        let floor = cursor.map_or(Offset::ZERO, |cursor| cursor.floor);
        let mut follow = Self {
            tail,
            at: tail.offset,
            told: [Offset::ZERO; 2],
            gap: None,
            before_join: None,
            silent_to: Offset::ZERO,
            is_behind_window: true,
        };
        let unknown = |reason, from| Some(Box::new(Gap { reason, from: Some(from), to: None, missed: None }));
        match (from, cursor) {
            (ReadFrom::Latest, _) | (ReadFrom::Cursor, None) => {}
            (ReadFrom::Earliest, _) => {
                follow.at = floor;
                follow.silent_to = tail.offset;
            }
            (ReadFrom::Cursor, Some(Cursor { position, .. })) | (ReadFrom::After(position), _)
                if position.epoch != tail.epoch =>
            {
                follow.gap = unknown(GapReason::Epoch, position);
                follow.at = floor;
                follow.silent_to = tail.offset;
            }
            (ReadFrom::Cursor, Some(cursor)) => follow.at = cursor.position.offset.max(floor),
            (ReadFrom::After(position), _) if position.offset > tail.offset => {
                follow = Self::start(ReadFrom::Cursor, cursor, tail);
                follow.gap = unknown(GapReason::Ahead, position);
            }
            (ReadFrom::After(position), _) => {
                follow.at = position.offset.max(floor);
                if position.offset < floor {
                    follow.before_join = Some(Box::new((position, floor)));
                }
            }
        }
        // At the tail nothing is behind: what comes is in the window, whatever the log keeps of it.
        follow.is_behind_window = follow.at < tail.offset;
        follow
    }

    /// Everything of the followed lanes up to here was handed out.
    pub(crate) fn at(&self) -> Position {
        Position { epoch: self.tail.epoch, offset: self.at }
    }

    /// What was trimmed of each lane up to here is not to be told again.
    pub(crate) fn told(&self) -> [Offset; 2] {
        self.told.map(|told| told.max(self.at).max(self.silent_to))
    }

    /// What to do next.
    pub(crate) fn step(&mut self) -> Step {
        if let Some(before_join) = &self.before_join {
            return Step::CountBeforeJoin { asked: before_join.0.offset, floor: before_join.1 };
        }
        match self.take_gap() {
            Some(gap) => Step::Tell(gap),
            None if self.is_behind_window => Step::ReadLog(self.at),
            None => Step::ReadWindow(self.at),
        }
    }

    /// Whether it has nothing to tell, and goes on in the window.
    pub(crate) fn is_live(&self) -> bool {
        self.gap.is_none() && self.before_join.is_none() && !self.is_behind_window
    }

    /// What is to be told before anything else is read.
    pub(crate) fn take_gap(&mut self) -> Option<Gap> {
        self.gap.take().map(|gap| *gap)
    }

    /// Takes note of what the channel's lane held between the position asked for and the listener's floor.
    pub(crate) fn on_before_join(&mut self, span: Span) {
        let Some(before_join) = self.before_join.take() else { return };
        if span.entries != Some(0) {
            let to = span.last.unwrap_or(before_join.1);
            self.gap = Some(Box::new(Gap {
                reason: GapReason::BeforeJoin,
                from: Some(before_join.0),
                to: Some(Position { epoch: self.tail.epoch, offset: to }),
                missed: span.entries,
            }));
        }
    }

    /// Takes what the log returned, one page per lane, and hands over the entries in log order. Where something
    /// was trimmed, the next [`Follow::step`] tells it, and these entries come after it.
    pub(crate) fn on_log(&mut self, pages: Vec<LanePage>) -> Vec<Framed> {
        let from = self.at();
        let mut missed: Option<u64> = Some(0);
        let mut missed_to = Offset::ZERO;
        for (lane, LanePage { page, missed: span }) in pages.iter().enumerate() {
            if let Some(span) = span.filter(|span| span.entries != Some(0)) {
                missed = missed.zip(span.entries).map(|(sum, entries)| sum + entries);
                missed_to = missed_to.max(page.trimmed_to);
            }
            self.told[lane] = self.told[lane].max(page.trimmed_to);
        }
        if missed_to > Offset::ZERO {
            let to = Position { epoch: self.tail.epoch, offset: missed_to };
            self.gap =
                Some(Box::new(Gap { reason: GapReason::Trimmed, from: Some(from), to: Some(to), missed }));
        }
        self.silent_to = Offset::ZERO;
        let searched_to = pages.iter().map(|lane| lane.page.searched_to).min().unwrap_or(self.at);
        let mut entries: Vec<Entry> = pages.into_iter().flat_map(|lane| lane.page.entries).collect();
        entries.retain(|entry| entry.offset() <= searched_to && entry.offset() > self.at);
        entries.sort_by_key(Entry::offset);
        self.at = self.at.max(searched_to);
        // The window may still hold what was told as missed, and would hand it out.
        self.is_behind_window = self.told.iter().any(|told| *told > self.at);
        entries.into_iter().map(Framed::of_one).collect()
    }

    /// Takes note that the window handed over everything up to `to`; none where it does not reach back.
    pub(crate) fn on_window(&mut self, to: Option<Offset>) {
        match to {
            Some(to) => self.at = self.at.max(to),
            None => self.is_behind_window = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::entry::Epoch;
    use crate::lane::Lane;
    use crate::message::Message;

    fn at(offset: u64) -> Position {
        Position { epoch: "now".parse().unwrap(), offset: Offset::new(offset) }
    }

    fn past(offset: u64) -> Position {
        Position { epoch: "past".parse::<Epoch>().unwrap(), offset: Offset::new(offset) }
    }

    fn cursor(position: Position, floor: u64) -> Option<Cursor> {
        Some(Cursor { position, floor: Offset::new(floor), leased: false })
    }

    fn page(offsets: &[u64], searched_to: u64, trimmed: Option<(u64, Option<u64>)>) -> LanePage {
        let entry = |offset: &u64| {
            Entry::new(at(*offset), Lane::new(1), Timestamp::default(), Message::of("t", offset).unwrap())
        };
        let trimmed_to = Offset::new(trimmed.map_or(0, |(to, _)| to));
        let missed = trimmed.map(|(_, entries)| Span { entries, bytes: 0, last: None });
        let entries = offsets.iter().map(entry).collect();
        LanePage { page: Page { entries, searched_to: Offset::new(searched_to), trimmed_to }, missed }
    }

    fn offsets(entries: &[Framed]) -> Vec<u64> {
        entries.iter().map(|framed| framed.entry().offset().get()).collect()
    }

    fn check_start(from: ReadFrom, cursor: Option<Cursor>, begins: u64, gap: Option<GapReason>) {
        let mut follow = Follow::start(from, cursor, at(10));
        assert_eq!(follow.at(), at(begins), "{from:?}");
        match (follow.step(), gap) {
            (Step::Tell(told), Some(reason)) => assert_eq!(told.reason, reason),
            (Step::ReadLog(offset), None) => assert!(offset.get() == begins && begins < 10),
            (Step::ReadWindow(offset), None) => assert!(offset.get() == begins && begins == 10),
            (step, _) => panic!("{from:?} {step:?}"),
        }
    }

    #[test]
    fn where_to_begin_is_a_word_or_a_position() {
        assert_eq!("earliest".parse::<ReadFrom>().unwrap(), ReadFrom::Earliest);
        assert_eq!("latest".parse::<ReadFrom>().unwrap(), ReadFrom::Latest);
        assert_eq!(at(7).to_string().parse::<ReadFrom>().unwrap(), ReadFrom::After(at(7)));
        assert!("soon".parse::<ReadFrom>().is_err());
    }

    #[test]
    fn a_reader_begins_where_it_asked_and_is_told_what_cannot_be() {
        check_start(ReadFrom::Cursor, cursor(at(4), 2), 4, None);
        check_start(ReadFrom::Cursor, None, 10, None);
        check_start(ReadFrom::Latest, cursor(at(4), 2), 10, None);
        check_start(ReadFrom::Earliest, cursor(at(4), 2), 2, None);
        check_start(ReadFrom::Earliest, None, 0, None);
        check_start(ReadFrom::After(at(3)), cursor(at(4), 2), 3, None);
        check_start(ReadFrom::After(at(10)), cursor(at(4), 2), 10, None);
        check_start(ReadFrom::After(at(11)), cursor(at(4), 2), 4, Some(GapReason::Ahead));
        check_start(ReadFrom::After(at(11)), None, 10, Some(GapReason::Ahead));
        check_start(ReadFrom::After(past(3)), cursor(at(4), 2), 2, Some(GapReason::Epoch));
        check_start(ReadFrom::Cursor, cursor(past(99), 0), 0, Some(GapReason::Epoch));
    }

    #[test]
    fn what_was_before_the_join_is_told_only_if_there_was_something() {
        for (entries, told) in [(Some(0), false), (Some(3), true), (None, true)] {
            let mut follow = Follow::start(ReadFrom::After(at(1)), cursor(at(6), 5), at(10));
            assert_eq!(follow.step(), Step::CountBeforeJoin { asked: Offset::new(1), floor: Offset::new(5) });
            follow.on_before_join(Span { entries, bytes: 0, last: Some(Offset::new(4)) });
            let gap =
                Gap { reason: GapReason::BeforeJoin, from: Some(at(1)), to: Some(at(4)), missed: entries };
            assert_eq!(follow.step() == Step::Tell(gap), told);
        }
    }

    #[test]
    fn lanes_are_merged_in_log_order_as_far_as_both_were_searched() {
        let mut follow = Follow::start(ReadFrom::After(at(0)), None, at(10));
        let entries = follow.on_log(vec![page(&[1, 4, 7], 7, None), page(&[2, 3, 9], 10, None)]);
        assert_eq!(offsets(&entries), [1, 2, 3, 4, 7]);
        assert_eq!(follow.step(), Step::ReadWindow(Offset::new(7)));
        follow.on_window(None);
        assert_eq!(follow.step(), Step::ReadLog(Offset::new(7)));
    }

    #[test]
    fn a_gap_sums_both_lanes_and_is_told_once() {
        let mut follow = Follow::start(ReadFrom::After(at(2)), None, at(10));
        let entries =
            follow.on_log(vec![page(&[4], 4, Some((3, Some(1)))), page(&[], 10, Some((8, Some(2))))]);
        let gap = Gap { reason: GapReason::Trimmed, from: Some(at(2)), to: Some(at(8)), missed: Some(3) };
        assert_eq!(follow.step(), Step::Tell(gap));
        assert_eq!(offsets(&entries), [4]);
        assert_eq!(
            follow.told().map(Offset::get),
            [4, 8],
            "what was told of the second lane is not told again"
        );
    }

    #[test]
    fn what_was_told_as_missed_is_not_looked_for_in_the_window() {
        let mut follow = Follow::start(ReadFrom::After(at(2)), None, at(10));
        follow.on_log(vec![page(&[4], 4, None), page(&[], 10, Some((8, Some(2))))]);
        assert!(matches!(follow.step(), Step::Tell(_)));
        assert_eq!(follow.step(), Step::ReadLog(Offset::new(4)));
        follow.on_log(vec![page(&[9], 10, None), page(&[], 10, None)]);
        assert_eq!(follow.step(), Step::ReadWindow(Offset::new(10)));
    }

    #[test]
    fn what_is_unknown_in_one_lane_is_unknown_in_sum() {
        let mut follow = Follow::start(ReadFrom::After(at(2)), None, at(10));
        follow.on_log(vec![page(&[], 10, Some((3, None))), page(&[], 10, Some((8, Some(2))))]);
        assert!(matches!(follow.step(), Step::Tell(Gap { missed: None, .. })));
    }

    #[test]
    fn who_asks_for_the_earliest_is_not_told_what_is_gone() {
        let mut follow = Follow::start(ReadFrom::Earliest, None, at(10));
        assert_eq!(follow.told(), [Offset::new(10); 2], "what went up to here is not even counted");
        let entries = follow.on_log(vec![LanePage { missed: None, ..page(&[9], 10, Some((8, None))) }]);
        assert_eq!(offsets(&entries), [9]);
        assert_eq!(follow.step(), Step::ReadWindow(Offset::new(10)));
    }

    #[test]
    fn who_asks_for_the_earliest_is_told_what_goes_from_then_on() {
        // It came, 13 entries later the first 12 went, and only then it was read for.
        let mut follow = Follow::start(ReadFrom::Earliest, None, at(10));
        let entries = follow.on_log(vec![page(&[13], 13, Some((12, Some(2))))]);
        assert_eq!(offsets(&entries), [13]);
        let gap = Gap { reason: GapReason::Trimmed, from: Some(at(0)), to: Some(at(12)), missed: Some(2) };
        assert_eq!(follow.step(), Step::Tell(gap));
        // Whoever joined at the tail has nothing to be silent about.
        let follow = Follow::start(ReadFrom::Earliest, cursor(at(10), 10), at(10));
        assert_eq!(follow.told(), [Offset::new(10); 2]);
    }
}
