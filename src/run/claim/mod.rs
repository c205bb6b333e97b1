//! Claiming a process: a compare-and-swap on its owner record.

pub(super) mod instance;
pub(super) mod options;
pub(super) mod origin;

use std::sync::Arc;

use jiff::Timestamp;

use super::fenced::{FencedRun, Token};
use super::{ClaimOptions, Instance, Origin, Run};
use crate::engine::{Batch, Durability, Outcome};
use crate::error::{Failure, Result};
use crate::model::ownership::{self, Decision};
use crate::model::{FailureLimit, run, run_limits, time};
use crate::proto::record::{Owner, RunStatus, Settings};
use crate::record::{Key, Payload};
use crate::store::{ProcessHandle, Versioned};

/// The result of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The caller owns the process; [`Run::origin`] tells whether the run is new or resumed.
    Won(Run),
    /// Another instance holds the process.
    Held {
        /// The id of that instance.
        by: String,
        /// When it claimed the process.
        since: Option<Timestamp>,
        /// When it may be taken over unless it sends a heartbeat.
        until: Timestamp,
    },
    /// No run is due yet.
    NotDue {
        /// When the next run is due.
        at: Timestamp,
    },
}

impl ProcessHandle {
    /// Claims the process for `instance`, if a run is due and the process is not held.
    ///
    /// Of any number of concurrent claims exactly one wins. The claim survives power loss once the
    /// call returns.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process does not exist; if the store
    /// cannot be written.
    pub fn claim(&self, instance: &Instance) -> Result<Claim> {
        self.claim_with(instance, &ClaimOptions::new())
    }

    /// Claims the process with options; see [`claim`](ProcessHandle::claim).
    ///
    /// # Errors
    ///
    /// As [`claim`](ProcessHandle::claim); [`is_invalid`](crate::Error::is_invalid) if an option is
    /// invalid.
    pub fn claim_with(&self, instance: &Instance, options: &ClaimOptions) -> Result<Claim> {
        self.claim_as(instance, options, Durability::Synced)
    }

    /// Claims the process so that the claim survives what `durability` promises.
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

    /// Swaps the owner; `None` if another claim was faster.
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
        // Unique within the process, since each claim is a commit.
        let number = inner.engine.newest_seq()? + 1;
        let run = if resumes {
            run::resume(status.value.clone(), number, now)
        } else {
            let situation = self.situation(&owner, &status, &settings, options.terms())?;
            let skips_completed = options.skip_completed || ownership::skips_completed(&situation);
            run::begin(number, &status.value, skips_completed, now)
        };
        let limit = self.failure_limit(options, &settings.value)?;
        let active = match limit {
            FailureLimit::Share(_) => self.summary()?.active,
            _ => 0,
        };
        let pulse = inner.liveness.begin(sent, options.timeout())?;
        let is_shared = inner.engine.is_networked();
        let next = Owner {
            process_name: self.name().to_owned(),
            instance: instance.id().to_owned(),
            claimed: Some(time::to_wire(now)),
            opening: inner.liveness.opening().to_owned(),
            claim: pulse.claim,
            whereabouts: inner.liveness.whereabouts().to_owned(),
            heartbeat_timeout: is_shared.then(|| time::period_to_wire(options.timeout())).flatten(),
        };
        let batch = swap(self.name(), (&owner, &next), (&status, &run));
        let committed = inner.engine.commit(batch, durability);
        let Ok(Outcome::Committed(version)) = committed else {
            inner.liveness.end(pulse.claim);
            return committed.map(|_| None);
        };
        let token = Token { instance: instance.id().into(), version, pulse, sent, active };
        let options = ClaimOptions { max_failed_items: Some(limit), ..options.clone() };
        let fenced = FencedRun::new(self.clone(), options, token, run, settings, now);
        Ok(Some(Run::new(Arc::new(fenced), origin(&owner.value, resumes))))
    }

    /// Returns the failure limit of a new run: the options take precedence over the settings.
    fn failure_limit(&self, options: &ClaimOptions, settings: &Settings) -> Result<FailureLimit> {
        if let Some(limit) = options.max_failed_items {
            return Ok(limit);
        }
        match run_limits::max_failed_items(settings) {
            Ok(limit) => Ok(limit.unwrap_or_default()),
            Err(why) => Err(Failure::Schedule { process: self.name().to_owned(), why }.into()),
        }
    }
}

/// Replaces owner and run as they were read by the next ones.
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
