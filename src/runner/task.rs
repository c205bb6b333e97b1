//! One attempt at one item, between the runner and the thread that works on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::WorkContext;
use super::stop::Shared;
use super::worker::Worker;
use crate::error;
use crate::model::List;
use crate::run::WorkItem;

/// How an attempt ended, by what its worker did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    Failed(String),
    Panicked(String),
}

enum State {
    Running,
    Ended(Verdict),
    /// The runner waits for it no more.
    Abandoned,
}

/// The item is lent to the worker: the runner can take it back at any moment,
/// and from then on nothing that the worker calls has any effect.
pub(super) struct Task {
    worker: Arc<dyn Worker>,
    shared: Arc<Shared>,
    name: String,
    list: List,
    attempt: u32,
    item: Mutex<Option<WorkItem>>,
    has_errors: AtomicBool,
    must_stop: AtomicBool,
    /// The item, or its run, has come to an end.
    is_over: AtomicBool,
    is_lost: AtomicBool,
    state: Mutex<State>,
}

impl Task {
    pub(super) fn new(worker: Arc<dyn Worker>, shared: Arc<Shared>, item: WorkItem, attempt: u32) -> Self {
        Self {
            worker,
            shared,
            name: item.name().to_owned(),
            list: item.list(),
            attempt,
            item: Mutex::new(Some(item)),
            has_errors: AtomicBool::new(false),
            must_stop: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            state: Mutex::new(State::Running),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Does something with the item, unless the runner has taken it back.
    pub(super) fn with_item<T>(&self, f: impl FnOnce(&mut WorkItem) -> T) -> Option<T> {
        self.item.lock().as_mut().map(f)
    }

    pub(super) fn take_item(&self) -> Option<WorkItem> {
        self.item.lock().take()
    }

    /// Has the runner look around if the item or its run is over and this worker not
    /// told yet.
    pub(super) fn report_end(&self) {
        if !self.must_stop() && self.with_item(|item| item.should_stop()) == Some(true) {
            self.is_over.store(true, Ordering::Relaxed);
            self.shared.signal.raise();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn add_error(&self, text: &str) {
        self.has_errors.store(true, Ordering::Relaxed);
        self.with_item(|item| item.add_error(text));
    }

    pub(super) fn has_errors(&self) -> bool {
        self.has_errors.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.must_stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn must_stop(&self) -> bool {
        self.must_stop.load(Ordering::Relaxed)
    }

    /// Takes the item back because the run is not this instance's any more.
    pub(super) fn lose(&self) -> Option<WorkItem> {
        self.is_lost.store(true, Ordering::Relaxed);
        self.stop();
        self.take_item()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(*self.state.lock(), State::Running)
    }

    /// How it ended, once it has; asked a second time it answers nothing.
    pub(super) fn take_verdict(&self) -> Option<Verdict> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Abandoned) {
            State::Ended(verdict) => Some(verdict),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Waits for it no more; false if it has ended meanwhile.
    pub(super) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        let is_running = matches!(*state, State::Running);
        if is_running {
            *state = State::Abandoned;
            self.shared.abandoned.fetch_add(1, Ordering::Relaxed);
        }
        is_running
    }

    /// Does the work, on the thread of the caller.
    pub(super) fn execute(self: &Arc<Self>) {
        let mut context = WorkContext::new(self.clone());
        // What a worker leaves half-done in its own state is its own concern; the
        // item is behind a lock that no panic of a worker can hold.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = match self.list {
                List::Active => self.worker.process(&mut context),
                List::Cleanup | List::Dropped => self.worker.clean_up(&mut context),
            };
            result.map_err(|failure| error::chain(failure.as_ref()))
        }));
        self.end(match result {
            Ok(Ok(())) => Verdict::Done,
            Ok(Err(text)) => Verdict::Failed(text),
            Err(payload) => Verdict::Panicked(error::panic_text(payload)),
        });
    }

    pub(super) fn end(&self, verdict: Verdict) {
        let mut state = self.state.lock();
        if matches!(*state, State::Abandoned) {
            self.shared.abandoned.fetch_sub(1, Ordering::Relaxed);
        } else {
            *state = State::Ended(verdict);
        }
        drop(state);
        self.shared.signal.raise();
    }
}
