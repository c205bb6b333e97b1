//! Which owners are alive.
//!
//! A store belongs to one program at a time, so signs of life need no disk: they
//! are kept in memory, by monotonic time, for the claims of this opening. An
//! owner from any other opening is dead.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::ownership;
use crate::proto::record::Owner;

/// The claims of this opening whose runs are on.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    last_claim: AtomicU64,
    pulses: Mutex<HashMap<u64, Arc<Pulse>>>,
}

/// The signs of life of one claim.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) claim: u64,
    /// How long an owner counts as alive after a sign of life.
    pub(crate) timeout: Duration,
    last_nanos: AtomicU64,
}

impl Liveness {
    /// A new claim, alive from `now` on. It must be known before its commit is
    /// visible, or another claimer would take it for dead.
    pub(crate) fn begin(&self, now: Duration, timeout: Duration) -> Arc<Pulse> {
        let claim = self.last_claim.fetch_add(1, Ordering::Relaxed) + 1;
        let pulse = Arc::new(Pulse { claim, timeout, last_nanos: AtomicU64::new(nanos(now)) });
        self.pulses.lock().insert(claim, pulse.clone());
        pulse
    }

    pub(crate) fn end(&self, claim: u64) {
        self.pulses.lock().remove(&claim);
    }

    /// How long `owner` may still go without a sign of life; `None` if it is dead.
    pub(crate) fn lives_for(&self, owner: &Owner, opening: &str, now: Duration) -> Option<Duration> {
        if owner.opening != opening {
            return None;
        }
        let pulse = self.pulses.lock().get(&owner.claim).cloned()?;
        let remaining = ownership::alive_until(pulse.last(), pulse.timeout).saturating_sub(now);
        (!remaining.is_zero()).then_some(remaining)
    }
}

impl Pulse {
    /// Notes a sign of life at `now`.
    pub(crate) fn beat(&self, now: Duration) {
        self.last_nanos.fetch_max(nanos(now), Ordering::Relaxed);
    }

    fn last(&self) -> Duration {
        Duration::from_nanos(self.last_nanos.load(Ordering::Relaxed))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn owner(claim: u64) -> Owner {
        Owner { opening: "this".to_owned(), claim, ..Owner::default() }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn alive_until_the_timeout_after_the_last_sign() {
        let liveness = Liveness::default();
        let pulse = liveness.begin(second(10), TIMEOUT);
        let owner = owner(pulse.claim);
        assert_eq!(liveness.lives_for(&owner, "this", second(39)), Some(second(1)));
        assert_eq!(liveness.lives_for(&owner, "this", second(40)), None);
        pulse.beat(second(39));
        assert_eq!(liveness.lives_for(&owner, "this", second(40)), Some(second(29)));
    }

    #[test]
    fn dead_once_ended_and_from_any_other_opening() {
        let liveness = Liveness::default();
        let pulse = liveness.begin(second(0), TIMEOUT);
        assert_eq!(liveness.lives_for(&owner(pulse.claim), "another", second(1)), None);
        assert_eq!(liveness.lives_for(&owner(pulse.claim + 1), "this", second(1)), None);
        liveness.end(pulse.claim);
        assert_eq!(liveness.lives_for(&owner(pulse.claim), "this", second(1)), None);
    }
}
