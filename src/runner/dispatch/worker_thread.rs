//! A thread that works on one item after the other.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};

use super::attempt::{Attempt, Verdict};
use super::dispatcher::Dispatcher;
use super::end::End;
use crate::error::{Failure, panic_text};
use crate::runner::worker::Worker;

/// Starts the thread `number` of a run, which carries the name of the process, for
/// debuggers.
pub(crate) fn start(dispatcher: &Arc<Dispatcher>, number: usize) -> io::Result<JoinHandle<()>> {
    // A thread's name cannot hold a NUL.
    let name = format!("worker {}", dispatcher.process().replace('\0', " "));
    let thread =
        WorkerThread { number, worker: dispatcher.worker.clone(), dispatcher: Arc::downgrade(dispatcher) };
    Builder::new().name(name).spawn(move || thread.run())
}

/// While its worker works it keeps nothing of the run: one that never returns keeps no
/// store open.
struct WorkerThread {
    number: usize,
    worker: Arc<dyn Worker>,
    dispatcher: Weak<Dispatcher>,
}

impl WorkerThread {
    fn run(self) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        if let Err(payload) = worked
            && let Some(dispatcher) = self.dispatcher.upgrade()
        {
            let process = dispatcher.process().to_owned();
            let why = format!("a worker's thread panicked outside the worker: {}", panic_text(payload));
            dispatcher.note_end(End::Failed(Failure::Runner { process, why }.into()));
        }
    }

    fn work(&self) {
        let mut ended: Option<(Arc<Attempt>, Verdict)> = None;
        while let Some(attempt) = self.next(ended.take()) {
            let Some(verdict) = attempt.execute(&*self.worker) else { return };
            ended = Some((attempt, verdict));
        }
    }

    fn next(&self, ended: Option<(Arc<Attempt>, Verdict)>) -> Option<Arc<Attempt>> {
        self.dispatcher.upgrade()?.next(self.number, ended)
    }
}
