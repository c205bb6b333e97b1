//! fjall: a write batch per update, with the owner check under a lock per process. (Its
//! transactions would hold one lock for all processes during a sync.)

use std::path::Path;

use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::kv::{Kv, KvStore, Record};
use super::locks::Locks;
use super::{Class, Store};

struct Fjall {
    database: Database,
    records: Keyspace,
    mode: PersistMode,
    locks: Locks,
}

pub fn open(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    let mode = match class {
        Class::ProgramDeath => PersistMode::Buffer,
        Class::PowerLoss => PersistMode::SyncData,
    };
    let database = Database::builder(folder).open()?;
    let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
    Ok(Box::new(KvStore(Fjall { database, records, mode, locks: Locks::new() })))
}

impl Kv for Fjall {
    fn load(&self, chunks: &mut dyn Iterator<Item = Vec<Record>>) -> Result<()> {
        for chunk in chunks {
            let mut batch = self.database.batch();
            for (key, value) in chunk {
                batch.insert(&self.records, key, value);
            }
            batch.commit()?;
        }
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn commit(&self, owner: &[u8], expected: &[u8], records: &[(&[u8], &[u8])]) -> Result<bool> {
        let _lock = self.locks.lock(owner);
        if self.records.get(owner)?.as_deref() != Some(expected) {
            return Ok(false);
        }
        let mut batch = self.database.batch().durability(Some(self.mode));
        for (key, value) in records {
            batch.insert(&self.records, *key, *value);
        }
        batch.commit()?;
        Ok(true)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.records.get(key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for record in self.records.prefix(prefix) {
            let (key, value) = record.into_inner()?;
            each(&key, &value);
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}
