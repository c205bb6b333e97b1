//! What the tasks of a run tell its dispatcher.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// How an attempt ended, by what became of its future.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Failed(String),
    Panicked(String),
    /// It was dropped before its end.
    Dropped,
}

/// Holds what was told until the dispatcher comes by: what arrived together is taken
/// together.
#[derive(Default)]
pub(crate) struct Mailbox {
    events: Mutex<Vec<(u64, Event)>>,
    cancels: Mutex<Vec<Cancel>>,
    is_closed: AtomicBool,
    arrived: Notify,
}

/// About one task.
pub(crate) enum Event {
    Ended(Verdict),
    /// Its item had too many errors, or the run is over.
    Over,
}

/// Somebody asks for the work on an item to be cancelled, and hears whether it was in hand.
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

    /// Answers whether the item was in hand; false also if the run has ended.
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

    /// The run has ended: whoever waits for an answer hears that nothing is in hand.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.cancels.lock().clear();
    }

    pub(crate) fn take_cancels(&self) -> Vec<Cancel> {
        std::mem::take(&mut *self.cancels.lock())
    }

    /// Waits for an event; one that arrived since the last wait counts.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
