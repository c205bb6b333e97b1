//! Commits that wait while another is being made. Whoever has the next turn makes them all,
//! and they share its write.

use std::sync::Arc;

use crate::engine::{Batch, Outcome};
use crate::error::Result;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Vec<Arc<Ticket>>>,
    /// How many they are: looked at by every commit.
    len: AtomicUsize,
}

/// A commit that waits.
#[derive(Debug)]
pub(super) struct Ticket {
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

impl Queue {
    pub(super) fn join(&self, batch: Batch) -> Arc<Ticket> {
        let state = Mutex::new(State::Waiting(batch));
        let ticket = Arc::new(Ticket { state, is_answered: AtomicBool::new(false) });
        let mut waiting = self.waiting.lock();
        waiting.push(ticket.clone());
        self.len.store(waiting.len(), Ordering::Release);
        ticket
    }

    /// Those who wait, in the order in which they came.
    pub(super) fn take(&self) -> Vec<Arc<Ticket>> {
        if self.len.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock();
        self.len.store(0, Ordering::Release);
        std::mem::take(&mut *waiting)
    }
}

impl Ticket {
    /// What is to be committed; `None` the second time.
    pub(super) fn take_batch(&self) -> Option<Batch> {
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Waiting(batch) => Some(batch),
            State::Taken | State::Answered(_) => None,
        }
    }

    pub(super) fn answer(&self, outcome: Result<Outcome>) {
        *self.state.lock() = State::Answered(outcome);
        self.is_answered.store(true, Ordering::Release);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Acquire)
    }

    /// The answer; `None` if there is none, or it was taken.
    pub(super) fn take_answer(&self) -> Option<Result<Outcome>> {
        if !self.is_answered() {
            return None;
        }
        match std::mem::replace(&mut *self.state.lock(), State::Taken) {
            State::Answered(outcome) => Some(outcome),
            State::Waiting(_) | State::Taken => None,
        }
    }
}
