//! A whole process taken apart into its records.

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
    /// Whether a process can be imported at all, whatever the store is that it goes to.
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
        // What is merged is needed whole.
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
    pub(crate) fn refuse_live_owner(
        &self,
        owner: &Versioned<Owner>,
        status: &Versioned<RunStatus>,
    ) -> Result<()> {
        let inner = &self.store.inner;
        let alive = inner.liveness.lives_for(&owner.value, inner.clock.monotonic())?;
        if alive.is_none() || !run::is_unfinished(&status.value) {
            return Ok(());
        }
        let since = crate::model::time::read(&owner.value.claimed);
        Err(Failure::Held { process: self.name().to_owned(), by: owner.value.instance.clone(), since }.into())
    }
}

/// Whether no record of a process comes near to what one may take, nor all of them to what
/// a commit may: far from both it need not be known to the byte.
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

/// The records of a process.
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

/// The status of a run that comes in, as a record.
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
    fn a_check_refuses_what_an_import_does() {
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
