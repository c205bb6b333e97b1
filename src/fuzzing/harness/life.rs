//! Stores with a known history.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::recorder::Commits;
use crate::disk::ReadOnlyDisk;
use crate::engine::Durability;
use crate::folder::{Manifest, SyncedFile};
use crate::fuzzing::fixture::content::Content;
use crate::fuzzing::fixture::original::{files, scratch};
use crate::proto::Params;
use crate::run::{Claim, ClaimOptions, Instance};
use crate::store::{ProcessHandle, Store, StoreBuilder};

/// The files of a store by relative path.
pub(super) type Folder = BTreeMap<PathBuf, Vec<u8>>;

/// How a store is used.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// 64 KiB cause a checkpoint every few steps.
    memtable_bytes: usize,
    /// 64 KiB cause a snapshot every few checkpoints.
    snapshot_log_bytes: u64,
    sync_interval: Duration,
    payload_bytes: usize,
    steps: usize,
    /// How the program ends after each moment.
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It continues: a moment is what a kill would leave.
    Never,
    Killed,
    Closed,
}

const NEVER: usize = 1 << 30;
const SHORT: Duration = Duration::from_millis(4);
const LONG: Duration = Duration::from_secs(3600);

const PLANS: [Plan; 8] = [
    plan(NEVER, SHORT, 20, 8, End::Never),
    plan(64 << 10, SHORT, 3000, 60, End::Never),
    plan(64 << 10, SHORT, 30_000, 20, End::Never),
    plan(NEVER, SHORT, 20, 24, End::Closed),
    plan(NEVER, SHORT, 3000, 24, End::Killed),
    plan(64 << 10, SHORT, 6000, 40, End::Closed),
    // Nothing is synced in the background.
    plan(NEVER, LONG, 500, 24, End::Never),
    Plan { snapshot_log_bytes: u64::MAX, ..plan(64 << 10, SHORT, 4000, 50, End::Killed) },
];

const fn plan(
    memtable_bytes: usize,
    sync_interval: Duration,
    payload_bytes: usize,
    steps: usize,
    end: End,
) -> Plan {
    Plan { memtable_bytes, snapshot_log_bytes: 64 << 10, sync_interval, payload_bytes, steps, end }
}

impl Plan {
    fn builder(&self) -> StoreBuilder {
        Store::builder()
            .segment_bytes(16 << 10)
            .memtable_bytes(self.memtable_bytes)
            .snapshot_log_bytes(self.snapshot_log_bytes)
            .sync_interval(self.sync_interval)
    }
}

/// All files of a store at one moment.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) files: Folder,
    /// The newest acknowledged commit.
    pub(super) acked: u64,
    /// The newest commit for which the store had at least a sync interval to update `SYNCED`.
    pub(super) noted: u64,
    /// The newest commit in MANIFEST.
    pub(super) checkpointed: u64,
}

impl Moment {
    /// Returns the commit up to which the store must be complete when these files are damaged: what
    /// only the end of the log records is lost with that end.
    pub(super) fn bound(&self, touched: &BTreeSet<PathBuf>) -> u64 {
        let is_touched = |name: &str| touched.iter().any(|path| path.starts_with(name));
        match (is_touched("wal"), is_touched("SYNCED"), is_touched("MANIFEST")) {
            (false, ..) => self.acked,
            (true, false, _) => self.noted,
            (true, true, false) => self.checkpointed,
            (true, true, true) => 0,
        }
    }
}

/// A history without a fork.
#[derive(Debug, Default)]
pub(super) struct Branch {
    /// The moments in order.
    pub(super) moments: Vec<Moment>,
    /// The content of the store after each commit.
    pub(super) states: BTreeMap<u64, Content>,
}

/// A store, and a copy of it that diverged.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) main: Branch,
    pub(super) fork: Branch,
}

impl Life {
    pub(super) fn branches(&self) -> [&Branch; 2] {
        [&self.main, &self.fork]
    }
}

/// Creates one life per plan.
///
/// Runs differ only in what a store draws at random: ids and times.
pub(super) fn all() -> Vec<Life> {
    std::thread::scope(|scope| {
        let lives: Vec<_> =
            (0..).zip(PLANS).map(|(seed, plan)| scope.spawn(move || live(plan, seed))).collect();
        lives.into_iter().map(|life| life.join().unwrap()).collect()
    })
}

fn live(plan: Plan, seed: u64) -> Life {
    let mut main = Writer::new(plan, seed);
    let half = plan.steps / 2;
    main.write(0..half);
    let mut fork = main.fork(seed + 1000);
    main.write(half..plan.steps);
    fork.write(half..plan.steps);
    Life { main: main.finish(), fork: fork.finish() }
}

/// Uses the store, and records every answer.
struct Writer {
    plan: Plan,
    random: fastrand::Rng,
    folder: TempDir,
    store: Option<Store>,
    commits: Commits,
    noted: u64,
    moments: Vec<Moment>,
}

impl Writer {
    fn new(plan: Plan, seed: u64) -> Self {
        let mut writer = Self {
            plan,
            random: fastrand::Rng::with_seed(seed),
            folder: scratch(),
            store: None,
            commits: Commits::default(),
            noted: 0,
            moments: Vec::new(),
        };
        writer.open();
        writer
    }

    /// Continues in a copy of the files with different steps.
    fn fork(&mut self, seed: u64) -> Self {
        self.take_moment();
        let last = self.moments.last().unwrap().clone();
        let mut fork = Self {
            plan: self.plan,
            random: fastrand::Rng::with_seed(seed),
            folder: scratch(),
            store: None,
            commits: self.commits.fork(),
            noted: last.noted,
            moments: Vec::new(),
        };
        put(fork.folder.path(), &last.files);
        fork.open();
        fork
    }

    fn open(&mut self) {
        let store = self.plan.builder().open(self.folder.path()).unwrap();
        self.noted = store.inner.engine.last_seq();
        self.store = Some(self.commits.record(store));
    }

    fn write(&mut self, steps: std::ops::Range<usize>) {
        let every = (self.plan.steps / 6).max(2);
        for step in steps {
            self.step(step);
            if step % every == every - 1 {
                self.take_moment();
            }
        }
    }

    fn step(&mut self, step: usize) {
        let random = &mut self.random;
        let durability = if random.bool() { Durability::Synced } else { Durability::Buffered };
        let name = ["p", "a/b"][usize::from(random.u8(..8) == 0)];
        let store = self.store.as_ref().unwrap();
        let process = store.process(name).unwrap().with_durability(durability);
        let work = format!("w{}", random.u8(..12));
        let is_there = process.snapshot().is_ok();
        match random.u8(..8) {
            0 if is_there => drop(process.unregister(&work).unwrap()),
            1 if is_there => run(&process),
            _ => {
                let text: String =
                    std::iter::repeat_with(|| random.alphanumeric()).take(self.plan.payload_bytes).collect();
                process.register(&work, Params::new().string("text", text).int("step", step as i64)).unwrap();
            }
        }
    }

    fn take_moment(&mut self) {
        let acked = self.store.as_ref().unwrap().inner.engine.last_seq();
        if self.plan.sync_interval < LONG {
            self.noted = acked;
        }
        // A later checkpoint only adds to it.
        let checkpointed = self.checkpointed();
        let moment = Moment { acked, noted: self.noted, checkpointed, files: self.settled() };
        self.moments.push(moment);
        match self.plan.end {
            End::Never => return,
            End::Killed => self.continue_in_a_copy(),
            End::Closed => {
                self.store.take().unwrap().close().unwrap();
                let files = read(self.folder.path());
                self.moments.push(Moment { acked, noted: acked, checkpointed: acked, files });
            }
        }
        self.open();
    }

    fn manifest(&self) -> Manifest {
        Manifest::read(&ReadOnlyDisk, self.folder.path()).unwrap().unwrap()
    }

    /// Returns the commit in MANIFEST now.
    fn checkpointed(&self) -> u64 {
        self.manifest().noted().map_or(0, |position| position.seq)
    }

    /// Returns the commit in SYNCED now.
    fn synced(&self) -> u64 {
        let (disk, folder) = (Arc::new(ReadOnlyDisk), self.folder.path().to_owned());
        let file = SyncedFile { disk, folder, store: self.manifest().id_bytes().unwrap() };
        file.read().unwrap().position().map_or(0, |position| position.seq)
    }

    fn continue_in_a_copy(&mut self) {
        let copy = scratch();
        put(copy.path(), &self.moments.last().unwrap().files);
        drop(self.store.take());
        self.folder = copy;
    }

    /// Returns the files once all background work has ended.
    fn settled(&self) -> Folder {
        let interval = self.plan.sync_interval.min(SHORT);
        let mut before = Folder::new();
        // On a busy machine the threads of the store may start late.
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            std::thread::sleep(4 * interval);
            let is_noted = self.synced() >= self.noted;
            let now = read(self.folder.path());
            if is_noted && now == before {
                return now;
            }
            assert!(Instant::now() < give_up, "SYNCED records {}, and not {}", self.synced(), self.noted);
            before = now;
        }
    }

    fn finish(mut self) -> Branch {
        self.take_moment();
        Branch { moments: self.moments, states: self.commits.states() }
    }
}

fn run(process: &ProcessHandle) {
    let options = ClaimOptions::new().force(true).progress_interval(Duration::ZERO);
    let Claim::Won(mut run) = process.claim_with(&Instance::new(), &options).unwrap() else { return };
    while let Some(mut work) = run.next_work().unwrap() {
        work.add_stat("n", 1.0);
    }
    run.finish().unwrap();
}

pub(super) fn read(folder: &Path) -> Folder {
    files(folder).into_iter().collect()
}

pub(super) fn put(folder: &Path, files: &Folder) {
    for dir in ["wal", "snapshots", "index"] {
        fs::create_dir_all(folder.join(dir)).unwrap();
    }
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
