//! An attempt at an item, shared by its thread and the supervisor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::List;
use crate::run::WorkItem;
use crate::runner::stop::Shared;

/// How the worker's attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Failed(String),
    Panicked(String),
}

enum State {
    Running,
    Ended,
    /// Nothing waits for it any more.
    Abandoned,
}

/// An attempt. The item is lent to the worker: it can be taken back at any moment, after which the
/// worker's calls have no effect.
pub(crate) struct Attempt {
    shared: Arc<Shared>,
    name: Arc<str>,
    pub(super) list: List,
    number: u32,
    /// When it began, on the monotonic clock.
    pub(crate) began: Duration,
    item: Mutex<Option<WorkItem>>,
    state: Mutex<State>,
    has_errors: AtomicBool,
    must_stop: AtomicBool,
    /// Whether the item or its run is over.
    is_over: AtomicBool,
    is_lost: AtomicBool,
    is_timed_out: AtomicBool,
    is_cancelled: AtomicBool,
}

impl Attempt {
    pub(crate) fn new(shared: Arc<Shared>, item: WorkItem, number: u32, began: Duration) -> Self {
        Self {
            shared,
            name: item.shared_name(),
            list: item.list(),
            number,
            began,
            item: Mutex::new(Some(item)),
            state: Mutex::new(State::Running),
            has_errors: AtomicBool::new(false),
            must_stop: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            is_timed_out: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of the attempt, starting with 1.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Calls `f` with the item, unless it was taken back.
    pub(crate) fn with_item<T>(&self, f: impl FnOnce(&mut WorkItem) -> T) -> Option<T> {
        self.item.lock().as_mut().map(f)
    }

    pub(crate) fn take_item(&self) -> Option<WorkItem> {
        self.item.lock().take()
    }

    /// Wakes the supervisor if the item or its run is over and this worker was not told yet.
    pub(crate) fn report_end(&self) {
        if !self.must_stop() && self.with_item(|item| item.should_stop()) == Some(true) {
            self.is_over.store(true, Ordering::Relaxed);
            self.shared.signal.raise();
        }
    }

    /// Wakes the supervisor.
    pub(crate) fn ask_to_look(&self) {
        self.shared.signal.raise();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn add_error(&self, text: &str) {
        self.has_errors.store(true, Ordering::Relaxed);
        self.with_item(|item| item.add_error(text));
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.must_stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn must_stop(&self) -> bool {
        self.must_stop.load(Ordering::Relaxed)
    }

    /// Takes the item back because this instance no longer owns the run.
    pub(crate) fn lose(&self) -> Option<WorkItem> {
        self.is_lost.store(true, Ordering::Relaxed);
        self.stop();
        self.take_item()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(*self.state.lock(), State::Running)
    }

    /// Marks it as timed out; false if it was before, or it has ended.
    pub(crate) fn time_out(&self, timeout: Duration) -> bool {
        self.interrupt(&self.is_timed_out, &format!("timed out after {timeout:?}"))
    }

    pub(crate) fn is_timed_out(&self) -> bool {
        self.is_timed_out.load(Ordering::Relaxed)
    }

    /// Cancels it; false if it was before, or it has ended.
    pub(crate) fn cancel(&self) -> bool {
        self.interrupt(&self.is_cancelled, CANCELLED)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Records once, while it runs, why it must stop.
    fn interrupt(&self, reason: &AtomicBool, error: &str) -> bool {
        let state = self.state.lock();
        let is_news = matches!(*state, State::Running) && !reason.swap(true, Ordering::Relaxed);
        if is_news {
            self.add_error(error);
            self.stop();
        }
        is_news
    }

    /// Stops waiting for it; false if it has ended meanwhile.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        let is_running = matches!(*state, State::Running);
        if is_running {
            *state = State::Abandoned;
            self.shared.abandoned.fetch_add(1, Ordering::Relaxed);
        }
        is_running
    }

    /// Ends it; returns whether it was still awaited.
    pub(super) fn end(&self) -> bool {
        let mut state = self.state.lock();
        if matches!(*state, State::Abandoned) {
            self.shared.abandoned.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        *state = State::Ended;
        true
    }
}

/// The error of an item that was cancelled.
pub(crate) const CANCELLED: &str = "cancelled";
