//! Settings and schedule of a process.

use std::time::Duration;

use jiff::Timestamp;

use super::Attempt;
use super::process::{Effect, ProcessHandle};
use crate::engine::Batch;
use crate::error::{Error, Result};
use crate::model::time;
use crate::proto::{Params, record};

/// What operators set on a process.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How often a run is due; `None`: whenever nobody holds the process.
    pub schedule: Option<Duration>,
    /// Parameters for the worker that hold for all work.
    pub params: Params,
    /// The last change of the settings; registering and unregistering work counts.
    pub changed: Option<Timestamp>,
}

impl ProcessHandle {
    /// The settings of the process.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store.
    pub fn settings(&self) -> Result<Settings> {
        self.existing_owner()?;
        let settings = self.read_settings()?.value;
        Ok(Settings {
            schedule: time::period(&settings.schedule_frequency),
            changed: time::read(&settings.settings_time),
            params: settings.settings.unwrap_or_default(),
        })
    }

    /// Replaces the parameters. Creates the process if need be.
    ///
    /// A run that is on sees them after its next progress.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn set_params(&self, params: Params) -> Result<Effect> {
        self.update_params(|current| current.clone_from(&params))
    }

    /// Changes the parameters by `update`, which may be called more than once.
    /// Creates the process if need be.
    ///
    /// ```
    /// # let store = procstate::Store::in_memory();
    /// let keys = store.process("gckeys")?;
    /// keys.update_params(|params| {
    ///     params.int_params.insert("keysPerAccount".to_owned(), 8);
    /// })?;
    /// assert_eq!(keys.settings()?.params.get_int("keysPerAccount"), Some(8));
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn update_params(&self, mut update: impl FnMut(&mut Params)) -> Result<Effect> {
        self.update_settings(|settings| update(settings.settings.get_or_insert_default()))
    }

    /// Sets how often a run is due; `None`: whenever nobody holds the process.
    /// Creates the process if need be.
    ///
    /// # Errors
    ///
    /// If the period is zero or over 292 billion years, or the store cannot be
    /// written.
    pub fn set_schedule(&self, every: Option<Duration>) -> Result<Effect> {
        let frequency = every.map(checked_period).transpose()?;
        self.update_settings(|settings| settings.schedule_frequency = frequency)
    }

    fn update_settings(&self, mut update: impl FnMut(&mut record::Settings)) -> Result<Effect> {
        self.store.change(self.durability, || {
            let (owner, read) = (self.read_owner()?, self.read_settings()?);
            let mut settings = read.value.clone();
            update(&mut settings);
            if read.is_present() && settings == read.value {
                return Ok(Attempt::Done(Effect::Unchanged));
            }
            let batch = self.put_settings(Batch::new(), &read, settings);
            Ok(Attempt::Commit(self.create_in(batch, &owner), Effect::Changed))
        })
    }
}

fn checked_period(every: Duration) -> Result<prost_types::Duration> {
    time::period_to_wire(every).filter(|_| !every.is_zero()).ok_or_else(|| {
        Error::argument(format!("a schedule of {every:?}; it must be above zero and fit 64 bits of seconds"))
    })
}
