//! The future of an attempt at an item.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::mailbox::Verdict;
use super::task::Task;
use crate::error;
use crate::tokio::AsyncWork;
use crate::tokio::worker::{Start, WorkFuture};

/// The future of an attempt. It reports its end, also when dropped, and only after everything held
/// by the worker's future is gone.
pub(crate) struct Attempt {
    task: Arc<Task>,
    future: Option<WorkFuture>,
}

impl Attempt {
    pub(crate) fn new(start: &Start, task: &Arc<Task>) -> Self {
        let future = start(AsyncWork::new(task.clone()), task.list);
        Self { task: task.clone(), future: Some(future) }
    }

    fn end(&mut self, verdict: Verdict) {
        let future = self.future.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
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
        let Some(future) = &mut this.future else { return Poll::Ready(()) };
        match poll(&this.task, future, cx) {
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
        if self.future.is_some() {
            self.end(Verdict::Dropped);
        }
    }
}

fn poll(task: &Task, future: &mut WorkFuture, cx: &mut Context<'_>) -> Poll<Verdict> {
    task.note_poll();
    // The worker is responsible for its own state after a panic.
    let polled = catch_unwind(AssertUnwindSafe(|| {
        future.as_mut().poll(cx).map(|result| result.map_err(|failure| error::chain(failure.as_ref())))
    }));
    task.note_polled();
    match polled {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(()))) => Poll::Ready(Verdict::Done),
        Ok(Poll::Ready(Err(text))) => Poll::Ready(Verdict::Failed(text)),
        Err(payload) => Poll::Ready(Verdict::Panicked(error::panic_text(payload))),
    }
}
