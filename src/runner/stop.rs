//! Asking a runner to stop.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;

use super::signal::Signal;

/// How a runner stops.
///
/// Either way an item that waits for another attempt does not get it: it ends
/// incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shutdown {
    /// Completes the run that is on. A run that is paused by the settings is
    /// handed back instead.
    Finish,
    /// Finishes the items in hand and hands the run back unfinished: the next
    /// instance that claims the process goes on with it at once.
    HandBack,
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
/// // ctrlc::set_handler(move || stopper.stop(Shutdown::HandBack))
/// # std::thread::spawn(move || stopper.stop(Shutdown::HandBack));
/// runner.join()?;
/// # Ok::<(), procstate::Error>(())
/// ```
#[derive(Clone)]
pub struct Stopper {
    shared: Arc<Shared>,
}

/// What a runner shares with its workers' threads and those who stop it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Raised when the runner is to look around: a worker returned, or somebody
    /// asked to stop.
    pub(super) signal: Signal,
    /// How many workers do not return although they were told to.
    pub(super) abandoned: AtomicUsize,
    stop: Mutex<Option<Shutdown>>,
}

impl Shared {
    pub(super) fn stop(&self) -> Option<Shutdown> {
        *self.stop.lock()
    }
}

impl Stopper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Asks the runner to stop, and returns at once. [`Shutdown::HandBack`] may
    /// follow [`Shutdown::Finish`]; it is not taken back.
    pub fn stop(&self, how: Shutdown) {
        let mut stop = self.shared.stop.lock();
        *stop = (*stop).max(Some(how));
        drop(stop);
        self.shared.signal.raise();
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
