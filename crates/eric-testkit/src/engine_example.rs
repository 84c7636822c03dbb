//! What the examples of engines, and of the lanes that engines of one process share, begin with.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use eric_sse::engine::lanes::{Kept, Lanes, Shelf, Upto};
use eric_sse::engine::memory::MemoryEngine;
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::log::{Log as _, NewEntry};
use eric_sse::{Clock as _, Entry, Message, Offset, SystemClock, Timestamp};

/// Runs an example of an engine: with one in memory, the lane of its channel `news`, and a message on its way there.
///
/// ```
/// use eric_sse::log::Log as _;
///
/// eric_testkit::engine_example(async |engine, news, headline| {
///     engine.submit(vec![headline]).await?;
///     assert_eq!(engine.lane(news).await?.messages, 1);
///     Ok(())
/// });
/// ```
///
/// # Panics
/// If the example fails.
pub fn engine_example(
    body: impl AsyncFnOnce(Arc<MemoryEngine>, Lane, NewEntry) -> Result<(), Box<dyn Error>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let outcome = runtime.expect("a runtime without threads of its own").block_on(async {
        let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
        let news = engine.open(retention()).await?;
        body(engine, news, headline(news, SystemClock.now())).await
    });
    outcome.expect("an example does what it says");
}

/// Runs an example of lanes: with those of an epoch `now`, the lane of the channel `news` among them, and a message on
/// its way there.
///
/// ```
/// eric_testkit::lanes_example(|lanes, news, headline| {
///     eric_testkit::take(lanes, vec![headline])?;
///     assert_eq!(lanes.info(news)?.messages, 1);
///     Ok(())
/// });
/// ```
///
/// # Panics
/// If the example fails.
pub fn lanes_example(body: impl FnOnce(&mut Lanes<Entries>, Lane, NewEntry) -> Result<(), Box<dyn Error>>) {
    let mut lanes = no_lanes();
    let news = lanes.open(retention());
    body(&mut lanes, news, headline(news, Timestamp::default())).expect("an example does what it says");
}

/// What an engine has of lanes before it reads back what it wrote down: none, in the epoch `now`.
pub fn no_lanes() -> Lanes<Entries> {
    Lanes::new("now".parse().expect("an epoch is of letters"), Offset::ZERO, 0, 0)
}

/// Takes a batch as an engine does, and shows it.
///
/// # Errors
/// As [`Lanes::admit`].
pub fn take(lanes: &mut Lanes<Entries>, batch: Vec<NewEntry>) -> eric_sse::Result<()> {
    for entry in lanes.admit(batch, 0)?.entries {
        lanes.keep(entry.lane(), (&entry).into(), entry);
    }
    lanes.show(lanes.tail());
    Ok(())
}

/// Keeps more than any example has.
pub fn retention() -> Retention {
    Retention {
        max_messages: 1_000,
        max_bytes: 1_000_000,
        max_age_s: 3_600,
        history: 1_000,
        max_unread_per_listener: 1_000,
        max_unread_bytes_per_listener: 1_000_000,
        overflow: Overflow::DropOldest,
    }
}

fn headline(lane: Lane, taken_at: Timestamp) -> NewEntry {
    let message = Message::of("headline", "Eric runs").expect("a text is a payload");
    NewEntry { lane, message, key: None, taken_at }
}

/// The plainest shelf: it looks at every entry when it is asked.
#[derive(Debug, Default)]
pub struct Entries(VecDeque<(Kept, Entry)>);

impl Entries {
    /// The entry at `place`.
    pub fn get(&self, place: usize) -> Option<&Entry> {
        self.0.get(place).map(|(_, entry)| entry)
    }
}

impl Shelf for Entries {
    type Item = Entry;

    fn push(&mut self, kept: Kept, item: Entry) {
        self.0.push_back((kept, item));
    }

    fn pop(&mut self) -> Option<(Kept, Entry)> {
        self.0.pop_front()
    }

    fn first(&self) -> Option<Kept> {
        self.0.front().map(|(kept, _)| *kept)
    }

    fn last(&self) -> Option<Offset> {
        self.0.back().map(|(kept, _)| kept.offset)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self) -> u64 {
        self.bytes_of(self.len())
    }

    fn upto(&self, offset: Offset) -> Upto {
        let entries = self.0.partition_point(|(kept, _)| kept.offset <= offset);
        let last = entries.checked_sub(1).map(|last| self.0[last].0.offset);
        Upto { entries, bytes: self.bytes_of(entries), last }
    }

    fn bytes_of(&self, count: usize) -> u64 {
        self.0.iter().take(count).map(|(kept, _)| kept.bytes).sum()
    }
}
