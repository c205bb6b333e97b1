//! The handle of a running runner.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::Runner;
use super::schedule::scheduler::Scheduler;
use super::stop::{Shared, Shutdown, Stopper};
use crate::error::{self, Error, Failure, Result};

/// A runner on its own thread.
///
/// Dropping the handle stops it like [`Shutdown::HandBack`], and waits for it.
///
/// ```
/// use procstate::{Runner, Shutdown, Store};
/// use std::time::Duration;
///
/// let store = Store::in_memory();
/// let runner = Runner::builder(&store, "gckeys")
///     .every(Duration::from_secs(3600))
///     .worker_fn(|_| Ok(()))
///     .spawn()?;
/// println!("{}, {} stuck workers", runner.instance(), runner.stuck_workers());
/// assert!(!runner.stopper().is_stopping());
/// runner.stopper().stop(Shutdown::Finish);
/// runner.shutdown_within(Shutdown::HandBack, Duration::from_secs(20));
/// while !runner.is_finished() {
///     std::thread::yield_now();
/// }
/// runner.join()?;
/// # Ok::<(), procstate::Error>(())
/// ```
pub struct RunnerHandle {
    process: Arc<str>,
    instance: Arc<str>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Runner {
    /// Starts the runner on a thread of its own, where it claims the process whenever a run is due,
    /// until it is stopped.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn spawn(self) -> Result<RunnerHandle> {
        RunnerHandle::start(Scheduler::new(self))
    }
}

impl RunnerHandle {
    fn start(scheduler: Scheduler) -> Result<Self> {
        let runner = scheduler.runner();
        let (process, instance): (Arc<str>, Arc<str>) =
            (runner.handle.name().into(), runner.instance.id().into());
        let shared = runner.shared.clone();
        // A thread's name cannot contain a NUL.
        let name = format!("runner {}", process.replace('\0', " "));
        let thread = Builder::new().name(name).spawn(move || scheduler.run());
        let thread = thread.map_err(|error| failure(&process, format!("no thread for it: {error}")))?;
        Ok(Self { process, instance, shared, thread: Some(thread) })
    }

    /// Returns the id of the runner's instance.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Asks the runner to stop, and returns at once; [`join`](RunnerHandle::join) waits for it.
    pub fn shutdown(&self, how: Shutdown) {
        self.stopper().stop(how);
    }

    /// Asks the runner to stop, with a deadline; see [`Stopper::stop_within`].
    pub fn shutdown_within(&self, how: Shutdown, time: Duration) {
        self.stopper().stop_within(how, time);
    }

    /// Cancels the work on one item; see [`Stopper::cancel`].
    pub fn cancel(&self, work: &str) -> bool {
        self.stopper().cancel(work)
    }

    /// Returns a handle that stops the runner from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper::new(self.shared.clone())
    }

    /// Reports whether the runner has stopped; [`join`](RunnerHandle::join) tells why.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Returns how many abandoned workers have not returned yet.
    #[must_use]
    pub fn stuck_workers(&self) -> usize {
        self.shared.abandoned.load(Ordering::Relaxed)
    }

    /// Waits until the runner stops, without asking it to.
    ///
    /// # Errors
    ///
    /// The reason why it stopped, if that was not requested: the store was closed, or is
    /// [poisoned](Error::is_poisoned).
    pub fn join(mut self) -> Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let ended = thread.join();
        ended.unwrap_or_else(|payload| {
            Err(failure(&self.process, format!("it panicked: {}", error::panic_text(payload))))
        })
    }
}

fn failure(process: &str, why: String) -> Error {
    Failure::Runner { process: process.to_owned(), why }.into()
}

impl Drop for RunnerHandle {
    fn drop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        self.shutdown(Shutdown::HandBack);
        if let Err(error) = self.wait() {
            tracing::warn!(process = %self.process, %error, "the runner had stopped");
        }
    }
}

impl fmt::Debug for RunnerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerHandle")
            .field("process", &self.process)
            .field("instance", &self.instance)
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
