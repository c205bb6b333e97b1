//! Wakes a waiting thread.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;

/// A counter of how often it was raised, so that no signal is missed between a check of the state
/// and the wait.
#[derive(Debug, Default)]
pub(super) struct Signal {
    raised: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    /// Returns the value for [`wait`](Signal::wait), to be read before the state is checked.
    pub(super) fn seen(&self) -> u64 {
        *self.raised.lock()
    }

    pub(super) fn raise(&self) {
        *self.raised.lock() += 1;
        self.changed.notify_all();
    }

    /// Waits until it is raised, for at most `longest` and often less: the caller checks its state
    /// and waits again.
    pub(super) fn wait(&self, seen: u64, clock: &dyn Clock, longest: Duration) {
        let sleep = clock.longest_sleep(longest);
        let mut raised = self.raised.lock();
        if *raised == seen {
            self.changed.wait_for(&mut raised, sleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn raised_before_the_wait_is_not_missed() {
        let signal = Signal::default();
        let seen = signal.seen();
        signal.raise();
        signal.wait(seen, &SystemClock::new(), Duration::MAX);
    }

    #[test]
    fn raised_during_the_wait_ends_it() {
        let signal = Signal::default();
        let seen = signal.seen();
        std::thread::scope(|scope| {
            scope.spawn(|| signal.raise());
            signal.wait(seen, &SystemClock::new(), Duration::MAX);
        });
    }
}
