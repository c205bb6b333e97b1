//! Liveness of owners.
//!
//! The engine decides which owners are alive, without comparing clocks: a folder belongs to one
//! program at a time, so heartbeats there need no disk ([`InProgram`]); a store that another
//! program has open asks that program.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::error::Result;
use crate::model::ownership;
use crate::proto::record::Owner;

/// The claims whose runs have not ended. Times are on the store's monotonic clock.
pub(crate) trait Liveness: Debug + Send + Sync + 'static {
    /// Returns the name of this opening, which is in the owner records of its claims.
    fn opening(&self) -> &str;

    /// Returns where this program claims, for display: program and machine.
    ///
    /// Empty if that is obvious.
    fn whereabouts(&self) -> &str {
        ""
    }

    /// Starts a claim that is alive from `now` on.
    ///
    /// It must be registered before its commit is visible, or another claimer would consider it
    /// dead.
    ///
    /// # Errors
    ///
    /// If runs cannot be claimed here.
    fn begin(&self, now: Duration, timeout: Duration) -> Result<Arc<Pulse>>;

    /// Ends a claim, whose owner is dead from now on.
    fn end(&self, claim: u64);

    /// Returns how much longer `owner` may go without a heartbeat; `None` if it is dead.
    ///
    /// `status` is the version of the status as read: each write of an owner changes it, and a
    /// takeover must expect it unchanged.
    ///
    /// # Errors
    ///
    /// If this cannot be determined.
    fn lives_for(&self, owner: &Owner, status: Option<u64>, now: Duration) -> Result<Option<Duration>>;
}

/// The claims of the program that has the store open, in memory. An owner from any other opening is
/// dead.
#[derive(Debug)]
pub(crate) struct InProgram {
    opening: String,
    last_claim: AtomicU64,
    pulses: Mutex<HashMap<u64, Arc<Pulse>>>,
}

/// The heartbeats of a claim.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) claim: u64,
    /// How long an owner counts as alive after a heartbeat.
    pub(crate) timeout: Duration,
    last_nanos: AtomicU64,
    lease: Option<Box<dyn Lease>>,
}

/// Shows other programs that a claim is alive.
pub(crate) trait Lease: Debug + Send + Sync {
    /// Renews the lease at `now`.
    fn renew(&self, now: Duration);

    /// Returns until when other programs certainly respect it.
    fn until(&self) -> Duration;
}

impl InProgram {
    pub(crate) fn new() -> Self {
        Self::of(Uuid::now_v7().to_string())
    }

    /// Creates the claims of the opening with this name.
    pub(crate) fn of(opening: String) -> Self {
        Self { opening, last_claim: AtomicU64::default(), pulses: Mutex::default() }
    }

    /// Registers a new claim.
    pub(crate) fn enter(&self, pulse: Pulse) -> Arc<Pulse> {
        let pulse = Arc::new(pulse);
        self.pulses.lock().insert(pulse.claim, pulse.clone());
        pulse
    }
}

impl Liveness for InProgram {
    fn opening(&self) -> &str {
        &self.opening
    }

    fn begin(&self, now: Duration, timeout: Duration) -> Result<Arc<Pulse>> {
        let claim = self.last_claim.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(self.enter(Pulse::new(claim, timeout, now)))
    }

    fn end(&self, claim: u64) {
        self.pulses.lock().remove(&claim);
    }

    fn lives_for(&self, owner: &Owner, _: Option<u64>, now: Duration) -> Result<Option<Duration>> {
        if owner.opening != self.opening {
            return Ok(None);
        }
        let Some(pulse) = self.pulses.lock().get(&owner.claim).cloned() else { return Ok(None) };
        let remaining = ownership::alive_until(pulse.last(), pulse.timeout).saturating_sub(now);
        Ok((!remaining.is_zero()).then_some(remaining))
    }
}

impl Pulse {
    pub(crate) fn new(claim: u64, timeout: Duration, now: Duration) -> Self {
        Self { claim, timeout, last_nanos: AtomicU64::new(nanos(now)), lease: None }
    }

    /// Attaches a lease that shows other programs that the claim is alive.
    #[cfg(feature = "etcd")]
    pub(crate) fn on_lease(self, lease: Box<dyn Lease>) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// Records a heartbeat at `now`.
    pub(crate) fn beat(&self, now: Duration) {
        self.last_nanos.fetch_max(nanos(now), Ordering::Relaxed);
        if let Some(lease) = &self.lease {
            lease.renew(now);
        }
    }

    /// Returns until when a claim whose last heartbeat was at `sign` is certainly alive.
    pub(crate) fn alive_until(&self, sign: Duration) -> Duration {
        let alive = ownership::alive_until(sign, self.timeout);
        self.lease.as_ref().map_or(alive, |lease| alive.min(lease.until()))
    }

    fn last(&self) -> Duration {
        Duration::from_nanos(self.last_nanos.load(Ordering::Relaxed))
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn owner(liveness: &InProgram, claim: u64) -> Owner {
        Owner { opening: liveness.opening().to_owned(), claim, ..Owner::default() }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn alive_until_the_timeout_after_the_last_heartbeat() {
        let liveness = InProgram::new();
        let pulse = liveness.begin(second(10), TIMEOUT).unwrap();
        let owner = owner(&liveness, pulse.claim);
        assert_eq!(liveness.lives_for(&owner, None, second(39)).unwrap(), Some(second(1)));
        assert_eq!(liveness.lives_for(&owner, None, second(40)).unwrap(), None);
        pulse.beat(second(39));
        assert_eq!(liveness.lives_for(&owner, None, second(40)).unwrap(), Some(second(29)));
    }

    #[test]
    fn dead_once_ended_and_from_any_other_opening() {
        let liveness = InProgram::new();
        let pulse = liveness.begin(second(0), TIMEOUT).unwrap();
        let another = owner(&InProgram::new(), pulse.claim);
        assert_eq!(liveness.lives_for(&another, None, second(1)).unwrap(), None);
        let later = owner(&liveness, pulse.claim + 1);
        assert_eq!(liveness.lives_for(&later, None, second(1)).unwrap(), None);
        liveness.end(pulse.claim);
        assert_eq!(liveness.lives_for(&owner(&liveness, pulse.claim), None, second(1)).unwrap(), None);
    }
}
