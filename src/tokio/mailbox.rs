//! What the tasks of a run tell its dispatcher.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::task::Verdict;

/// Holds what was told until the dispatcher comes by: what arrived together is taken
/// together.
#[derive(Default)]
pub(super) struct Mailbox {
    mail: Mutex<Vec<(u64, Mail)>>,
    arrived: Notify,
}

/// About one task.
pub(super) enum Mail {
    Ended(Verdict),
    /// Its item had too many errors, or the run is over.
    Over,
}

impl Mailbox {
    pub(super) fn post(&self, task: u64, mail: Mail) {
        self.mail.lock().push((task, mail));
        self.arrived.notify_one();
    }

    pub(super) fn take(&self) -> Vec<(u64, Mail)> {
        std::mem::take(&mut *self.mail.lock())
    }

    /// Waits for mail; what came since the last wait counts.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
