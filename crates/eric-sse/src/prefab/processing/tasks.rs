//! The messages that are in the works, and which result is handed out next; pure.

use std::collections::VecDeque;

use super::{Order, Outcome, Processed};
use crate::channel::delivery::Delivery;
use crate::entry::Offset;

/// What was begun and not handed out yet, and what was handed out ahead of it.
pub(super) struct Tasks<T> {
    /// The oldest is not handed out.
    pub(super) begun: VecDeque<Task<T>>,
    /// The number of the oldest.
    first: u64,
    /// Numbers of those that are done, as they became so.
    done: VecDeque<u64>,
}

impl<T> Default for Tasks<T> {
    fn default() -> Self {
        Self { begun: VecDeque::new(), first: 0, done: VecDeque::new() }
    }
}

pub(super) struct Task<T> {
    offset: Offset,
    /// None once it is handed out.
    delivery: Option<Delivery>,
    outcome: Option<Outcome<T>>,
}

impl<T> Tasks<T> {
    pub(super) fn begin(&mut self, delivery: Delivery) -> u64 {
        let offset = delivery.position().offset;
        self.begun.push_back(Task { offset, delivery: Some(delivery), outcome: None });
        self.first + self.begun.len() as u64 - 1
    }

    fn task(&mut self, number: u64) -> &mut Task<T> {
        let index = usize::try_from(number - self.first).expect("few are ahead");
        &mut self.begun[index]
    }

    pub(super) fn complete(&mut self, number: u64, outcome: Outcome<T>) {
        self.task(number).outcome = Some(outcome);
        self.done.push_back(number);
    }

    /// The next that is to be handed out.
    pub(super) fn take_done(&mut self, order: Order) -> Option<Processed<T>> {
        let number = match order {
            Order::Completion => self.done.pop_front()?,
            Order::Queue => {
                self.begun.front()?.outcome.as_ref()?;
                self.first
            }
        };
        let task = self.task(number);
        let delivery = task.delivery.take().expect("it is handed out once");
        let result = task.outcome.take().expect("it is done");
        Some(Processed { delivery, result })
    }

    /// Lets go of what is handed out with everything before it; returns the last of it.
    pub(super) fn settle(&mut self) -> Option<Offset> {
        let mut settled = None;
        while let Some(task) = self.begun.pop_front_if(|task| task.delivery.is_none()) {
            settled = Some(task.offset);
            self.first += 1;
        }
        settled
    }
}
