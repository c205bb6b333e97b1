//! The handle on an async runner that runs.

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
/// Dropping the handle asks the runner to stop as [`Shutdown::HandBack`] does, and does not
/// wait for it. If the runtime goes down first, the run that is on is left unfinished, and
/// the next claim goes on with it at once.
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
    /// Starts the runner as a task of the runtime it is called on; it claims the process
    /// whenever a run is due, until it is told to stop.
    ///
    /// # Errors
    ///
    /// If it is not called on a tokio runtime.
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

    /// The id of the instance that the runner is.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// A way to stop the runner from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> AsyncStopper {
        AsyncStopper::new(self.shared.clone())
    }

    /// Whether the runner has stopped; [`join`](AsyncRunnerHandle::join) tells why.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// How many futures were left behind, because they block their threads and cannot be
    /// dropped.
    #[must_use]
    pub fn stuck_workers(&self) -> usize {
        self.shared.stuck.load(Ordering::Relaxed)
    }

    /// Asks the runner to stop and waits until it has. Items that are still in hand after
    /// `deadline` are [cancelled](super::AsyncWork::cancelled) and the run is handed back
    /// with them unfinished; zero cancels them now, [`Duration::MAX`] never.
    ///
    /// It takes no longer than the deadline and one sync, if there is no
    /// [`cancel_grace`](super::AsyncRunnerBuilder::cancel_grace) and no worker blocks its
    /// thread ([`stop_grace`](super::AsyncRunnerBuilder::stop_grace)).
    ///
    /// # Errors
    ///
    /// As [`join`](AsyncRunnerHandle::join).
    pub async fn shutdown(self, how: Shutdown, deadline: Duration) -> Result<()> {
        self.stopper().stop_within(how, deadline);
        self.join().await
    }

    /// Waits until the runner stops; does not ask it to. Dropped, it asks, as the handle
    /// does.
    ///
    /// # Errors
    ///
    /// What stopped it, if nobody asked it to: the store was closed, or is
    /// [poisoned](crate::Error::is_poisoned); its runtime went down.
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
