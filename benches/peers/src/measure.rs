//! A measurement in a program of its own, so that memory, open files and caches of one peer do not
//! affect the next. The outcome goes to stdout as JSON.

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::latency::{Calls, Latency};
use crate::peers::{Class, Peer, Session, Store};
use crate::records::Step;
use crate::resources;

/// The number of items of a process updated in turn, like those of a run in progress.
pub const HOT_ITEMS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Make the store.
    Populate,
    Update,
    Register,
    Handoff,
    Scan,
    /// Open a store left by a killed program, until an item is read.
    Open,
    /// Update up to a number, sampling disk and memory.
    Endure,
}

#[derive(Clone, Debug, Args)]
pub struct Task {
    #[arg(long)]
    pub peer: Peer,
    #[arg(long)]
    pub class: Class,
    #[arg(long)]
    pub work: Work,
    #[arg(long)]
    pub folder: PathBuf,
    #[arg(long)]
    pub processes: usize,
    /// The items of each process.
    #[arg(long)]
    pub items: usize,
    #[arg(long)]
    pub threads: usize,
    /// The duration.
    #[arg(long)]
    pub millis: u64,
    /// The maximum number of calls per thread.
    #[arg(long)]
    pub calls: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub calls: u64,
    pub seconds: f64,
    pub latency: Option<Latency>,
    /// The mean of bytes passed to write calls per call.
    pub written: f64,
    pub memory: u64,
    /// After closing.
    pub disk: u64,
    pub samples: Vec<Sample>,
}

impl Outcome {
    /// The time per call, over all threads.
    pub fn micros(&self) -> f64 {
        self.seconds * 1e6 / self.calls as f64
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub calls: u64,
    pub disk: u64,
    pub memory: u64,
}

pub fn run(task: &Task) -> Result<()> {
    let began = Instant::now();
    let store = task.peer.open(&task.folder, task.class)?;
    let mut outcome = match task.work {
        Work::Populate => {
            store.populate(task.processes, task.items)?;
            Outcome { calls: (task.processes * task.items) as u64, ..since(began) }
        }
        Work::Open => {
            ensure!(store.session(0)?.read(0)?, "an item is not there");
            since(began)
        }
        Work::Endure => endure(task, store.as_ref())?,
        _ => in_threads(task, store.as_ref())?,
    };
    outcome.memory = resources::memory();
    store.close()?;
    outcome.disk = resources::disk(&task.folder);
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// The outcome of one call since `began`.
fn since(began: Instant) -> Outcome {
    Outcome { calls: 1, seconds: began.elapsed().as_secs_f64(), ..Outcome::default() }
}

/// Makes calls in the task's number of threads, each with its own process.
fn in_threads(task: &Task, store: &dyn Store) -> Result<Outcome> {
    // Including this thread.
    let barrier = Barrier::new(task.threads + 1);
    let (calls, written) = std::thread::scope(|scope| {
        let threads = (0..task.threads).map(|process| {
            let barrier = &barrier;
            scope.spawn(move || thread(task, store, process, barrier))
        });
        let threads: Vec<_> = threads.collect();
        barrier.wait();
        let written = resources::written_bytes();
        barrier.wait();
        let joined = threads.into_iter().map(|thread| thread.join().expect("a thread that does not panic"));
        let calls = joined.collect::<Result<Vec<_>>>()?;
        anyhow::Ok((calls, resources::written_bytes() - written))
    })?;
    let calls = calls.into_iter().reduce(Calls::and).context("no threads")?;
    Ok(Outcome {
        calls: calls.counted(),
        seconds: calls.took.as_secs_f64(),
        latency: Some(calls.latency()),
        written: written as f64 / calls.made as f64,
        ..Outcome::default()
    })
}

/// Claims its process, and makes calls once all threads have claimed theirs.
fn thread(task: &Task, store: &dyn Store, process: usize, barrier: &Barrier) -> Result<Calls> {
    let session = session(task, store, process);
    barrier.wait();
    barrier.wait();
    // Not before the others have passed the barrier too.
    let mut session = session?;
    let time = Duration::from_millis(task.millis);
    Calls::make(time, task.calls, |number| task.call(session.as_mut(), number))
}

fn session<'a>(task: &Task, store: &'a dyn Store, process: usize) -> Result<Box<dyn Session + 'a>> {
    let mut session = store.session(process)?;
    if matches!(task.work, Work::Update | Work::Endure) {
        session.claim(task.hot_items())?;
    }
    Ok(session)
}

impl Task {
    fn hot_items(&self) -> usize {
        self.items.min(HOT_ITEMS)
    }

    fn call(&self, session: &mut dyn Session, number: u64) -> Result<()> {
        match self.work {
            Work::Handoff => session.claim_and_handoff(),
            Work::Register => session.register(number),
            Work::Scan => {
                let count = session.scan()?;
                ensure!(count == self.items, "a scan found {count} of {} items", self.items);
                Ok(())
            }
            _ => session.update(Step::new(number, self.hot_items())),
        }
    }
}

/// Updates up to the number of the task, or until its time is up.
fn endure(task: &Task, store: &dyn Store) -> Result<Outcome> {
    const SAMPLES: u64 = 40;
    let mut session = session(task, store, 0)?;
    let (began, written) = (Instant::now(), resources::written_bytes());
    let mut samples = vec![sample(0, &task.folder)];
    let mut calls = 0;
    while calls < task.calls && began.elapsed().as_millis() < task.millis.into() {
        calls += 1;
        session.update(Step::new(calls, task.hot_items()))?;
        if calls % (task.calls / SAMPLES).max(1) == 0 {
            samples.push(sample(calls, &task.folder));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    if samples.last().is_some_and(|last| last.calls < calls) {
        samples.push(sample(calls, &task.folder));
    }
    let written = (resources::written_bytes() - written) as f64 / calls as f64;
    Ok(Outcome { calls, seconds, written, samples, ..Outcome::default() })
}

fn sample(calls: u64, folder: &Path) -> Sample {
    Sample { calls, disk: resources::disk(folder), memory: resources::memory() }
}
