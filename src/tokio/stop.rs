//! Requests to stop an async runner.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::dispatch::mailbox::Mailbox;
use crate::clock::Clock;
use crate::runner::Shutdown;

/// Stops an [`AsyncRunner`](super::AsyncRunner) from anywhere: a task, a thread, a signal handler.
#[derive(Clone)]
pub struct AsyncStopper {
    shared: Arc<Shared>,
}

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) how: Shutdown,
    /// When items in progress are cancelled, on the monotonic clock.
    pub(super) deadline: Duration,
}

/// The state shared by a runner and its stoppers.
pub(super) struct Shared {
    clock: Arc<dyn Clock>,
    stop: watch::Sender<Option<Stop>>,
    /// The mailbox of the current run.
    mailbox: Mutex<Weak<Mailbox>>,
    /// The number of dropped futures that block their threads.
    pub(super) stuck: AtomicUsize,
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, stop: watch::Sender::new(None), mailbox: Mutex::default(), stuck: AtomicUsize::new(0) }
    }

    pub(super) fn stop(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    pub(super) fn set_mailbox(&self, mailbox: Weak<Mailbox>) {
        *self.mailbox.lock() = mailbox;
    }

    /// Returns a receiver that is notified when the request to stop changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Stop>> {
        self.stop.subscribe()
    }
}

impl AsyncStopper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Asks the runner to stop, and returns at once.
    pub fn stop(&self, how: Shutdown) {
        self.stop_within(how, Duration::MAX);
    }

    /// Asks the runner to stop, with a deadline: items still in progress after `time` are
    /// [cancelled](super::AsyncWork::cancelled), and the run is handed back with them unfinished;
    /// zero cancels them now.
    ///
    /// Of several requests the more urgent way and the earliest deadline apply.
    pub fn stop_within(&self, how: Shutdown, time: Duration) {
        let time = if how == Shutdown::Now { Duration::ZERO } else { time };
        let deadline = self.shared.clock.monotonic().saturating_add(time);
        self.shared.stop.send_if_modified(|stop| {
            let asked = stop.map_or(Stop { how, deadline }, |known| Stop {
                how: known.how.max(how),
                deadline: known.deadline.min(deadline),
            });
            stop.replace(asked) != Some(asked)
        });
    }

    /// Cancels the work on one item of the current run: its future is dropped, and the item ends
    /// with the error "cancelled" without a retry.
    ///
    /// The run continues with the others. Returns false if no item of this name is in progress or
    /// waiting for a retry.
    pub async fn cancel(&self, work: &str) -> bool {
        let mailbox = self.shared.mailbox.lock().upgrade();
        match mailbox {
            Some(mailbox) => mailbox.cancel(work).await,
            None => false,
        }
    }

    /// Reports whether the runner was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stop().is_some()
    }
}

impl fmt::Debug for AsyncStopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStopper").field("stop", &self.shared.stop()).finish()
    }
}
