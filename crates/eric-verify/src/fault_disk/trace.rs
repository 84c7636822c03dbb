//! The last operations in their order, for tests of what comes before what.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::plan::{Op, What};

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Traced {
    /// What was done to the disk.
    Operation {
        /// Its kind.
        op: Op,
        /// The file's name at that moment; empty if it is about all names.
        name: Arc<str>,
        /// The name that it was given instead, of a rename.
        to: Option<Arc<str>>,
        /// The bytes that it was about; none where it was about all.
        bytes: Range<u64>,
        /// Whether it answered that it was done.
        is_ok: bool,
        /// The fault that was planned for it. A sync that succeeded with a fault made nothing durable.
        fault: Option<What>,
    },
    /// What the test noted.
    Note(String),
}

/// A bounded log.
pub(super) struct Trace {
    lines: VecDeque<Traced>,
    lines_max: usize,
}

impl Trace {
    pub(super) fn new(lines_max: usize) -> Self {
        Self { lines: VecDeque::new(), lines_max }
    }

    pub(super) fn push(&mut self, line: Traced) {
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    pub(super) fn lines(&self) -> Vec<Traced> {
        self.lines.iter().cloned().collect()
    }
}
