//! Commits that wait while another is being made. Whoever has the next turn makes them all,
//! and they share its write.

use std::sync::Arc;

use crate::engine::{Batch, Outcome};
use crate::error::Result;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    waiting: Mutex<Vec<Arc<PendingCommit>>>,
    /// How many they are: looked at by every commit.
    len: AtomicUsize,
}

/// A commit that waits.
#[derive(Debug)]
pub(crate) struct PendingCommit {
    state: Mutex<State>,
    is_answered: AtomicBool,
}

#[derive(Debug)]
enum State {
    Waiting(Batch),
    /// Somebody is making it, or its answer was taken.
    Taken,
    Answered(Result<Outcome>),
}

impl WriteQueue {
    pub(crate) fn join(&self, batch: Batch) -> Arc<PendingCommit> {
        let state = Mutex::new(State::Waiting(batch));
        let ticket = Arc::new(PendingCommit { state, is_answered: AtomicBool::new(false) });
        let mut waiting = self.waiting.lock();
        waiting.push(ticket.clone());
        self.len.store(waiting.len(), Ordering::Release);
        ticket
    }

    /// Those who wait, in the order in which they came.
    pub(crate) fn take(&self) -> Vec<Arc<PendingCommit>> {
        if self.len.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock();
        self.len.store(0, Ordering::Release);
        std::mem::take(&mut *waiting)
    }
}

impl PendingCommit {
    /// What is to be committed; `None` the second time.
    pub(crate) fn take_batch(&self) -> Option<Batch> {
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Waiting(batch) => Some(batch),
            State::Taken | State::Answered(_) => None,
        }
    }

    pub(crate) fn answer(&self, outcome: Result<Outcome>) {
        *self.state.lock() = State::Answered(outcome);
        self.is_answered.store(true, Ordering::Release);
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Acquire)
    }

    /// The answer; `None` if there is none, or it was taken.
    pub(crate) fn take_answer(&self) -> Option<Result<Outcome>> {
        if !self.is_answered() {
            return None;
        }
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Answered(outcome) => Some(outcome),
            State::Waiting(_) | State::Taken => None,
        }
    }
}
