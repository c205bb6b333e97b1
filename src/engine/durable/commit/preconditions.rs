//! Checks preconditions against the newest version of each record, under the writer lock.

use super::version_cache::VersionCache;
use super::writer::ReplacedOwners;
use crate::engine::durable::memtable::Memtable;
use crate::engine::durable::poison::Poison;
use crate::engine::durable::storage::IndexBackend;
use crate::engine::durable::wal::key_and_payload;
use crate::engine::index_records::open_version;
use crate::engine::{Batch, Precondition};
use crate::error::Result;
use crate::record::{Key, Kind};

/// The newest version of each record: from the cache, the memtable, or the index.
pub(super) struct NewestVersions<'a> {
    pub(super) poison: &'a Poison,
    pub(super) memtable: &'a Memtable,
    pub(super) index: &'a dyn IndexBackend,
    pub(super) cache: &'a mut VersionCache,
}

impl NewestVersions<'_> {
    /// Returns the first precondition that does not hold.
    pub(super) fn first_failed(&mut self, batch: &Batch) -> Result<Option<usize>> {
        for (n, precondition) in batch.preconditions.iter().enumerate() {
            if !self.holds(precondition)? {
                return Ok(Some(n));
            }
        }
        Ok(None)
    }

    fn holds(&mut self, precondition: &Precondition) -> Result<bool> {
        let Precondition { key, expect, held_as_of } = precondition;
        if self.memtable.is_complete_since(*held_as_of) {
            return Ok(self.memtable.get(key).is_none_or(|entry| expect.holds(entry.version())));
        }
        Ok(expect.holds(self.of(key)?))
    }

    /// Returns the version that each write of an owner record replaces.
    pub(super) fn replaced(&mut self, batch: &Batch) -> Result<ReplacedOwners> {
        let mut replaced = Vec::new();
        for (n, write) in batch.writes.iter().enumerate() {
            let (key, _) = key_and_payload(write);
            if key.kind() == Kind::Owner {
                replaced.push((n, self.of(key)?.unwrap_or(0)));
            }
        }
        Ok(ReplacedOwners(replaced))
    }

    fn of(&mut self, key: &Key) -> Result<Option<u64>> {
        let Self { poison, memtable, index, cache } = self;
        cache.get(key, || {
            if let Some(entry) = memtable.get(key) {
                return Ok(entry.version());
            }
            // Not registered as a reader for checkpoints: whatever they may be changing is in the
            // memtable.
            let value = poison.on_error(index.get(key.bytes()))?;
            value.map(|value| open_version(key, &value)).transpose()
        })
    }
}
