//! SQLite through rusqlite: write-ahead log, `synchronous` NORMAL or FULL, prepared statements,
//! also to begin and end transactions.
//!
//! One connection for all threads: SQLite has one writer at a time anyway, a mutex hands over
//! faster and more fairly than its busy handler, which sleeps; and an exclusive connection may lock
//! the file once instead of per transaction.

use std::path::Path;

use anyhow::{Result, ensure};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::{Class, Session, Store, instance};
use crate::records::{Found, Step, counter, item_name, new_name, value};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS owner (process INTEGER PRIMARY KEY, instance TEXT, token INTEGER);
    CREATE TABLE IF NOT EXISTS settings (process INTEGER PRIMARY KEY, data BLOB);
    CREATE TABLE IF NOT EXISTS status (process INTEGER PRIMARY KEY, data BLOB);
    CREATE TABLE IF NOT EXISTS item (process INTEGER, name TEXT, data BLOB,
        PRIMARY KEY (process, name)) WITHOUT ROWID;
";

/// More statements than are used, so that each is prepared once.
const STATEMENTS: usize = 32;

struct Sqlite {
    connection: Mutex<Connection>,
}

pub fn open(folder: &Path, class: Class) -> Result<Box<dyn Store>> {
    let connection = Connection::open(folder.join("sqlite"))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
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

impl Sqlite {
    /// Applies all of `change` or nothing. (rusqlite's own transactions prepare their statements
    /// each time.)
    fn transact<T>(&self, change: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.connection.lock();
        execute(&connection, "BEGIN IMMEDIATE", ())?;
        let result = change(&connection);
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        execute(&connection, end, ())?;
        result
    }
}

/// Executes a cached statement; returns the number of changed rows.
fn execute(connection: &Connection, statement: &str, params: impl Params) -> Result<usize> {
    Ok(connection.prepare_cached(statement)?.execute(params)?)
}

impl Store for Sqlite {
    fn populate(&self, processes: usize, items: usize) -> Result<()> {
        self.transact(|connection| {
            for process in 0..processes as i64 {
                execute(connection, "INSERT INTO owner VALUES (?1, '', 0)", [process])?;
                for table in ["settings", "status"] {
                    let insert = format!("INSERT INTO {table} VALUES (?1, ?2)");
                    execute(connection, &insert, params![process, value(0)])?;
                }
                for item in 0..items {
                    let row = params![process, item_name(item), value(0)];
                    execute(connection, "INSERT INTO item VALUES (?1, ?2, ?3)", row)?;
                }
            }
            Ok(())
        })
    }

    fn session(&self, process: usize) -> Result<Box<dyn Session + '_>> {
        let (process, instance) = (process as i64, String::new());
        Ok(Box::new(Owner { store: self, process, instance, token: 0, names: Vec::new() }))
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
    /// Swaps the owner if it is unchanged since the read, and starts a status.
    fn swap_owner(&self, instance: &str) -> Result<i64> {
        self.store.transact(|connection| {
            let token: i64 = connection
                .prepare_cached("SELECT token FROM owner WHERE process = ?1")?
                .query_row([self.process], |row| row.get(0))?;
            let swap = "UPDATE owner SET instance = ?3, token = ?2 + 1 WHERE process = ?1 AND token = ?2";
            let swapped = execute(connection, swap, params![self.process, token, instance])?;
            ensure!(swapped == 1, "another instance was faster");
            self.put_status(connection, 0)?;
            Ok(token + 1)
        })
    }

    fn put_status(&self, connection: &Connection, total: u64) -> Result<()> {
        let update = "UPDATE status SET data = ?2 WHERE process = ?1";
        execute(connection, update, params![self.process, value(total)])?;
        Ok(())
    }
}

impl Session for Owner<'_> {
    fn claim(&mut self, items: usize) -> Result<String> {
        self.instance = instance();
        self.token = self.swap_owner(&self.instance)?;
        self.names = (0..items).map(item_name).collect();
        Ok(self.instance.clone())
    }

    fn update(&mut self, step: Step) -> Result<()> {
        let update = "UPDATE item SET data = ?3 WHERE process = ?1 AND name = ?2 AND EXISTS
            (SELECT 1 FROM owner WHERE process = ?1 AND instance = ?4 AND token = ?5)";
        self.store.transact(|connection| {
            let name = &self.names[step.item];
            let row = params![self.process, name, value(step.of_item), self.instance, self.token];
            ensure!(execute(connection, update, row)? == 1, "another instance owns the process");
            self.put_status(connection, step.total)
        })
    }

    fn register(&mut self, number: u64) -> Result<()> {
        self.store.transact(|connection| {
            let row = params![self.process, new_name(number), value(number)];
            execute(connection, "INSERT INTO item VALUES (?1, ?2, ?3)", row)?;
            let update = "UPDATE settings SET data = ?2 WHERE process = ?1";
            execute(connection, update, params![self.process, value(number)])?;
            Ok(())
        })
    }

    fn claim_and_handoff(&mut self) -> Result<()> {
        self.swap_owner(&instance())?;
        self.swap_owner("")?;
        Ok(())
    }

    fn read(&self, item: usize) -> Result<bool> {
        let connection = self.store.connection.lock();
        let mut select =
            connection.prepare_cached("SELECT data FROM item WHERE process = ?1 AND name = ?2")?;
        Ok(select.exists(params![self.process, item_name(item)])?)
    }

    fn scan(&self) -> Result<usize> {
        let connection = self.store.connection.lock();
        let mut select = connection.prepare_cached("SELECT name, data FROM item WHERE process = ?1")?;
        let mut rows = select.query([self.process])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let (name, data): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            count += usize::from(!std::hint::black_box((name, data)).1.is_empty());
        }
        Ok(count)
    }

    fn find(&self, items: usize) -> Result<Found> {
        let connection = self.store.connection.lock();
        let owner =
            connection.query_row("SELECT instance FROM owner WHERE process = ?1", [self.process], |row| {
                row.get(0)
            })?;
        let status: Vec<u8> =
            connection
                .query_row("SELECT data FROM status WHERE process = ?1", [self.process], |row| row.get(0))?;
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
