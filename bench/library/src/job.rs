//! What is measured: rows of the table.

/// Something that a user of such a library does, a great many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// A message to one listener, which is then asked for the next one; each through its connection.
    DeliverNext,
    /// The same through the channel, which looks the listener up by its id.
    DeliverNextById,
    /// A message to one listener, whose stream yields it.
    Next,
    /// The same through the channel, which looks the listener up by its id.
    NextById,
    /// The same with an id on every message, by which a repetition would be recognised.
    NextWithIds,
    /// So many messages to one listener at once, whose stream yields them.
    Batches(usize),
    /// The same with an id on every message.
    BatchesWithIds,
    /// A broadcast to [`LISTENERS`], each of which is asked for the next one.
    BroadcastDeliverNext,
    /// A broadcast to [`LISTENERS`], whose streams yield it.
    Broadcast,
    /// [`BATCH`] broadcasts to [`LISTENERS`], whose streams then yield them.
    Broadcasts,
    /// A stream that yields what waits in its queue.
    Drain,
    /// A queue worked on by [`WORKERS`], whose callback does nothing.
    Process,
}

pub(crate) const BATCH: usize = 100;
pub(crate) const LISTENERS: usize = 1_000;
pub(crate) const WORKERS: usize = 6;
/// Messages that wait in a queue that is drained.
pub(crate) const QUEUED: usize = 10_000;

impl Job {
    pub(crate) const ALL: [Self; 13] = [
        Self::DeliverNext,
        Self::DeliverNextById,
        Self::Next,
        Self::NextById,
        Self::NextWithIds,
        Self::Batches(BATCH),
        Self::Batches(10 * BATCH),
        Self::BatchesWithIds,
        Self::BroadcastDeliverNext,
        Self::Broadcast,
        Self::Broadcasts,
        Self::Drain,
        Self::Process,
    ];

    /// What it is called in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::DeliverNext => "`dispatch`, `deliver_next`",
            Self::DeliverNextById => "`dispatch`, `deliver_next`, by the listener's id",
            Self::Next => "`dispatch`, `next` of the stream",
            Self::NextById => "`dispatch`, `next` of the stream, by the listener's id",
            Self::NextWithIds => "`dispatch`, `next` of the stream, each message with an id",
            Self::Batches(BATCH) => "`dispatch_batch` of 100, 100 × `next`",
            Self::Batches(_) => "`dispatch_batch` of 1,000, 1,000 × `next`",
            Self::BatchesWithIds => "the same 1,000, each message with an id",
            Self::BroadcastDeliverNext => "`broadcast`, `deliver_next` for each of 1,000",
            Self::Broadcast => "`broadcast`, `next` of 1,000 streams",
            Self::Broadcasts => "100 × `broadcast`, then 1,000 streams",
            Self::Drain => "stream of 10,000 that wait",
            Self::Process => "processing, 6 workers that do nothing",
        }
    }

    /// What Python's side is told to do: what is nearest, and fastest.
    pub(crate) fn in_python(self) -> &'static str {
        match self {
            Self::DeliverNext
            | Self::DeliverNextById
            | Self::Next
            | Self::NextById
            | Self::NextWithIds
            | Self::Batches(_)
            | Self::BatchesWithIds => "one",
            Self::BroadcastDeliverNext | Self::Broadcast | Self::Broadcasts => "broadcast",
            Self::Drain => "drain",
            Self::Process => "process",
        }
    }

    /// How often the loop of the job runs in a round; a few tenths of a second each.
    pub(crate) fn repetitions(self) -> usize {
        match self {
            Self::DeliverNext | Self::DeliverNextById | Self::Next | Self::NextById | Self::NextWithIds => {
                600_000
            }
            Self::Batches(messages) => 600_000 / messages,
            Self::BatchesWithIds => 200,
            Self::BroadcastDeliverNext => 200,
            Self::Broadcast => 1_000,
            Self::Broadcasts => 20,
            Self::Drain => 50,
            Self::Process => 10,
        }
    }

    /// Messages that one receiver is sent before it takes them.
    pub(crate) fn at_once(self) -> usize {
        match self {
            Self::DeliverNext | Self::DeliverNextById | Self::Next | Self::NextById | Self::NextWithIds => 1,
            Self::Batches(messages) => messages,
            Self::BatchesWithIds => 10 * BATCH,
            Self::BroadcastDeliverNext | Self::Broadcast => 1,
            Self::Broadcasts => BATCH,
            Self::Drain | Self::Process => QUEUED,
        }
    }

    /// Messages that are delivered by one repetition.
    pub(crate) fn messages(self) -> usize {
        match self {
            Self::BroadcastDeliverNext | Self::Broadcast | Self::Broadcasts => self.at_once() * LISTENERS,
            _ => self.at_once(),
        }
    }
}
