//! When to try again: waits that double and are spread, so that many clients do not come back at once.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::limits::REPUBLISH_S_MAX;

/// How long what failed is tried again: publishing and acknowledging, which can be repeated without harm.
///
/// ```
/// use std::time::Duration;
/// use eric_client::{HttpClient, RetryPolicy};
///
/// let patient = RetryPolicy { give_up_after: Duration::from_secs(120), ..RetryPolicy::default() };
/// let hub = HttpClient::new("http://127.0.0.1:8000")?.with_retry(patient);
/// assert_eq!(RetryPolicy::never().give_up_after, Duration::ZERO);
/// # Ok::<(), eric_client::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// No further attempt begins later than this after the first, nor later than
    /// [`REPUBLISH_S_MAX`]; zero is one attempt.
    pub give_up_after: Duration,
    /// About how long to wait before the second attempt; each further wait is twice as long.
    pub first: Duration,
    /// The longest wait, unless the hub asks for more.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_secs(30),
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// One attempt.
    ///
    /// ```
    /// # use eric_client::{HttpClient, Message};
    /// use eric_client::{ErrorKind, RetryPolicy};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let nobody = HttpClient::new("http://127.0.0.1:1")?.with_retry(RetryPolicy::never());
    /// let error = nobody.broadcast(&"news".parse()?, Message::of("tick", &7)?).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unreachable);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn never() -> Self {
        Self { give_up_after: Duration::ZERO, first: Duration::ZERO, longest: Duration::ZERO }
    }

    /// The first attempt begins now.
    pub(crate) fn begin(self) -> Attempts {
        let most = self.give_up_after.min(Duration::from_secs(REPUBLISH_S_MAX));
        Attempts { started_at: Instant::now(), most, back_off: BackOff::new(self.first, self.longest) }
    }
}

/// Attempts at the same thing.
#[derive(Debug)]
pub(crate) struct Attempts {
    started_at: Instant,
    most: Duration,
    back_off: BackOff,
}

impl Attempts {
    /// Waits until it is time for another attempt, or returns `error`, which ended the last one.
    pub(crate) async fn again(&mut self, error: Error) -> Result<(), Error> {
        if !error.is_worth_a_retry() {
            return Err(error);
        }
        let pause = self.back_off.pause(error.retry_after());
        if self.started_at.elapsed() + pause >= self.most {
            return Err(error);
        }
        sleep(pause).await;
        Ok(())
    }
}

/// Waits that double.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BackOff {
    next: Duration,
    longest: Duration,
}

impl BackOff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest: longest.max(first) }
    }

    /// How long to wait now: between half and all of what is due, and no less than `least`.
    pub(crate) fn pause(&mut self, least: Option<Duration>) -> Duration {
        let half = self.next / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        self.next = (self.next * 2).min(self.longest);
        (half + Duration::from_micros(fastrand::u64(0..=spread))).max(least.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_double_up_to_the_longest_and_are_spread_over_half_of_it(first in 0_u64..10_000, longest in 0_u64..60_000) {
            let mut back_off = BackOff::new(Duration::from_millis(first), Duration::from_millis(longest));
            for doublings in 0..10 {
                let due = Duration::from_millis((first << doublings).min(longest.max(first)));
                let pause = back_off.pause(None);
                prop_assert!(due / 2 <= pause && pause <= due, "{pause:?} of {due:?}");
            }
        }
    }

    #[test]
    fn the_hub_s_word_is_the_least() {
        let mut back_off = BackOff::new(Duration::from_millis(1), Duration::from_millis(2));
        assert_eq!(back_off.pause(Some(Duration::from_secs(9))), Duration::from_secs(9));
    }

    async fn attempts(policy: RetryPolicy) -> (u32, Duration) {
        let (mut attempts, mut tried, start) = (policy.begin(), 1, Instant::now());
        while attempts.again(Error::unreachable("gone")).await.is_ok() {
            tried += 1;
        }
        (tried, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_tried_again_after_the_policy_s_end_nor_after_republish_s_max() {
        assert_eq!(attempts(RetryPolicy::never()).await.0, 1);
        let (tried, elapsed) = attempts(RetryPolicy::default()).await;
        assert!(tried > 8 && elapsed < RetryPolicy::default().give_up_after, "{tried} {elapsed:?}");
        let endless = RetryPolicy { give_up_after: Duration::MAX, ..RetryPolicy::default() };
        let (_, elapsed) = attempts(endless).await;
        let most = Duration::from_secs(REPUBLISH_S_MAX);
        assert!(elapsed < most && elapsed + endless.longest > most, "{elapsed:?}");
    }
}
