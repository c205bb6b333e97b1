//! The records as they are, for who holds the writer's lock.

use super::base::Base;
use super::memtable::Memtable;
use super::shared::Shared;
use super::versions::Versions;
use super::wal::parts;
use crate::engine::Batch;
use crate::engine::stored::open_value;
use crate::error::Result;
use crate::record::{Key, Kind};

pub(super) struct Current<'a> {
    pub(super) shared: &'a Shared,
    pub(super) memtable: &'a Memtable,
    pub(super) base: &'a dyn Base,
    pub(super) versions: &'a mut Versions,
}

impl Current<'_> {
    /// The first precondition that does not hold.
    pub(super) fn first_failed(&mut self, batch: &Batch) -> Result<Option<usize>> {
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            if !precondition.expect.holds(self.version(&precondition.key)?) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Of the writes of owner records, by number, which version they replace; 0 for none.
    pub(super) fn replaced(&mut self, batch: &Batch) -> Result<Vec<(usize, u64)>> {
        let mut replaced = Vec::new();
        for (n, write) in batch.writes.iter().enumerate() {
            let (key, _) = parts(write);
            if key.kind() == Kind::Owner {
                replaced.push((n, self.version(key)?.unwrap_or(0)));
            }
        }
        Ok(replaced)
    }

    /// The newest version of a record.
    fn version(&mut self, key: &Key) -> Result<Option<u64>> {
        let Self { shared, memtable, base, versions } = self;
        versions.get(key, || {
            if let Some(entry) = memtable.get(key) {
                return Ok(entry.version());
            }
            // Not as a reader that checkpoints wait for: what one may be changing is in
            // the memtable.
            let value = shared.poison.on_error(base.get(key.bytes()))?;
            Ok(value.map(|value| open_value(key, &value)).transpose()?.map(|record| record.version))
        })
    }
}
