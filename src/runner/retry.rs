//! How often, and how soon, an item that failed is tried again in one run.

use std::time::Duration;

/// Attempts at an item within one run, and the waits between them.
///
/// While an item waits, others are worked on; up to 1024 wait at once. Each failed
/// attempt is an error of the item and the run. Only an item that has no attempt left
/// counts as failed.
///
/// ```
/// use procstate::Retry;
/// use std::time::Duration;
///
/// // Three attempts; 100 ms before the second, 200 ms before the third.
/// let retry = Retry::attempts(3).initial(Duration::from_millis(100));
/// # let _ = retry;
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    attempts_max: u32,
    initial: Duration,
    factor: f64,
    backoff_max: Duration,
}

impl Retry {
    /// Up to `max` attempts, counting the first; at least 1. By default the second
    /// comes after 1 s, each further one after twice that, up to 1 minute.
    #[must_use]
    pub fn attempts(max: u32) -> Self {
        Self {
            attempts_max: max.max(1),
            initial: Duration::from_secs(1),
            factor: 2.0,
            backoff_max: Duration::from_secs(60),
        }
    }

    /// The wait before the second attempt. Default: 1 s.
    #[must_use]
    pub fn initial(mut self, wait: Duration) -> Self {
        self.initial = wait;
        self
    }

    /// By how much each wait is longer than the one before; at least 1. Default: 2.
    ///
    /// ```
    /// use procstate::Retry;
    /// use std::time::Duration;
    ///
    /// // Waits 1 s, 3 s, 9 s, 10 s.
    /// let retry = Retry::attempts(5).initial(Duration::from_secs(1)).factor(3.0).max_backoff(Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        // Also what becomes of NaN.
        self.factor = factor.max(1.0);
        self
    }

    /// The longest wait. Default: 1 minute.
    #[must_use]
    pub fn max_backoff(mut self, wait: Duration) -> Self {
        self.backoff_max = wait;
        self
    }

    /// Whether another attempt may follow the `attempt`-th.
    pub(crate) fn is_left_after(&self, attempt: u32) -> bool {
        attempt < self.attempts_max
    }

    /// The wait after the `attempt`-th attempt, which is 1 or more.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.factor.powi(exponent);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).min(self.backoff_max)
    }
}

/// One attempt.
impl Default for Retry {
    fn default() -> Self {
        Self::attempts(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let retry = Retry::attempts(9)
            .initial(Duration::from_millis(100))
            .factor(3.0)
            .max_backoff(Duration::from_secs(2));
        let waits: Vec<_> = (1..=5).map(|attempt| retry.backoff(attempt).as_millis()).collect();
        assert_eq!(waits, [100, 300, 900, 2000, 2000]);
        assert_eq!(retry.backoff(u32::MAX), Duration::from_secs(2));
    }

    #[test]
    fn senseless_numbers_do_no_harm() {
        let retry = Retry::attempts(0).factor(f64::NAN);
        assert!(!retry.is_left_after(1));
        assert_eq!(retry.backoff(5), Duration::from_secs(1));
    }

    #[test]
    fn three_attempts_are_three() {
        let retry = Retry::attempts(3);
        assert_eq!([1, 2, 3].map(|attempt| retry.is_left_after(attempt)), [true, true, false]);
    }
}
