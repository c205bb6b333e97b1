//! Asking an async runner to stop.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::dispatch::mailbox::Mailbox;
use crate::clock::Clock;
use crate::runner::Shutdown;

/// Asks an [`AsyncRunner`](super::AsyncRunner) to stop, from anywhere: a task, a thread, a
/// signal handler.
#[derive(Clone)]
pub struct AsyncStopper {
    shared: Arc<Shared>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) how: Shutdown,
    /// When items in hand are cancelled, by the monotonic clock.
    pub(super) deadline: Duration,
}

/// What a runner shares with those who stop it.
pub(super) struct Shared {
    clock: Arc<dyn Clock>,
    stop: watch::Sender<Option<Stop>>,
    /// Of the run that is on.
    mailbox: Mutex<Weak<Mailbox>>,
    /// How many futures were to be dropped and block their threads.
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

    /// Whoever has this hears when the request to stop changes.
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

    /// [`stop`](AsyncStopper::stop) with a deadline: items that are still in hand after
    /// `time` are [cancelled](super::AsyncWork::cancelled), and the run is handed back with
    /// them unfinished, whichever way it was to stop; zero cancels them now.
    ///
    /// Asked again, it stops in the more urgent of the two ways, by the earlier deadline.
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

    /// Cancels the work on one item of the run that is on: its future is dropped, and the
    /// item ends with the error "cancelled" and without another attempt. The run goes on
    /// with the others. Answers false if nobody works on an item of this name, and it does
    /// not wait for another attempt either.
    pub async fn cancel(&self, work: &str) -> bool {
        let mailbox = self.shared.mailbox.lock().upgrade();
        match mailbox {
            Some(mailbox) => mailbox.cancel(work).await,
            None => false,
        }
    }

    /// Whether the runner was asked to stop.
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
