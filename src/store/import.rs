//! A whole process taken apart into its records.

use std::ops::ControlFlow;

use super::process::ProcessHandle;
use super::{Attempt, Store, Versioned};
use crate::engine::{Batch, Durability};
use crate::error::{Failure, Result};
use crate::model::{List, names, run};
use crate::proto::record::{Item, Owner, RunStatus, Settings, Totals};
use crate::proto::{Process, Status};
use crate::record::{Key, KeyRange, Payload};

/// What importing a process does to one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImportMode {
    /// Refuses: [`is_exists`](crate::Error::is_exists).
    New,
    /// Replaces all of it, its history too.
    Replace,
    /// Adds to it what comes, and drops nothing of it:
    ///
    /// - Its owner, settings and schedule stay.
    /// - Work that only one of the two has is there afterwards as that one has it. Of work
    ///   that both have the later word counts: who registered it, changed its parameters or
    ///   unregistered it last; at the same time, or without a time, what comes. Other
    ///   parameters are registered as [`register`](ProcessHandle::register) does it. What is
    ///   active here and was dropped elsewhere is to be cleaned up here too.
    /// - Of the statuses of an item the later one counts, unless a run is unfinished here.
    /// - Past runs are united: the run that comes, if it has ended and is not known here, is
    ///   one of them. The status and the totals of the process stay, or are those that come
    ///   if there was no run here yet.
    ///
    /// A process that is not there is imported. To merge the same again changes nothing.
    Merge,
}

impl Store {
    /// Stores a whole process, all or nothing; [`snapshot`](ProcessHandle::snapshot)
    /// gives back an equal message, unless it was [merged](ImportMode::Merge).
    ///
    /// Its owner is taken over by name and not alive: the process can be claimed
    /// at once.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if a name is empty or too long, a
    /// work name is on two lists, a record would be over 1 MiB or all of it over
    /// 256 MiB; [`is_conflict`](crate::Error::is_conflict) if the process to
    /// replace has a run that shows life. In each case nothing is written.
    pub fn import(&self, process: Process, mode: ImportMode) -> Result<ProcessHandle> {
        check(&process)?;
        let handle = self.process(&process.process_name)?;
        self.change(Durability::Synced, || {
            let owner = handle.read_owner()?;
            let batch = match (owner.is_present(), mode) {
                (false, _) => Batch::new().expect(Key::owner(handle.name()), owner.unchanged()),
                (true, ImportMode::New) => {
                    return Err(Failure::Exists { process: handle.name().to_owned() }.into());
                }
                (true, ImportMode::Replace) => handle.clear_in(Batch::new(), &owner)?,
                (true, ImportMode::Merge) => return handle.merge(&process, &owner),
            };
            Ok(Attempt::Commit(take_apart(&process, batch), ()))
        })?;
        Ok(handle)
    }
}

impl ProcessHandle {
    /// Adds the deletion of every record of the process to a batch.
    fn clear_in(&self, batch: Batch, owner: &Versioned<Owner>) -> Result<Batch> {
        let (settings, status) = (self.read_settings()?, self.read_status()?);
        self.refuse_live_owner(owner, &status)?;
        // Whatever adds or removes a record moves one of these three versions.
        let mut batch = batch
            .expect(Key::owner(self.name()), owner.unchanged())
            .expect(Key::settings(self.name()), settings.unchanged())
            .expect(Key::status(self.name()), status.unchanged());
        self.store.inner.engine.scan(&KeyRange::process(self.name()), &mut |record| {
            batch = std::mem::take(&mut batch).delete(record.key.to_key());
            ControlFlow::Continue(())
        })?;
        Ok(batch)
    }

    /// Fails if a run is on and shows life.
    pub(super) fn refuse_live_owner(
        &self,
        owner: &Versioned<Owner>,
        status: &Versioned<RunStatus>,
    ) -> Result<()> {
        let inner = &self.store.inner;
        let alive = inner.liveness.lives_for(&owner.value, &inner.opening, inner.clock.monotonic());
        if alive.is_none() || !run::is_unfinished(&status.value) {
            return Ok(());
        }
        let since = crate::model::time::read(&owner.value.claimed);
        Err(Failure::Held { process: self.name().to_owned(), by: owner.value.instance.clone(), since }.into())
    }
}

/// Adds the records of `process` to a batch.
fn take_apart(process: &Process, batch: Batch) -> Batch {
    let name = &process.process_name;
    let owner = Owner { process_name: name.clone(), instance: process.instance.clone(), ..Owner::default() };
    let settings = Settings {
        schedule_set: None,
        schedule_frequency: process.schedule_frequency,
        settings: process.settings.clone(),
        settings_time: process.settings_time,
    };
    let mut batch =
        batch.put(Key::owner(name), owner.to_payload()).put(Key::settings(name), settings.to_payload());
    if let Some(status) = &process.process_status {
        batch = batch.put(Key::status(name), run_of(status).to_payload());
    }
    if !process.aggregate_stats.is_empty() {
        let totals = Totals { aggregate_stats: process.aggregate_stats.clone() };
        batch = batch.put(Key::totals(name), totals.to_payload());
    }
    for (work, item) in &process.active_work {
        let item = Item { work: Some(item.clone()), ..Item::default() };
        batch = batch.put(Key::item(name, List::Active, work), item.to_payload());
    }
    for (list, items) in [(List::Cleanup, &process.cleanup_work), (List::Dropped, &process.dropped_work)] {
        for (work, time) in items {
            batch = batch.put(Key::item(name, list, work), time.to_payload());
        }
    }
    batch
}

fn check(process: &Process) -> Result<()> {
    names::check_process(&process.process_name)?;
    let listed = [
        (List::Active, process.active_work.keys().collect::<Vec<_>>()),
        (List::Cleanup, process.cleanup_work.keys().collect()),
        (List::Dropped, process.dropped_work.keys().collect()),
    ];
    let mut places: std::collections::HashMap<&str, List> = std::collections::HashMap::new();
    for (list, items) in listed {
        for name in items {
            names::check_work(name).map_err(|error| invalid(process, error.to_string()))?;
            if let Some(other) = places.insert(name, list) {
                return Err(invalid(
                    process,
                    format!("work {name:?} is on two lists, {other} and {list}; take it off one of them"),
                ));
            }
        }
    }
    Ok(())
}

/// The status of a run that comes in, as a record.
pub(super) fn run_of(status: &Status) -> RunStatus {
    RunStatus { status: Some(status.clone()), ..RunStatus::default() }
}

fn invalid(process: &Process, why: String) -> crate::Error {
    Failure::InvalidProcess { process: process.process_name.clone(), why }.into()
}
