//! Time, as the hub sees it: a [`Clock`] that is passed in, so that tests move it.
//!
//! This is the only file of the crate that asks the machine what time it is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Milliseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use eric_sse::Timestamp;
///
/// assert_eq!(Timestamp::from_ms(1_795_399_738_871).to_string(), "2026-11-23T02:08:58.871Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `ms` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Whole milliseconds from `earlier` to this moment; 0 where `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC, milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        let moment = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{moment:.3}")
    }
}

/// What time it is, and how to wait. Callers may call concurrently; time may stand still, and may go back.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Time since a moment that stays the same, to measure with: finer than [`Clock::now`] where the clock can.
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now().as_ms())
    }

    /// Completes once `duration` has passed. Dropping it forgets the wait.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The machine's clock. Its `sleep` needs a Tokio runtime with time enabled.
///
/// ```
/// use eric_sse::{Clock, SystemClock};
///
/// assert!(SystemClock.now().as_ms() > 1_700_000_000_000);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_secs() * 1000 + u64::from(since.subsec_millis()))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn elapsed(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGIN.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}
