//! Splits a whole process into its records.

use std::ops::ControlFlow;

use bytes::Bytes;
use prost::Message;

use crate::engine::{Batch, Durability};
use crate::error::{Failure, Result};
use crate::model::limits::{self, names};
use crate::model::{List, run};
use crate::proto::record::{Item, Owner, RunStatus, Settings, Totals};
use crate::proto::{Process, Status};
use crate::record::{Key, KeyRange, Payload};
use crate::store::process::ProcessHandle;
use crate::store::{Attempt, Store, Versioned};

/// How an import treats an existing process of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImportMode {
    /// Refuses it: [`is_exists`](crate::Error::is_exists).
    New,
    /// Replaces all of it, including its history.
    Replace,
    /// Merges the import into it, without removing anything:
    ///
    /// - Its owner, settings and schedule stay.
    /// - Work that only one side has is kept. For work on both sides the later change wins
    ///   (registration, new parameters, or unregistration); if the times are equal or missing,
    ///   the import wins. Changed parameters are registered like by
    ///   [`register`](ProcessHandle::register). Work that is active here and was dropped in the
    ///   import is cleaned up here too.
    /// - Of two statuses of an item the later one wins, unless the local run is unfinished.
    /// - The histories are united, and an imported run that has ended is added. The status and the
    ///   totals of the process stay, or are imported if it has not run here yet.
    ///
    /// A missing process is imported. Repeating a merge changes nothing.
    Merge,
}

impl Store {
    /// Checks whether a process can be imported into any store.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) as [`import`](Self::import).
    pub fn check_import(process: &Process) -> Result<()> {
        check(process)?;
        if is_small(process) {
            return Ok(());
        }
        put_all(Batch::new(), &take_apart(process.clone())).check()
    }

    /// Imports a whole process, all or nothing.
    ///
    /// [`snapshot`](ProcessHandle::snapshot) then returns an equal message, unless the process was
    /// [merged](ImportMode::Merge).
    ///
    /// The imported owner is not alive: the process can be claimed at once.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) if a name is empty or too long, a work name is on
    /// two lists, a record would exceed 1 MiB or the whole process 256 MiB;
    /// [`is_conflict`](crate::Error::is_conflict) if the process to replace has a live run. In all
    /// these cases nothing is written.
    ///
    /// ```
    /// use procstate::{ImportMode, Params, Store};
    ///
    /// let old = Store::in_memory().process("gckeys")?;
    /// old.register("project-1", Params::new())?;
    /// let process = old.export()?;
    ///
    /// let store = Store::in_memory();
    /// Store::check_import(&process)?;
    /// let keys = store.import(process.clone(), ImportMode::New)?;
    /// assert_eq!(keys.snapshot()?, process);
    /// assert!(store.import(process, ImportMode::New).unwrap_err().is_exists());
    /// # Ok::<(), procstate::Error>(())
    /// ```
    pub fn import(&self, process: Process, mode: ImportMode) -> Result<ProcessHandle> {
        check(&process)?;
        let handle = self.process(&process.process_name)?;
        // A merge needs the whole message.
        let to_merge = (mode == ImportMode::Merge).then(|| process.clone());
        let records = take_apart(process);
        self.change(Durability::Synced, || {
            let owner = handle.read_owner()?;
            let batch = match (owner.is_present(), mode, &to_merge) {
                (false, ..) => Batch::new().expect(Key::owner(handle.name()), owner.unchanged()),
                (true, _, Some(process)) => return handle.merge(process, &owner),
                (true, ImportMode::Replace, None) => handle.clear_in(Batch::new(), &owner)?,
                (true, ..) => return Err(Failure::Exists { process: handle.name().to_owned() }.into()),
            };
            Ok(Attempt::Commit(put_all(batch, &records), ()))
        })?;
        Ok(handle)
    }
}

impl ProcessHandle {
    /// Adds the deletion of every record of the process to a batch.
    fn clear_in(&self, batch: Batch, owner: &Versioned<Owner>) -> Result<Batch> {
        let (settings, status) = (self.read_settings()?, self.read_status()?);
        self.refuse_live_owner(owner, &status)?;
        // Every addition or removal of a record increases one of these three versions.
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

    /// Fails if the process has a live run.
    pub(crate) fn refuse_live_owner(
        &self,
        owner: &Versioned<Owner>,
        status: &Versioned<RunStatus>,
    ) -> Result<()> {
        let inner = &self.store.inner;
        let alive = inner.liveness.lives_for(&owner.value, status.version, inner.clock.monotonic())?;
        if alive.is_none() || !run::is_unfinished(&status.value) {
            return Ok(());
        }
        let since = crate::model::time::read(&owner.value.claimed);
        Err(Failure::Held { process: self.name().to_owned(), by: owner.value.instance.clone(), since }.into())
    }
}

/// Reports whether a process is so far below the limits of records and commits that its exact size
/// does not matter.
fn is_small(process: &Process) -> bool {
    const ENVELOPE: usize = 64;
    let stats = process.aggregate_stats.keys().map(|label| label.len() + ENVELOPE).sum();
    let alone = [
        process.settings.as_ref().map_or(0, Message::encoded_len),
        process.process_status.as_ref().map_or(0, Message::encoded_len),
        stats,
    ];
    let items = process.active_work.values().map(Message::encoded_len);
    let records = process.active_work.len() + process.cleanup_work.len() + process.dropped_work.len();
    let all = process.encoded_len() + records * (process.process_name.len() + ENVELOPE);
    all < limits::COMMIT_BYTES_MAX / 2 && items.chain(alone).all(|bytes| bytes < limits::RECORD_BYTES_MAX / 2)
}

fn put_all(batch: Batch, records: &[(Key, Bytes)]) -> Batch {
    records.iter().fold(batch, |batch, (key, payload)| batch.put(key.clone(), payload.clone()))
}

/// Splits a process into its records.
fn take_apart(process: Process) -> Vec<(Key, Bytes)> {
    let name = &process.process_name;
    let owner = Owner { process_name: name.clone(), instance: process.instance, ..Owner::default() };
    let settings = Settings {
        schedule_set: None,
        run_requested: 0,
        requested_skips_completed: false,
        schedule_frequency: process.schedule_frequency,
        settings: process.settings,
        settings_time: process.settings_time,
    };
    let mut records =
        vec![(Key::owner(name), owner.to_payload()), (Key::settings(name), settings.to_payload())];
    if let Some(status) = process.process_status {
        records.push((Key::status(name), run_of(status).to_payload()));
    }
    if !process.aggregate_stats.is_empty() {
        let totals = Totals { aggregate_stats: process.aggregate_stats };
        records.push((Key::totals(name), totals.to_payload()));
    }
    for (work, item) in process.active_work {
        let item = Item { work: Some(item), ..Item::default() };
        records.push((Key::item(name, List::Active, &work), item.to_payload()));
    }
    for (list, items) in [(List::Cleanup, process.cleanup_work), (List::Dropped, process.dropped_work)] {
        for (work, time) in items {
            records.push((Key::item(name, list, &work), time.to_payload()));
        }
    }
    records
}

fn check(process: &Process) -> Result<()> {
    names::check_process(&process.process_name)?;
    let Process { active_work: active, cleanup_work: cleanup, dropped_work: dropped, .. } = process;
    for name in active.keys() {
        check_name(process, name)?;
    }
    for name in cleanup.keys() {
        check_name(process, name)?;
        check_place(process, name, List::Cleanup, active.contains_key(name).then_some(List::Active))?;
    }
    for name in dropped.keys() {
        check_name(process, name)?;
        let is_cleanup = || cleanup.contains_key(name).then_some(List::Cleanup);
        let other = active.contains_key(name).then_some(List::Active).or_else(is_cleanup);
        check_place(process, name, List::Dropped, other)?;
    }
    Ok(())
}

/// Converts the status of an imported run into a record.
pub(crate) fn run_of(status: Status) -> RunStatus {
    RunStatus { status: Some(status), ..RunStatus::default() }
}

fn check_name(process: &Process, name: &str) -> Result<()> {
    names::check_work(name).map_err(|error| invalid(process, error.to_string()))
}

fn check_place(process: &Process, name: &str, list: List, other: Option<List>) -> Result<()> {
    let Some(other) = other else { return Ok(()) };
    let why = format!("work {name:?} is on two lists, {other} and {list}; take it off one of them");
    Err(invalid(process, why))
}

fn invalid(process: &Process, why: String) -> crate::Error {
    Failure::InvalidProcess { process: process.process_name.clone(), why }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Params, Work};

    fn text(bytes: usize) -> Params {
        let string_params = [("s".to_owned(), "x".repeat(bytes))].into();
        Params { string_params, ..Params::default() }
    }

    fn is_refused(process: Process) -> bool {
        let checked = Store::check_import(&process).map_err(|error| error.to_string());
        let imported = Store::in_memory().import(process, ImportMode::New);
        assert_eq!(checked, imported.map(drop).map_err(|error| error.to_string()));
        checked.is_err()
    }

    #[test]
    fn check_import_agrees_with_import() {
        for (bytes, refuses) in [(10, false), ((1 << 20) - 100, false), (1 << 20, true)] {
            let process = Process { process_name: "p".to_owned(), ..Process::default() };
            let work = Work { params: Some(text(bytes)), ..Work::default() };
            let active_work = [("w".to_owned(), work)].into();
            let aggregate_stats = [("x".repeat(bytes), 1.0)].into();
            assert_eq!(is_refused(Process { settings: Some(text(bytes)), ..process.clone() }), refuses);
            assert_eq!(is_refused(Process { active_work, ..process.clone() }), refuses);
            assert_eq!(is_refused(Process { aggregate_stats, ..process }), refuses);
        }
        assert!(is_refused(Process::default()), "no name");
    }
}
