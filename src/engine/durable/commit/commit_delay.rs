//! The commit delay: whether a group waits for more commits before it syncs.

use std::time::Duration;

/// The maximum delay of a sync, however long a sync takes.
const DELAY_MAX: Duration = Duration::from_millis(1);

/// After repeated futile delays, at most one in this many syncs is delayed.
const REST_MAX: u32 = 64;

/// Whether the next sync is delayed, and for how many threads.
///
/// Threads that commit repeatedly split into two halves: one commits during the sync of the other,
/// so that each sync covers only half of them. Once this is observed, syncs wait briefly for the
/// threads covered by the last one, as long as these arrive.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CommitDelay {
    /// The expected number of threads including the leader; 0 means no delay.
    pub(super) expected: usize,
    pub(super) limit: Duration,
    /// The number of syncs without a delay.
    rest: u32,
    /// The length of the last rest, which grows.
    last_rest: u32,
}

impl CommitDelay {
    /// Updates the delay after a sync: whether the expected threads had arrived, how many were
    /// covered, how many arrived during the sync, and how long it took.
    pub(super) fn learn(&mut self, have_come: bool, served: usize, arrived: usize, took: Duration) {
        let has_waited = self.expected > 0;
        if has_waited && have_come {
            self.last_rest = 0;
        } else if has_waited {
            self.last_rest = (2 * self.last_rest + 1).min(REST_MAX);
            self.rest = self.last_rest;
        }
        let are_halves = arrived > 0 && arrived >= served;
        let waits = self.rest == 0 && (has_waited || are_halves);
        self.expected = if waits { served + arrived } else { 0 };
        self.limit = took.min(DELAY_MAX);
        self.rest = self.rest.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_micros(100);

    #[test]
    fn a_leader_waits_for_the_other_half_while_it_arrives() {
        let mut delay = CommitDelay::default();
        delay.learn(true, 8, 7, TOOK);
        assert_eq!(delay.expected, 0, "most arrive late, or not at all");
        delay.learn(true, 8, 8, TOOK);
        assert_eq!((delay.expected, delay.limit), (16, TOOK));
        delay.learn(true, 16, 0, TOOK);
        assert_eq!(delay.expected, 16);
        delay.learn(false, 12, 0, TOOK);
        assert_eq!(delay.expected, 0);
    }

    #[test]
    fn futile_delays_become_rarer() {
        let mut delay = CommitDelay::default();
        let mut waits = Vec::new();
        for sync in 0..400 {
            let waited = delay.expected > 0;
            if waited {
                waits.push(sync);
            }
            delay.learn(!waited, 1, 1, TOOK);
        }
        let between: Vec<i32> = waits.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(between.is_sorted(), "{between:?}");
        assert_eq!((between[0], between.last()), (2, Some(&65)), "{between:?}");
    }

    #[test]
    fn a_single_thread_does_not_wait() {
        let mut delay = CommitDelay::default();
        for _ in 0..10 {
            delay.learn(true, 1, 0, TOOK);
            assert_eq!(delay.expected, 0);
        }
    }
}
