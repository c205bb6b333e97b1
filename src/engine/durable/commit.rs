//! Committing: preconditions, log, memtable.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use super::base::Base;
use super::memtable::Memtable;
use super::shared::{Shared, Writer};
use super::versions::Versions;
use super::wal::parts;
use crate::engine::stored::open_value;
use crate::engine::{Batch, Durability, Outcome};
use crate::error::{Failure, Result};
use crate::record::{Key, Kind};

impl Shared {
    pub(super) fn commit(&self, batch: &Batch, durability: Durability) -> Result<Outcome> {
        batch.check()?;
        self.with_base(|base| {
            self.pressure.wait(|| self.check_going())?;
            let outcome = self.append(base, batch)?;
            match outcome {
                Outcome::Committed(seq) if durability == Durability::Synced && !batch.writes.is_empty() => {
                    self.sync_to(seq)?;
                }
                _ => {}
            }
            Ok(outcome)
        })
    }

    /// Wakes the thread that eases the pressure, and fails if it will not.
    fn check_going(&self) -> Result<()> {
        if self.checkpoints.is_stopped() {
            return Err(Failure::Closed.into());
        }
        if self.is_disk_full.load(Ordering::Acquire) {
            let (path, source) = (self.parts.log.dir.clone(), ErrorKind::StorageFull.into());
            return Err(Failure::DiskFull { path, source }.into());
        }
        self.checkpoints.work();
        self.poison.check()
    }

    /// Commits without waiting for a sync.
    fn append(&self, base: &dyn Base, batch: &Batch) -> Result<Outcome> {
        let mut writer = self.writer.lock();
        self.poison.check()?;
        let owners = {
            let versions = &mut writer.versions;
            let mut current = Current { shared: self, memtable: &self.memtable.read(), base, versions };
            if let Some(failed) = current.first_failed(batch)? {
                return Ok(Outcome::Failed(failed));
            }
            current.replaced_owners(batch)?
        };
        if batch.writes.is_empty() {
            return Ok(Outcome::Committed(writer.log.last_seq()));
        }
        let replaces = |n: usize| owners.iter().find(|(at, _)| *at == n).map(|(_, version)| *version);
        self.write(&mut writer, batch, &replaces)?;
        let seq = writer.log.last_seq();
        let mut memtable = self.memtable.write();
        for (n, write) in batch.writes.iter().enumerate() {
            let (key, payload) = parts(write);
            memtable.active.put(key, seq, payload.cloned(), replaces(n));
        }
        self.judge_pressure(&writer, &memtable.active);
        drop(memtable);
        self.last_seq.store(seq, Ordering::Release);
        self.feed.publish(seq, batch);
        Ok(Outcome::Committed(seq))
    }

    fn write(
        &self,
        writer: &mut Writer,
        batch: &Batch,
        replaces: &dyn Fn(usize) -> Option<u64>,
    ) -> Result<()> {
        if let Err(error) = writer.log.reserve(batch) {
            // Nothing was written: a disk that is full is no reason to stop.
            return if error.is_disk_full() { Err(error) } else { self.poison.on_error(Err(error)) };
        }
        let segments = writer.log.segments();
        let synced = self.durable.load(Ordering::Acquire);
        let written = {
            let time = self.options.clock.now();
            writer.log.append(batch, time, |n| replaces(n).unwrap_or(0), synced)
        };
        if writer.log.segments() != segments {
            self.upkeep.work();
        }
        self.poison.on_error(written)
    }
}

/// The records as they are, for who holds the writer's lock.
struct Current<'a> {
    shared: &'a Shared,
    memtable: &'a Memtable,
    base: &'a dyn Base,
    versions: &'a mut Versions,
}

impl Current<'_> {
    /// The first precondition that does not hold.
    fn first_failed(&mut self, batch: &Batch) -> Result<Option<usize>> {
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            if !precondition.expect.holds(self.version(&precondition.key)?) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Of the writes of owner records, which version they replace; 0 for none.
    fn replaced_owners(&mut self, batch: &Batch) -> Result<Vec<(usize, u64)>> {
        let mut replaced = Vec::new();
        for (n, write) in batch.writes.iter().enumerate() {
            let (key, _) = parts(write);
            if key.kind() == Kind::Owner {
                replaced.push((n, self.version(key)?.unwrap_or(0)));
            }
        }
        Ok(replaced)
    }

    /// The newest version of a record. Asks the index without being a reader that
    /// checkpoints wait for: what one may be changing is in the memtable.
    fn version(&mut self, key: &Key) -> Result<Option<u64>> {
        if let Some(entry) = self.memtable.get(key) {
            return Ok(entry.version());
        }
        self.versions.get(key, || {
            let value = self.shared.poison.on_error(self.base.get(key.bytes()))?;
            Ok(value.map(|value| open_value(key, &value)).transpose()?.map(|record| record.version))
        })
    }
}
