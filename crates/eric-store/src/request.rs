//! What callers ask of the writer, and what they are answered once it is durable.

use bytes::Bytes;
use eric_sse::cursor::{Commit, Committed, Conflict, Fence, Joined, Lease};
use eric_sse::lane::{Lane, Retention};
use eric_sse::log::{NewEntry, Resolver, Taken};
use eric_sse::{Error, Result};

use crate::format::entry::ENTRY_OVERHEAD_BYTES_MAX;
use crate::format::frame::RECORD_OVERHEAD_BYTES;

/// Bytes that the numbers of a small record take at most.
const NUMBERS_BYTES_MAX: usize = 100;
/// Bytes that a moved cursor takes at most.
const MOVED_BYTES_MAX: usize = 4 * 10;

/// A change that waits for the writer.
#[derive(Debug)]
pub(crate) enum Request {
    Open(Retention, Resolver<Lane>),
    Retain(Lane, Retention, Resolver<()>),
    Close(Lane, Resolver<()>),
    Submit(Vec<NewEntry>, Resolver<Vec<Taken>>),
    Join(Lane, Resolver<Joined>),
    Leave(Lane, Resolver<()>),
    Lease(Lane, Conflict, Resolver<Lease>),
    Release(Lane, Fence, Resolver<()>),
    Commit(Vec<Commit>, Resolver<Vec<Result<Committed>>>),
    Upsert(String, Bytes, Resolver<()>),
    Delete(String, Resolver<()>),
}

impl Request {
    /// Bytes that its record takes at most.
    pub(crate) fn room(&self) -> usize {
        let body = match self {
            Self::Submit(batch, _) => {
                batch.iter().map(|new| new.message.bytes() + ENTRY_OVERHEAD_BYTES_MAX).sum()
            }
            Self::Commit(commits, _) => commits.len() * MOVED_BYTES_MAX,
            Self::Upsert(key, value, _) => key.len() + value.len() + NUMBERS_BYTES_MAX,
            Self::Delete(key, _) => key.len() + NUMBERS_BYTES_MAX,
            Self::Lease(..) | Self::Release(..) => return 0,
            Self::Open(..) | Self::Retain(..) | Self::Close(..) | Self::Join(..) | Self::Leave(..) => {
                NUMBERS_BYTES_MAX
            }
        };
        RECORD_OVERHEAD_BYTES + body
    }

    /// Whether it makes the log larger for good, and so must leave the rest to those that make it smaller.
    pub(crate) fn is_growth(&self) -> bool {
        matches!(self, Self::Submit(..) | Self::Open(..) | Self::Join(..) | Self::Upsert(..))
    }

    /// Bytes of memory that it takes while it waits, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Submit(batch, _) => {
                batch.iter().map(|new| new.message.bytes() + size_of::<NewEntry>()).sum()
            }
            Self::Commit(commits, _) => commits.len() * size_of::<Commit>(),
            Self::Upsert(key, value, _) => key.len() + value.len(),
            _ => 0,
        }
    }

    /// Answers that it did not happen.
    pub(crate) fn refuse(self, error: Error) {
        match self {
            Self::Open(_, resolver) => resolver.resolve(Err(error)),
            Self::Submit(_, resolver) => resolver.resolve(Err(error)),
            Self::Join(_, resolver) => resolver.resolve(Err(error)),
            Self::Lease(_, _, resolver) => resolver.resolve(Err(error)),
            Self::Commit(_, resolver) => resolver.resolve(Err(error)),
            Self::Retain(_, _, resolver)
            | Self::Close(_, resolver)
            | Self::Leave(_, resolver)
            | Self::Release(_, _, resolver)
            | Self::Upsert(_, _, resolver)
            | Self::Delete(_, resolver) => resolver.resolve(Err(error)),
        }
    }
}

/// An answer that waits until what it tells is durable.
#[derive(Debug)]
pub(crate) enum Answer {
    Nothing(Resolver<()>, Result<()>),
    Lane(Resolver<Lane>, Result<Lane>),
    Taken(Resolver<Vec<Taken>>, Result<Vec<Taken>>),
    Joined(Resolver<Joined>, Result<Joined>),
    Lease(Resolver<Lease>, Result<Lease>),
    Committed(Resolver<Vec<Result<Committed>>>, Vec<Result<Committed>>),
}

impl Answer {
    /// Gives the answer: it is durable.
    pub(crate) fn give(self) {
        match self {
            Self::Nothing(resolver, result) => resolver.resolve(result),
            Self::Lane(resolver, result) => resolver.resolve(result),
            Self::Taken(resolver, result) => resolver.resolve(result),
            Self::Joined(resolver, result) => resolver.resolve(result),
            Self::Lease(resolver, result) => resolver.resolve(result),
            Self::Committed(resolver, results) => resolver.resolve(Ok(results)),
        }
    }

    /// Answers that it is not known what became of it.
    pub(crate) fn withhold(self, error: Error) {
        match self {
            Self::Nothing(resolver, _) => resolver.resolve(Err(error)),
            Self::Lane(resolver, _) => resolver.resolve(Err(error)),
            Self::Taken(resolver, _) => resolver.resolve(Err(error)),
            Self::Joined(resolver, _) => resolver.resolve(Err(error)),
            Self::Lease(resolver, _) => resolver.resolve(Err(error)),
            Self::Committed(resolver, _) => resolver.resolve(Err(error)),
        }
    }
}
