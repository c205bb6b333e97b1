//! A thread that works on one item after another.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};

use super::attempt::{Attempt, Verdict};
use crate::error::{self, panic_text};
use crate::model::List;
use crate::runner::WorkContext;
use crate::runner::worker::Worker;

/// A source of attempts for threads.
pub(crate) trait AttemptSource: Send + Sync {
    /// Returns the next attempt for the thread `thread`, whose last attempt, if any, ended with the
    /// verdict; `None` ends the thread.
    ///
    /// Waits until there is something to do.
    fn next(self: Arc<Self>, thread: usize, ended: Option<(Arc<Attempt>, Verdict)>) -> Option<Arc<Attempt>>;

    /// Ends the run because a thread cannot continue.
    fn fail(&self, why: String);
}

/// Starts the thread `number` of a run, named after the process for debuggers.
pub(crate) fn start(
    source: Weak<dyn AttemptSource>,
    worker: Arc<dyn Worker>,
    process: &str,
    number: usize,
) -> io::Result<JoinHandle<()>> {
    // A thread's name cannot contain a NUL.
    let name = format!("worker {}", process.replace('\0', " "));
    let thread = WorkerThread { number, worker, source };
    Builder::new().name(name).spawn(move || thread.run())
}

/// Holds nothing of the run while its worker works, so that a worker that never returns does not
/// keep the store open.
struct WorkerThread {
    number: usize,
    worker: Arc<dyn Worker>,
    source: Weak<dyn AttemptSource>,
}

impl WorkerThread {
    fn run(self) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        if let Err(payload) = worked
            && let Some(source) = self.source.upgrade()
        {
            source.fail(format!("a worker's thread panicked outside the worker: {}", panic_text(payload)));
        }
    }

    fn work(&self) {
        let mut ended: Option<(Arc<Attempt>, Verdict)> = None;
        while let Some(attempt) = self.next(ended.take()) {
            let Some(verdict) = execute(&attempt, &*self.worker) else { return };
            ended = Some((attempt, verdict));
        }
    }

    fn next(&self, ended: Option<(Arc<Attempt>, Verdict)>) -> Option<Arc<Attempt>> {
        self.source.upgrade()?.next(self.number, ended)
    }
}

/// Calls the worker on this thread; `None` if the attempt is no longer awaited.
fn execute(attempt: &Arc<Attempt>, worker: &dyn Worker) -> Option<Verdict> {
    let mut context = WorkContext::new(attempt.clone());
    // The worker is responsible for its own state after a panic; the item is behind a lock that a
    // worker's panic cannot poison.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let result = match attempt.list {
            List::Active => worker.process(&mut context),
            List::Cleanup | List::Dropped => worker.clean_up(&mut context),
        };
        result.map_err(|failure| error::chain(failure.as_ref()))
    }));
    let verdict = match result {
        Ok(Ok(())) => Verdict::Done,
        Ok(Err(text)) => Verdict::Failed(text),
        Err(payload) => Verdict::Panicked(panic_text(payload)),
    };
    attempt.end().then_some(verdict)
}
