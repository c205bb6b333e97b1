//! The state of an attempt at an item, shared by the dispatcher and its task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::mailbox::{Event, Mailbox, Verdict};
use crate::clock::Clock;
use crate::model::List;
use crate::run::WorkItem;
use crate::store::Store;
use crate::tokio::stop::Shared;

/// An attempt. The item is lent to the worker: the dispatcher can take it back at any moment, after
/// which the worker's calls have no effect.
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) list: List,
    pub(crate) attempt: u32,
    pub(crate) store: Store,
    /// Whether progress waits until it survives power loss.
    pub(crate) is_synced: bool,
    mailbox: Arc<Mailbox>,
    item: Mutex<Option<WorkItem>>,
    has_errors: AtomicBool,
    is_cancelled: AtomicBool,
    cancelled: Notify,
    is_lost: AtomicBool,
    /// Whether it ended or was abandoned first.
    fate: AtomicU8,
    shared: Arc<Shared>,
    /// The monotonic time since which it is being polled; [`NOT_POLLED`] in between.
    polled_since: AtomicU64,
}

const WORKING: u8 = 0;
const ENDED: u8 = 1;
const ABANDONED: u8 = 2;

const NOT_POLLED: u64 = u64::MAX;

/// The state shared by all items of a run.
pub(crate) struct RunContext {
    pub(crate) store: Store,
    pub(crate) is_synced: bool,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(in crate::tokio) shared: Arc<Shared>,
}

impl Drop for RunContext {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl Task {
    pub(crate) fn new(context: &RunContext, id: u64, item: WorkItem, attempt: u32) -> Self {
        Self {
            id,
            name: item.shared_name(),
            list: item.list(),
            attempt,
            store: context.store.clone(),
            is_synced: context.is_synced,
            mailbox: context.mailbox.clone(),
            item: Mutex::new(Some(item)),
            has_errors: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            cancelled: Notify::new(),
            is_lost: AtomicBool::new(false),
            fate: AtomicU8::new(WORKING),
            shared: context.shared.clone(),
            polled_since: AtomicU64::new(NOT_POLLED),
        }
    }

    /// Calls `f` with the item, unless it was taken back.
    pub(crate) fn with_item<T>(&self, f: impl FnOnce(&mut WorkItem) -> T) -> Option<T> {
        self.item.lock().as_mut().map(f)
    }

    pub(crate) fn take_item(&self) -> Option<WorkItem> {
        self.item.lock().take()
    }

    /// Takes the item back because this instance no longer owns the run.
    pub(crate) fn lose(&self) -> Option<WorkItem> {
        self.is_lost.store(true, Ordering::Relaxed);
        self.cancel();
        self.take_item()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    pub(crate) fn add_error(&self, text: &str) {
        self.has_errors.store(true, Ordering::Relaxed);
        self.with_item(|item| item.add_error(text));
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors.load(Ordering::Relaxed)
    }

    /// Wakes the dispatcher if the item or its run is over.
    pub(crate) fn report_over(&self) {
        if !self.is_cancelled() && self.with_item(|item| item.should_stop()) == Some(true) {
            self.mailbox.post(self.id, Event::Over);
        }
    }

    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Release);
        self.cancelled.notify_waiters();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    pub(crate) async fn cancelled(&self) {
        let cancelled = self.cancelled.notified();
        if !self.is_cancelled() {
            cancelled.await;
        }
    }

    /// Stops waiting for its end; false if it has ended meanwhile.
    pub(crate) fn abandon(&self) -> bool {
        let abandoned = self.fate.compare_exchange(WORKING, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
        if abandoned.is_ok() {
            self.shared.stuck.fetch_add(1, Ordering::Relaxed);
        }
        abandoned.is_ok()
    }

    pub(super) fn end(&self, verdict: Verdict) {
        if self.fate.swap(ENDED, Ordering::AcqRel) == ABANDONED {
            self.shared.stuck.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.mailbox.post(self.id, Event::Ended(verdict));
        }
    }

    fn clock(&self) -> &dyn Clock {
        &*self.store.inner.clock
    }

    /// Reports whether one poll of it has taken longer than `longest`, so that it blocks its
    /// thread.
    pub(crate) fn is_blocking(&self, now: Duration, longest: Duration) -> bool {
        let since = self.polled_since.load(Ordering::Relaxed);
        since != NOT_POLLED && now.saturating_sub(Duration::from_nanos(since)) > longest
    }

    /// Records that its future is being polled, until [`note_polled`](Task::note_polled).
    pub(super) fn note_poll(&self) {
        let now = u64::try_from(self.clock().monotonic().as_nanos()).unwrap_or(NOT_POLLED);
        self.polled_since.store(now, Ordering::Relaxed);
    }

    pub(super) fn note_polled(&self) {
        self.polled_since.store(NOT_POLLED, Ordering::Relaxed);
    }
}
