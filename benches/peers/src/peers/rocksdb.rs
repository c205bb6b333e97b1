//! RocksDB: a write batch per update, with the owner check under a lock per process, which is
//! cheaper than its transactions. It has its own group commit.

use std::path::Path;

use anyhow::Result;
use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};

use super::kv::{Kv, KvStore, Record};
use super::locks::Locks;
use super::{Class, Store};

struct RocksDb {
    database: DB,
    write: WriteOptions,
    locks: Locks,
}

pub fn open(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    let mut options = Options::default();
    options.create_if_missing(true);
    let database = DB::open(&options, folder)?;
    let mut write = WriteOptions::default();
    write.set_sync(class == Class::PowerLoss);
    Ok(Box::new(KvStore(RocksDb { database, write, locks: Locks::new() })))
}

impl Kv for RocksDb {
    fn load(&self, chunks: &mut dyn Iterator<Item = Vec<Record>>) -> Result<()> {
        for chunk in chunks {
            let mut batch = WriteBatch::default();
            for (key, value) in chunk {
                batch.put(key, value);
            }
            self.database.write(batch)?;
        }
        Ok(self.database.flush_wal(true)?)
    }

    fn commit(&self, owner: &[u8], expected: &[u8], records: &[(&[u8], &[u8])]) -> Result<bool> {
        let _lock = self.locks.lock(owner);
        if self.database.get_pinned(owner)?.as_deref() != Some(expected) {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        for (key, value) in records {
            batch.put(key, value);
        }
        self.database.write_opt(batch, &self.write)?;
        Ok(true)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.database.get(key)?)
    }

    fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for record in self.database.iterator(IteratorMode::From(prefix, Direction::Forward)) {
            let (key, value) = record?;
            if !key.starts_with(prefix) {
                break;
            }
            each(&key, &value);
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.database.flush_wal(true)?)
    }
}
