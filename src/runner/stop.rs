//! Requests to stop a runner or to cancel an item.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::signal::Signal;
use crate::clock::Clock;

/// How a runner stops.
///
/// Each way may have a [deadline](Stopper::stop_within), after which it becomes
/// [`Now`](Shutdown::Now). An item waiting for a retry never gets it: it ends incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shutdown {
    /// Completes the current run. A run that is paused by the settings is handed back instead.
    Finish,
    /// Completes the items in progress, and hands the run back unfinished: the next instance that
    /// claims the process resumes it at once.
    HandBack,
    /// Tells the workers to stop ([`should_stop`](crate::WorkContext::should_stop)), and hands the
    /// run back. The results of workers count as usual; an item that ends with an error is repeated
    /// by the instance that resumes the run. A worker that has not returned after the [grace
    /// period](crate::RunnerBuilder::stop_grace) is abandoned with its thread.
    Now,
}

/// Stops a runner from anywhere: a thread, or the callback of a signal-handling crate such as
/// `ctrlc`, which runs on a thread of its own.
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
/// let stopper = runner.stopper();
/// // ctrlc::set_handler(move || stopper.stop_within(Shutdown::HandBack, Duration::from_secs(20)))
/// # std::thread::spawn(move || stopper.stop_within(Shutdown::HandBack, Duration::from_secs(20)));
/// runner.join()?;
/// # Ok::<(), procstate::Error>(())
/// ```
#[derive(Clone)]
pub struct Stopper {
    shared: Arc<Shared>,
}

/// Cancels items of the current run.
pub(super) trait Cancel: Send + Sync {
    /// Cancels an item; returns whether it was in progress or waiting for a retry.
    fn cancel(&self, work: &str) -> bool;
}

/// The state shared by a runner, its workers' threads, and its stoppers.
pub(super) struct Shared {
    /// Raised to wake the supervisor: a thread is idle, or a stop was requested.
    pub(super) signal: Signal,
    /// The number of abandoned workers that have not returned.
    pub(super) abandoned: AtomicUsize,
    clock: Arc<dyn Clock>,
    /// Checked before every item.
    is_stopping: AtomicBool,
    stop: Mutex<Option<Stop>>,
    /// Cancels items of the current run, if there is one.
    run: Mutex<Option<Weak<dyn Cancel>>>,
}

/// A request to stop.
#[derive(Debug, Clone, Copy)]
struct Stop {
    how: Shutdown,
    /// When it becomes [`Shutdown::Now`], on the monotonic clock.
    deadline: Duration,
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            signal: Signal::default(),
            abandoned: AtomicUsize::new(0),
            clock,
            is_stopping: AtomicBool::new(false),
            stop: Mutex::new(None),
            run: Mutex::new(None),
        }
    }

    /// Returns how the runner must stop now, if so.
    pub(super) fn stop(&self) -> Option<Shutdown> {
        if !self.is_stopping.load(Ordering::Acquire) {
            return None;
        }
        let stop = (*self.stop.lock())?;
        Some(if self.clock.monotonic() >= stop.deadline { Shutdown::Now } else { stop.how })
    }

    /// Returns when workers are told to stop, on the monotonic clock.
    pub(super) fn stop_deadline(&self) -> Option<Duration> {
        self.stop.lock().map(|stop| stop.deadline)
    }

    pub(super) fn set_run(&self, run: Weak<dyn Cancel>) {
        *self.run.lock() = Some(run);
    }

    fn ask(&self, how: Shutdown, within: Duration) {
        let within = if how == Shutdown::Now { Duration::ZERO } else { within };
        let deadline = self.clock.monotonic().saturating_add(within);
        let mut stop = self.stop.lock();
        *stop = Some(stop.map_or(Stop { how, deadline }, |earlier| Stop {
            how: earlier.how.max(how),
            deadline: earlier.deadline.min(deadline),
        }));
        self.is_stopping.store(true, Ordering::Release);
        drop(stop);
        self.signal.raise();
    }
}

impl Stopper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Asks the runner to stop, and returns at once.
    ///
    /// A later request may be more urgent in the order of [`Shutdown`]; a request cannot be
    /// withdrawn.
    pub fn stop(&self, how: Shutdown) {
        self.shared.ask(how, Duration::MAX);
    }

    /// Asks the runner to stop, with a deadline: after `time` workers are told to stop, as by
    /// [`Shutdown::Now`].
    ///
    /// In total the runner takes at most `time` plus its [grace
    /// period](crate::RunnerBuilder::stop_grace). A later deadline does not replace an earlier one.
    pub fn stop_within(&self, how: Shutdown, time: Duration) {
        self.shared.ask(how, time);
    }

    /// Cancels the work on one item of the current run: its worker is told to
    /// [stop](crate::WorkContext::should_stop), and the item ends with the error "cancelled"
    /// without a retry, whatever the worker returns.
    ///
    /// The run continues with the others. A worker that has not returned after the [grace
    /// period](crate::RunnerBuilder::stop_grace) is abandoned with its thread.
    ///
    /// Returns at once; false if no item of this name is in progress or waiting for a retry.
    ///
    /// ```
    /// # use procstate::{Runner, Store};
    /// # use std::time::Duration;
    /// # let store = Store::in_memory();
    /// # let runner = Runner::builder(&store, "gckeys").every(Duration::from_secs(3600)).worker_fn(|_| Ok(())).spawn()?;
    /// if !runner.stopper().cancel("project-1") {
    ///     println!("project-1 is not in progress");
    /// }
    /// # Ok::<(), procstate::Error>(())
    /// ```
    pub fn cancel(&self, work: &str) -> bool {
        let run = self.shared.run.lock().as_ref().and_then(Weak::upgrade);
        run.is_some_and(|run| run.cancel(work))
    }

    /// Reports whether the runner was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stop().is_some()
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("stop", &self.shared.stop()).finish()
    }
}
