//! The summary of a process.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::error::{Failure, Result};
use crate::model::ownership::{self, Decision, Situation, Terms};
use crate::model::{List, run, stats, time};
use crate::proto::record::{Owner, RunStatus, Settings, Totals};
use crate::proto::{State, Status};
use crate::record::{Key, KeyRange, Kind};
use crate::store::Versioned;
use crate::store::process::ProcessHandle;

/// A summary of a process.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The name of the process.
    pub name: String,
    /// The state of its latest run; `Unspecified` if it never ran.
    pub state: State,
    /// The last instance that claimed it; empty if there was none.
    pub instance: String,
    /// The program and the machine of that instance, for people. Empty unless several machines
    /// share the store, and once the instance has handed its run back.
    pub whereabouts: String,
    /// When it was claimed.
    pub claimed: Option<Timestamp>,
    /// Whether that instance is alive and its run has not finished.
    pub is_held: bool,
    /// The time of the last progress.
    pub progress: Option<Timestamp>,
    /// How many items the latest run has ended.
    pub ended: u64,
    /// How many of those have failed.
    pub failed: u64,
    /// Items to be processed.
    pub active: u64,
    /// Items to be cleaned up.
    pub cleanup: u64,
    /// Items kept only as a trace.
    pub dropped: u64,
    /// When the next run is due, possibly in the past; for a held process, when it may be taken
    /// over if its owner sends no more heartbeats; [`Timestamp::MAX`] if its schedule cannot be
    /// used.
    pub next_due: Timestamp,
}

impl ProcessHandle {
    /// Returns a summary of the process.
    ///
    /// Counts its items, so the cost grows with their number.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store.
    pub fn summary(&self) -> Result<Summary> {
        let owner = self.existing_owner()?;
        let status = self.read_status()?;
        let decision = self.decision_or_never(&owner, &status)?;
        let failed = run::failed_items(&status.value);
        let run = status.value.status.unwrap_or_default();
        Ok(Summary {
            name: self.name().to_owned(),
            state: run.state(),
            claimed: time::read(&owner.value.claimed),
            instance: owner.value.instance,
            whereabouts: owner.value.whereabouts,
            is_held: matches!(decision, Decision::Held { .. }),
            progress: time::read(&run.progress_time),
            ended: whole(stats::get(&run.stats, stats::WORK_ITEMS)),
            failed: whole(failed),
            active: self.count(List::Active)?,
            cleanup: self.count(List::Cleanup)?,
            dropped: self.count(List::Dropped)?,
            next_due: match decision {
                Decision::Held { until: at } | Decision::NotDue { at } => at,
                Decision::Start | Decision::Resume => self.store.now(),
            },
        })
    }

    /// Returns the status of the latest run; `None` if the process never ran.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the store.
    pub fn status(&self) -> Result<Option<Status>> {
        self.must_exist()?;
        Ok(self.read_status()?.value.status)
    }

    /// Returns the totals over all runs, by label.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the store.
    pub fn totals(&self) -> Result<BTreeMap<String, f64>> {
        self.must_exist()?;
        let totals: Versioned<Totals> = self.store.read(&Key::totals(self.name()))?;
        Ok(totals.value.aggregate_stats)
    }

    /// Decides a claim for display: never due if the schedule is broken.
    fn decision_or_never(&self, owner: &Versioned<Owner>, status: &Versioned<RunStatus>) -> Result<Decision> {
        match self.decide(owner, status, Terms::default()) {
            Err(error) if matches!(error.failure(), Failure::Schedule { .. }) => {
                tracing::warn!(process = self.name(), %error, "no run of the process is due");
                Ok(Decision::NotDue { at: Timestamp::MAX })
            }
            decision => decision,
        }
    }

    /// Decides whether the process can be claimed now.
    pub(crate) fn decide(
        &self,
        owner: &Versioned<Owner>,
        status: &Versioned<RunStatus>,
        terms: Terms,
    ) -> Result<Decision> {
        let settings = self.read_settings()?;
        let decision = ownership::decide(&self.situation(owner, status, &settings, terms)?);
        decision.map_err(|why| Failure::Schedule { process: self.name().to_owned(), why }.into())
    }

    /// Collects the facts that decide a claim.
    pub(crate) fn situation<'a>(
        &self,
        owner: &Versioned<Owner>,
        status: &'a Versioned<RunStatus>,
        settings: &'a Versioned<Settings>,
        terms: Terms,
    ) -> Result<Situation<'a>> {
        let inner = &self.store.inner;
        let now = inner.clock.monotonic();
        let owner_lives_for = inner.liveness.lives_for(&owner.value, status.version, now)?;
        Ok(Situation {
            now: inner.clock.now(),
            owner_lives_for,
            status: status.present(),
            settings: &settings.value,
            settings_version: settings.version.unwrap_or_default(),
            terms,
        })
    }

    fn count(&self, list: List) -> Result<u64> {
        self.store.inner.engine.count(&KeyRange::kind(self.name(), Kind::from(list)))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of items")]
fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}
