//! A single run of an async runner.

use std::sync::atomic::Ordering;

use super::AsyncRunner;
use super::call::call;
use super::dispatch::dispatcher::Dispatcher;
use super::process::left;
use super::synced::{ready, synced};
use crate::engine::Durability;
use crate::error::Result;
use crate::run::Claim;
use crate::runner::Outcome;

/// The number of blocking futures to tolerate.
const STUCK_MAX: usize = 64;

impl AsyncRunner {
    /// Makes one whole run, if one is due and the process is not held.
    ///
    /// Completes when the run has ended and its end survives power loss.
    ///
    /// Cancellation-safe: dropping this future drops the futures of the items in progress, writes
    /// nothing, and the next claim resumes the run at once.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written; if there is no current tokio runtime; if too many
    /// futures block their threads.
    pub async fn run_once(&self) -> Result<Outcome> {
        self.claim_and_run(false).await
    }

    /// Makes one run even if none is due; see [`run_once`](AsyncRunner::run_once).
    ///
    /// A live owner still holds the process.
    ///
    /// # Errors
    ///
    /// As [`run_once`](AsyncRunner::run_once).
    pub async fn run_now(&self) -> Result<Outcome> {
        self.claim_and_run(true).await
    }

    async fn claim_and_run(&self, force: bool) -> Result<Outcome> {
        self.runtime()?;
        self.check_stuck()?;
        if self.shared.stop().is_some() {
            return Ok(Outcome::Stopped);
        }
        ready(self.store()).await?;
        let options = self.options.claim.clone().force(force);
        let (handle, instance) = (self.handle.clone(), self.instance.clone());
        let claim = move || handle.claim_as(&instance, &options, Durability::Buffered).map(left);
        match call(self.store(), claim).await? {
            Claim::Won(run) => {
                // No item begins under a claim that a power loss may undo.
                synced(self.store()).await?;
                Dispatcher::new(self, run).run().await
            }
            Claim::Held { by, since, until } => Ok(Outcome::Held { by, since, until }),
            Claim::NotDue { at } => Ok(Outcome::NotDue { at }),
        }
    }

    fn check_stuck(&self) -> Result<()> {
        let stuck = self.shared.stuck.load(Ordering::Relaxed);
        if stuck < STUCK_MAX {
            return Ok(());
        }
        Err(self.failure(format!("{stuck} futures block their threads; restart the program")))
    }
}
