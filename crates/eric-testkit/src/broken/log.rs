//! What a broken engine does to its log.

use eric_sse::lane::{Lane, LaneInfo, OpenLane, Overflow, Retention, Span};
use eric_sse::log::{BoxFuture, Budget, Log, NewEntry, Page, Taken, Ticket};
use eric_sse::{Entry, ErrorKind, Offset, Position, Result};

use super::{BrokenEngine, Fault, answer};

impl BrokenEngine {
    fn distort(&self, retention: Retention) -> Retention {
        match self.fault {
            Fault::DropsInsteadOfRejecting => Retention { overflow: Overflow::DropOldest, ..retention },
            Fault::ForgetsHistory => Retention { history: 0, ..retention },
            Fault::TrimsUnread => {
                let history = retention.history.max(1);
                let max_messages = retention.max_messages.min(history);
                let max_unread_per_listener = retention.max_unread_per_listener.min(history);
                Retention { max_messages, max_unread_per_listener, ..retention }
            }
            Fault::KeepsEverything => Retention {
                max_messages: u64::MAX,
                max_bytes: u64::MAX,
                max_age_s: u64::MAX,
                history: u64::MAX,
                max_unread_per_listener: u64::MAX,
                max_unread_bytes_per_listener: u64::MAX,
                overflow: retention.overflow,
            },
            _ => retention,
        }
    }

    /// Shows `batch` while it waits, and submits it once it was awaited for a while.
    fn submit_shown(&self, batch: Vec<NewEntry>) -> Ticket<Vec<Taken>> {
        let (inner, lies, count) = (self.inner.clone(), self.lies.clone(), batch.len());
        let tail = self.inner.tail();
        let mut staged = lies.lock();
        for new in &batch {
            let offset = Offset::new(tail.offset.get() + staged.staged.len() as u64 + 1);
            let position = Position { offset, ..tail };
            staged.staged.push(Entry::new(position, new.lane, new.taken_at, new.message.clone()));
        }
        drop(staged);
        Ticket::from_future(async move {
            tokio::task::yield_now().await;
            lies.lock().staged.drain(..count);
            inner.submit(batch).await
        })
    }

    fn submit_now(&self, mut batch: Vec<NewEntry>) -> Result<Vec<Taken>> {
        let forget = |batch: &mut Vec<NewEntry>| batch.iter_mut().for_each(|new| new.key = None);
        match self.fault {
            Fault::LosesLastOfBatch if batch.len() > 1 => {
                batch.pop();
                let mut taken = answer(self.inner.submit(batch))?;
                let last = taken[taken.len() - 1].position;
                let position = Position { offset: last.offset.next(), ..last };
                taken.push(Taken { position, first: true });
                Ok(taken)
            }
            Fault::KeepsHalfOfRefused => {
                let half = batch[..batch.len() / 2].to_vec();
                answer(self.inner.submit(batch)).inspect_err(|_| {
                    drop(self.inner.submit(half));
                })
            }
            Fault::ReusesOffsets => {
                let mut taken = answer(self.inner.submit(batch))?;
                let mut lies = self.lies.lock();
                lies.submits += 1;
                let last = taken.last().map(|taken| taken.position);
                if let Some(before) = lies.last.filter(|_| lies.submits.is_multiple_of(2))
                    && let Some(first) = taken.first_mut()
                {
                    first.position = before;
                }
                lies.last = last;
                Ok(taken)
            }
            Fault::ForgetsKeys => {
                forget(&mut batch);
                answer(self.inner.submit(batch))
            }
            Fault::ForgetsKeysOfBatch => {
                for index in 1..batch.len() {
                    let (before, rest) = batch.split_at_mut(index);
                    if before.iter().any(|new| new.key == rest[0].key) {
                        rest[0].key = None;
                    }
                }
                answer(self.inner.submit(batch))
            }
            Fault::TakesReusedKeys => match answer(self.inner.submit(batch.clone())) {
                Err(error) if error.kind() == ErrorKind::KeyReused => {
                    forget(&mut batch);
                    answer(self.inner.submit(batch))
                }
                taken => taken,
            },
            Fault::SharesKeys => {
                let key = batch.first().and_then(|new| new.key.clone());
                let known = key.as_ref().and_then(|key| self.lies.lock().keys.get(key).copied());
                if let Some(known) = known {
                    return Ok(vec![Taken { first: false, ..known }]);
                }
                let taken = answer(self.inner.submit(batch))?;
                if let Some((key, taken)) = key.zip(taken.first()) {
                    self.lies.lock().keys.insert(key, *taken);
                }
                Ok(taken)
            }
            _ => answer(self.inner.submit(batch)),
        }
    }

    fn read_now(&self, lane: Lane, after: Offset, budget: Budget) -> Result<Page> {
        let is_whole = matches!(self.fault, Fault::IgnoresBudgets | Fault::SkipsEntries);
        let asked = if is_whole { Budget::default() } else { budget };
        let mut page = answer(Ticket::from_future({
            let (inner, asked) = (self.inner.clone(), asked);
            async move { inner.read(lane, after, asked).await }
        }))?;
        match self.fault {
            Fault::IgnoresLanes => {
                page.entries = self.tap.entries_after(after);
                page.entries.truncate(budget.entries.max(1));
                let last = page.entries.last().map(Entry::offset);
                page.searched_to = last.unwrap_or_else(|| self.inner.tail().offset);
            }
            Fault::SkipsEntries => page.entries.truncate(1),
            Fault::RepeatsEntries => page.entries.extend(page.entries.last().cloned()),
            Fault::ReversesPages => page.entries.reverse(),
            Fault::TellsFalseGaps if after < self.inner.tail().offset => {
                page.trimmed_to = page.trimmed_to.max(after.next());
            }
            Fault::HidesTrimmed => page.trimmed_to = Offset::ZERO,
            Fault::FloodsOthers => {
                let hidden_to = self.tap.hidden_to(lane);
                page.entries.retain(|entry| entry.offset() > hidden_to);
            }
            Fault::ShowsUncommitted => {
                let lies = self.lies.lock();
                let staged = lies.staged.iter().filter(|it| it.lane() == lane && it.offset() > after);
                page.entries.extend(staged.cloned());
            }
            _ => {}
        }
        Ok(page)
    }
}

impl Log for BrokenEngine {
    fn tail(&self) -> Position {
        let tail = self.inner.tail();
        match self.fault {
            Fault::SharesEpochs => Position { epoch: "one".parse().expect("an epoch"), ..tail },
            _ => tail,
        }
    }

    fn open(&self, retention: Retention) -> Ticket<Lane> {
        self.inner.open(self.distort(retention))
    }

    fn retain(&self, channel: Lane, retention: Retention) -> Ticket<()> {
        match self.fault {
            Fault::IgnoresNewRetention => Ticket::ready(Ok(())),
            _ => self.inner.retain(channel, self.distort(retention)),
        }
    }

    fn close(&self, channel: Lane) -> Ticket<()> {
        if self.fault == Fault::KeepsRemovedLanes {
            self.tap.pretend_removed(channel);
            return Ticket::ready(Ok(()));
        }
        self.inner.close(channel)
    }

    fn submit_one(&self, mut new: NewEntry) -> Ticket<Taken> {
        if self.fault == Fault::ForgetsKeyOfOne {
            new.key = None;
        }
        self.submit(vec![new]).map(|taken| taken[0])
    }

    fn submit(&self, mut batch: Vec<NewEntry>) -> Ticket<Vec<Taken>> {
        let inner = self.inner.clone();
        match self.fault {
            Fault::OrdersByPoll => Ticket::from_future(async move { inner.submit(batch).await }),
            Fault::ShowsUncommitted => self.submit_shown(batch),
            Fault::SplitsBatches if batch.len() > 1 => {
                let last = batch.split_off(batch.len() - 1);
                let taken = answer(self.inner.submit(batch));
                Ticket::from_future(async move {
                    let mut taken = taken?;
                    taken.extend(inner.submit(last).await?);
                    Ok(taken)
                })
            }
            _ => Ticket::ready(self.submit_now(batch)),
        }
    }

    fn read(&self, lane: Lane, after: Offset, budget: Budget) -> BoxFuture<'_, Result<Page>> {
        Box::pin(std::future::ready(self.read_now(lane, after, budget)))
    }

    fn span(&self, lane: Lane, after: Offset, to: Offset) -> BoxFuture<'_, Result<Span>> {
        let span = self.inner.span(lane, after, to);
        Box::pin(async move {
            let span = span.await?;
            let entries = match (self.fault, span.entries) {
                (Fault::Miscounts, Some(entries)) if entries > 0 => Some(entries + 1),
                (Fault::TellsFalseGaps, Some(0)) => Some(1),
                (_, entries) => entries,
            };
            Ok(Span { entries, ..span })
        })
    }

    fn lane(&self, lane: Lane) -> BoxFuture<'_, Result<LaneInfo>> {
        self.inner.lane(lane)
    }

    fn lanes(&self) -> Vec<OpenLane> {
        match self.fault {
            Fault::ListsChannelsOnly => {
                self.inner.lanes().into_iter().filter(|open| open.channel.is_none()).collect()
            }
            _ => self.inner.lanes(),
        }
    }
}
