//! `jobs-effectum FOLDER ITEMS`: registers jobs that do nothing, runs them to completion, and
//! prints the seconds of each part as JSON.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use effectum::{Job, JobRunner, Queue, RunningJob, Worker};
use rusqlite::Connection;
use serde_json::json;
use tokio::sync::Notify;

/// The best of 50, 100, 200 and 1,000, by a little.
const CONCURRENCY: u16 = 200;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The number of jobs still to run.
#[derive(Debug)]
struct Left {
    jobs: AtomicUsize,
    none: Notify,
}

async fn nothing(_job: RunningJob, left: Arc<Left>) -> std::result::Result<(), effectum::Error> {
    if left.jobs.fetch_sub(1, Ordering::Relaxed) == 1 {
        left.none.notify_one();
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (folder, items) = (arguments.next().ok_or("no folder")?, arguments.next().ok_or("no items")?);
    let (file, items) = (Path::new(&folder).join("effectum"), items.parse::<usize>()?);
    write_ahead(&file)?;
    let queue = Queue::new(&file).await?;
    let concurrency = arguments.next().map_or(Ok(CONCURRENCY), |text| text.parse())?;

    let began = Instant::now();
    queue.add_jobs((0..items).map(job).collect::<effectum::Result<_>>()?).await?;
    let register = began.elapsed();

    let began = Instant::now();
    let left = Arc::new(Left { jobs: AtomicUsize::new(items), none: Notify::new() });
    let worker = Worker::builder(&queue, left.clone())
        .jobs([JobRunner::builder("nothing", nothing).build()])
        .max_concurrency(concurrency)
        // It fetches more when half of them are done.
        .min_concurrency((concurrency / 2).max(1))
        .build()
        .await?;
    left.none.notified().await;
    // Returns when the ends of all jobs are written.
    worker.unregister(None).await?;
    let run = began.elapsed();

    let began = Instant::now();
    queue.close(Duration::from_secs(60)).await?;
    let close = began.elapsed();
    check(&file, items)?;
    let seconds = [register, run, close].map(|time| time.as_secs_f64());
    println!("{}", json!({ "register": seconds[0], "run": seconds[1], "close": seconds[2] }));
    Ok(())
}

/// Switches to a write-ahead log.
///
/// effectum 0.7 requests one by a pragma that SQLite does not have (`journal`), and is left with a
/// rollback journal. The mode of an existing file is kept.
fn write_ahead(file: &Path) -> Result<()> {
    let set = Connection::open(file)?.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
    Ok(set?)
}

fn job(number: usize) -> effectum::Result<Job> {
    let payload = json!({ "account": format!("project-{number:08}"), "keys": 8, "region": "eu-central-1" });
    Ok(Job::builder("nothing").name(format!("item-{number:08}")).json_payload(&payload)?.build())
}

/// Checks that all jobs exist and have succeeded.
fn check(file: &Path, items: usize) -> Result<()> {
    let connection = Connection::open(file)?;
    let done: i64 =
        connection.query_row("SELECT count(*) FROM jobs WHERE status = 'succeeded'", (), |row| row.get(0))?;
    let mode: String = connection.query_row("PRAGMA journal_mode", (), |row| row.get(0))?;
    if done as usize != items || mode != "wal" {
        return Err(format!("{done} of {items} jobs succeeded, journal {mode}").into());
    }
    Ok(())
}
