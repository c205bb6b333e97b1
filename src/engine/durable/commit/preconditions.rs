//! The records as they are, for who holds the writer's lock.

use super::version_cache::VersionCache;
use crate::engine::Batch;
use crate::engine::durable::memtable::Memtable;
use crate::engine::durable::shared::Shared;
use crate::engine::durable::storage::IndexBackend;
use crate::engine::durable::wal::key_and_payload;
use crate::engine::index_records::open_value;
use crate::error::Result;
use crate::record::{Key, Kind};

pub(crate) struct RecordVersions<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) memtable: &'a Memtable,
    pub(crate) index: &'a dyn IndexBackend,
    pub(crate) versions: &'a mut VersionCache,
}

impl RecordVersions<'_> {
    /// The first precondition that does not hold.
    pub(crate) fn first_failed(&mut self, batch: &Batch) -> Result<Option<usize>> {
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            if !precondition.expect.holds(self.version(&precondition.key)?) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Of the writes of owner records, by number, which version they replace; 0 for none.
    pub(crate) fn replaced(&mut self, batch: &Batch) -> Result<Vec<(usize, u64)>> {
        let mut replaced = Vec::new();
        for (n, write) in batch.writes.iter().enumerate() {
            let (key, _) = key_and_payload(write);
            if key.kind() == Kind::Owner {
                replaced.push((n, self.version(key)?.unwrap_or(0)));
            }
        }
        Ok(replaced)
    }

    /// The newest version of a record.
    fn version(&mut self, key: &Key) -> Result<Option<u64>> {
        let Self { shared, memtable, index, versions } = self;
        versions.get(key, || {
            if let Some(entry) = memtable.get(key) {
                return Ok(entry.version());
            }
            // Not as a reader that checkpoints wait for: what one may be changing is in
            // the memtable.
            let value = shared.poison.on_error(index.get(key.bytes()))?;
            Ok(value.map(|value| open_value(key, &value)).transpose()?.map(|record| record.version))
        })
    }
}
