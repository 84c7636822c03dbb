//! What a broken engine does to its cursors.

use eric_sse::cursor::{Authority, Commit, Committed, Conflict, Cursor, Cursors, Fence, Joined, Lease, Next};
use eric_sse::lane::Lane;
use eric_sse::log::{BoxFuture, Log as _, Ticket};
use eric_sse::{Error, ErrorKind, Offset, Position, Result, Timestamp};

use super::{BrokenEngine, Fault, answer};

impl BrokenEngine {
    /// Where a listener that joined at `floor` is said to have joined.
    fn distort_floor(&self, floor: Offset) -> Offset {
        match self.fault {
            Fault::HasNoFloor => Offset::ZERO,
            Fault::JoinsTooEarly => Offset::new(floor.get().saturating_sub(1)),
            Fault::JoinsTooLate => floor.next(),
            _ => floor,
        }
    }

    fn distort_cursor(&self, cursor: Cursor) -> Cursor {
        let floor = self.distort_floor(cursor.floor);
        let at = cursor.position.offset;
        let offset = if at == cursor.floor { floor } else { at };
        Cursor { floor, position: Position { offset, ..cursor.position }, ..cursor }
    }

    fn load_now(&self, listener: Lane) -> Result<Cursor> {
        let inner = self.inner.clone();
        answer(Ticket::from_future(async move { inner.load(listener).await }))
    }

    fn commit_one(&self, commit: Commit) -> Result<Committed> {
        let tail = self.inner.tail();
        let fence = self.lies.lock().fences.get(&commit.listener).copied();
        let Commit { listener, to, by } = commit;
        let distorted = match (self.fault, by) {
            (Fault::LosesCommits, _) => return Ok(Committed::Moved),
            (Fault::CommitsBeyondTail, _) => {
                Commit { to: Position { offset: to.offset.min(tail.offset), ..to }, ..commit }
            }
            (Fault::CommitsAnyEpoch, _) => Commit { to: Position { epoch: tail.epoch, ..to }, ..commit },
            (Fault::TakesStaleCommits, Authority::Reader(_)) => {
                Commit { by: fence.map_or(by, Authority::Reader), ..commit }
            }
            (Fault::NeverRewinds, Authority::Reader(_)) => {
                if to.offset < self.load_now(listener)?.position.offset {
                    return Ok(Committed::Unchanged);
                }
                commit
            }
            (Fault::AcksBackwards, Authority::Ack) => {
                let lease = answer(self.inner.lease(listener, Conflict::Replace))?;
                let by = Authority::Reader(lease.fence);
                let committed = self.commit_inner(Commit { by, ..commit });
                answer(self.inner.release(listener, lease.fence))?;
                return committed;
            }
            _ => commit,
        };
        self.commit_inner(distorted)
    }

    fn commit_inner(&self, commit: Commit) -> Result<Committed> {
        answer(self.inner.commit(vec![commit]))?.remove(0)
    }
}

impl Cursors for BrokenEngine {
    fn join(&self, channel: Lane) -> Ticket<Joined> {
        let joined = answer(self.inner.join(channel)).map(|joined| {
            self.tap.joined(joined.lane, channel);
            Joined { floor: self.distort_floor(joined.floor), ..joined }
        });
        Ticket::ready(joined)
    }

    fn leave(&self, listener: Lane) -> Ticket<()> {
        if self.fault == Fault::KeepsRemovedLanes {
            self.tap.pretend_removed(listener);
            return Ticket::ready(Ok(()));
        }
        self.inner.leave(listener)
    }

    fn lease(&self, listener: Lane, conflict: Conflict) -> Ticket<Lease> {
        let conflict = if self.fault == Fault::NeverRefuses { Conflict::Replace } else { conflict };
        let lease = answer(self.inner.lease(listener, conflict)).map(|lease| {
            self.lies.lock().fences.insert(listener, lease.fence);
            Lease { cursor: self.distort_cursor(lease.cursor), ..lease }
        });
        Ticket::ready(lease)
    }

    fn release(&self, listener: Lane, fence: Fence) -> Ticket<()> {
        let present = self.lies.lock().fences.get(&listener).copied();
        match (self.fault, present) {
            (Fault::ReleasesForOthers, Some(present)) => self.inner.release(listener, present),
            _ => self.inner.release(listener, fence),
        }
    }

    fn commit(&self, commits: Vec<Commit>) -> Ticket<Vec<Result<Committed>>> {
        let mut answers: Vec<Result<Committed>> = Vec::with_capacity(commits.len());
        for commit in commits {
            let given_up = self.fault == Fault::GivesUpCommits && answers.iter().any(Result::is_err);
            answers.push(match given_up {
                true => Err(Error::new(ErrorKind::Conflict, "another commit failed")),
                false => self.commit_one(commit),
            });
        }
        Ticket::ready(Ok(answers))
    }

    fn load(&self, listener: Lane) -> BoxFuture<'_, Result<Cursor>> {
        let cursor = self.load_now(listener).map(|cursor| self.distort_cursor(cursor));
        Box::pin(std::future::ready(cursor))
    }

    fn take_next(&self, listener: Lane, now: Timestamp) -> Result<Next> {
        match self.fault {
            Fault::TakesNextAgain => {
                let before = self.load_now(listener)?.position;
                let next = self.inner.take_next(listener, now)?;
                let lease = answer(self.inner.lease(listener, Conflict::Replace))?;
                self.commit_inner(Commit { listener, to: before, by: Authority::Reader(lease.fence) })?;
                answer(self.inner.release(listener, lease.fence))?;
                Ok(next)
            }
            Fault::TakesNextOfOthers => {
                let fence = self.lies.lock().fences.get(&listener).copied();
                fence.into_iter().try_for_each(|fence| answer(self.inner.release(listener, fence)))?;
                self.inner.take_next(listener, now)
            }
            _ => Ok(Next::InSteps),
        }
    }
}
