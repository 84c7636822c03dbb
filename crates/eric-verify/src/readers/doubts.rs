//! After a crash: which of the messages that nobody had an answer for were taken.
//!
//! What was asked for last may be missing, and everything after it. So the tail says which there are, unless a limit may
//! have refused one of them; then its publisher asks, by publishing it again under its key.

use eric_sse::ErrorKind;

use super::model::{LaneNumber, New};
use super::world::{Answer, Doubt, World};
use crate::wrong::{Checked, wrong};

impl World {
    pub(super) fn find_out_about_messages(&mut self, doubts: &[Doubt], tail: u64) -> Checked {
        let mut later = Vec::new();
        let mut repeated = Vec::new();
        for doubt in doubts {
            let Doubt::Publish { lane, batch, asked_ms } = doubt else { continue };
            let Ok(expected) = self.model.expect(*lane, batch) else { continue };
            let new = expected.iter().filter(|(_, is_new)| *is_new).count() as u64;
            if batch.iter().all(|new| new.key.is_some()) {
                repeated.push((*lane, batch.clone()));
            }
            if new == 0 || self.model.tail + new > tail {
                continue;
            }
            if !self.model.may_refuse(*lane, batch) {
                self.model.take(*lane, batch, &expected, *asked_ms);
                continue;
            }
            let found = match self.call(self.publishing(*lane, batch)?)? {
                Answer::Done(found) => found,
                Answer::Refused(ErrorKind::LimitExceeded) => continue,
                other => wrong!(Other, "a repeated publish was answered with {other:?}"),
            };
            match found.iter().any(|(_, is_new)| *is_new) {
                true => later.push((*lane, batch.clone(), found)),
                false => self.model.take(*lane, batch, &expected, *asked_ms),
            }
        }
        if self.model.tail != tail {
            wrong!(Other, "the tail is {tail}, and what was asked for explains {} only", self.model.tail);
        }
        let now_ms = self.now_ms();
        for (lane, batch, found) in later {
            self.model.take(lane, &batch, &found, now_ms);
        }
        // Whoever had no answer asks again.
        self.publish(repeated)
    }

    /// Publishes batches together, each to its lane, and checks what is answered.
    pub(super) fn publish(&mut self, asks: Vec<(LaneNumber, Vec<New>)>) -> Checked {
        let mut calls = Vec::new();
        for (lane, batch) in &asks {
            calls.push(self.publishing(*lane, batch)?);
        }
        let (answers, now_ms) = (self.drive(calls), self.now_ms());
        for ((lane, batch), answer) in asks.into_iter().zip(answers) {
            let expected = self.model.expect(lane, &batch);
            match (self.judge(answer)?, expected) {
                (Answer::Unknown, _) => self.doubts.push(Doubt::Publish { lane, batch, asked_ms: now_ms }),
                (Answer::Done(_), _) if !self.doubts.is_empty() => {
                    wrong!(Other, "a publish was answered after one that was not")
                }
                (Answer::Done(found), Ok(expected)) if found == expected => {
                    self.model.take(lane, &batch, &expected, now_ms);
                    self.counts.acknowledged += 1;
                }
                (Answer::Done(found), Ok(expected)) => {
                    let news = |taken: &[(u64, bool)]| taken.iter().filter(|(_, is_new)| *is_new).count();
                    if news(&found) > news(&expected) {
                        wrong!(Doubled, "a repetition was taken again: {found:?} instead of {expected:?}");
                    }
                    wrong!(Other, "a publish was answered with {found:?} instead of {expected:?}");
                }
                (Answer::Refused(ErrorKind::KeyReused), Err(ErrorKind::KeyReused)) => {}
                (Answer::Refused(ErrorKind::NoSpace), _) => {}
                (Answer::Refused(ErrorKind::LimitExceeded), Ok(_)) if self.model.may_refuse(lane, &batch) => {
                }
                (Answer::Done(found), Err(ErrorKind::KeyReused)) => {
                    wrong!(Doubled, "a batch was taken at {found:?} under a key that was used for another")
                }
                (answer, expected) => {
                    wrong!(Other, "a publish was answered with {answer:?} instead of {expected:?}")
                }
            }
        }
        Ok(())
    }
}
