//! A queue in memory, for programs that do without a broker, and for tests.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::{Queue, QueueResult};
use crate::entry::Position;
use crate::log::BoxFuture;
use crate::message::Message;

/// A queue in memory, with room for so many messages; a push into a full one fails.
///
/// ```
/// use eric_sse::queue::{MemoryQueue, Queue as _};
///
/// let queue = MemoryQueue::new("inbox", 1_000);
/// assert_eq!((queue.id(), queue.len()), ("inbox", 0));
/// ```
#[derive(Debug)]
pub struct MemoryQueue {
    id: Box<str>,
    room: usize,
    messages: Mutex<VecDeque<Message>>,
}

impl MemoryQueue {
    /// An empty queue.
    ///
    /// ```
    /// use eric_sse::queue::MemoryQueue;
    ///
    /// assert!(MemoryQueue::new("inbox", 100).is_empty());
    /// ```
    pub fn new(id: impl Into<Box<str>>, room: usize) -> Self {
        Self { id: id.into(), room, messages: Mutex::default() }
    }

    /// Messages in it.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::queue::{MemoryQueue, Queue as _};
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// let queue = MemoryQueue::new("inbox", 100);
    /// queue.push(hub.tail(), Message::of("headline", "Eric runs")?).await.unwrap();
    /// assert_eq!(queue.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    pub fn len(&self) -> usize {
        self.messages.lock().len()
    }

    /// Whether there is none in it.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use eric_sse::queue::{MemoryQueue, Queue as _};
    ///
    /// # eric_testkit::example(async |hub, _news, _bob| {
    /// let queue = MemoryQueue::new("inbox", 100);
    /// queue.push(hub.tail(), Message::of("headline", "Eric runs")?).await.unwrap();
    /// queue.pop().await.unwrap();
    /// assert!(queue.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Queue for MemoryQueue {
    fn id(&self) -> &str {
        &self.id
    }

    fn push(&self, _: Position, message: Message) -> BoxFuture<'_, QueueResult<()>> {
        let mut messages = self.messages.lock();
        let pushed = if messages.len() < self.room {
            messages.push_back(message);
            Ok(())
        } else {
            Err(format!("queue id={} is full: it has room for {}", self.id, self.room).into())
        };
        Box::pin(std::future::ready(pushed))
    }

    fn pop(&self) -> BoxFuture<'_, QueueResult<Option<Message>>> {
        Box::pin(std::future::ready(Ok(self.messages.lock().pop_front())))
    }
}
