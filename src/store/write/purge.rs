//! Removes old traces: dropped items and past runs.

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::engine::{Batch, Expect};
use crate::error::Result;
use crate::model::{List, time};
use crate::proto::record::History;
use crate::record::{KeyRange, Kind, Payload, Record};
use crate::store::Attempt;
use crate::store::process::ProcessHandle;

/// The maximum number of records purged per commit.
const RECORDS_PER_COMMIT: usize = 1000;

/// What a purge removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// Dropped items.
    pub dropped: usize,
    /// Past runs.
    pub runs: usize,
}

impl ProcessHandle {
    /// Removes dropped items and past runs that are older than `retention` or have no time.
    ///
    /// The state of a purged item is `purged`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](crate::Error::is_not_found) if the process is not in the
    /// store.
    pub fn purge(&self, retention: Duration) -> Result<Purged> {
        self.must_exist()?;
        let retention = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
        let before = self.store.now().saturating_sub(retention).unwrap_or(Timestamp::MIN);
        let dropped = self
            .purge_range(&KeyRange::kind(self.name(), Kind::from(List::Dropped)), |record| {
                Ok(is_before(&Some(Payload::from_record(record)?), before))
            })?;
        let runs = self.purge_range(&self.history_range(), |record| {
            Ok(is_before(&History::from_record(record)?.finish_time, before))
        })?;
        Ok(Purged { dropped, runs })
    }

    fn purge_range(&self, range: &KeyRange, is_old: impl Fn(&Record) -> Result<bool>) -> Result<usize> {
        let mut purged = 0;
        let mut range = range.clone();
        loop {
            let (old, last) = self.old_records(&range, &is_old)?;
            purged += self.delete_unchanged(&old)?;
            match last {
                Some(last) => range = range.after(&last.key),
                None => return Ok(purged),
            }
        }
    }

    /// Returns the old records among the next ones in `range`, and the last record read if there
    /// are more.
    fn old_records(
        &self,
        range: &KeyRange,
        is_old: &impl Fn(&Record) -> Result<bool>,
    ) -> Result<(Vec<Record>, Option<Record>)> {
        let engine = &self.store.inner.engine;
        let records_max = RECORDS_PER_COMMIT.min(engine.preconditions_max());
        let mut records = Vec::new();
        engine.scan_first(range, records_max, &mut |record| {
            records.push(record.to_record());
            ControlFlow::Continue(())
        })?;
        let last = (records.len() == records_max).then(|| records.last().cloned()).flatten();
        let mut old = Vec::new();
        for record in records {
            if is_old(&record)? {
                old.push(record);
            }
        }
        Ok((old, last))
    }

    /// Deletes those of `records` that have not changed; returns how many.
    fn delete_unchanged(&self, records: &[Record]) -> Result<usize> {
        self.store.change(self.durability, || {
            let mut batch = Batch::new();
            for record in records {
                let now = self.store.inner.engine.get(&record.key)?.map(|now| now.version);
                if now == Some(record.version) {
                    let key = record.key.clone();
                    batch = batch.expect(key.clone(), Expect::Version(record.version)).delete(key);
                }
            }
            let deleted = batch.writes.len();
            Ok(Attempt::Commit(batch, deleted))
        })
    }
}

fn is_before(wire: &Option<prost_types::Timestamp>, before: Timestamp) -> bool {
    time::read(wire).is_none_or(|time| time < before)
}
