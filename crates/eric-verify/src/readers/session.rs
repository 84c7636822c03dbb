//! One live reading, and what it may hand out: everything that is owed, in order, once, or told as a gap.

use std::task::{Context, Poll, Waker};

use eric_sse::log::Budget;
use eric_sse::{Ack, End, Gap, GapReason, Item, Offset, Subscription};

use super::model::{LaneNumber, Model};
use crate::counts::Counts;
use crate::wrong::{Checked, wrong};

/// What is done to the items of a subscription before they are looked at: the bugs that a hub could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "tests plant them"))]
pub(super) enum Meddling {
    /// Now and then an entry does not come.
    DropEntry,
    /// No gap is told.
    ForgetGap,
    /// Two neighbours change places.
    Swap,
    /// Now and then an entry comes twice.
    Repeat,
    /// What was consumed moves no cursor.
    NoCommit,
}

impl Meddling {
    /// Every one.
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] =
        [Self::DropEntry, Self::ForgetGap, Self::Swap, Self::Repeat, Self::NoCommit];

    fn meddle(self, items: &mut Vec<Item>) {
        let is_entry = |item: &Item| matches!(item, Item::Entry(_));
        // Some are left alone: a bug does not strike every time.
        let strikes = items.len() == 3;
        match self {
            Self::DropEntry if strikes && is_entry(&items[1]) => drop(items.remove(1)),
            Self::ForgetGap => items.retain(is_entry),
            Self::Swap if strikes => items.swap(1, 2),
            Self::Repeat if strikes && is_entry(&items[2]) => items.push(items[2].clone()),
            _ => {}
        }
    }
}

/// A subscription beside what it owes its reader.
pub(super) struct Session {
    pub(super) subscription: Subscription,
    pub(super) listener: LaneNumber,
    pub(super) ack: Ack,
    /// What is owed up to here was handed out or passed over.
    at: u64,
    /// What was told as missed, and what was passed over.
    told: u64,
    passed: u64,
    /// Whether a gap did not know how many were missed.
    is_unknown: bool,
    /// It asked for the earliest that is kept: what was gone up to here when it was first read is not told.
    silent_to: u64,
    /// How much of that was passed over. What went only later was told.
    passed_silently: u64,
    /// Broadcasts that came before the listener joined, and are to be told first.
    before_join: u64,
    /// The last that was handed out.
    pub(super) last: Option<u64>,
    committed: u64,
}

/// Where a session begins, by the model.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    pub(super) at: u64,
    pub(super) silent_to: u64,
    pub(super) before_join: u64,
}

/// What came of one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// There may be more.
    Some,
    /// Nothing is left for now.
    CaughtUp,
    /// It is over.
    Ended(End),
    /// It failed.
    Failed,
}

impl Session {
    pub(super) fn new(
        subscription: Subscription,
        listener: LaneNumber,
        ack: Ack,
        start: Start,
    ) -> Checked<Self> {
        let begins = subscription.position().offset.get();
        if begins > start.at {
            wrong!(Dropped, "a stream began at {begins} instead of {}", start.at);
        }
        if begins < start.at {
            wrong!(Doubled, "a stream began at {begins} instead of {}", start.at);
        }
        let Start { at, silent_to, before_join } = start;
        Ok(Self {
            subscription,
            listener,
            ack,
            at,
            told: 0,
            passed: 0,
            is_unknown: false,
            silent_to,
            passed_silently: 0,
            before_join,
            last: None,
            committed: at,
        })
    }

    /// Reads once, and checks what came.
    pub(super) fn read(
        &mut self,
        model: &mut Model,
        budget: Budget,
        now_ms: u64,
        meddling: Option<Meddling>,
        counts: &mut Counts,
    ) -> Checked<Read> {
        let mut items = Vec::new();
        let context = &mut Context::from_waker(Waker::noop());
        let polled = self.subscription.poll_items(context, budget, &mut items);
        if let Some(meddling) = meddling {
            meddling.meddle(&mut items);
        }
        for item in items {
            match item {
                Item::Gap(gap) => self.on_gap(*gap, counts)?,
                Item::Entry(framed) => {
                    let entry = framed.entry();
                    let text = serde_json::from_str(entry.message().payload().as_json()).unwrap_or_default();
                    self.on_entry(model, entry.offset().get(), text, now_ms, counts)?;
                }
            }
        }
        Ok(match polled {
            Poll::Ready(Ok(None)) => Read::Some,
            Poll::Ready(Ok(Some(end))) => Read::Ended(end),
            Poll::Ready(Err(_)) => Read::Failed,
            Poll::Pending if !self.subscription.is_caught_up() => Read::Failed,
            Poll::Pending => {
                self.on_caught_up(model, now_ms)?;
                Read::CaughtUp
            }
        })
    }

    fn on_gap(&mut self, gap: Gap, counts: &mut Counts) -> Checked {
        counts.told += gap.missed.unwrap_or(0);
        match gap.reason {
            GapReason::Trimmed => match gap.missed {
                Some(missed) => self.told += missed,
                None => self.is_unknown = true,
            },
            GapReason::BeforeJoin => {
                let expected = std::mem::take(&mut self.before_join);
                if gap.missed.is_some_and(|missed| missed != expected) {
                    let missed = gap.missed.unwrap_or(0);
                    wrong!(Dropped, "{missed} were told to be from before the join instead of {expected}");
                }
            }
            other => wrong!(Other, "a gap was told that cannot be: {other}"),
        }
        Ok(())
    }

    fn on_entry(
        &mut self,
        model: &mut Model,
        offset: u64,
        text: String,
        now_ms: u64,
        counts: &mut Counts,
    ) -> Checked {
        if self.last.is_some_and(|last| offset < last) {
            wrong!(Reordered, "{offset} came after {}", self.at);
        }
        if offset <= self.at {
            wrong!(Doubled, "{offset} came to a reader that was at {}", self.at);
        }
        self.check_before_join()?;
        let channel = model.lanes[self.listener].channel;
        match model.at(offset) {
            None => wrong!(Other, "{offset} came, which nobody published: {text:?}"),
            Some((lane, _)) if lane != self.listener && Some(lane) != channel => {
                wrong!(Other, "{offset} came to a reader whose it is not")
            }
            Some((_, published)) if published != text => {
                wrong!(Other, "{offset} came as {text:?} instead of {published:?}")
            }
            Some(_) => {}
        }
        self.pass_over(model, offset - 1, now_ms)?;
        if self.passed > self.told && !self.is_unknown {
            let Self { passed, told, .. } = self;
            wrong!(Dropped, "{passed} messages did not come before {offset}, and {told} were told as missed");
        }
        self.at = offset;
        self.last = Some(offset);
        counts.delivered += 1;
        if !model.lanes[self.listener].standing.seen.insert(offset) {
            counts.repeated += 1;
        }
        Ok(())
    }

    /// What is owed up to `to` and did not come will not come any more.
    fn pass_over(&mut self, model: &mut Model, to: u64, now_ms: u64) -> Checked {
        for offset in model.owed(self.listener, self.at, to) {
            if !model.may_be_gone(self.listener, offset, now_ms) {
                let text = if self.told > self.passed { "told as missed" } else { "passed over" };
                wrong!(Lost, "{offset} was {text} although no limit lets it go");
            }
            model.lanes[self.listener].standing.excused.insert(offset);
            let passed = if offset > self.silent_to { &mut self.passed } else { &mut self.passed_silently };
            *passed += 1;
        }
        self.at = self.at.max(to);
        Ok(())
    }

    fn on_caught_up(&mut self, model: &mut Model, now_ms: u64) -> Checked {
        self.check_before_join()?;
        let tail = model.tail;
        self.pass_over(model, tail, now_ms)?;
        let Self { passed, passed_silently, told, is_unknown, .. } = *self;
        if passed > told && !is_unknown {
            wrong!(Dropped, "{passed} messages did not come up to {tail}, and {told} were told as missed");
        }
        if told > passed + passed_silently {
            let passed = passed + passed_silently;
            wrong!(Dropped, "{told} messages were told as missed up to {tail}, and {passed} did not come");
        }
        Ok(())
    }

    fn check_before_join(&self) -> Checked {
        match self.before_join {
            0 => Ok(()),
            missed => wrong!(Dropped, "{missed} messages from before the join were asked for and not told"),
        }
    }

    /// Says that everything that came was consumed; where the cursor goes by that, if it goes.
    pub(super) fn commit(&mut self, meddling: Option<Meddling>) -> Option<u64> {
        let last = self.last?;
        self.consume();
        if meddling != Some(Meddling::NoCommit) {
            self.subscription.commit();
        }
        let moves = self.ack == Ack::Auto && last > self.committed;
        self.committed = self.committed.max(last);
        moves.then_some(last)
    }

    /// Says that everything that came was consumed, and leaves the cursor where it is.
    pub(super) fn consume(&mut self) {
        if let Some(last) = self.last {
            self.subscription.consumed(Offset::new(last));
        }
    }
}
