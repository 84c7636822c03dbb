//! The conformance suite: what every engine must do, as named checks.
//!
//! Each check gets engines of its own and a clock that it moves. Some speak to the seam ([`Engine`], with a feed
//! that records), some to a hub built on it. A check that panics or waits for something that never comes has
//! failed; the suite itself always ends.
//!
//! `rig` holds what checks share; every other module is a group of checks and ends with their list.

mod at_once;
mod cursors;
mod deliver;
mod feed;
mod gaps;
mod keep;
mod keys;
mod leases;
mod limits;
mod members;
mod order;
pub(crate) mod rig;
mod wakes;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use eric_sse::Clock;
use eric_sse::engine::Engine;
use futures_util::FutureExt as _;

use self::rig::{Check, Checked, Rig};

/// How long one check may take. On a runtime whose time is paused this costs nothing where nothing can happen
/// any more.
const CHECK_MAX: Duration = Duration::from_secs(60);

/// Makes an engine that is empty, in an epoch of its own, on the clock it is given.
pub type MakeEngine<'a> = dyn Fn(Arc<dyn Clock>) -> Arc<dyn Engine> + Send + Sync + 'a;

/// What became of the checks.
#[derive(Debug, Default)]
pub struct Report {
    /// The checks that passed.
    pub passed: Vec<&'static str>,
    /// Those that did not.
    pub failures: Vec<Failure>,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it claims.
    pub check: &'static str,
    /// What it found instead.
    pub reason: String,
}

impl Report {
    /// Whether every check passed.
    pub fn is_passed(&self) -> bool {
        self.failures.is_empty() && !self.passed.is_empty()
    }

    /// Takes down what becomes of the check that claims `check`.
    pub(crate) async fn run(&mut self, check: &'static str, run: impl Future<Output = Checked>) {
        let run = AssertUnwindSafe(run).catch_unwind();
        let reason = match tokio::time::timeout(CHECK_MAX, run).await {
            Ok(Ok(Ok(()))) => return self.passed.push(check),
            Ok(Ok(Err(wrong))) => wrong.0,
            Ok(Err(panic)) => format!("panicked: {}", panic_text(&*panic)),
            Err(_) => format!("waited {} s for what never came", CHECK_MAX.as_secs()),
        };
        self.failures.push(Failure { check, reason });
    }

    /// Whether the check that claims `check` failed.
    pub fn has_failed(&self, check: &str) -> bool {
        self.failures.iter().any(|failure| failure.check == check)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} checks passed, {} failed", self.passed.len(), self.failures.len())?;
        for Failure { check, reason } in &self.failures {
            writeln!(f, "  {check}: {reason}")?;
        }
        Ok(())
    }
}

/// Runs every check on engines that `make` makes, one after the other.
///
/// Must be polled within a Tokio runtime with time enabled. For an engine without threads of its own a runtime
/// whose time is paused makes lost wake-ups fail at once.
///
/// # Cancel safety
/// If dropped, threads of a check may run on for a moment.
pub async fn engine_suite(make: &MakeEngine<'_>) -> Report {
    let mut report = Report::default();
    for check in checks() {
        let rig = Rig::new(make);
        report.run(check.name, (check.run)(&rig)).await;
    }
    report
}

fn checks() -> impl Iterator<Item = Check> {
    let groups = [
        order::CHECKS,
        feed::CHECKS,
        keys::CHECKS,
        cursors::CHECKS,
        leases::CHECKS,
        at_once::CHECKS,
        keep::CHECKS,
        limits::CHECKS,
        members::CHECKS,
        deliver::CHECKS,
        gaps::CHECKS,
        wakes::CHECKS,
    ];
    groups.into_iter().flatten().copied()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("something that is not text")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let names: HashSet<&str> = checks().map(|check| check.name).collect();
        assert_eq!(names.len(), checks().count());
    }
}
