//! A thread that works on one item after the other.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};

use super::attempt::{Attempt, Verdict};
use crate::error::{self, panic_text};
use crate::model::List;
use crate::runner::WorkContext;
use crate::runner::worker::Worker;

/// Where a thread gets its attempts from.
pub(crate) trait AttemptSource: Send + Sync {
    /// The next attempt of the thread `thread`, which has ended the one before, if there
    /// was one, with the verdict. Waits until there is something to do; `None`: the thread
    /// is to end.
    fn next(self: Arc<Self>, thread: usize, ended: Option<(Arc<Attempt>, Verdict)>) -> Option<Arc<Attempt>>;

    /// Ends the run, because a thread cannot go on.
    fn fail(&self, why: String);
}

/// Starts the thread `number` of a run, which carries the name of the process, for
/// debuggers.
pub(crate) fn start(
    source: Weak<dyn AttemptSource>,
    worker: Arc<dyn Worker>,
    process: &str,
    number: usize,
) -> io::Result<JoinHandle<()>> {
    // A thread's name cannot hold a NUL.
    let name = format!("worker {}", process.replace('\0', " "));
    let thread = WorkerThread { number, worker, source };
    Builder::new().name(name).spawn(move || thread.run())
}

/// While its worker works it keeps nothing of the run: one that never returns keeps no
/// store open.
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

/// Calls the worker, on the thread of the caller. `None` if nobody waits for the attempt
/// any more.
fn execute(attempt: &Arc<Attempt>, worker: &dyn Worker) -> Option<Verdict> {
    let mut context = WorkContext::new(attempt.clone());
    // What a worker leaves half-done in its own state is its own concern; the
    // item is behind a lock that no panic of a worker can hold.
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
