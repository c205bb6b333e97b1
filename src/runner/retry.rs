//! Retries of failed items within a run.

use std::time::Duration;

/// The number of attempts at an item within a run, and the waits between them.
///
/// While an item waits, others are processed; up to 1,024 may wait at once. Each failed attempt is
/// an error of the item and the run. An item has failed only when it has no attempts left.
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
    /// Allows up to `max` attempts including the first; at least 1.
    ///
    /// By default the second follows after 1 s, and each wait is twice the previous one, up to 1
    /// minute.
    #[must_use]
    pub fn attempts(max: u32) -> Self {
        Self {
            attempts_max: max.max(1),
            initial: Duration::from_secs(1),
            factor: 2.0,
            backoff_max: Duration::from_secs(60),
        }
    }

    /// Sets the wait before the second attempt. Default: 1 s.
    #[must_use]
    pub fn initial(mut self, wait: Duration) -> Self {
        self.initial = wait;
        self
    }

    /// Sets the factor between successive waits; at least 1. Default: 2.
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
        // Also handles NaN.
        self.factor = factor.max(1.0);
        self
    }

    /// Sets the maximum wait. Default: 1 minute.
    #[must_use]
    pub fn max_backoff(mut self, wait: Duration) -> Self {
        self.backoff_max = wait;
        self
    }

    /// Reports whether another attempt may follow attempt number `attempt`.
    pub(crate) fn is_left_after(&self, attempt: u32) -> bool {
        attempt < self.attempts_max
    }

    /// Returns the wait after attempt number `attempt`, which starts with 1.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.factor.powi(exponent);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).min(self.backoff_max)
    }
}

/// A single attempt.
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
    fn invalid_numbers_do_no_harm() {
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
