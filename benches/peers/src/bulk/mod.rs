//! Bulk registration compared with SQLite rows under the same promise: each thousand is a commit
//! that survives power loss.

mod report;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use procstate::{Params, Store};
use rusqlite::{Connection, params};

use crate::machine;
use crate::program::argument;
use crate::records::item_name;
use crate::turns::{self, Took};

/// The number of items that `register_all` puts into a commit.
const ITEMS_PER_COMMIT: usize = 1000;

#[derive(Clone, Debug, Args)]
pub struct Bulk {
    #[arg(long, default_value_t = 1_000_000)]
    pub items: usize,
    /// How often each entrant has its turn.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Entrant {
    Procstate,
    Sqlite,
    /// procstate's index by itself: the lower bound for any store with a key per item in it.
    SledAlone,
}

#[derive(Clone, Debug, Args)]
pub struct BulkTurn {
    who: Entrant,
    folder: PathBuf,
    items: usize,
}

/// Measures both, and writes `bulk.md`.
pub fn run(bulk: &Bulk, output: &Path, command: &str) -> Result<()> {
    ensure!(bulk.items > 0 && bulk.rounds > 0, "no items or no rounds");
    let load = machine::load();
    let (entrants, failures) = turns::take(Entrant::value_variants(), bulk.rounds, |who, folder| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bulk-turn", &argument(&who)]).arg(folder).arg(bulk.items.to_string());
        turns::run(&mut command)
    })?;
    let folder = tempfile::tempdir()?;
    let machine = machine::describe(folder.path());
    let markdown = report::write(&machine, command, load, bulk, &entrants, &failures);
    std::fs::create_dir_all(output)?;
    std::fs::write(output.join("bulk.md"), &markdown)?;
    println!("{markdown}");
    Ok(())
}

pub fn turn(turn: &BulkTurn) -> Result<()> {
    let took = match turn.who {
        Entrant::Procstate => in_procstate(&turn.folder, turn.items)?,
        Entrant::Sqlite => in_sqlite(&turn.folder, turn.items)?,
        Entrant::SledAlone => in_sled(&turn.folder, turn.items)?,
    };
    println!("{}", serde_json::to_string(&took)?);
    Ok(())
}

fn customer(item: usize) -> String {
    format!("customer-{item:08}@example.org")
}

fn in_procstate(folder: &Path, items: usize) -> Result<Took> {
    let params = |item| Params::new().int("keys", 8).string("customer", customer(item));
    let store = Store::open(folder)?;
    let process = store.process("bulk")?;
    let began = Instant::now();
    let tally = process.register_all((0..items).map(|item| (item_name(item), params(item))))?;
    let register = began.elapsed().as_secs_f64();
    ensure!(tally.changed == items, "{} of {items} items were registered", tally.changed);
    drop(process);
    let began = Instant::now();
    store.close()?;
    Ok(Took { register, run: 0.0, close: began.elapsed().as_secs_f64() })
}

/// By name, like items; an existing equal row is left alone, like an item.
fn in_sqlite(folder: &Path, items: usize) -> Result<Took> {
    let connection = Connection::open(folder.join("sqlite"))?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection
        .execute_batch("CREATE TABLE item (name TEXT PRIMARY KEY, params BLOB NOT NULL) WITHOUT ROWID")?;
    let began = Instant::now();
    let mut insert = connection.prepare(
        "INSERT INTO item VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET params = excluded.params
            WHERE params <> excluded.params",
    )?;
    let mut changed = 0;
    for first in (0..items).step_by(ITEMS_PER_COMMIT) {
        let transaction = connection.unchecked_transaction()?;
        for item in first..items.min(first + ITEMS_PER_COMMIT) {
            let params = format!(r#"{{"keys":8,"customer":"{}"}}"#, customer(item));
            changed += insert.execute(params![item_name(item), params.as_bytes()])?;
        }
        transaction.commit()?;
    }
    let register = began.elapsed().as_secs_f64();
    ensure!(changed == items, "{changed} of {items} rows were put in");
    drop(insert);
    let began = Instant::now();
    connection.close().map_err(|(_, error)| error)?;
    Ok(Took { register, run: 0.0, close: began.elapsed().as_secs_f64() })
}

/// In key order, with its cheapest call and without a promise: nothing is synced until it is
/// closed.
fn in_sled(folder: &Path, items: usize) -> Result<Took> {
    // Opened like procstate opens it.
    let config = sled::Config::new().path(folder.join("sled")).cache_capacity(16 << 20);
    let db = config.flush_every_ms(Some(500)).open()?;
    let began = Instant::now();
    for item in 0..items {
        let params = format!(r#"{{"keys":8,"customer":"{}"}}"#, customer(item));
        db.insert(item_name(item), params.as_bytes())?;
    }
    let register = began.elapsed().as_secs_f64();
    let began = Instant::now();
    db.flush()?;
    drop(db);
    Ok(Took { register, run: 0.0, close: began.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_keep_all_items() {
        let folder = tempfile::tempdir().unwrap();
        let items = ITEMS_PER_COMMIT + 1;
        in_procstate(&folder.path().join("procstate"), items).unwrap();
        in_sqlite(folder.path(), items).unwrap();
        let store = Store::open(folder.path().join("procstate")).unwrap();
        assert_eq!(store.process("bulk").unwrap().snapshot().unwrap().active_work.len(), items);
        let connection = Connection::open(folder.path().join("sqlite")).unwrap();
        let rows: i64 = connection.query_row("SELECT count(*) FROM item", (), |row| row.get(0)).unwrap();
        assert_eq!(rows as usize, items);
    }
}
