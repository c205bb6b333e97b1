//! Merges an imported process into an existing one.

use super::import::run_of;
use crate::engine::{Batch, Expect};
use crate::error::Result;
use crate::model::{List, merge, run, time};
use crate::proto::record::{Owner, RunStatus, Totals};
use crate::proto::{Process, Status};
use crate::record::{Key, Payload};
use crate::store::process::ProcessHandle;
use crate::store::{Attempt, Versioned};

impl ProcessHandle {
    /// Attempts to merge `process`; `owner` was read before.
    pub(crate) fn merge(&self, process: &Process, owner: &Versioned<Owner>) -> Result<Attempt<()>> {
        // As in registration: the owner before this number, and this before the lists.
        let seq = self.store.inner.engine.newest_seq()?;
        let run = self.read_status()?;
        let mut batch = self.merge_active(Batch::new(), process, &run, seq)?;
        batch = self.merge_left(batch, process)?;
        if !batch.writes.is_empty() {
            batch = self.touch_settings(batch)?;
        }
        batch = self.merge_runs(batch, process, &run)?;
        if batch.writes.is_empty() {
            return Ok(Attempt::Done(()));
        }
        Ok(Attempt::Commit(batch.expect(Key::owner(self.name()), owner.unchanged()), ()))
    }

    fn merge_active(
        &self,
        mut batch: Batch,
        process: &Process,
        run: &Versioned<RunStatus>,
        seq: u64,
    ) -> Result<Batch> {
        for (name, work) in &process.active_work {
            let place = self.place(name)?;
            if let Some(item) = merge::active(place.here(), work, run.present(), self.store.now(), seq) {
                if item.work.as_ref() != Some(work) {
                    self.check_size(name, &item)?;
                }
                batch = self.move_to_active(batch, name, &place, &item);
            }
        }
        Ok(batch)
    }

    fn merge_left(&self, mut batch: Batch, process: &Process) -> Result<Batch> {
        for (list, items) in [(List::Cleanup, &process.cleanup_work), (List::Dropped, &process.dropped_work)]
        {
            for (name, since) in items {
                let place = self.place(name)?;
                if let Some(list) = merge::left(place.here(), list, since) {
                    batch = self.move_to(list, batch, name, &place, since);
                }
            }
        }
        Ok(batch)
    }

    /// Adds the imported run as the latest one if there was none, and as a past run otherwise.
    fn merge_runs(&self, batch: Batch, process: &Process, run: &Versioned<RunStatus>) -> Result<Batch> {
        if run.is_present() {
            return match &process.process_status {
                Some(status) => self.merge_past_run(batch, &process.instance, status, run),
                None => Ok(batch),
            };
        }
        let totals_key = Key::totals(self.name());
        let totals = self.store.read::<Totals>(&totals_key)?;
        let mut batch = batch;
        if let Some(status) = &process.process_status {
            let key = Key::status(self.name());
            batch = batch.expect(key.clone(), Expect::Absent).put(key, run_of(status.clone()).to_payload());
        }
        if !totals.is_present() && !process.aggregate_stats.is_empty() {
            let totals = Totals { aggregate_stats: process.aggregate_stats.clone() };
            batch = batch.expect(totals_key.clone(), Expect::Absent).put(totals_key, totals.to_payload());
        }
        Ok(batch)
    }

    fn merge_past_run(
        &self,
        batch: Batch,
        instance: &str,
        status: &Status,
        run: &Versioned<RunStatus>,
    ) -> Result<Batch> {
        let theirs = run_of(status.clone());
        let start = time::read(&status.start_time);
        let latest = run.value.status.as_ref().and_then(|status| time::read(&status.start_time));
        let past = self.history()?;
        let is_known = start == latest || past.iter().any(|past| past.start == start);
        // A run older than all kept ones would replace a newer one.
        let has_room = past.len() < self.store.inner.history_max
            || past.last().is_some_and(|oldest| oldest.start < start);
        if start.is_none() || run::is_unfinished(&theirs) || is_known || !has_room {
            return Ok(batch);
        }
        let batch = self.put_history(batch, instance, &theirs)?;
        // The end of a local run writes to the same history.
        Ok(batch.expect(Key::status(self.name()), run.unchanged()))
    }
}
