//! Kills a worker in the middle of its run; another worker takes over.
//!
//!     cargo run --release --features json --example takeover
//!
//! It imports process state that another program wrote, starts a worker in a second
//! program, kills that program with SIGKILL during the run, resumes the run with a
//! runner, and exports the state. With a folder as its argument, it creates the store
//! there and keeps it.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use procstate::interchange::{Unknown, read_processes, to_json};
use procstate::{ImportMode, Outcome, Runner, Store, WorkContext, WorkResult, Worker};

/// Set in the program that will be killed.
const VICTIM: &str = "PROCSTATE_EXAMPLE_VICTIM";

/// Removes keys, as many as the work item's parameters say.
struct KeyCollector;

impl Worker for KeyCollector {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        for _ in 0..work.params().get_int("accounts").unwrap_or(0) {
            std::thread::sleep(Duration::from_millis(10));
            work.add_stat("keysRemoved", 2.0);
            let _ = work.progress()?;
        }
        println!("  {} done by program {}", work.name(), std::process::id());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(folder) = std::env::var_os(VICTIM) {
        run(Path::new(&folder))?;
        return Ok(());
    }
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os().nth(1).map_or_else(|| temporary.path().join("state"), PathBuf::from);

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gckeys.json");
    let store = Store::open(&folder)?;
    for process in read_processes("gckeys.json", &std::fs::read(file)?, Unknown::Reject)? {
        println!("imported process {:?} with {} work items", process.process_name, process.active_work.len());
        store.import(process, ImportMode::Replace)?;
    }
    store.close()?;

    kill_a_worker(&folder)?;

    println!("program {} takes over:", std::process::id());
    let status = run(&folder)?;
    println!("the run: {status}");
    let store = Store::open(&folder)?;
    println!("the state, for other programs:\n{}", to_json(&store.process("gckeys")?.snapshot()?)?);
    store.close()?;
    Ok(())
}

/// Starts a second copy of this program as a worker, and kills it after two work items.
fn kill_a_worker(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut victim =
        Command::new(std::env::current_exe()?).env(VICTIM, folder).stdout(Stdio::piped()).spawn()?;
    println!("program {} begins the run:", victim.id());
    let stdout = victim.stdout.take().ok_or("the worker has no output")?;
    for line in BufReader::new(stdout).lines().take(2) {
        println!("{}", line?);
    }
    std::thread::sleep(Duration::from_millis(35));
    victim.kill()?;
    victim.wait()?;
    println!("  killed with SIGKILL");
    Ok(())
}

fn run(folder: &Path) -> Result<String, Box<dyn Error>> {
    let store = Store::open(folder)?;
    let runner = Runner::builder(&store, "gckeys").worker(KeyCollector).build()?;
    let outcome = runner.run_now()?;
    store.close()?;
    match outcome {
        Outcome::Finished(status) => Ok(format!(
            "{:?}, {} work items, {} keys removed, {} cleaned up",
            status.state(),
            status.stats["workItems"],
            status.stats["work.keysRemoved"],
            status.stats["workItemsCleaned"],
        )),
        other => Err(format!("the run did not end: {other:?}").into()),
    }
}
