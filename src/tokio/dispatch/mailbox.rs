//! The messages of a run's tasks to its dispatcher.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// How the future of an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Failed(String),
    Panicked(String),
    /// It was dropped before it completed.
    Dropped,
}

/// Collects messages until the dispatcher takes them together.
#[derive(Default)]
pub(crate) struct Mailbox {
    events: Mutex<Vec<(u64, Event)>>,
    cancels: Mutex<Vec<Cancel>>,
    is_closed: AtomicBool,
    arrived: Notify,
}

/// An event of a task.
pub(crate) enum Event {
    Ended(Verdict),
    /// Its item has too many errors, or the run is over.
    Over,
}

/// A request to cancel the work on an item; the answer tells whether it was in progress.
pub(crate) struct Cancel {
    pub(crate) work: String,
    pub(crate) answer: oneshot::Sender<bool>,
}

impl Mailbox {
    pub(crate) fn post(&self, task: u64, event: Event) {
        self.events.lock().push((task, event));
        self.arrived.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<(u64, Event)> {
        std::mem::take(&mut *self.events.lock())
    }

    /// Cancels an item; returns whether it was in progress; false also if the run has ended.
    pub(crate) async fn cancel(&self, work: &str) -> bool {
        let (answer, answered) = oneshot::channel();
        {
            let mut cancels = self.cancels.lock();
            if self.is_closed.load(Ordering::Acquire) {
                return false;
            }
            cancels.push(Cancel { work: work.to_owned(), answer });
        }
        self.arrived.notify_one();
        answered.await.unwrap_or(false)
    }

    /// Ends the mailbox: pending requests are answered with false.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.cancels.lock().clear();
    }

    pub(crate) fn take_cancels(&self) -> Vec<Cancel> {
        std::mem::take(&mut *self.cancels.lock())
    }

    /// Waits for an event, including any since the last wait.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
