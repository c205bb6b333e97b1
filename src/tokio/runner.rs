//! The runner: claims a process and has its items worked on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;

use super::builder::{AsyncRunnerBuilder, Options};
use super::dispatch::dispatcher::Dispatcher;
use super::schedule::Schedule;
use super::stop::Shared;
use super::synced::{ready, synced};
use super::worker::Start;
use super::{AsyncRunnerHandle, AsyncStopper};
use crate::clock::Clock;
use crate::engine::Durability;
use crate::error::{Error, Failure, Result};
use crate::run::{Claim, Instance};
use crate::runner::Outcome;
use crate::store::{ProcessHandle, Store};

/// How many futures that block their threads are put up with.
const STUCK_MAX: usize = 64;

/// Calls an [`AsyncWorker`](super::AsyncWorker) for each item of one process.
///
/// It is to [`Runner`](crate::Runner) as the [module](super) says: the same claims, runs,
/// retries and flow control, and another way to wait.
pub struct AsyncRunner {
    pub(super) handle: ProcessHandle,
    pub(super) start: Start,
    pub(super) instance: Instance,
    pub(super) options: Options,
    pub(super) shared: Arc<Shared>,
}

impl AsyncRunner {
    /// Begins to describe a runner of the process `process`.
    pub fn builder(store: &Store, process: &str) -> AsyncRunnerBuilder {
        AsyncRunnerBuilder::new(store, process)
    }

    pub(super) fn new(handle: ProcessHandle, start: Start, instance: Instance, options: Options) -> Self {
        let shared = Arc::new(Shared::new(handle.store().inner.clock.clone()));
        Self { handle, start, instance, options, shared }
    }

    /// The instance that the runner is.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// A way to stop the runner from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> AsyncStopper {
        AsyncStopper::new(self.shared.clone())
    }

    /// Does one whole run, if one is due and nobody else is on it. Completes when the run
    /// has ended and its end survives power loss.
    ///
    /// Cancellation-safe: dropped before, it drops the futures of the items in hand, writes
    /// nothing, and the next claim goes on with the run at once.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written; if it is not polled on a tokio runtime; if
    /// too many futures block their threads.
    pub async fn run_once(&self) -> Result<Outcome> {
        self.claim_and_run(false).await
    }

    /// [`run_once`](AsyncRunner::run_once), also if no run is due. A live owner is not
    /// disturbed.
    ///
    /// # Errors
    ///
    /// As [`run_once`](AsyncRunner::run_once).
    pub async fn run_now(&self) -> Result<Outcome> {
        self.claim_and_run(true).await
    }

    /// Starts the runner as a task of the runtime it is called on; it claims the process
    /// whenever a run is due, until it is told to stop.
    ///
    /// # Errors
    ///
    /// If it is not called on a tokio runtime.
    pub fn spawn(self) -> Result<AsyncRunnerHandle> {
        let runtime = self.runtime()?;
        Ok(AsyncRunnerHandle::start(Schedule::new(self), &runtime))
    }

    async fn claim_and_run(&self, force: bool) -> Result<Outcome> {
        self.runtime()?;
        self.check_stuck()?;
        if self.shared.stop().is_some() {
            return Ok(Outcome::Stopped);
        }
        ready(self.store()).await?;
        let options = self.options.claim.clone().force(force);
        match self.handle.claim_as(&self.instance, &options, Durability::Buffered)? {
            Claim::Won(mut run) => {
                run.leave_when_dropped();
                // No item begins under a claim that may be gone after a power loss.
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
        Err(self.failure(format!("{stuck} of its futures block their threads; restart the program")))
    }

    fn runtime(&self) -> Result<Handle> {
        Handle::try_current().map_err(|error| self.failure(format!("it needs a tokio runtime: {error}")))
    }

    fn failure(&self, why: String) -> Error {
        Failure::Runner { process: self.handle.name().to_owned(), why }.into()
    }

    pub(super) fn store(&self) -> &Store {
        self.handle.store()
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.store().inner.clock
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.clock().monotonic()
    }
}

impl fmt::Debug for AsyncRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRunner")
            .field("process", &self.handle.name())
            .field("instance", &self.instance.id())
            .finish_non_exhaustive()
    }
}
