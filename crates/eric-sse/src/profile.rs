//! Profiles: how long callbacks take, message by message.
//!
//! A [`Profile`] wraps a listener ([`Profile::wrap`]) or measures any piece of work ([`Profile::measure`]); its
//! [`Report`] says how many there were, how fast, and which were the slowest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::clock::{Clock, SystemClock};
use crate::id::{ListenerId, MessageId};
use crate::limits::PROFILE_SLOWEST_MAX;
use crate::listener::{CallbackError, Listener};
use crate::message::{Message, MessageType};
use crate::persist::Recipe;

/// The longest time that is told apart from longer ones, in nanoseconds: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// Digits of a time that are kept.
const DIGITS: u8 = 3;

/// Measures callbacks, from any number of threads.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::listener::FnListener;
/// use eric_sse::prefab::executor::Threads;
/// use eric_sse::prefab::processing::Processing;
/// use eric_sse::profile::Profile;
/// use eric_sse::{ChannelSettings, Hub, Message};
/// use futures_util::StreamExt as _;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hub = Hub::in_memory();
/// let jobs = hub.channels().create("jobs".parse()?, ChannelSettings::default()).await?;
///
/// let profile = Arc::new(Profile::new());
/// let slow = FnListener::new("worker".parse()?, |message| Ok(drop(message.payload().as_json().to_owned())));
/// let worker = jobs.register_listener(profile.wrap(Arc::new(slow))).await?;
/// for n in 0..100 {
///     jobs.broadcast(Message::of("job", &n)?).await?;
/// }
/// jobs.process(&worker, Processing::with(2), Arc::new(Threads::new(2).unwrap())).await?.count().await;
///
/// let report = profile.report();
/// assert_eq!((report.count, report.failed), (100, 0));
/// assert!(report.p50 <= report.p99 && report.p99 <= report.max);
/// println!("{report}");
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
pub struct Profile {
    clock: Arc<dyn Clock>,
    samples: Mutex<Samples>,
}

struct Samples {
    took: Histogram<u64>,
    failed: u64,
    busy: Duration,
    /// When the first began and the last ended, by the clock.
    span: Option<(Duration, Duration)>,
    /// The slowest, the fastest of them on top.
    slowest: BinaryHeap<Reverse<Slow>>,
}

/// One of the slowest messages.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use eric_sse::Message;
/// use eric_sse::profile::Profile;
/// use eric_testkit::ManualClock;
///
/// let clock = ManualClock::new();
/// let profile = Profile::by(Arc::new(clock.clone()));
/// for (kind, ms) in [("quick", 2), ("slow", 70), ("quick", 3)] {
///     profile.measure(&Message::of(kind, &ms)?, || Ok::<(), ()>(clock.advance(Duration::from_millis(ms)))).unwrap();
/// }
/// let slowest = &profile.report().slowest[0];
/// assert_eq!((slowest.kind.as_str(), slowest.took), ("slow", Duration::from_millis(70)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// How long its callback took.
    pub took: Duration,
    /// Its type.
    pub kind: MessageType,
    /// Its id, if its publisher gave it one.
    pub id: Option<MessageId>,
    /// Bytes of its type and payload.
    pub bytes: usize,
}

impl PartialOrd for Slow {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slow {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |slow: &Self| (slow.took, slow.bytes);
        let by_name = || (self.kind.as_str(), &self.id).cmp(&(other.kind.as_str(), &other.id));
        key(self).cmp(&key(other)).then_with(by_name)
    }
}

impl Profile {
    /// Measures by the machine's clock.
    ///
    /// ```
    /// use eric_sse::profile::Profile;
    ///
    /// assert_eq!(Profile::new().report().count, 0);
    /// ```
    pub fn new() -> Self {
        Self::by(Arc::new(SystemClock))
    }

    /// Measures by `clock`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use eric_sse::Message;
    /// use eric_sse::profile::Profile;
    /// use eric_testkit::ManualClock;
    ///
    /// let clock = ManualClock::new();
    /// let profile = Profile::by(Arc::new(clock.clone()));
    /// let wait = || Ok::<(), ()>(clock.advance(Duration::from_secs(2)));
    /// profile.measure(&Message::of("job", &7)?, wait).unwrap();
    /// assert_eq!(profile.report().busy, Duration::from_secs(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn by(clock: Arc<dyn Clock>) -> Self {
        let took = Histogram::new_with_max(LONGEST_NS, DIGITS).expect("the bounds are in order");
        let samples =
            Samples { took, failed: 0, busy: Duration::ZERO, span: None, slowest: BinaryHeap::new() };
        Self { clock, samples: Mutex::new(samples) }
    }

    /// The same listener, whose callback is measured.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::profile::Profile;
    ///
    /// # eric_testkit::example(async |_hub, news, _bob| {
    /// let profile = Arc::new(Profile::new());
    /// let carol = profile.wrap(Arc::new(FnListener::new("carol".parse()?, |_| Ok(()))));
    /// let carol = news.register_listener(carol).await?;
    /// carol.start();
    /// news.broadcast(Message::of("headline", "Eric runs")?).await?;
    /// news.deliver_next(carol.id()).await?;
    /// assert_eq!(profile.report().count, 1);
    /// # Ok(())
    /// # });
    /// ```
    pub fn wrap(self: &Arc<Self>, listener: Arc<dyn Listener>) -> Arc<Profiled> {
        Arc::new(Profiled { profile: self.clone(), listener })
    }

    /// Does `work`, which is about `message`, and measures it. Where it panics that counts as a failure.
    ///
    /// # Errors
    /// Those of `work`.
    ///
    /// ```
    /// use eric_sse::Message;
    /// use eric_sse::profile::Profile;
    ///
    /// let profile = Profile::new();
    /// let message = Message::of("number", &12)?;
    /// let parsed: Result<u8, _> = profile.measure(&message, || message.payload().as_json().parse());
    /// assert_eq!((parsed.unwrap(), profile.report().count), (12, 1));
    /// # Ok::<(), eric_sse::Error>(())
    /// ```
    pub fn measure<T, E>(
        &self,
        message: &Message,
        work: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let mut measure = Measure { profile: self, message, begin: self.clock.elapsed(), has_failed: true };
        let result = work();
        measure.has_failed = result.is_err();
        result
    }

    /// What was measured so far.
    ///
    /// ```
    /// use eric_sse::Message;
    /// use eric_sse::profile::Profile;
    ///
    /// let profile = Profile::new();
    /// for text in ["12", "twelve"] {
    ///     let _ = profile.measure(&Message::of("number", text)?, || text.parse::<u64>());
    /// }
    /// let report = profile.report();
    /// assert_eq!((report.count, report.failed), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn report(&self) -> Report {
        let samples = self.samples.lock();
        let part = |part: f64| Duration::from_nanos(samples.took.value_at_quantile(part));
        let mut slowest: Vec<Slow> = samples.slowest.iter().map(|Reverse(slow)| slow.clone()).collect();
        slowest.sort_unstable_by(|one, other| other.cmp(one));
        Report {
            count: samples.took.len(),
            failed: samples.failed,
            elapsed: samples.span.map_or(Duration::ZERO, |(begin, end)| end.saturating_sub(begin)),
            busy: samples.busy,
            p50: part(0.5),
            p90: part(0.9),
            p99: part(0.99),
            max: Duration::from_nanos(samples.took.max()),
            slowest,
        }
    }

    fn record(&self, message: &Message, begin: Duration, has_failed: bool) {
        let end = self.clock.elapsed();
        let took = end.saturating_sub(begin);
        let slow =
            || Slow { took, kind: message.kind().clone(), id: message.id().cloned(), bytes: message.bytes() };
        let mut samples = self.samples.lock();
        samples.took.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        samples.failed += u64::from(has_failed);
        samples.busy += took;
        let (first, last) = samples.span.unwrap_or((begin, end));
        samples.span = Some((first.min(begin), last.max(end)));
        if samples.slowest.len() < PROFILE_SLOWEST_MAX {
            samples.slowest.push(Reverse(slow()));
        } else if samples.slowest.peek().is_some_and(|Reverse(fastest)| fastest.took < took) {
            samples.slowest.pop();
            samples.slowest.push(Reverse(slow()));
        }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("count", &self.samples.lock().took.len()).finish_non_exhaustive()
    }
}

/// One callback that runs.
struct Measure<'a> {
    profile: &'a Profile,
    message: &'a Message,
    begin: Duration,
    has_failed: bool,
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        self.profile.record(self.message, self.begin, self.has_failed);
    }
}

/// A listener whose callback is measured; see [`Profile::wrap`].
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::listener::FnListener;
/// use eric_sse::profile::{Profile, Profiled};
/// use eric_sse::{Listener as _, Message};
///
/// let profile = Arc::new(Profile::new());
/// let bob: Arc<Profiled> = profile.wrap(Arc::new(FnListener::new("bob".parse()?, |_| Ok(()))));
/// bob.on_message(&Message::of("headline", "Eric runs")?).unwrap();
/// assert_eq!((bob.id().as_str(), profile.report().count), ("bob", 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Profiled {
    profile: Arc<Profile>,
    listener: Arc<dyn Listener>,
}

impl Listener for Profiled {
    fn id(&self) -> &ListenerId {
        self.listener.id()
    }

    fn recipe(&self) -> Option<Recipe> {
        self.listener.recipe()
    }

    fn on_message(&self, message: &Message) -> Result<(), CallbackError> {
        self.profile.measure(message, || self.listener.on_message(message))
    }
}

impl fmt::Debug for Profiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiled").field("id", self.listener.id()).finish_non_exhaustive()
    }
}

/// What a [`Profile`] measured. It prints as a table.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use eric_sse::Message;
/// use eric_sse::profile::Profile;
/// use eric_testkit::ManualClock;
///
/// let clock = ManualClock::new();
/// let profile = Profile::by(Arc::new(clock.clone()));
/// let message = Message::of("job", &7)?;
/// for ms in 1..=100 {
///     profile.measure(&message, || Ok::<(), ()>(clock.advance(Duration::from_millis(ms)))).unwrap();
/// }
/// let report = profile.report();
/// assert_eq!((report.p50.as_millis(), report.p99.as_millis(), report.max.as_millis()), (50, 99, 100));
/// assert!(report.to_string().starts_with("  messages   failed    elapsed       busy throughput"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Callbacks that ran.
    pub count: u64,
    /// Those of them that failed or panicked.
    pub failed: u64,
    /// From the beginning of the first to the end of the last.
    pub elapsed: Duration,
    /// The sum of their times; more than `elapsed` where several ran at once.
    pub busy: Duration,
    /// The time within which half of them were done; times are exact to three digits.
    pub p50: Duration,
    /// The time within which nine of ten were done.
    pub p90: Duration,
    /// The time within which 99 of 100 were done.
    pub p99: Duration,
    /// The longest time.
    pub max: Duration,
    /// The slowest messages, the slowest first; at most [`PROFILE_SLOWEST_MAX`].
    pub slowest: Vec<Slow>,
}

impl Report {
    /// Messages a second, over `elapsed`; none where no time has passed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use eric_sse::Message;
    /// use eric_sse::profile::Profile;
    /// use eric_testkit::ManualClock;
    ///
    /// let clock = ManualClock::new();
    /// let profile = Profile::by(Arc::new(clock.clone()));
    /// assert_eq!(profile.report().throughput(), None, "no time has passed");
    /// for n in 0..100 {
    ///     let work = || Ok::<(), ()>(clock.advance(Duration::from_millis(20)));
    ///     profile.measure(&Message::of("job", &n)?, work).unwrap();
    /// }
    /// assert_eq!(profile.report().throughput(), Some(50.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn throughput(&self) -> Option<f64> {
        (!self.elapsed.is_zero()).then(|| self.count as f64 / self.elapsed.as_secs_f64())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, failed, elapsed, busy, p50, p90, p99, max, slowest } = self;
        let throughput = self.throughput().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}/s"));
        writeln!(
            f,
            "{:>10} {:>8} {:>10} {:>10} {:>10}",
            "messages", "failed", "elapsed", "busy", "throughput"
        )?;
        writeln!(f, "{count:>10} {failed:>8} {elapsed:>10.1?} {busy:>10.1?} {throughput:>10}")?;
        writeln!(f, "{:>10} {:>8} {:>10} {:>10}", "p50", "p90", "p99", "max")?;
        write!(f, "{p50:>10.1?} {p90:>8.1?} {p99:>10.1?} {max:>10.1?}")?;
        if !slowest.is_empty() {
            write!(f, "\n{:>10} {:>8}  slowest", "took", "bytes")?;
        }
        for Slow { took, kind, id, bytes } in slowest {
            write!(f, "\n{took:>10.1?} {bytes:>8}  {kind}")?;
            if let Some(id) = id {
                write!(f, " id={id}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::log::BoxFuture;

    /// A clock that a callback moves.
    #[derive(Debug, Clone, Default)]
    struct Hand(Arc<Mutex<Duration>>);

    impl Hand {
        fn forward(&self, ms: u64) {
            *self.0.lock() += Duration::from_millis(ms);
        }
    }

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn elapsed(&self) -> Duration {
            *self.0.lock()
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    fn measured(times_ms: impl IntoIterator<Item = u64>) -> (Hand, Profile) {
        let hand = Hand::default();
        let profile = Profile::by(Arc::new(hand.clone()));
        for ms in times_ms {
            let message = Message::of("job", &ms).unwrap();
            let done: Result<(), ()> = profile.measure(&message, || {
                hand.forward(ms);
                Ok(())
            });
            done.unwrap();
        }
        (hand, profile)
    }

    fn is_about(found: Duration, ms: u64) -> bool {
        let expected = Duration::from_millis(ms);
        found.abs_diff(expected) <= expected / 500
    }

    #[test]
    fn a_report_tells_how_many_how_fast_and_how_they_are_spread() {
        let report = measured(1..=100).1.report();
        assert_eq!((report.count, report.failed), (100, 0));
        assert_eq!(
            (report.elapsed, report.busy),
            (Duration::from_millis(5_050), Duration::from_millis(5_050))
        );
        assert_eq!(report.throughput().unwrap().round(), 20.0);
        for (found, ms) in [(report.p50, 50), (report.p90, 90), (report.p99, 99), (report.max, 100)] {
            assert!(is_about(found, ms), "{found:?} instead of {ms} ms");
        }
    }

    #[test]
    fn the_ten_slowest_are_named_and_no_more() {
        for (count, named) in [(10, 10), (11, 10)] {
            let report = measured((1..=count).rev().map(|n| n * 7)).1.report();
            let slowest: Vec<Duration> = report.slowest.iter().map(|slow| slow.took).collect();
            assert_eq!(slowest.len(), PROFILE_SLOWEST_MAX.min(named));
            let expected: Vec<_> =
                (1..=count).rev().take(PROFILE_SLOWEST_MAX).map(|n| Duration::from_millis(n * 7)).collect();
            assert_eq!(slowest, expected);
        }
    }

    #[test]
    fn what_fails_or_panics_is_measured_as_well() {
        let (hand, profile) = measured([]);
        let message = Message::of("job", &1).unwrap();
        profile.measure(&message, || Err::<(), _>("no")).unwrap_err();
        let panics = || {
            profile.measure(&message, || -> Result<(), ()> {
                hand.forward(3);
                panic!("halfway")
            })
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
        let report = profile.report();
        assert_eq!((report.count, report.failed, report.elapsed), (2, 2, Duration::from_millis(3)));
    }

    #[test]
    fn nothing_measured_is_a_report_too() {
        let report = measured([]).1.report();
        assert_eq!((report.count, report.max, report.throughput()), (0, Duration::ZERO, None));
        assert!(report.to_string().contains("throughput"));
    }

    #[test]
    fn a_report_prints_as_a_table() {
        let expected = [
            "  messages   failed    elapsed       busy throughput",
            "         2        0     15.0ms     15.0ms      133/s",
            "       p50      p90        p99        max",
            "     5.0ms   10.0ms     10.0ms     10.0ms",
            "      took    bytes  slowest",
            "    10.0ms        5  job",
            "     5.0ms        4  job",
        ];
        assert_eq!(measured([5, 10]).1.report().to_string(), expected.join("\n"));
    }
}
