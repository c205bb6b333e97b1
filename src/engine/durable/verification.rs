//! Whether the verification in the background is due or running.
//!
//! Until it has ended nothing is committed, and index, snapshot and log stay as opening left them.

use crate::sync::{Condvar, Mutex};

#[derive(Debug)]
pub(crate) struct Verification {
    is_pending: Mutex<bool>,
    ended: Condvar,
}

impl Verification {
    pub(crate) fn new(is_pending: bool) -> Self {
        Self { is_pending: Mutex::new(is_pending), ended: Condvar::new() }
    }

    pub(crate) fn is_pending(&self) -> bool {
        *self.is_pending.lock()
    }

    /// Ends it, whatever it found; returns whether it was pending.
    pub(crate) fn end(&self) -> bool {
        let was_pending = std::mem::take(&mut *self.is_pending.lock());
        self.ended.notify_all();
        was_pending
    }

    /// Waits until it has ended, whatever it found.
    pub(crate) fn wait(&self) {
        let mut is_pending = self.is_pending.lock();
        while *is_pending {
            self.ended.wait(&mut is_pending);
        }
    }
}
