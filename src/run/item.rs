//! A work item in progress.

use std::sync::Arc;

use super::advance::queue::{Advance, StartedItem};
use super::fenced::FencedRun;
use super::progress::Progress;
use super::state::item_in_flight::ItemId;
use crate::error::Result;
use crate::model::{List, errors};
use crate::proto::{Params, State, Status};

/// A work item that a run works on: active work to process, or cleanup work to clean up
/// ([`list`](WorkItem::list) tells which).
///
/// Its end is stored by [`finish`](WorkItem::finish) or on drop: completed if it had no errors,
/// incomplete if it had, aborted if the thread panics. Cleanup work that completes moves to the
/// dropped list. A failed drop is reported by the run's next call that returns a result.
///
/// ```
/// use procstate::{Claim, Instance, Params, Store};
///
/// let keys = Store::in_memory().process("gckeys")?;
/// keys.register_all([("project-1", Params::new()), ("project-2", Params::new())])?;
/// let Claim::Won(mut run) = keys.claim(&Instance::new())? else { panic!("no other instance holds the process") };
///
/// let Some(mut work) = run.next_work()? else { panic!("there are two") };
/// work.add_error("the first attempt failed");
/// work.begin_attempt();
/// work.drop_when_done(); // later runs do not repeat it
/// assert_eq!((work.name(), work.status().total_errors), ("project-1", 1));
/// work.finish()?;
///
/// let Some(work) = run.next_work()? else { panic!("there are two") };
/// work.abort("its parameters are invalid")?;
/// run.finish()?;
/// # Ok::<(), procstate::Error>(())
/// ```
#[derive(Debug)]
pub struct WorkItem {
    fenced: Arc<FencedRun>,
    id: ItemId,
    name: Arc<str>,
    list: List,
    /// The number of errors in the current attempt.
    attempt_errors: usize,
    failed_attempts: u32,
    is_finished: bool,
}

impl WorkItem {
    pub(super) fn new(fenced: Arc<FencedRun>, taken: StartedItem) -> Self {
        let StartedItem { id, name, list, failed_attempts } = taken;
        Self { fenced, id, name, list, attempt_errors: 0, failed_attempts, is_finished: false }
    }

    /// Returns the name of the work.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// [`name`](WorkItem::name), to be kept.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The list it is on: [`List::Active`] or [`List::Cleanup`].
    #[must_use]
    pub fn list(&self) -> List {
        self.list
    }

    /// Returns its parameters, as of the run's last write. Cleanup work has none.
    #[must_use]
    pub fn params(&self) -> Params {
        let mut state = self.fenced.lock();
        let work = state.item(self.id).and_then(|item| item.item.work.as_ref());
        work.and_then(|work| work.params.clone()).unwrap_or_default()
    }

    /// Returns the parameters of the process, as of the run's last write.
    #[must_use]
    pub fn settings(&self) -> Params {
        self.fenced.lock().params()
    }

    /// Returns its status so far in this run.
    #[must_use]
    pub fn status(&self) -> Status {
        self.fenced.lock().item(self.id).map(|item| item.status().clone()).unwrap_or_default()
    }

    /// Adds `value` to the counter `label` of this item, and to `work.LABEL` of the process, stored
    /// with the next progress.
    ///
    /// A label may have 256 bytes; an item may have 1,000 labels, and so may all items of a run
    /// together. A statistic that violates a limit, or is not finite, is not counted; the first one
    /// in a run is recorded as an error with the reason.
    pub fn add_stat(&mut self, label: &str, value: f64) {
        self.fenced.add_item_stat(self.id, label, value);
    }

    /// Counts an error of this item and of the run, stored with the next progress.
    ///
    /// The first 10 of an item and 25 of a run are kept, each up to 1 KiB; all are counted. An item
    /// with more than 10 errors in one attempt should stop, and ends aborted.
    pub fn add_error(&mut self, text: impl AsRef<str>) {
        self.attempt_errors += 1;
        self.fenced.item_error(self.id, text.as_ref());
    }

    /// Returns the number of the attempt within the run: 1, plus one for each earlier attempt that
    /// failed, also under an earlier owner of the run.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.failed_attempts.saturating_add(1)
    }

    /// Counts a failed attempt that will be retried, stored with the next progress.
    pub(crate) fn note_failed_attempt(&mut self) {
        self.failed_attempts = self.failed_attempts.saturating_add(1);
        if let Some(item) = self.fenced.lock().change(self.id) {
            item.item.failed_attempts = self.failed_attempts;
        }
    }

    /// Begins another attempt: earlier errors stay counted, but no longer make the item incomplete.
    pub fn begin_attempt(&mut self) {
        self.attempt_errors = 0;
        if let Some(item) = self.fenced.lock().item(self.id) {
            item.has_failed = false;
        }
    }

    /// Drops the item when it completes: it moves to the dropped list, and later runs do not repeat
    /// it.
    ///
    /// If it is registered with other parameters meanwhile, this is reverted, and the next run
    /// processes it.
    pub fn drop_when_done(&mut self) {
        if let Some(item) = self.fenced.lock().item(self.id) {
            item.drop_when_done = true;
        }
    }

    /// Reports progress; see [`Run::progress`](crate::Run::progress).
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn progress(&self) -> Result<Progress> {
        self.fenced.progress(true)
    }

    /// Returns [`progress`](WorkItem::progress) as a call for another thread.
    #[cfg(feature = "tokio")]
    pub(crate) fn progress_call(&self) -> impl FnOnce() -> Result<Progress> + Send + use<> {
        let fenced = self.fenced.clone();
        move || fenced.progress(true)
    }

    /// Reports whether the worker should stop: the item has too many errors, or the run is aborted,
    /// lost, or over.
    ///
    /// Returns at once, even during a write.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        self.fenced.is_over() || self.has_too_many_errors()
    }

    fn has_too_many_errors(&self) -> bool {
        self.attempt_errors > errors::ITEM_ERRORS_MAX
    }

    /// Stores the end of the item: completed, incomplete if it had errors, aborted if it had too
    /// many.
    ///
    /// # Errors
    ///
    /// [`is_conflict`](crate::Error::is_conflict) if the run has lost the
    /// process; if the store cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.end(self.has_too_many_errors().then_some(State::Aborted))
    }

    /// Stores that errors stopped the item early, with `reason` as one of them.
    ///
    /// # Errors
    ///
    /// As [`finish`](WorkItem::finish).
    pub fn abort(mut self, reason: impl AsRef<str>) -> Result<()> {
        self.fenced.item_error(self.id, reason.as_ref());
        self.end(Some(State::Aborted))
    }

    fn end(&mut self, how: Option<State>) -> Result<()> {
        self.is_finished = true;
        self.fenced.advance(Advance { ends: vec![(self.id, how)], takes: 0 }).map(drop)
    }

    /// Returns its end, as by [`finish`](WorkItem::finish), for
    /// [`Run::advance`](crate::Run::advance) to store.
    pub(crate) fn into_end(mut self) -> Ending {
        self.is_finished = true;
        Ending { id: self.id, how: self.has_too_many_errors().then_some(State::Aborted) }
    }

    /// Returns its end, as by [`abort`](WorkItem::abort), for [`Run::advance`](crate::Run::advance)
    /// to store.
    pub(crate) fn into_abort(mut self, reason: &str) -> Ending {
        self.fenced.item_error(self.id, reason);
        self.is_finished = true;
        Ending { id: self.id, how: Some(State::Aborted) }
    }
}

/// The end of an item, not stored yet.
#[derive(Debug)]
#[must_use = "an end that is not stored leaves the item active"]
pub(crate) struct Ending {
    pub(super) id: ItemId,
    pub(super) how: Option<State>,
}

impl Drop for WorkItem {
    fn drop(&mut self) {
        if self.is_finished || self.fenced.lock().is_closed() {
            return;
        }
        let is_panicking = std::thread::panicking();
        if is_panicking {
            self.fenced.item_error(self.id, "the worker panicked");
        }
        let how = (is_panicking || self.has_too_many_errors()).then_some(State::Aborted);
        if let Err(error) = self.end(how) {
            self.fenced.keep_failure(error);
        }
    }
}
