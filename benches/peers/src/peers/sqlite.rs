//! SQLite through rusqlite: write-ahead log, `synchronous` NORMAL or FULL, prepared statements.
//!
//! One connection for all threads: SQLite has one writer at a time anyway, a mutex hands over
//! faster and more fairly than its busy handler, which sleeps; and a connection that is alone
//! may lock the file once instead of at each transaction.

use std::path::Path;

use anyhow::{Result, ensure};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Class, Session, Store};
use crate::records::{Found, Step, counter, item_name, value};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS owner (process INTEGER PRIMARY KEY, instance TEXT, token INTEGER);
    CREATE TABLE IF NOT EXISTS status (process INTEGER PRIMARY KEY, data BLOB);
    CREATE TABLE IF NOT EXISTS item (process INTEGER, name TEXT, data BLOB,
        PRIMARY KEY (process, name)) WITHOUT ROWID;
";

struct Sqlite {
    connection: Mutex<Connection>,
}

pub fn open(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    let connection = Connection::open(folder.join("sqlite"))?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match class {
        Class::ProgramDeath => "NORMAL",
        Class::PowerLoss => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.execute_batch(TABLES)?;
    Ok(Box::new(Sqlite { connection: Mutex::new(connection) }))
}

impl Store for Sqlite {
    fn populate(&self, processes: usize, items: usize) -> Result<()> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        {
            let mut add_item = transaction.prepare("INSERT INTO item VALUES (?1, ?2, ?3)")?;
            for process in 0..processes as i64 {
                transaction.execute("INSERT INTO owner VALUES (?1, '', 0)", [process])?;
                transaction.execute("INSERT INTO status VALUES (?1, ?2)", params![process, value(0)])?;
                for item in 0..items {
                    add_item.execute(params![process, item_name(item), value(0)])?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn session(&self, process: usize) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Owner { store: self, process: process as i64, instance: String::new(), token: 0, names: Vec::new() }))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.connection.into_inner().close().map_err(|(_, error)| error.into())
    }
}

struct Owner<'a> {
    store: &'a Sqlite,
    process: i64,
    instance: String,
    token: i64,
    names: Vec<String>,
}

impl Owner<'_> {
    /// Swaps the owner if it is still the one that was read, and begins a status.
    fn swap_owner(&self, instance: &str) -> Result<i64> {
        let mut connection = self.store.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let token: i64 = transaction
            .prepare_cached("SELECT token FROM owner WHERE process = ?1")?
            .query_row([self.process], |row| row.get(0))?;
        let swapped = transaction
            .prepare_cached("UPDATE owner SET instance = ?3, token = ?2 + 1 WHERE process = ?1 AND token = ?2")?
            .execute(params![self.process, token, instance])?;
        ensure!(swapped == 1, "another instance was faster");
        transaction
            .prepare_cached("UPDATE status SET data = ?2 WHERE process = ?1")?
            .execute(params![self.process, value(0)])?;
        transaction.commit()?;
        Ok(token + 1)
    }
}

impl Session for Owner<'_> {
    fn claim(&mut self, items: usize) -> Result<String> {
        self.instance = crate::peers::instance();
        self.token = self.swap_owner(&self.instance)?;
        self.names = (0..items).map(item_name).collect();
        Ok(self.instance.clone())
    }

    fn update(&mut self, step: Step) -> Result<()> {
        let mut connection = self.store.connection.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changed = transaction
            .prepare_cached(
                "UPDATE item SET data = ?3 WHERE process = ?1 AND name = ?2 AND EXISTS
                 (SELECT 1 FROM owner WHERE process = ?1 AND instance = ?4 AND token = ?5)",
            )?
            .execute(params![
                self.process,
                self.names[step.item],
                value(step.of_item),
                self.instance,
                self.token
            ])?;
        ensure!(changed == 1, "another instance owns the process");
        transaction
            .prepare_cached("UPDATE status SET data = ?2 WHERE process = ?1")?
            .execute(params![self.process, value(step.total)])?;
        Ok(transaction.commit()?)
    }

    fn register(&mut self, number: u64) -> Result<()> {
        let connection = self.store.connection.lock();
        connection
            .prepare_cached("INSERT OR REPLACE INTO item VALUES (?1, 'registered', ?2)")?
            .execute(params![self.process, value(number)])?;
        Ok(())
    }

    fn claim_and_handoff(&mut self) -> Result<()> {
        self.swap_owner(&crate::peers::instance())?;
        self.swap_owner("")?;
        Ok(())
    }

    fn scan(&self) -> Result<usize> {
        let connection = self.store.connection.lock();
        let mut select = connection.prepare_cached("SELECT name, data FROM item WHERE process = ?1")?;
        let mut rows = select.query([self.process])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let (name, data): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            count += usize::from(!name.is_empty() && !data.is_empty());
        }
        Ok(count)
    }

    fn find(&self, items: usize) -> Result<Found> {
        let connection = self.store.connection.lock();
        let owner = connection.query_row(
            "SELECT instance FROM owner WHERE process = ?1",
            [self.process],
            |row| row.get(0),
        )?;
        let status: Vec<u8> =
            connection.query_row("SELECT data FROM status WHERE process = ?1", [self.process], |row| {
                row.get(0)
            })?;
        let of_item = |item| -> Result<u64> {
            let data: Option<Vec<u8>> = connection
                .prepare_cached("SELECT data FROM item WHERE process = ?1 AND name = ?2")?
                .query_row(params![self.process, item_name(item)], |row| row.get(0))
                .optional()?;
            Ok(counter(&data.unwrap_or_default()))
        };
        let of_items = (0..items).map(of_item).collect::<Result<_>>()?;
        Ok(Found { owner, total: counter(&status), of_items })
    }
}
