//! A clock that stands still until a test moves it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use eric_sse::{Clock, Timestamp};
use parking_lot::Mutex;

/// When every manual clock begins: 2026-11-23T00:00:00Z.
const BEGINNING_MS: u64 = 1_795_392_000_000;

/// A [`Clock`] that tests move. Cloning shares it.
///
/// ```
/// use std::time::Duration;
/// use eric_sse::Clock;
/// use eric_verify::ManualClock;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now().ms_since(before), 5_000);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now_ms: u64,
    sleepers: Vec<Waker>,
}

impl ManualClock {
    /// A clock that stands at an arbitrary moment, always the same.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { now_ms: BEGINNING_MS, sleepers: Vec::new() })))
    }

    /// Moves time; whoever slept until then, or before, goes on.
    pub fn advance(&self, by: Duration) {
        let sleepers = {
            let mut state = self.0.lock();
            state.now_ms += u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            std::mem::take(&mut state.sleepers)
        };
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// How many waits were polled since time last moved, and are not over.
    pub fn sleepers(&self) -> usize {
        self.0.lock().sleepers.len()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.lock().now_ms)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let until_ms = self.now().as_ms() + u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Box::pin(Sleep { clock: self.clone(), until_ms })
    }
}

struct Sleep {
    clock: ManualClock,
    until_ms: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.0.lock();
        if state.now_ms >= self.until_ms {
            return Poll::Ready(());
        }
        let waker = context.waker();
        if !state.sleepers.iter().any(|sleeper| sleeper.will_wake(waker)) {
            state.sleepers.push(waker.clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_sleep_is_over_when_its_time_has_come_and_not_before() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep(Duration::from_millis(10));
        assert_eq!((&mut sleep).now_or_never(), None);
        clock.advance(Duration::from_millis(9));
        assert_eq!((&mut sleep).now_or_never(), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!((&mut sleep).now_or_never(), Some(()));
    }
}
