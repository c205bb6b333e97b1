//! Bare sled: a transaction and a flush per update. Without the flush an update is only in a buffer
//! of the program, and does not survive its death.
//!
//! sled's flush never calls fsync. For the power-loss class the adapter does so on a descriptor of
//! its own: more than sled promises, and what its users have to add.

use std::fs::File;
use std::path::Path;

use anyhow::{Result, anyhow};
use sled::transaction::{ConflictableTransactionError, TransactionError};

use super::kv::{Kv, KvStore, Record};
use super::{Class, Store};

struct Sled {
    database: sled::Db,
    /// The file to sync after each flush, in the power-loss class.
    synced: Option<File>,
}

pub fn open(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    let database = sled::open(folder)?;
    let synced = match class {
        Class::ProgramDeath => None,
        Class::PowerLoss => Some(File::open(folder.join("db"))?),
    };
    Ok(Box::new(KvStore(Sled { database, synced })))
}

impl Sled {
    fn flush(&self) -> Result<()> {
        self.database.flush()?;
        self.synced.as_ref().map_or(Ok(()), File::sync_data)?;
        Ok(())
    }
}

impl Kv for Sled {
    fn load(&self, chunks: &mut dyn Iterator<Item = Vec<Record>>) -> Result<()> {
        for chunk in chunks {
            let mut batch = sled::Batch::default();
            for (key, value) in chunk {
                batch.insert(key, value);
            }
            self.database.apply_batch(batch)?;
        }
        self.flush()
    }

    fn commit(&self, owner: &[u8], expected: &[u8], records: &[(&[u8], &[u8])]) -> Result<bool> {
        let result = self.database.transaction(|transaction| {
            if transaction.get(owner)?.as_deref() != Some(expected) {
                return Err(ConflictableTransactionError::Abort(()));
            }
            for (key, value) in records {
                transaction.insert(*key, *value)?;
            }
            Ok(())
        });
        match result {
            Ok(()) => self.flush().map(|()| true),
            Err(TransactionError::Abort(())) => Ok(false),
            Err(TransactionError::Storage(error)) => Err(anyhow!(error)),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.database.get(key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for record in self.database.scan_prefix(prefix) {
            let (key, value) = record?;
            each(&key, &value);
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.flush()
    }
}
