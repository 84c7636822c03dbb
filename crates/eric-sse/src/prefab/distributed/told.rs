//! What an application tells of while it runs.

use super::Missed;
use crate::entry::Position;
use crate::error::Error;
use crate::listener::CallbackError;
use crate::message::Message;

/// A message that was handled.
#[derive(Debug)]
pub struct Happening {
    /// Where it stood.
    pub position: Position,
    /// What it was.
    pub message: Message,
    /// What came of it.
    pub outcome: Outcome,
    /// Why some of its answers did not reach the sender, who may be gone.
    pub undelivered: Vec<Error>,
}

/// What came of a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Its action ran, and gave so many answers.
    Answered(usize),
    /// It is the answer to a request that waited for it.
    Response,
    /// The application was started, as it had been already.
    Started,
    /// The application is stopped.
    Stopped,
    /// There is no action of its type.
    Unknown,
    /// Its action failed or panicked; there are no answers.
    Failed(CallbackError),
    /// It was handled before; answers that were recorded were sent again.
    Repeated(usize),
}

/// Why an application runs no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Over {
    /// A message of the type [`STOP`](super::STOP) came.
    Stopped,
    /// Its listener was stopped or removed, or somebody else reads its queue.
    Left,
}

/// What an application tells of.
#[derive(Debug)]
#[non_exhaustive]
pub enum Told {
    /// A message was handled.
    Handled(Happening),
    /// Messages are gone before they came.
    Missed(Missed),
}
