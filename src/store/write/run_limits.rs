//! The limits of all runs of a process, kept in its settings.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::{FailureLimit, run_limits, time};
use crate::proto::record;
use crate::store::process::{Effect, ProcessHandle};

impl ProcessHandle {
    /// Sets how many items may fail before a run stops; `None`: any number.
    ///
    /// An active run keeps its limit. A limit of the claim or the runner
    /// ([`ClaimOptions::max_failed_items`](crate::ClaimOptions::max_failed_items)) takes
    /// precedence. Creates the process if needed.
    ///
    /// ```
    /// # use procstate::{FailureLimit, Store};
    /// # let store = Store::in_memory();
    /// let keys = store.process("gckeys")?;
    /// keys.set_max_failed_items(Some(FailureLimit::Share(0.1)))?;
    /// assert_eq!(keys.settings()?.max_failed_items, Some(FailureLimit::Share(0.1)));
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// It is stored as the settings parameter `run.max_failed_items` (`10%`), which exports and
    /// imports preserve.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) for a share that is not from 0.0 to 1.0; if the
    /// store cannot be written.
    pub fn set_max_failed_items(&self, limit: Option<FailureLimit>) -> Result<Effect> {
        self.update_settings(|settings| put_max_failed_items(settings, limit))
    }

    /// Sets the minimum time between the starts of two runs; `None`: none.
    ///
    /// [`ClaimOptions::min_interval`](crate::ClaimOptions::min_interval) describes its effect, and
    /// takes precedence. Creates the process if needed.
    ///
    /// ```
    /// # use procstate::Store;
    /// # use std::time::Duration;
    /// # let store = Store::in_memory();
    /// let keys = store.process("gckeys")?;
    /// keys.set_min_interval(Some(Duration::from_secs(7200)))?;
    /// assert_eq!(keys.settings()?.min_interval, Some(Duration::from_secs(7200)));
    /// # Ok::<(), procstate::Error>(())
    /// ```
    ///
    /// It is stored as the settings parameter `run.min_interval` (`7200s`), which exports and
    /// imports preserve.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](crate::Error::is_invalid) for one over 292 billion years; if the store
    /// cannot be written.
    pub fn set_min_interval(&self, interval: Option<Duration>) -> Result<Effect> {
        self.update_settings(|settings| put_min_interval(settings, interval))
    }
}

pub(super) fn put_max_failed_items(
    settings: &mut record::Settings,
    limit: Option<FailureLimit>,
) -> Result<()> {
    if limit.is_some_and(|limit| !limit.is_valid()) {
        return Err(Error::argument("the share of items that may fail must be from 0.0 to 1.0"));
    }
    put_limit(settings, run_limits::MAX_FAILED_ITEMS, limit.map(|limit| limit.to_string()));
    Ok(())
}

pub(super) fn put_min_interval(settings: &mut record::Settings, interval: Option<Duration>) -> Result<()> {
    let interval = interval.filter(|interval| !interval.is_zero()).map(to_wire).transpose()?;
    put_limit(settings, run_limits::MIN_INTERVAL, interval.map(|interval| interval.to_string()));
    Ok(())
}

fn to_wire(interval: Duration) -> Result<prost_types::Duration> {
    time::period_to_wire(interval).ok_or_else(|| {
        Error::argument(format!("a minimum interval of {interval:?} between runs is too long"))
    })
}

fn put_limit(settings: &mut record::Settings, name: &str, text: Option<String>) {
    if let Some(text) = text {
        settings.settings.get_or_insert_default().string_params.insert(name.to_owned(), text);
    } else if let Some(params) = &mut settings.settings {
        params.string_params.remove(name);
    }
}
