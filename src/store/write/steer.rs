//! Controls a process from outside its runs: pause and resume, immediate runs, retries.

use super::work::Place;
use crate::engine::Batch;
use crate::error::{Failure, Result};
use crate::model::limits::names;
use crate::model::{List, item, ownership};
use crate::proto::record::RunStatus;
use crate::proto::{State, Status};
use crate::record::{Key, Payload};
use crate::store::process::{Effect, ProcessHandle};
use crate::store::{Attempt, StoredItem};

/// The setting that pauses a process.
pub(crate) const PAUSED: &str = "flow.paused";

/// The maximum number of items queued per commit.
const ITEMS_PER_COMMIT: usize = 1000;

impl ProcessHandle {
    /// Pauses the process: its runners start no more items, but complete the current ones.
    ///
    /// An active run waits. The pause is stored as the setting `flow.paused`.
    ///
    /// ```
    /// # use procstate::{Params, Store};
    /// # let store = Store::in_memory();
    /// # let keys = store.process("gckeys")?;
    /// # keys.register("project-1", Params::new())?;
    /// keys.pause()?;
    /// assert!(keys.is_paused()?);
    /// keys.resume()?;
    /// assert!(!keys.is_paused()?);
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the store; if
    /// the store cannot be written.
    pub fn pause(&self) -> Result<Effect> {
        self.must_exist()?;
        self.update_params(|params| {
            params.int_params.insert(PAUSED.to_owned(), 1);
        })
    }

    /// Reverts [`pause`](ProcessHandle::pause).
    ///
    /// # Errors
    ///
    /// As [`pause`](ProcessHandle::pause).
    pub fn resume(&self) -> Result<Effect> {
        self.must_exist()?;
        self.update_params(|params| {
            params.int_params.remove(PAUSED);
        })
    }

    /// Reports whether the process is paused.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the store.
    pub fn is_paused(&self) -> Result<bool> {
        Ok(self.settings()?.params.get_int(PAUSED).is_some_and(|paused| paused != 0))
    }

    /// Makes a run due, independent of the schedule: the next claim starts one.
    ///
    /// During a run, the next one becomes due when that has finished. Repeated requests result in
    /// one run.
    ///
    /// ```
    /// # use procstate::{Claim, Instance, Params, Store};
    /// # use std::time::Duration;
    /// # let store = Store::in_memory();
    /// # let keys = store.process("gckeys")?;
    /// # keys.register("project-1", Params::new())?;
    /// keys.set_schedule(Some(Duration::from_secs(24 * 3600)))?;
    /// if let Claim::Won(run) = keys.claim(&Instance::new())? {
    ///     run.finish()?;
    /// }
    /// assert!(matches!(keys.claim(&Instance::new())?, Claim::NotDue { .. }));
    /// keys.run_now()?;
    /// assert!(matches!(keys.claim(&Instance::new())?, Claim::Won(_)));
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the store; if
    /// the store cannot be written.
    pub fn run_now(&self) -> Result<()> {
        self.must_exist()?;
        self.store.change(self.durability, || {
            let run = self.read_status()?;
            Ok(Attempt::Commit(self.request_run(Batch::new(), run.present(), false)?, ()))
        })
    }

    /// Queues active items again, completed or failed, and makes a run due that skips completed
    /// items; returns how many were queued.
    ///
    /// Items that are already queued, or that a run is working on, are not counted, but are
    /// processed too.
    ///
    /// That run also retries all other failed items.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process does not exist, or a name is not
    /// active work: then nothing is changed. If the store cannot be written; with more than 1,000
    /// names some may have been queued by then.
    pub fn retry<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> Result<usize> {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        self.must_exist()?;
        for name in &names {
            names::check_work(name)?;
            self.must_be_active(name, &self.place(name)?)?;
        }
        let mut queued = 0;
        for chunk in names.chunks(self.items_per_commit(ITEMS_PER_COMMIT)) {
            queued += self.queue_chunk(chunk, |_| true)?;
        }
        Ok(queued)
    }

    /// Queues every failed active item again: those that their last run left incomplete or aborted.
    ///
    /// If there are none, no run becomes due. See [`retry`](ProcessHandle::retry).
    ///
    /// # Errors
    ///
    /// As [`retry`](ProcessHandle::retry).
    pub fn retry_failed(&self) -> Result<usize> {
        let is_failed = |item: &StoredItem| item.state().is_some_and(has_failed);
        let mut failed = self.items(List::Active).filter_map(|item| match item {
            Ok(item) => is_failed(&item).then(|| Ok(item.name().to_owned())),
            Err(error) => Some(Err(error)),
        });
        let mut queued = 0;
        loop {
            let names = failed.by_ref().take(self.items_per_commit(ITEMS_PER_COMMIT));
            let names: Vec<String> = names.collect::<Result<_>>()?;
            if names.is_empty() {
                return Ok(queued);
            }
            queued += self.queue_chunk(&names, |status| has_failed(status.state()))?;
        }
    }

    /// Queues those of `names` for which `is_meant` holds, and makes a run due, in one commit.
    fn queue_chunk(&self, names: &[String], is_meant: impl Fn(&Status) -> bool) -> Result<usize> {
        self.store.change(self.durability, || {
            let run = self.read_status()?;
            let mut batch = Batch::new();
            let mut queued = 0;
            for name in names {
                let place = self.place(name)?;
                let again = place.active().filter(|item| item::status(item).is_none_or(&is_meant));
                if let Some(item) = again.and_then(|item| item::requeue(item, run.present())) {
                    batch = self.move_to_active(batch, name, &place, &item);
                    queued += 1;
                }
            }
            let key = Key::status(self.name());
            let batch = batch.expect(key, run.unchanged());
            Ok(Attempt::Commit(self.request_run(batch, run.present(), true)?, queued))
        })
    }

    /// Adds a run request to a batch.
    ///
    /// A requested full run is not reduced to one that skips items.
    fn request_run(&self, batch: Batch, run: Option<&RunStatus>, skips_completed: bool) -> Result<Batch> {
        let read = self.read_settings()?;
        let mut settings = read.value.clone();
        let is_whole = ownership::is_requested(&settings, run) && !settings.requested_skips_completed;
        settings.requested_skips_completed = skips_completed && !is_whole;
        settings.run_requested = self.store.inner.engine.last_seq();
        let key = Key::settings(self.name());
        Ok(batch.expect(key.clone(), read.unchanged()).put(key, settings.to_payload()))
    }

    fn must_be_active(&self, name: &str, place: &Place) -> Result<()> {
        if place.active().is_some() {
            return Ok(());
        }
        Err(Failure::NoWork { process: self.name().to_owned(), work: name.to_owned() }.into())
    }
}

fn has_failed(state: State) -> bool {
    matches!(state, State::Incomplete | State::Aborted)
}
