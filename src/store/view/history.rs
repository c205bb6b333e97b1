//! The past runs of a process.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::engine::Batch;
use crate::error::Result;
use crate::model::{run, time};
use crate::proto::record::{History, RunStatus};
use crate::proto::{RunError, State};
use crate::record::{Key, KeyRange, Kind, Payload};
use crate::store::process::ProcessHandle;

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PastRun {
    /// The instance that finished it.
    pub instance: String,
    /// When it started.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub finish: Option<Timestamp>,
    /// How it ended.
    pub state: State,
    /// Its statistics, by label.
    pub stats: BTreeMap<String, f64>,
    /// The first of its errors.
    pub errors: Vec<RunError>,
    /// How many errors it had.
    pub total_errors: i64,
}

impl ProcessHandle {
    /// Returns the past runs that are kept, most recently started first.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store.
    pub fn history(&self) -> Result<Vec<PastRun>> {
        self.must_exist()?;
        let mut runs: Vec<PastRun> = Vec::new();
        self.store.scan(&self.history_range(), |record| {
            runs.push(History::from_ref(record)?.into());
            Ok(ControlFlow::Continue(()))
        })?;
        runs.reverse();
        Ok(runs)
    }

    /// Adds a finished run to a batch, and deletes those beyond the number to keep.
    pub(crate) fn put_history(&self, batch: Batch, instance: &str, run: &RunStatus) -> Result<Batch> {
        let status = run.status.clone().unwrap_or_default();
        let start = status.start_time.unwrap_or_default();
        let nanos = u32::try_from(start.nanos).unwrap_or_default();
        let key = Key::history(self.name(), start.seconds, nanos, run.run);
        let batch = batch.put(key, run::history(instance, &status).to_payload());
        let keys = self.history_keys()?;
        // One place is reserved for the new run.
        let surplus = (keys.len() + 1).saturating_sub(self.store.inner.history_max);
        Ok(keys.into_iter().take(surplus).fold(batch, Batch::delete))
    }

    fn history_keys(&self) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        self.store.inner.engine.scan(&self.history_range(), &mut |record| {
            keys.push(record.key.to_key());
            ControlFlow::Continue(())
        })?;
        Ok(keys)
    }

    pub(crate) fn history_range(&self) -> KeyRange {
        KeyRange::kind(self.name(), Kind::History)
    }
}

impl From<History> for PastRun {
    fn from(history: History) -> Self {
        Self {
            state: history.state(),
            start: time::read(&history.start_time),
            finish: time::read(&history.finish_time),
            instance: history.instance,
            stats: history.stats,
            errors: history.errors,
            total_errors: history.total_errors,
        }
    }
}
