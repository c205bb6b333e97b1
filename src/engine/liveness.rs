//! Which owners are alive.
//!
//! The engine's side says who is alive, and nobody compares clocks: a folder belongs to one program
//! at a time, so that signs of life need no disk there ([`InProgram`]); a store that another
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

/// The claims whose runs have not ended. Times are those of the store's monotonic clock.
pub(crate) trait Liveness: Debug + Send + Sync + 'static {
    /// The name of this opening of the store, which owner records of its claims have.
    fn opening(&self) -> &str;

    /// Where claims are made that are made here, for people: the program and its machine.
    /// Empty where that goes without saying.
    fn whereabouts(&self) -> &str {
        ""
    }

    /// A new claim, alive from `now` on. It must be known before its commit is
    /// visible, or another claimer would take it for dead.
    ///
    /// # Errors
    ///
    /// If runs cannot be claimed here.
    fn begin(&self, now: Duration, timeout: Duration) -> Result<Arc<Pulse>>;

    /// Ends a claim: its owner is dead from now on.
    fn end(&self, claim: u64);

    /// How long `owner` may still go without a sign of life; `None` if it is dead.
    ///
    /// # Errors
    ///
    /// If it cannot be told.
    fn lives_for(&self, owner: &Owner, now: Duration) -> Result<Option<Duration>>;
}

/// The claims of the program that has the store open, kept in its memory. An owner from
/// any other opening is dead.
#[derive(Debug)]
pub(crate) struct InProgram {
    opening: String,
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
    lease: Option<Box<dyn Lease>>,
}

/// By what others see that a claim is alive who do not share its memory.
pub(crate) trait Lease: Debug + Send + Sync {
    /// The claim shows life at `now`.
    fn renew(&self, now: Duration);

    /// Until when others heed it for sure.
    fn until(&self) -> Duration;
}

impl InProgram {
    pub(crate) fn new() -> Self {
        Self::of(Uuid::now_v7().to_string())
    }

    /// The claims of the opening with this name.
    pub(crate) fn of(opening: String) -> Self {
        Self { opening, last_claim: AtomicU64::default(), pulses: Mutex::default() }
    }

    /// Takes in a new claim.
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

    fn lives_for(&self, owner: &Owner, now: Duration) -> Result<Option<Duration>> {
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

    /// One that others see by a lease.
    #[cfg(feature = "etcd")]
    pub(crate) fn on_lease(self, lease: Box<dyn Lease>) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// Notes a sign of life at `now`.
    pub(crate) fn beat(&self, now: Duration) {
        self.last_nanos.fetch_max(nanos(now), Ordering::Relaxed);
        if let Some(lease) = &self.lease {
            lease.renew(now);
        }
    }

    /// Until when a claim that showed life at `sign` can count on being alive.
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
    fn alive_until_the_timeout_after_the_last_sign() {
        let liveness = InProgram::new();
        let pulse = liveness.begin(second(10), TIMEOUT).unwrap();
        let owner = owner(&liveness, pulse.claim);
        assert_eq!(liveness.lives_for(&owner, second(39)).unwrap(), Some(second(1)));
        assert_eq!(liveness.lives_for(&owner, second(40)).unwrap(), None);
        pulse.beat(second(39));
        assert_eq!(liveness.lives_for(&owner, second(40)).unwrap(), Some(second(29)));
    }

    #[test]
    fn dead_once_ended_and_from_any_other_opening() {
        let liveness = InProgram::new();
        let pulse = liveness.begin(second(0), TIMEOUT).unwrap();
        let another = owner(&InProgram::new(), pulse.claim);
        assert_eq!(liveness.lives_for(&another, second(1)).unwrap(), None);
        let later = owner(&liveness, pulse.claim + 1);
        assert_eq!(liveness.lives_for(&later, second(1)).unwrap(), None);
        liveness.end(pulse.claim);
        assert_eq!(liveness.lives_for(&owner(&liveness, pulse.claim), second(1)).unwrap(), None);
    }
}
