//! A handle to one process.

use std::sync::Arc;

use super::{Store, Versioned};
use crate::engine::{Batch, Durability};
use crate::error::{Error, Failure, Result};
use crate::model::limits::names;
use crate::model::time;
use crate::proto::record::{Owner, RunStatus, Settings};
use crate::record::{Key, Payload};

/// One process of a store.
///
/// A handle is cheap to create and to clone. Changes through it survive power loss once the call
/// returns, unless [`with_durability`](ProcessHandle::with_durability) says otherwise.
///
/// ```
/// use procstate::{Effect, Params, Precondition, Store};
/// use std::time::Duration;
///
/// let store = Store::in_memory();
/// let keys = store.process("gckeys")?;
/// assert!(!keys.exists()?);
/// keys.register_all([("project-1", Params::new()), ("project-2", Params::new())])?;
/// assert!(keys.exists()? && keys.store().processes_page("gc", None, 10)?.names == [keys.name()]);
///
/// // Changes the item only if it is at the version read.
/// let item = keys.item("project-1")?.expect("it was registered");
/// let seen = Precondition::Version(item.version);
/// keys.register_if("project-1", Params::new().int("keysPerAccount", 8), seen)?;
/// assert!(keys.unregister_if("project-1", seen).unwrap_err().is_precondition_failed());
///
/// keys.set_params(Params::new().string("region", "eu"))?;
/// keys.set_schedule_with_offset(Duration::from_secs(86_400), Duration::from_secs(7200))?;
/// assert_eq!(keys.unregister("project-2")?, Effect::Changed);
/// keys.unregister_all(["project-3", "project-4"])?;
/// assert_eq!(keys.retry_failed()?, 0);
///
/// let summary = keys.summary()?;
/// assert_eq!((summary.active, summary.cleanup), (1, 3));
/// assert!(keys.status()?.is_none() && keys.totals()?.is_empty() && keys.history()?.is_empty());
/// assert!(keys.release()?.is_none(), "it has no owner");
/// keys.purge(Duration::from_secs(30 * 86_400))?;
/// # Ok::<(), procstate::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProcessHandle {
    pub(crate) store: Store,
    name: Arc<str>,
    pub(crate) durability: Durability,
}

/// Whether a call changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The change was written.
    Changed,
    /// The state was already as requested; nothing was written.
    Unchanged,
}

impl Store {
    /// Returns a handle to the process `name`, which need not exist yet.
    ///
    /// Registering work and changing settings create it.
    ///
    /// # Errors
    ///
    /// If the name is empty or longer than 1 KiB.
    pub fn process(&self, name: &str) -> Result<ProcessHandle> {
        names::check_process(name)?;
        Ok(ProcessHandle::new(self.clone(), name))
    }
}

impl ProcessHandle {
    pub(super) fn new(store: Store, name: &str) -> Self {
        Self { store, name: name.into(), durability: Durability::Synced }
    }

    /// Returns the name of the process.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the store of the process.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns a handle whose changes have this durability.
    ///
    /// Claims and the finish of a run are always [`Synced`](Durability::Synced).
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Reports whether the process exists.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn exists(&self) -> Result<bool> {
        Ok(self.store.inner.engine.get(&Key::owner(&self.name))?.is_some())
    }

    /// Fails if the process does not exist.
    pub(crate) fn must_exist(&self) -> Result<()> {
        if self.exists()? { Ok(()) } else { Err(self.not_found()) }
    }

    pub(crate) fn read_owner(&self) -> Result<Versioned<Owner>> {
        self.store.read(&Key::owner(&self.name))
    }

    pub(crate) fn read_settings(&self) -> Result<Versioned<Settings>> {
        self.store.read(&Key::settings(&self.name))
    }

    pub(crate) fn read_status(&self) -> Result<Versioned<RunStatus>> {
        self.store.read(&Key::status(&self.name))
    }

    /// Reads the owner record of a process that must exist.
    pub(crate) fn existing_owner(&self) -> Result<Versioned<Owner>> {
        let owner = self.read_owner()?;
        if owner.is_present() { Ok(owner) } else { Err(self.not_found()) }
    }

    pub(crate) fn not_found(&self) -> Error {
        Failure::NoProcess { process: self.name().to_owned() }.into()
    }

    /// Adds a precondition on the owner to a batch, and creates the process if it does not exist.
    pub(super) fn create_in(&self, batch: Batch, owner: &Versioned<Owner>) -> Batch {
        let key = Key::owner(&self.name);
        let batch = batch.expect(key.clone(), owner.unchanged());
        if owner.is_present() {
            return batch;
        }
        let owner = Owner { process_name: self.name().to_owned(), ..Owner::default() };
        batch.put(key, owner.to_payload())
    }

    /// Adds a change of the settings to a batch.
    ///
    /// Every change that a run must notice increases the version of this record.
    pub(super) fn put_settings(
        &self,
        batch: Batch,
        read: &Versioned<Settings>,
        mut settings: Settings,
    ) -> Batch {
        settings.settings_time = Some(time::to_wire(self.store.now()));
        let key = Key::settings(&self.name);
        batch.expect(key.clone(), read.unchanged()).put(key, settings.to_payload())
    }
}
