//! A single run of a runner.

use std::sync::atomic::Ordering;

use super::dispatch::supervisor;
use super::{Outcome, Runner};
use crate::error::Result;
use crate::run::Claim;

/// The number of abandoned threads to tolerate.
const ABANDONED_MAX: usize = 64;

impl Runner {
    /// Makes one whole run, if one is due and the process is not held.
    ///
    /// Returns when the run has ended; workers are called on separate threads.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written; if no thread can be started, or too many workers do
    /// not return.
    pub fn run_once(&self) -> Result<Outcome> {
        self.claim_and_run(false)
    }

    /// Makes one run even if none is due; see [`run_once`](Runner::run_once).
    ///
    /// A live owner still holds the process.
    ///
    /// # Errors
    ///
    /// As [`run_once`](Runner::run_once).
    pub fn run_now(&self) -> Result<Outcome> {
        self.claim_and_run(true)
    }

    fn claim_and_run(&self, force: bool) -> Result<Outcome> {
        self.check_threads()?;
        if self.shared.stop().is_some() {
            return Ok(Outcome::Stopped);
        }
        let options = self.options.claim.clone().force(force);
        match self.handle.claim_with(&self.instance, &options)? {
            Claim::Won(run) => supervisor::supervise(self, run),
            Claim::Held { by, since, until } => Ok(Outcome::Held { by, since, until }),
            Claim::NotDue { at } => Ok(Outcome::NotDue { at }),
        }
    }

    fn check_threads(&self) -> Result<()> {
        let stuck = self.shared.abandoned.load(Ordering::Relaxed);
        if stuck < ABANDONED_MAX {
            return Ok(());
        }
        Err(self.failure(format!("{stuck} workers do not return; restart the program")))
    }
}
