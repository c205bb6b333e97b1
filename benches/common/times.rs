//! Measures the duration of successive calls.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::calls::Ready;

/// The limits of a measurement, whichever is reached first.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub time: Duration,
    pub calls: u64,
}

pub struct Times {
    nanos: Histogram<u64>,
    took: Duration,
}

impl Default for Times {
    fn default() -> Self {
        // Preallocated, since growing would cost time between calls.
        let nanos = Histogram::new_with_max(600_000_000_000, 3).unwrap();
        Self { nanos, took: Duration::ZERO }
    }
}

impl Times {
    /// Makes calls until the limit, at least one.
    pub fn of(limit: Limit, call: &mut dyn FnMut()) -> Self {
        let mut times = Self::default();
        let began = Instant::now();
        let mut last = began;
        loop {
            call();
            let now = Instant::now();
            times.nanos.record((now - last).as_nanos() as u64).unwrap();
            last = now;
            if now - began >= limit.time || times.count() >= limit.calls {
                times.took = now - began;
                return times;
            }
        }
    }

    /// Makes calls in one thread per entry of `calls`, concurrently.
    pub fn of_threads(limit: Limit, calls: &mut [Ready]) -> Self {
        let barrier = Barrier::new(calls.len());
        std::thread::scope(|scope| {
            let threads = calls.iter_mut().map(|call| {
                scope.spawn(|| {
                    barrier.wait();
                    Self::of(limit, call)
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).fold(Self::default(), Self::beside)
        })
    }

    /// Adds the calls of another thread.
    fn beside(mut self, other: Self) -> Self {
        self.nanos += other.nanos;
        self.took = self.took.max(other.took);
        self
    }

    /// Adds later calls of the same threads.
    pub fn then(mut self, later: Self) -> Self {
        self.nanos += later.nanos;
        self.took += later.took;
        self
    }

    pub fn count(&self) -> u64 {
        self.nanos.len()
    }

    pub fn per_second(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// Returns the time per call over all threads.
    pub fn each(&self) -> Duration {
        self.took.div_f64(self.count() as f64)
    }

    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.nanos.value_at_percentile(percent))
    }

    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.nanos.max())
    }
}
