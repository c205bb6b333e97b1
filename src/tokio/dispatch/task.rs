//! One attempt at one item, between the dispatcher and the task that works on it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::mailbox::{Mail, Mailbox};
use crate::clock::Clock;
use crate::error;
use crate::model::List;
use crate::run::WorkItem;
use crate::store::Store;
use crate::tokio::AsyncWork;
use crate::tokio::stop::Shared;
use crate::tokio::worker::{Start, Working};

/// How an attempt ended, by what became of its future.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Failed(String),
    Panicked(String),
    /// It was dropped before its end.
    Dropped,
}

/// The item is lent to the worker: the dispatcher can take it back at any moment, and from
/// then on nothing that the worker calls has any effect.
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) list: List,
    pub(crate) attempt: u32,
    pub(crate) store: Store,
    /// Progress waits until it survives power loss.
    pub(crate) is_synced: bool,
    mailbox: Arc<Mailbox>,
    item: Mutex<Option<WorkItem>>,
    has_errors: AtomicBool,
    is_cancelled: AtomicBool,
    cancelled: Notify,
    is_lost: AtomicBool,
    /// Ended or left behind, whichever came first.
    fate: AtomicU8,
    shared: Arc<Shared>,
    /// Since when it is being polled, by the monotonic clock; [`NOT_POLLED`] in between.
    polled_since: AtomicU64,
}

const WORKING: u8 = 0;
const ENDED: u8 = 1;
const ABANDONED: u8 = 2;

const NOT_POLLED: u64 = u64::MAX;

/// What is the same for all items of a run.
pub(crate) struct Desk {
    pub(crate) start: Start,
    pub(crate) store: Store,
    pub(crate) is_synced: bool,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl Task {
    pub(crate) fn new(desk: &Desk, id: u64, item: WorkItem, attempt: u32) -> Self {
        Self {
            id,
            name: item.name().to_owned(),
            list: item.list(),
            attempt,
            store: desk.store.clone(),
            is_synced: desk.is_synced,
            mailbox: desk.mailbox.clone(),
            item: Mutex::new(Some(item)),
            has_errors: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            cancelled: Notify::new(),
            is_lost: AtomicBool::new(false),
            fate: AtomicU8::new(WORKING),
            shared: desk.shared.clone(),
            polled_since: AtomicU64::new(NOT_POLLED),
        }
    }

    /// Does something with the item, unless it was taken back.
    pub(crate) fn with_item<T>(&self, f: impl FnOnce(&mut WorkItem) -> T) -> Option<T> {
        self.item.lock().as_mut().map(f)
    }

    pub(crate) fn take_item(&self) -> Option<WorkItem> {
        self.item.lock().take()
    }

    /// Takes the item back because the run is not this instance's any more.
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

    /// Has the dispatcher look if the item or its run is over.
    pub(crate) fn report_over(&self) {
        if !self.is_cancelled() && self.with_item(|item| item.should_stop()) == Some(true) {
            self.mailbox.post(self.id, Mail::Over);
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

    /// Waits for its end no more; false if it has ended meanwhile.
    pub(crate) fn abandon(&self) -> bool {
        let abandoned = self.fate.compare_exchange(WORKING, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
        if abandoned.is_ok() {
            self.shared.stuck.fetch_add(1, Ordering::Relaxed);
        }
        abandoned.is_ok()
    }

    fn end(&self, verdict: Verdict) {
        if self.fate.swap(ENDED, Ordering::AcqRel) == ABANDONED {
            self.shared.stuck.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.mailbox.post(self.id, Mail::Ended(verdict));
        }
    }

    fn clock(&self) -> &dyn Clock {
        &*self.store.inner.clock
    }

    /// Whether one poll of it has taken longer than `longest`: it blocks its thread.
    pub(crate) fn is_blocking(&self, now: Duration, longest: Duration) -> bool {
        let since = self.polled_since.load(Ordering::Relaxed);
        since != NOT_POLLED && now.saturating_sub(Duration::from_nanos(since)) > longest
    }

    fn poll(&self, working: &mut Working, cx: &mut Context<'_>) -> Poll<Verdict> {
        let now = u64::try_from(self.clock().monotonic().as_nanos()).unwrap_or(NOT_POLLED);
        self.polled_since.store(now, Ordering::Relaxed);
        // What a worker leaves half-done in its own state is its own concern.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            working.as_mut().poll(cx).map(|result| result.map_err(|failure| error::chain(failure.as_ref())))
        }));
        self.polled_since.store(NOT_POLLED, Ordering::Relaxed);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => Poll::Ready(Verdict::Done),
            Ok(Poll::Ready(Err(text))) => Poll::Ready(Verdict::Failed(text)),
            Err(payload) => Poll::Ready(Verdict::Panicked(error::panic_text(payload))),
        }
    }
}

/// The future of one attempt. It reports its end, also if it is dropped, and only after all
/// that the worker's future held is gone.
pub(crate) struct Attempt {
    task: Arc<Task>,
    working: Option<Working>,
}

impl Attempt {
    pub(crate) fn new(desk: &Desk, task: &Arc<Task>) -> Self {
        let working = (desk.start)(AsyncWork::new(task.clone()), task.list);
        Self { task: task.clone(), working: Some(working) }
    }

    fn end(&mut self, verdict: Verdict) {
        let working = self.working.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(working)));
        let verdict = match dropped {
            Ok(()) => verdict,
            Err(payload) => Verdict::Panicked(error::panic_text(payload)),
        };
        self.task.end(verdict);
    }
}

impl Future for Attempt {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(working) = &mut this.working else { return Poll::Ready(()) };
        match this.task.poll(working, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(verdict) => {
                this.end(verdict);
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.working.is_some() {
            self.end(Verdict::Dropped);
        }
    }
}
