//! Asking a runner to stop, or to cancel an item.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::signal::Signal;
use crate::clock::Clock;

/// How a runner stops.
///
/// Each may have a [deadline](Stopper::stop_within), after which it is as
/// [`Now`](Shutdown::Now). However a runner stops, an item that waits for another
/// attempt does not get it: it ends incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shutdown {
    /// Completes the run that is on. A run that is paused by the settings is
    /// handed back instead.
    Finish,
    /// Finishes the items in hand and hands the run back unfinished: the next
    /// instance that claims the process goes on with it at once.
    HandBack,
    /// Tells the workers to stop ([`should_stop`](crate::WorkContext::should_stop)),
    /// and hands the run back. What a worker returns counts as ever; an item that it
    /// ends with an error is done again by the instance that goes on with the run. A
    /// worker that has not returned after the
    /// [grace](crate::RunnerBuilder::stop_grace) is left behind with its thread.
    Now,
}

/// Asks a runner to stop, from anywhere: a thread, or the callback of a
/// signal-handling crate such as `ctrlc`, which runs on a thread of its own.
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

/// Can cancel the work on an item of the run that is on.
pub(super) trait Cancel: Send + Sync {
    /// Answers whether the item was in flight or waiting for another attempt.
    fn cancel(&self, work: &str) -> bool;
}

/// What a runner shares with its workers' threads and those who stop it.
pub(super) struct Shared {
    /// Raised when the supervisor is to look around: a thread has nothing to do, or
    /// somebody asked to stop.
    pub(super) signal: Signal,
    /// How many workers do not return although they were told to.
    pub(super) abandoned: AtomicUsize,
    clock: Arc<dyn Clock>,
    /// Asked before every item.
    is_stopping: AtomicBool,
    stop: Mutex<Option<Stop>>,
    /// Cancels items of the run that is on, if one is.
    run: Mutex<Option<Weak<dyn Cancel>>>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
struct Stop {
    how: Shutdown,
    /// When it becomes [`Shutdown::Now`], by the monotonic clock.
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

    /// How the runner is to stop now, if it is.
    pub(super) fn stop(&self) -> Option<Shutdown> {
        if !self.is_stopping.load(Ordering::Acquire) {
            return None;
        }
        let stop = (*self.stop.lock())?;
        Some(if self.clock.monotonic() >= stop.deadline { Shutdown::Now } else { stop.how })
    }

    /// When workers are told to stop, by the monotonic clock.
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

    /// Asks the runner to stop, and returns at once. What comes later among
    /// [`Shutdown`] may follow what comes earlier; it is not taken back.
    pub fn stop(&self, how: Shutdown) {
        self.shared.ask(how, Duration::MAX);
    }

    /// [`stop`](Stopper::stop) with a deadline: after `time` workers are told to stop,
    /// as by [`Shutdown::Now`]. All in all the runner takes no longer than `time` and
    /// its [grace](crate::RunnerBuilder::stop_grace). A later deadline does not replace
    /// an earlier one.
    pub fn stop_within(&self, how: Shutdown, time: Duration) {
        self.shared.ask(how, time);
    }

    /// Cancels the work on one item of the run that is on: its worker is told to
    /// [stop](crate::WorkContext::should_stop), and the item ends with the error
    /// "cancelled" and without another attempt, whatever the worker returns. The run
    /// goes on with the others. A worker that has not returned after the
    /// [grace](crate::RunnerBuilder::stop_grace) is left behind with its thread.
    ///
    /// Answers at once; false if nobody works on an item of this name, and it does not
    /// wait for another attempt either.
    ///
    /// ```
    /// # use procstate::{Runner, Store};
    /// # use std::time::Duration;
    /// # let store = Store::in_memory();
    /// # let runner = Runner::builder(&store, "gckeys").every(Duration::from_secs(3600)).worker_fn(|_| Ok(())).spawn()?;
    /// if !runner.stopper().cancel("project-1") {
    ///     println!("nobody works on project-1");
    /// }
    /// # Ok::<(), procstate::Error>(())
    /// ```
    pub fn cancel(&self, work: &str) -> bool {
        let run = self.shared.run.lock().as_ref().and_then(Weak::upgrade);
        run.is_some_and(|run| run.cancel(work))
    }

    /// Whether the runner was asked to stop.
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
