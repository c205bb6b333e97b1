//! One measurement, in a program of its own: memory, open files and caches of one peer are not
//! those of the next. The outcome goes to stdout as JSON.

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::peers::{Class, Peer, Session, Store};
use crate::records::Step;
use crate::resources;

/// How many items of a process are updated in turn: as many as a run has in hand.
pub const HOT_ITEMS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Make the store.
    Populate,
    Update,
    Handoff,
    Register,
    Scan,
    /// Open a store that was left by `crash`.
    Open,
    /// Update, and die without closing.
    Crash,
    /// Update up to a number, and look at disk and memory from time to time.
    Grow,
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
    pub items: usize,
    #[arg(long)]
    pub threads: usize,
    /// For how long.
    #[arg(long)]
    pub millis: u64,
    /// How many calls at most.
    #[arg(long)]
    pub calls: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub calls: u64,
    pub seconds: f64,
    pub latency: Latency,
    /// Bytes passed to write calls, by call of the store, in the mean.
    pub written: f64,
    pub memory: u64,
    pub samples: Vec<Sample>,
    pub disk_closed: u64,
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.seconds
    }

    pub fn micros(&self) -> f64 {
        self.seconds * 1e6 / self.calls as f64
    }
}

/// Times of calls, in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    /// Percentiles and times, for the plot.
    pub curve: Vec<(f64, f64)>,
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
    let opened = began.elapsed();
    let outcome = match task.work {
        Work::Populate => {
            store.populate(task.threads, task.items)?;
            Outcome::default()
        }
        Work::Open => {
            store.session(0)?.find(1)?;
            once(opened, began.elapsed())
        }
        Work::Grow => grow(task, store.as_ref())?,
        _ => in_threads(task, store.as_ref())?,
    };
    let outcome = Outcome { memory: resources::memory(), ..outcome };
    if task.work == Work::Crash {
        resources::die();
    }
    store.close()?;
    let outcome = Outcome { disk_closed: resources::disk(&task.folder), ..outcome };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// The time until the store was open, and, as its longest, until an item was read.
fn once(opened: Duration, read: Duration) -> Outcome {
    let latency = Latency { p50: opened.as_secs_f64() * 1e6, ..Latency::default() };
    Outcome { calls: 1, seconds: read.as_secs_f64(), latency, ..Outcome::default() }
}

/// Calls by as many threads as the task says, each with a process of its own.
fn in_threads(task: &Task, store: &dyn Store) -> Result<Outcome> {
    let sessions = (0..task.threads).map(|process| session(task, store, process));
    let mut sessions = sessions.collect::<Result<Vec<_>>>()?;
    let barrier = Barrier::new(task.threads);
    let written = resources::written_bytes();
    let calls = std::thread::scope(|scope| {
        let threads = sessions.iter_mut().map(|session| {
            scope.spawn(|| {
                barrier.wait();
                Calls::make(task, session.as_mut())
            })
        });
        let threads: Vec<_> = threads.collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("a thread that does not panic"));
        joined.collect::<Result<Vec<_>>>()
    })?;
    let written = resources::written_bytes() - written;
    let calls = calls.into_iter().reduce(Calls::and).context("no threads")?;
    Ok(calls.outcome(written))
}

fn session<'a>(task: &Task, store: &'a dyn Store, process: usize) -> Result<Box<dyn Session + 'a>> {
    let mut session = store.session(process)?;
    if matches!(task.work, Work::Update | Work::Crash | Work::Grow) {
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
                ensure!(count >= self.items, "a scan found {count} of {} items", self.items);
                Ok(())
            }
            _ => session.update(Step::new(number, self.hot_items())),
        }
    }
}

struct Calls {
    nanos: Histogram<u64>,
    took: Duration,
}

impl Calls {
    /// Calls for the time of the task; a tenth of it more, before, does not count.
    fn make(task: &Task, session: &mut dyn Session) -> Result<Self> {
        let mut nanos = Histogram::new(3)?;
        let time = Duration::from_millis(task.millis);
        let mut number = 0;
        let warm = Instant::now();
        while warm.elapsed() < time / 10 && number < task.calls / 10 {
            number += 1;
            task.call(session, number)?;
        }
        let began = Instant::now();
        let mut last = began;
        while last - began < time && nanos.len() < task.calls {
            number += 1;
            task.call(session, number)?;
            let now = Instant::now();
            nanos.record((now - last).as_nanos() as u64)?;
            last = now;
        }
        Ok(Self { nanos, took: last - began })
    }

    fn and(mut self, other: Self) -> Self {
        self.nanos += other.nanos;
        self.took = self.took.max(other.took);
        self
    }

    fn outcome(&self, written: u64) -> Outcome {
        let micros = |percent: f64| self.nanos.value_at_percentile(percent) as f64 / 1e3;
        let percents = (0..60).map(|step| 100.0 * (1.0 - 10f64.powf(-f64::from(step) / 12.0)));
        let latency = Latency {
            p50: micros(50.0),
            p99: micros(99.0),
            p999: micros(99.9),
            max: self.nanos.max() as f64 / 1e3,
            curve: percents.map(|percent| (percent, micros(percent))).collect(),
        };
        let calls = self.nanos.len();
        let written = written as f64 / calls.max(1) as f64;
        Outcome { calls, seconds: self.took.as_secs_f64(), latency, written, ..Outcome::default() }
    }
}

/// Updates up to the number of the task, or until its time is up.
fn grow(task: &Task, store: &dyn Store) -> Result<Outcome> {
    const SAMPLES: u64 = 20;
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
    samples.push(sample(calls, &task.folder));
    let written = (resources::written_bytes() - written) as f64 / calls as f64;
    Ok(Outcome { calls, seconds, written, samples, ..Outcome::default() })
}

fn sample(calls: u64, folder: &Path) -> Sample {
    Sample { calls, disk: resources::disk(folder), memory: resources::memory() }
}
