//! The background threads of an open store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::checkpoint::Checkpointer;
use super::commit::CommitPath;
use super::open_index::OpenIndex;
use super::shared::Shared;
use super::signal::Woken;
use crate::error::{Error, Failure, Result, panic_text};

/// How long the checkpoint thread sleeps without a signal.
const IDLE: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(crate) fn spawn(
        shared: Arc<Shared>,
        index: Arc<OpenIndex>,
        commits: Arc<CommitPath>,
        checkpointer: Arc<Checkpointer>,
    ) -> Result<Self> {
        let mut threads = Self { shared: shared.clone(), handles: Vec::new() };
        let syncing = shared.clone();
        threads.add("procstate-sync", move || sync_until_stopped(&syncing, &commits))?;
        threads.add("procstate-checkpoint", move || {
            // If it fails, the next call reports it.
            let _ = index.with(|index| checkpointer.verify(index));
            while shared.checkpoint_thread.wait(IDLE) != Woken::Stop {
                // A failure poisons the store; the next call reports it.
                let _ = index.with(|index| checkpointer.maintain(index));
            }
        })?;
        Ok(threads)
    }

    fn add(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let shared = self.shared.clone();
        let body = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                shared.poison.poison(&failed("continue its work", &panic_text(panic)));
                shared.verification.end();
            }
        };
        let spawned = Builder::new().name(name.to_owned()).spawn(body);
        self.handles.push(spawned.map_err(|error| failed("start its thread", &error.to_string()))?);
        Ok(())
    }

    /// Stops the threads after their current work.
    pub(crate) fn stop(self) {
        self.shared.sync_thread.stop();
        self.shared.checkpoint_thread.stop();
        for handle in self.handles {
            // Its panic was already handled.
            let _ = handle.join();
        }
    }
}

/// Syncs the log at each interval, and when woken.
pub(crate) fn sync_until_stopped(shared: &Shared, commits: &CommitPath) {
    while shared.sync_thread.wait(shared.options.sync_interval) != Woken::Stop {
        // A failure poisons the store; the next call reports it.
        if commits.keep_up().is_err() {
            commits.wake_tasks();
        }
    }
}

fn failed(action: &'static str, why: &str) -> Error {
    Failure::Storage { place: "the store".to_owned(), action, why: why.to_owned() }.into()
}
