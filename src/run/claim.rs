//! Claiming a process: a compare-and-swap on its owner record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::core::{Core, Token};
use super::{FailureLimit, Instance, Run};
use crate::engine::{Batch, Durability, Outcome};
use crate::error::{Error, Result};
use crate::model::ownership::{self, Decision, Terms};
use crate::model::{run, time};
use crate::proto::record::{Owner, RunStatus};
use crate::record::{Key, Payload};
use crate::store::{ProcessHandle, Versioned};

/// The shortest heartbeat timeout that follows from a progress interval.
const HEARTBEAT_TIMEOUT_MIN: Duration = Duration::from_secs(30);

/// How a claim ended.
#[derive(Debug)]
pub enum Claim {
    /// The process is the caller's; [`Run::origin`] tells whether it goes on with
    /// an earlier run.
    Won(Run),
    /// Another instance is on it.
    Held {
        /// The id of that instance.
        by: String,
        /// When it took the process over.
        since: Option<Timestamp>,
        /// When it may be taken over if it shows no more life.
        until: Timestamp,
    },
    /// No run is due yet.
    NotDue {
        /// When the next one is.
        at: Timestamp,
    },
}

/// Where a run comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is a new run.
    New,
    /// It goes on with a run that never finished: start, statistics and errors
    /// continue, and items that it completed are not done again.
    Resumed {
        /// The instance that had it; empty if its lock was released.
        from: String,
        /// When that instance took the process over.
        since: Option<Timestamp>,
    },
}

/// How a run is to be claimed and kept.
#[derive(Debug, Clone)]
pub struct ClaimOptions {
    pub(super) force: bool,
    pub(super) min_interval: Duration,
    pub(super) afresh: bool,
    pub(super) progress_interval: Duration,
    pub(super) heartbeat_timeout: Option<Duration>,
    pub(super) durability: Durability,
    pub(super) max_failed_items: FailureLimit,
    pub(super) skip_completed: bool,
}

impl Default for ClaimOptions {
    fn default() -> Self {
        Self {
            force: false,
            min_interval: Duration::ZERO,
            afresh: false,
            progress_interval: Duration::from_secs(1),
            heartbeat_timeout: None,
            durability: Durability::Buffered,
            max_failed_items: FailureLimit::None,
            skip_completed: false,
        }
    }
}

impl ClaimOptions {
    /// The usual options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Claims also if no run is due. A live owner is not disturbed.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// No new run is due sooner than this after the last one began, whatever else makes
    /// one due: a slot that begins right after a run began (started at 23:59 with a
    /// period of a day), a clock that steps over its beginning, changed settings and
    /// work. A claim by [`force`](ClaimOptions::force) and a run that goes on are not
    /// kept from it. Default: none.
    #[must_use]
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.min_interval = interval;
        self
    }

    /// Begins a new run in place of one that never finished.
    #[must_use]
    pub fn afresh(mut self, afresh: bool) -> Self {
        self.afresh = afresh;
        self
    }

    /// The shortest time between two writes of progress; in between
    /// [`Run::progress`] writes nothing. Default: 1 s. Never more than half the
    /// heartbeat timeout: a run that says it is alive stays alive.
    #[must_use]
    pub fn progress_interval(mut self, interval: Duration) -> Self {
        self.progress_interval = interval;
        self
    }

    /// How long the owner counts as alive after it began its last write; above zero.
    /// Default: three times the progress interval, at least 30 s.
    #[must_use]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = Some(timeout);
        self
    }

    /// What progress and the ends of items survive. Default:
    /// [`Buffered`](Durability::Buffered).
    #[must_use]
    pub fn progress_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many items may fail before the run stops. Default: any number.
    #[must_use]
    pub fn max_failed_items(mut self, limit: FailureLimit) -> Self {
        self.max_failed_items = limit;
        self
    }

    /// A new run leaves out the items that were completed in the last run that had
    /// all items to do, or since: it does what failed, what no run came to, and what
    /// was registered meanwhile. A run that is resumed goes on as it began.
    #[must_use]
    pub fn skip_completed(mut self, skip: bool) -> Self {
        self.skip_completed = skip;
        self
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms { forced: self.force, min_interval: self.min_interval }
    }

    pub(crate) fn interval(&self) -> Duration {
        self.progress_interval.min(self.timeout() / 2)
    }

    /// How often a runner shows life that does so by itself.
    pub(crate) fn beat_interval(&self) -> Duration {
        self.interval().min(self.timeout() / 3).max(Duration::from_millis(1))
    }

    pub(crate) fn timeout(&self) -> Duration {
        let usual = self.progress_interval.saturating_mul(3).max(HEARTBEAT_TIMEOUT_MIN);
        self.heartbeat_timeout.unwrap_or(usual)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.timeout().is_zero() {
            return Err(Error::argument("a heartbeat timeout of zero: every run would be lapsed at once"));
        }
        if !self.max_failed_items.is_valid() {
            return Err(Error::argument("the share of items that may fail must be from 0.0 to 1.0"));
        }
        Ok(())
    }
}

impl ProcessHandle {
    /// Takes the process over for `instance`, if a run is due and nobody holds it.
    ///
    /// Among any number of instances that claim at the same moment, exactly one
    /// wins. The claim survives power loss once the call returns.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store; if the store cannot be written.
    pub fn claim(&self, instance: &Instance) -> Result<Claim> {
        self.claim_with(instance, &ClaimOptions::new())
    }

    /// [`claim`](ProcessHandle::claim) with other than the usual options.
    ///
    /// # Errors
    ///
    /// As [`claim`](ProcessHandle::claim); [`is_invalid`](crate::Error::is_invalid)
    /// if an option makes no sense.
    pub fn claim_with(&self, instance: &Instance, options: &ClaimOptions) -> Result<Claim> {
        self.claim_as(instance, options, Durability::Synced)
    }

    /// [`claim_with`](ProcessHandle::claim_with); the claim survives what `durability`
    /// says once the call returns.
    pub(crate) fn claim_as(
        &self,
        instance: &Instance,
        options: &ClaimOptions,
        durability: Durability,
    ) -> Result<Claim> {
        options.check()?;
        loop {
            let owner = self.existing_owner()?;
            let status = self.read_status()?;
            match self.decide(&owner, &status, options.terms())? {
                Decision::NotDue { at } => return Ok(Claim::NotDue { at }),
                Decision::Held { until } => {
                    let since = time::read(&owner.value.claimed);
                    return Ok(Claim::Held { by: owner.value.instance, since, until });
                }
                decision @ (Decision::Start | Decision::Resume) => {
                    let resumes = decision == Decision::Resume && !options.afresh;
                    if let Some(run) =
                        self.take_over((instance, durability), options, owner, status, resumes)?
                    {
                        return Ok(Claim::Won(run));
                    }
                }
            }
        }
    }

    /// Swaps the owner. `None` if somebody else was faster.
    fn take_over(
        &self,
        (instance, durability): (&Instance, Durability),
        options: &ClaimOptions,
        owner: Versioned<Owner>,
        status: Versioned<RunStatus>,
        resumes: bool,
    ) -> Result<Option<Run>> {
        let inner = &self.store.inner;
        let settings = self.read_settings()?;
        let (now, sent) = (inner.clock.now(), inner.clock.monotonic());
        // Unique among the runs of the process: each claim is a commit.
        let number = inner.engine.newest_seq()? + 1;
        let run = if resumes {
            run::resume(status.value.clone(), number, now)
        } else {
            let situation = self.situation(&owner, &status, &settings, options.terms())?;
            let skips_completed = options.skip_completed || ownership::skips_completed(&situation);
            run::begin(number, &status.value, skips_completed, now)
        };
        let active = match options.max_failed_items {
            FailureLimit::Share(_) => self.summary()?.active,
            _ => 0,
        };
        let pulse = inner.liveness.begin(sent, options.timeout())?;
        let next = Owner {
            process_name: self.name().to_owned(),
            instance: instance.id().to_owned(),
            claimed: Some(time::to_wire(now)),
            opening: inner.liveness.opening().to_owned(),
            claim: pulse.claim,
            whereabouts: inner.liveness.whereabouts().to_owned(),
        };
        let batch = swap(self.name(), (&owner, &next), (&status, &run));
        let committed = inner.engine.commit(batch, durability);
        let Ok(Outcome::Committed(version)) = committed else {
            inner.liveness.end(pulse.claim);
            return committed.map(|_| None);
        };
        let token = Token { instance: instance.id().into(), version, pulse, sent, active };
        let core = Core::new(self.clone(), options.clone(), token, run, settings, now);
        Ok(Some(Run::new(Arc::new(core), origin(&owner.value, resumes))))
    }
}

/// Puts the next owner and its run in place of those that were read.
pub(super) fn swap(
    process: &str,
    (owner, next): (&Versioned<Owner>, &Owner),
    (status, run): (&Versioned<RunStatus>, &RunStatus),
) -> Batch {
    let (owner_key, status_key) = (Key::owner(process), Key::status(process));
    Batch::new()
        .expect(owner_key.clone(), owner.unchanged())
        .expect(status_key.clone(), status.unchanged())
        .put(owner_key, next.to_payload())
        .put(status_key, run.to_payload())
}

fn origin(owner: &Owner, resumes: bool) -> Origin {
    if resumes {
        Origin::Resumed { from: owner.instance.clone(), since: time::read(&owner.claimed) }
    } else {
        Origin::New
    }
}
