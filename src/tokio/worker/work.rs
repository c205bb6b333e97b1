//! The worker's view of its item.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::proto::Params;
use crate::run::Progress;
use crate::tokio::call::call;
use crate::tokio::dispatch::task::Task;
use crate::tokio::synced::{ready, synced};

/// A work item in progress in an [`AsyncWorker`](crate::tokio::AsyncWorker).
///
/// It may be cloned and moved into other tasks and threads that work on the item. Once the item has
/// ended (its future returned or was dropped, or another instance claimed the process), calls here
/// have no effect.
#[derive(Clone)]
pub struct AsyncWork {
    task: Arc<Task>,
}

impl AsyncWork {
    pub(in crate::tokio) fn new(task: Arc<Task>) -> Self {
        Self { task }
    }

    /// Returns the name of the work.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.task.name
    }

    /// Returns its parameters, as of the run's last write. Cleanup work has none.
    #[must_use]
    pub fn params(&self) -> Params {
        self.task.with_item(|item| item.params()).unwrap_or_default()
    }

    /// Returns the parameters of the process, as of the run's last write.
    #[must_use]
    pub fn settings(&self) -> Params {
        self.task.with_item(|item| item.settings()).unwrap_or_default()
    }

    /// Returns the number of the attempt at the item within this run, starting with 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.task.attempt
    }

    /// Adds `value` to the counter `label` of the item, and to `work.LABEL` of the process, stored
    /// with the next automatic progress.
    ///
    /// The limits are those of [`WorkItem::add_stat`](crate::WorkItem::add_stat).
    pub fn add_stat(&self, label: &str, value: f64) {
        self.task.with_item(|item| item.add_stat(label, value));
    }

    /// Counts an error of the item, which has then failed even if the worker returns `Ok`.
    ///
    /// The first 10 of an item and 25 of a run are kept, each up to 1 KiB; all are counted. An item
    /// with more than 10 errors in one attempt is cancelled, and ends aborted.
    pub fn add_error(&self, text: impl AsRef<str>) {
        self.task.add_error(text.as_ref());
        self.task.report_over();
    }

    /// Stores the progress of the item, at most once per progress interval.
    ///
    /// The runner does so by itself; call this to store it now, and to learn the state of the run.
    /// After [`Conflict`](Progress::Conflict) or [`Aborted`](Progress::Aborted) the worker should
    /// return; its future will be dropped.
    ///
    /// Blocks for one buffered write, some microseconds. If progress must survive power loss, it
    /// then waits for the sync without a thread.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub async fn progress(&self) -> Result<Progress> {
        ready(&self.task.store).await?;
        let progress = match self.task.with_item(|item| item.progress_call()) {
            Some(progress) => Some(call(&self.task.store, progress).await),
            None => None,
        };
        self.task.report_over();
        if self.task.is_synced && matches!(progress, Some(Ok(Progress::Updated | Progress::Merged))) {
            synced(&self.task.store).await?;
        }
        match progress {
            Some(Ok(Progress::Conflict)) => Ok(Progress::Conflict),
            Some(progress) if !self.task.is_cancelled() => progress,
            _ if self.task.is_lost() => Ok(Progress::Conflict),
            _ => Ok(Progress::Aborted),
        }
    }

    /// Drops the item when it completes: it moves to the dropped list, and later runs do not repeat
    /// it.
    ///
    /// If it is registered with other parameters meanwhile, this is reverted, and the next run
    /// processes it.
    pub fn drop_when_done(&self) {
        self.task.with_item(|item| item.drop_when_done());
    }

    /// Waits until the item is cancelled: it exceeded its time limit or has too many errors, the
    /// runner's deadline to stop has passed, or the run is lost.
    ///
    /// The worker's future is then dropped, at once unless there is a
    /// [`cancel_grace`](crate::tokio::AsyncRunnerBuilder::cancel_grace). What the future started
    /// elsewhere (`tokio::spawn`, `spawn_blocking`) is not, and must watch for it.
    pub async fn cancelled(&self) {
        self.task.cancelled().await;
    }

    /// Reports whether the item is [cancelled](AsyncWork::cancelled), for blocking code.
    ///
    /// Cheap enough for every loop iteration.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.task.is_cancelled() || self.task.with_item(|item| item.should_stop()).unwrap_or(true)
    }
}

impl fmt::Debug for AsyncWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncWork")
            .field("name", &self.name())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
