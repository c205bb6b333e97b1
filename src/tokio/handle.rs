//! The handle of a running async runner.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::scheduler::Scheduler;
use super::stop::Shared;
use super::{AsyncRunner, AsyncStopper};
use crate::error::{self, Failure, Result};
use crate::runner::Shutdown;

/// A runner as a task of its runtime.
///
/// Dropping the handle asks the runner to stop like [`Shutdown::HandBack`], without waiting. If the
/// runtime shuts down first, the current run is left unfinished, and the next claim resumes it at
/// once.
///
/// ```
/// use procstate::tokio::AsyncRunner;
/// use procstate::{Shutdown, Store};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> procstate::Result<()> {
/// let store = Store::in_memory();
/// let runner = AsyncRunner::builder(&store, "gckeys")
///     .every(Duration::from_secs(3600))
///     .worker_fn(|_| async { Ok(()) })
///     .spawn()?;
/// println!("{}, {} stuck workers", runner.instance(), runner.stuck_workers());
/// assert!(!runner.is_finished() && !runner.stopper().is_stopping());
/// runner.stopper().stop(Shutdown::Finish);
/// runner.shutdown(Shutdown::HandBack, Duration::from_secs(20)).await?;
/// # Ok(())
/// # }
/// ```
pub struct AsyncRunnerHandle {
    process: Arc<str>,
    instance: Arc<str>,
    shared: Arc<Shared>,
    task: JoinHandle<Result<()>>,
}

impl AsyncRunner {
    /// Starts the runner as a task of the current runtime, where it claims the process whenever a
    /// run is due, until it is stopped.
    ///
    /// # Errors
    ///
    /// If there is no current tokio runtime.
    pub fn spawn(self) -> Result<AsyncRunnerHandle> {
        let runtime = self.runtime()?;
        Ok(AsyncRunnerHandle::start(Scheduler::new(self), &runtime))
    }
}

impl AsyncRunnerHandle {
    fn start(scheduler: Scheduler, runtime: &Handle) -> Self {
        let runner = scheduler.runner();
        let (process, instance) = (runner.handle.name().into(), runner.instance.id().into());
        let shared = runner.shared.clone();
        Self { process, instance, shared, task: runtime.spawn(scheduler.run()) }
    }

    /// Returns the id of the runner's instance.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Returns a handle that stops the runner from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> AsyncStopper {
        AsyncStopper::new(self.shared.clone())
    }

    /// Reports whether the runner has stopped; [`join`](AsyncRunnerHandle::join) tells why.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Returns how many abandoned futures still block their threads.
    #[must_use]
    pub fn stuck_workers(&self) -> usize {
        self.shared.stuck.load(Ordering::Relaxed)
    }

    /// Asks the runner to stop, and waits until it has.
    ///
    /// Items still in progress after `deadline` are [cancelled](super::AsyncWork::cancelled), and
    /// the run is handed back with them unfinished; zero cancels them now, [`Duration::MAX`] never.
    ///
    /// It takes at most the deadline and one sync, provided that there is no
    /// [`cancel_grace`](super::AsyncRunnerBuilder::cancel_grace) and no worker blocks its thread
    /// ([`stop_grace`](super::AsyncRunnerBuilder::stop_grace)).
    ///
    /// # Errors
    ///
    /// As [`join`](AsyncRunnerHandle::join).
    pub async fn shutdown(self, how: Shutdown, deadline: Duration) -> Result<()> {
        self.stopper().stop_within(how, deadline);
        self.join().await
    }

    /// Waits until the runner stops, without asking it to.
    ///
    /// Dropping this future asks it to stop, like dropping the handle.
    ///
    /// # Errors
    ///
    /// The reason why it stopped, if that was not requested: the store was closed, or is
    /// [poisoned](crate::Error::is_poisoned); its runtime shut down.
    pub async fn join(mut self) -> Result<()> {
        let ended = (&mut self.task).await;
        ended.unwrap_or_else(|error| {
            let why = match error.try_into_panic() {
                Ok(payload) => format!("it panicked: {}", error::panic_text(payload)),
                Err(error) => error.to_string(),
            };
            Err(Failure::Runner { process: self.process.to_string(), why }.into())
        })
    }
}

impl Drop for AsyncRunnerHandle {
    fn drop(&mut self) {
        if !self.task.is_finished() {
            self.stopper().stop(Shutdown::HandBack);
        }
    }
}

impl fmt::Debug for AsyncRunnerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRunnerHandle")
            .field("process", &self.process)
            .field("instance", &self.instance)
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
