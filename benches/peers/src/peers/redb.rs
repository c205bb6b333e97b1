//! redb: a write transaction per update; one writer at a time.
//!
//! With `Durability::None` a commit is not written before a later one with `Immediate`, and does
//! not survive the program's death: redb is only in the power-loss class.

use std::path::Path;

use anyhow::Result;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::Store;
use super::kv::{Kv, KvStore, Record};

const RECORDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records");

struct Redb(Database);

pub fn open(folder: &Path) -> Result<Box<dyn Store>> {
    let database = Database::create(folder.join("redb"))?;
    let transaction = database.begin_write()?;
    transaction.open_table(RECORDS)?;
    transaction.commit()?;
    Ok(Box::new(KvStore(Redb(database))))
}

impl Kv for Redb {
    fn load(&self, chunks: &mut dyn Iterator<Item = Vec<Record>>) -> Result<()> {
        for chunk in chunks {
            let transaction = self.0.begin_write()?;
            let mut table = transaction.open_table(RECORDS)?;
            for (key, value) in chunk {
                table.insert(&key[..], &value[..])?;
            }
            drop(table);
            transaction.commit()?;
        }
        Ok(())
    }

    fn commit(&self, owner: &[u8], expected: &[u8], records: &[(&[u8], &[u8])]) -> Result<bool> {
        let transaction = self.0.begin_write()?;
        let mut table = transaction.open_table(RECORDS)?;
        if table.get(owner)?.is_none_or(|found| found.value() != expected) {
            return Ok(false);
        }
        for (key, value) in records {
            table.insert(*key, *value)?;
        }
        drop(table);
        transaction.commit()?;
        Ok(true)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let table = self.0.begin_read()?.open_table(RECORDS)?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    fn scan(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let table = self.0.begin_read()?.open_table(RECORDS)?;
        for record in table.range(prefix..)? {
            let (key, value) = record?;
            if !key.value().starts_with(prefix) {
                break;
            }
            each(key.value(), value.value());
        }
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }
}
