//! The queue of commits that wait for the writer lock. The thread that gets the lock commits all of
//! them in one write.

use std::sync::Arc;

use crate::engine::{Batch, Outcome};
use crate::error::Result;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    waiting: Mutex<Vec<Arc<PendingCommit>>>,
    /// The queue's length, which every commit reads.
    len: AtomicUsize,
}

/// A commit waiting for its outcome.
#[derive(Debug)]
pub(super) struct PendingCommit {
    state: Mutex<State>,
    is_complete: AtomicBool,
}

#[derive(Debug)]
enum State {
    Waiting(Batch),
    /// A thread is committing it, or its outcome was taken.
    Taken,
    Complete(Result<Outcome>),
}

impl WriteQueue {
    pub(super) fn join(&self, batch: Batch) -> Arc<PendingCommit> {
        let state = Mutex::new(State::Waiting(batch));
        let pending = Arc::new(PendingCommit { state, is_complete: AtomicBool::new(false) });
        let mut waiting = self.waiting.lock();
        waiting.push(pending.clone());
        self.len.store(waiting.len(), Ordering::Release);
        pending
    }

    /// Takes all waiting commits, in order of arrival.
    pub(super) fn take(&self) -> Vec<Arc<PendingCommit>> {
        if self.len.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock();
        self.len.store(0, Ordering::Release);
        std::mem::take(&mut *waiting)
    }
}

impl PendingCommit {
    /// Takes the batch; `None` the second time.
    pub(super) fn take_batch(&self) -> Option<Batch> {
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Waiting(batch) => Some(batch),
            State::Taken | State::Complete(_) => None,
        }
    }

    pub(super) fn complete(&self, outcome: Result<Outcome>) {
        *self.state.lock() = State::Complete(outcome);
        self.is_complete.store(true, Ordering::Release);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Acquire)
    }

    /// Takes the outcome; `None` if there is none yet, or it was taken.
    pub(super) fn take_outcome(&self) -> Option<Result<Outcome>> {
        if !self.is_complete() {
            return None;
        }
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Complete(outcome) => Some(outcome),
            State::Waiting(_) | State::Taken => None,
        }
    }
}
