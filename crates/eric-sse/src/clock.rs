//! Time, as the hub sees it: a [`Clock`] that is passed in, so that tests move it.
//!
//! This is the only file of the crate that asks the machine what time it is. A hub and its engine are given the same
//! clock; where none is given it is the [`SystemClock`].
//!
//! ```
//! use std::sync::Arc;
//! use eric_sse::engine::memory::MemoryEngine;
//! use eric_sse::{Clock, Hub, SystemClock};
//!
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock);
//! let hub = Hub::builder(Arc::new(MemoryEngine::new(clock.clone()))).clock(clock).open();
//! assert_eq!(hub.engine_name(), "memory");
//! ```

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
    ///
    /// ```
    /// use eric_sse::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_ms(0).to_string(), "1970-01-01T00:00:00.000Z");
    /// ```
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    ///
    /// ```
    /// use eric_sse::Timestamp;
    ///
    /// assert_eq!(Timestamp::from_ms(1_500).as_ms(), 1_500);
    /// ```
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Whole milliseconds from `earlier` to this moment; 0 where `earlier` is later.
    ///
    /// ```
    /// use eric_sse::Timestamp;
    ///
    /// let (earlier, later) = (Timestamp::from_ms(1_000), Timestamp::from_ms(1_250));
    /// assert_eq!((later.ms_since(earlier), earlier.ms_since(later)), (250, 0));
    /// ```
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
///
/// ```
/// use std::time::Duration;
/// use eric_sse::log::BoxFuture;
/// use eric_sse::{Clock, Timestamp};
///
/// /// A clock that has stopped: who waits by it waits for ever.
/// #[derive(Debug)]
/// struct Stopped(Timestamp);
///
/// impl Clock for Stopped {
///     fn now(&self) -> Timestamp {
///         self.0
///     }
///     fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
///         Box::pin(std::future::pending())
///     }
/// }
///
/// let clock = Stopped(Timestamp::from_ms(1_000));
/// assert_eq!(clock.elapsed(), Duration::from_secs(1));
/// ```
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    ///
    /// ```
    /// use eric_sse::{Clock as _, SystemClock, Timestamp};
    ///
    /// let before = SystemClock.now();
    /// assert!(before > Timestamp::default(), "it is later than 1970");
    /// ```
    fn now(&self) -> Timestamp;

    /// The present moment, or one up to 10 ms before it: for what is asked with every message and is about seconds.
    ///
    /// ```
    /// use eric_sse::{Clock as _, SystemClock};
    ///
    /// let before = SystemClock.now();
    /// assert!(before.ms_since(SystemClock.recent()) <= 10);
    /// ```
    fn recent(&self) -> Timestamp {
        self.now()
    }

    /// Time since a moment that stays the same, to measure with: finer than [`Clock::now`] where the clock can.
    ///
    /// ```
    /// use std::time::Duration;
    /// use eric_sse::{Clock as _, SystemClock};
    ///
    /// let begin = SystemClock.elapsed();
    /// let took = SystemClock.elapsed() - begin;
    /// assert!(took < Duration::from_secs(60), "a moment");
    /// ```
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now().as_ms())
    }

    /// Completes once `duration` has passed. Dropping it forgets the wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use eric_sse::Clock as _;
    /// use eric_testkit::ManualClock;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let clock = ManualClock::new();
    /// let slept = clock.sleep(Duration::from_secs(3_600));
    /// clock.advance(Duration::from_secs(3_600));
    /// slept.await;
    /// assert_eq!(clock.sleepers(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
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
    #[cfg(target_os = "linux")]
    fn now(&self) -> Timestamp {
        read(rustix::time::ClockId::Realtime)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_secs() * 1000 + u64::from(since.subsec_millis()))
    }

    /// The time of the last tick, where the kernel tells it: a fifth of the cost.
    #[cfg(target_os = "linux")]
    fn recent(&self) -> Timestamp {
        read(rustix::time::ClockId::RealtimeCoarse)
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

/// What a clock of the kernel shows.
#[cfg(target_os = "linux")]
fn read(clock: rustix::time::ClockId) -> Timestamp {
    let since = rustix::time::clock_gettime(clock);
    // A clock that was never set may be before 1970.
    let seconds = u64::try_from(since.tv_sec).unwrap_or(0);
    Timestamp(seconds * 1000 + since.tv_nsec.cast_unsigned() / 1_000_000)
}
