//! The worker's view of its item.

use std::fmt;
use std::sync::Arc;

use super::dispatch::attempt::Attempt;
use crate::error::Result;
use crate::proto::Params;
use crate::run::Progress;

/// A work item in progress in a [`Worker`](crate::Worker).
///
/// Once the item is taken from the worker (it exceeded its time limit, or another instance claimed
/// the process), calls here have no effect.
pub struct WorkContext {
    attempt: Arc<Attempt>,
}

impl WorkContext {
    pub(super) fn new(attempt: Arc<Attempt>) -> Self {
        Self { attempt }
    }

    /// Returns the name of the work.
    #[must_use]
    pub fn name(&self) -> &str {
        self.attempt.name()
    }

    /// Returns its parameters, as of the run's last write. Cleanup work has none.
    #[must_use]
    pub fn params(&self) -> Params {
        self.attempt.with_item(|item| item.params()).unwrap_or_default()
    }

    /// Returns the parameters of the process, as of the run's last write.
    #[must_use]
    pub fn settings(&self) -> Params {
        self.attempt.with_item(|item| item.settings()).unwrap_or_default()
    }

    /// Returns the number of the attempt at the item within this run, starting with 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt.number()
    }

    /// Adds `value` to the counter `label` of the item, and to `work.LABEL` of the process, stored
    /// with the next progress.
    ///
    /// The limits are those of [`WorkItem::add_stat`](crate::WorkItem::add_stat).
    pub fn add_stat(&mut self, label: &str, value: f64) {
        self.attempt.with_item(|item| item.add_stat(label, value));
    }

    /// Counts an error of the item, which has then failed even if the worker returns `Ok`; stored
    /// with the next progress.
    ///
    /// The first 10 of an item and 25 of a run are kept, each up to 1 KiB; all are counted. An item
    /// with more than 10 errors in one attempt should stop, and ends aborted.
    pub fn add_error(&mut self, text: impl AsRef<str>) {
        self.attempt.add_error(text.as_ref());
        self.attempt.report_end();
    }

    /// Reports progress, which is also the heartbeat of the worker.
    ///
    /// Call it often: it writes at most once per progress interval. After
    /// [`Conflict`](Progress::Conflict) or [`Aborted`](Progress::Aborted) (also if the item
    /// exceeded its time limit) the worker should return.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn progress(&mut self) -> Result<Progress> {
        let progress = self.attempt.with_item(|item| item.progress());
        self.attempt.report_end();
        if matches!(progress, Some(Ok(Progress::Merged))) {
            // The settings may have raised the concurrency.
            self.attempt.ask_to_look();
        }
        match progress {
            Some(Ok(Progress::Conflict)) => Ok(Progress::Conflict),
            Some(progress) if !self.attempt.must_stop() => progress,
            _ if self.attempt.is_lost() => Ok(Progress::Conflict),
            _ => Ok(Progress::Aborted),
        }
    }

    /// Drops the item when it completes: it moves to the dropped list, and later runs do not repeat
    /// it.
    ///
    /// If it is registered with other parameters meanwhile, this is reverted, and the next run
    /// processes it.
    pub fn drop_when_done(&mut self) {
        self.attempt.with_item(|item| item.drop_when_done());
    }

    /// Reports whether the worker should return as soon as it can: the item exceeded its time limit
    /// or has too many errors, or its run is aborted or lost.
    ///
    /// The thread of a worker that does not return is abandoned. Cheap enough for every loop
    /// iteration.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        self.attempt.must_stop() || self.attempt.with_item(|item| item.should_stop()).unwrap_or(true)
    }
}

impl fmt::Debug for WorkContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkContext")
            .field("name", &self.name())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
