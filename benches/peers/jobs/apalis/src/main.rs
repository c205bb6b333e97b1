//! `jobs-apalis FOLDER ITEMS SYNCHRONOUS`: registers jobs that do nothing, runs them to completion,
//! and prints the seconds of each part as JSON.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

/// 10 (the default), 100 and 1,000 perform alike.
const BATCH: usize = 100;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

async fn nothing(_job: Value, left: Data<Arc<AtomicUsize>>, worker: WorkerContext) -> Result<()> {
    if left.fetch_sub(1, Ordering::Relaxed) == 1 {
        worker.stop()?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or(format!("no {name}"));
    let (folder, items) = (argument("folder")?, argument("items")?.parse::<usize>()?);
    let synchronous: SqliteSynchronous = argument("synchronous")?.parse()?;
    let batch = argument("batch").map_or(Ok(BATCH), |text| text.parse())?;
    let pool = open(&Path::new(&folder).join("apalis"), synchronous).await?;
    let config = Config::default().queue("nothing").batch_size(batch);
    let mut storage = SqliteStorage::<Value>::new(&pool).with_config(config);

    let began = Instant::now();
    storage.push_bulk((0..items).map(payload).collect()).await?;
    let register = began.elapsed();

    let began = Instant::now();
    let left = Arc::new(AtomicUsize::new(items));
    let worker = WorkerBuilder::new("worker").backend(storage).data(left).build(nothing);
    // Returns when the ends of all jobs are written.
    worker.run().await?;
    let run = began.elapsed();

    check(&pool, items).await?;
    let began = Instant::now();
    pool.close().await;
    let close = began.elapsed();
    let seconds = [register, run, close].map(|time| time.as_secs_f64());
    println!("{}", json!({ "register": seconds[0], "run": seconds[1], "close": seconds[2] }));
    Ok(())
}

/// One connection: SQLite has one writer, and waiting ones sleep. `setup` creates the tables but
/// turns `synchronous` off on its connection, so it gets a separate one.
async fn open(file: &Path, synchronous: SqliteSynchronous) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "64000");
    let pool = || SqlitePoolOptions::new().max_connections(1);
    let made = pool().connect_with(options.clone()).await?;
    SqliteStorage::setup(&made).await?;
    made.close().await;
    Ok(pool().connect_with(options).await?)
}

fn payload(number: usize) -> Value {
    json!({ "account": format!("project-{number:08}"), "keys": 8, "region": "eu-central-1" })
}

/// Checks that all jobs exist and have succeeded.
async fn check(pool: &SqlitePool, items: usize) -> Result<()> {
    let done: i64 =
        sqlx::query_scalar("SELECT count(*) FROM Jobs WHERE status = 'Done'").fetch_one(pool).await?;
    if done as usize != items {
        return Err(format!("{done} of {items} jobs are done").into());
    }
    Ok(())
}
