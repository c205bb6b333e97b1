//! LMDB through heed: a write transaction per update; one writer at a time.
//!
//! For the program-death class it runs with `MDB_NOMETASYNC`, which is exactly the promise of that
//! class: "maintains database integrity, but a system crash may undo the last committed
//! transaction". With `MDB_NOSYNC` nothing is synced: what survives the program's death may be
//! corrupt after a power loss.

use std::path::Path;

use anyhow::Result;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};

use super::kv::{Kv, KvStore, Record};
use super::{Class, Store};

const MAP_BYTES: usize = 16 << 30;

struct Lmdb {
    env: Env<WithoutTls>,
    records: Database<'static, Bytes, Bytes>,
}

pub fn open(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    match class {
        Class::ProgramDeath => open_with(folder, EnvFlags::NO_META_SYNC),
        Class::PowerLoss => open_with(folder, EnvFlags::empty()),
    }
}

pub fn open_without_sync(folder: &Path) -> Result<Box<dyn Store>> {
    open_with(folder, EnvFlags::NO_SYNC)
}

fn open_with(folder: &Path, flags: EnvFlags) -> Result<Box<dyn Store>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES).max_readers(126);
    // SAFETY: these flags only determine what is synced, and a store is measured by one program at
    // a time, which opens it once and leaves its files alone.
    let env = unsafe { options.flags(flags).open(folder)? };
    let transaction = env.write_txn()?;
    let created = env.create_databases_and_commit(transaction, |opener, transaction| {
        let created = opener.create_database(transaction, None);
        created.map(CommitOrAbort::<_, ()>::Commit)
    })?;
    let records = created.unwrap_commit();
    Ok(Box::new(KvStore(Lmdb { env, records })))
}

impl Kv for Lmdb {
    fn load(&self, chunks: &mut dyn Iterator<Item = Vec<Record>>) -> Result<()> {
        for chunk in chunks {
            let mut transaction = self.env.write_txn()?;
            for (key, value) in chunk {
                self.records.put(&mut transaction, &key, &value)?;
            }
            transaction.commit()?;
        }
        Ok(self.env.force_sync()?)
    }

    fn commit(&self, owner: &[u8], expected: &[u8], records: &[(&[u8], &[u8])]) -> Result<bool> {
        let mut transaction = self.env.write_txn()?;
        if self.records.get(&transaction, owner)? != Some(expected) {
            return Ok(false);
        }
        for (key, value) in records {
            self.records.put(&mut transaction, key, value)?;
        }
        transaction.commit()?;
        Ok(true)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let transaction = self.env.read_txn()?;
        Ok(self.records.get(&transaction, key)?.map(<[u8]>::to_vec))
    }

    fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let transaction = self.env.read_txn()?;
        for record in self.records.prefix_iter(&transaction, prefix)? {
            let (key, value) = record?;
            each(key, value);
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }
}
