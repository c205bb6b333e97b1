//! Measures the duration of successive calls.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Times of calls, in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    /// Percentiles and times for the plot, as far as there are calls beyond.
    pub curve: Vec<(f64, f64)>,
}

/// The calls of a thread, or of several.
pub struct Calls {
    nanos: Histogram<u64>,
    pub took: Duration,
    /// Including calls before the measurement.
    pub made: u64,
}

impl Calls {
    /// Makes calls for `time`, at most `max`, after an uncounted warm-up of a tenth of the time.
    pub fn make(time: Duration, max: u64, mut call: impl FnMut(u64) -> Result<()>) -> Result<Self> {
        let mut nanos = Histogram::new(3)?;
        let mut made = 0;
        let warm = Instant::now();
        while warm.elapsed() < time / 10 && made < max / 10 {
            made += 1;
            call(made)?;
        }
        let began = Instant::now();
        let mut last = began;
        while (last - began < time && nanos.len() < max) || nanos.is_empty() {
            made += 1;
            call(made)?;
            let now = Instant::now();
            nanos.record((now - last).as_nanos() as u64)?;
            last = now;
        }
        Ok(Self { nanos, took: last - began, made })
    }

    /// Combines concurrent calls.
    pub fn and(mut self, other: Self) -> Self {
        self.nanos += other.nanos;
        self.took = self.took.max(other.took);
        self.made += other.made;
        self
    }

    pub fn counted(&self) -> u64 {
        self.nanos.len()
    }

    pub fn latency(&self) -> Latency {
        const POINTS_PER_DECADE: i32 = 12;
        let micros = |percent: f64| self.nanos.value_at_percentile(percent) as f64 / 1e3;
        let beyond = (0..).map(|point| 10f64.powf(-f64::from(point) / f64::from(POINTS_PER_DECADE)));
        let beyond = beyond.take_while(|beyond| beyond * self.counted() as f64 >= 1.0);
        let percents = beyond.map(|beyond| 100.0 * (1.0 - beyond));
        Latency {
            p50: micros(50.0),
            p99: micros(99.0),
            p999: micros(99.9),
            max: self.nanos.max() as f64 / 1e3,
            curve: percents.map(|percent| (percent, micros(percent))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_end_with_their_number_and_count_without_the_first() {
        let mut last = 0;
        let calls = Calls::make(Duration::from_secs(100), 50, |number| {
            assert_eq!(number, last + 1);
            last = number;
            Ok(())
        });
        let calls = calls.unwrap();
        assert_eq!((calls.made, calls.counted()), (55, 50));
    }

    #[test]
    fn at_least_one_call_is_made() {
        let calls = Calls::make(Duration::ZERO, 50, |_| Ok(())).unwrap();
        assert_eq!((calls.made, calls.counted()), (1, 1));
    }

    #[test]
    fn the_longest_is_the_end_of_the_curve() {
        let calls = Calls::make(Duration::from_secs(100), 100, |number| {
            std::thread::sleep(Duration::from_millis(if number == 60 { 20 } else { 0 }));
            Ok(())
        });
        let latency = calls.unwrap().latency();
        assert!(latency.max >= 20_000.0 && latency.p50 < 10_000.0);
        assert!(latency.curve.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        assert!(latency.curve.iter().all(|(percent, _)| *percent <= 99.0 + 1e-9));
    }

    #[test]
    fn threads_add_up() {
        let calls = || Calls::make(Duration::from_secs(100), 10, |_| Ok(())).unwrap();
        let (one, other) = (calls(), calls());
        let took = one.took.max(other.took);
        let both = one.and(other);
        assert_eq!((both.counted(), both.took), (20, took));
    }
}
