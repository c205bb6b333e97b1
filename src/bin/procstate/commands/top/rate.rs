//! The rate of a run, measured from samples.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use prost_types::Timestamp;

/// The time window of the measurement.
const WINDOW: Duration = Duration::from_secs(30);

/// Samples of the number of ended items.
#[derive(Default)]
pub(super) struct Rate {
    /// The start of the run.
    run: Option<Timestamp>,
    seen: VecDeque<(Instant, u64)>,
}

impl Rate {
    pub(super) fn see(&mut self, at: Instant, run: Option<Timestamp>, ended: u64) {
        let is_less = self.seen.back().is_some_and(|(_, before)| ended < *before);
        if run != self.run || is_less {
            self.seen.clear();
        }
        self.run = run;
        self.seen.push_back((at, ended));
        // Keeps one sample before the window as the start of the measurement.
        while self.seen.get(1).is_some_and(|(second, _)| at.duration_since(*second) >= WINDOW) {
            self.seen.pop_front();
        }
    }

    /// Returns the items per second; `None` before the second sample.
    #[allow(clippy::cast_precision_loss, reason = "a rate for a person")]
    pub(super) fn per_second(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.seen.front()?, self.seen.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        (seconds > 0.0).then(|| after.saturating_sub(*before) as f64 / seconds)
    }

    /// Returns how long this many items take; `None` if unknown.
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn time_for(&self, items: u64) -> Option<Duration> {
        Duration::try_from_secs_f64(items as f64 / self.per_second()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_measured_within_one_run() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        rate.see(at(0), None, 100);
        assert_eq!((rate.per_second(), rate.time_for(10)), (None, None));
        rate.see(at(10), None, 150);
        assert_eq!((rate.per_second(), rate.time_for(10)), (Some(5.0), Some(Duration::from_secs(2))));
        let next = Some(Timestamp { seconds: 1, nanos: 0 });
        rate.see(at(11), next, 200);
        assert_eq!(rate.per_second(), None);
        rate.see(at(12), next, 200);
        assert_eq!((rate.per_second(), rate.time_for(10)), (Some(0.0), None));
        rate.see(at(13), next, 3);
        assert_eq!(rate.per_second(), None);
    }

    #[test]
    fn old_samples_are_dropped() {
        let begin = Instant::now();
        let mut rate = Rate::default();
        for second in 0..100 {
            rate.see(begin + Duration::from_secs(second), None, if second < 60 { second * 10 } else { 600 });
        }
        assert_eq!(rate.per_second(), Some(0.0));
        assert!(rate.seen.len() < 40);
    }
}
