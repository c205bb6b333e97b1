//! procstate's turn: `register_all`, then one run.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;
use procstate::{Durability, Outcome, Params, Runner, Store};

use super::Entrant;
use crate::records::item_name;
use crate::turns::Took;

const PROCESS: &str = "jobs";

/// Concurrent items of a `Runner`; each has a thread.
const CONCURRENCY: usize = 8;

/// Concurrent items on a tokio runtime.
#[cfg(feature = "tokio")]
const FUTURES: usize = 100;

#[derive(Clone, Debug, Args)]
pub struct JobTurn {
    who: Entrant,
    folder: PathBuf,
    items: usize,
}

pub fn turn(turn: &JobTurn) -> Result<()> {
    println!("{}", serde_json::to_string(&take(turn.who, &turn.folder, turn.items)?)?);
    Ok(())
}

fn take(who: Entrant, folder: &Path, items: usize) -> Result<Took> {
    let store = Store::open(folder)?;
    let began = Instant::now();
    let process = store.process(PROCESS)?.with_durability(durability(who));
    process.register_all((0..items).map(|item| (item_name(item), params())))?;
    let register = began.elapsed();
    let began = Instant::now();
    let outcome = match who {
        Entrant::Procstate | Entrant::ProcstateSynced => run(&store)?,
        #[cfg(feature = "tokio")]
        Entrant::ProcstateTokio => run_on_tokio(&store)?,
        _ => bail!("{} is a program of its own", who.name()),
    };
    let run = began.elapsed();
    let Outcome::Finished(status) = outcome else { bail!("not finished: {outcome:?}") };
    let done = status.stats.get("workItems").copied().unwrap_or_default();
    ensure!(done == items as f64, "{done} of {items} items are done");
    let began = Instant::now();
    store.close()?;
    let close = began.elapsed();
    let [register, run, close] = [register, run, close].map(|time| time.as_secs_f64());
    Ok(Took { register, run, close })
}

fn durability(who: Entrant) -> Durability {
    if who == Entrant::ProcstateSynced { Durability::Synced } else { Durability::Buffered }
}

fn params() -> Params {
    Params::new().int("keys", 8).string("region", "eu-central-1")
}

fn run(store: &Store) -> procstate::Result<Outcome> {
    Runner::builder(store, PROCESS).concurrency(CONCURRENCY).worker_fn(|_| Ok(())).run_once()
}

#[cfg(feature = "tokio")]
fn run_on_tokio(store: &Store) -> Result<Outcome> {
    use procstate::tokio::{AsyncRunner, AsyncWork, AsyncWorker};

    struct Nothing;

    impl AsyncWorker for Nothing {
        async fn process(&self, _work: AsyncWork) -> procstate::WorkResult {
            Ok(())
        }
    }

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let runner = AsyncRunner::builder(store, PROCESS).concurrency(FUTURES).worker(Nothing).build()?;
    Ok(runtime.block_on(runner.run_once())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_are_registered_run_and_finished() {
        let folder = tempfile::tempdir().unwrap();
        let took = take(Entrant::Procstate, folder.path(), 50).unwrap();
        assert!(took.register > 0.0 && took.run > 0.0);
        let store = Store::open(folder.path()).unwrap();
        let process = store.process(PROCESS).unwrap().snapshot().unwrap();
        assert_eq!(process.active_work.len(), 50);
        assert!(process.active_work.values().all(|item| item.status.is_some()));
    }
}
