//! What a commit costs beside the disk itself: each line of procstate's stands
//! next to a bare loop on one preallocated file that makes the same promise with
//! as many bytes, and nothing else.
//!
//!     cargo bench --bench commit
//!
//! Times on a shared machine vary; compare lines of one run.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::{Condvar, Mutex};
use procstate::{Claim, ClaimOptions, Durability, Instance, Params, Run, Store, WorkItem};
use tempfile::TempDir;

const FILE_BYTES: u64 = 64 << 20;

/// Runs on as many processes of one store, each with an item in hand.
struct Runs {
    store: Store,
    runs: Vec<(Run, WorkItem)>,
    _folder: TempDir,
}

impl Runs {
    fn new(count: usize, durability: Durability) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let options =
            ClaimOptions::new().force(true).progress_interval(Duration::ZERO).progress_durability(durability);
        let runs = (0..count).map(|n| {
            let process = store.process(&format!("process-{n}")).unwrap();
            process.register("item", Params::new().int("keysPerAccount", 8)).unwrap();
            let Claim::Won(mut run) = process.claim_with(&Instance::new(), &options).unwrap() else {
                panic!("nobody else is here")
            };
            let work = run.next_work().unwrap().unwrap();
            (run, work)
        });
        let runs = runs.collect();
        Self { store, runs, _folder: folder }
    }

    /// The bytes that one update takes in the log.
    fn update_bytes(&mut self) -> usize {
        let before = self.store.stats().unwrap().log_written_bytes;
        update(&mut self.runs[0]);
        (self.store.stats().unwrap().log_written_bytes - before) as usize
    }
}

/// One progress update: the item and the status of the run, fenced.
fn update((run, work): &mut (Run, WorkItem)) {
    work.add_stat("keysRemoved", 1.0);
    let _ = run.progress().unwrap();
}

/// A file that is written over and over, as the segments of a log are.
struct Bare {
    file: File,
    record: Vec<u8>,
    offset: u64,
    _folder: TempDir,
}

impl Bare {
    fn new(record_bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("bare")).unwrap();
        let zeroes = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeroes.len()) {
            file.write_all_at(&zeroes, at).unwrap();
        }
        file.sync_all().unwrap();
        Self { file, record: vec![7; record_bytes], offset: 0, _folder: folder }
    }

    fn write(&mut self) {
        self.file.write_all_at(&self.record, self.offset).unwrap();
        self.offset = (self.offset + self.record.len() as u64) % (FILE_BYTES - 4096);
    }
}

/// Bare group commit: who finds no sync under way makes one for all who wait.
struct BareGroup {
    bare: Mutex<Bare>,
    file: File,
    written: AtomicU64,
    state: Mutex<(u64, bool)>,
    changed: Condvar,
}

impl BareGroup {
    fn new(record_bytes: usize) -> Self {
        let bare = Bare::new(record_bytes);
        Self {
            file: bare.file.try_clone().unwrap(),
            bare: Mutex::new(bare),
            written: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn commit(&self) {
        let mine = {
            let mut bare = self.bare.lock();
            bare.write();
            self.written.fetch_add(1, Ordering::AcqRel) + 1
        };
        let mut state = self.state.lock();
        while state.0 < mine {
            if state.1 {
                self.changed.wait(&mut state);
                continue;
            }
            state.1 = true;
            drop(state);
            let upto = self.written.load(Ordering::Acquire);
            self.file.sync_data().unwrap();
            state = self.state.lock();
            *state = (upto, false);
            self.changed.notify_all();
        }
    }
}

fn buffered(c: &mut Criterion) {
    let mut runs = Runs::new(1, Durability::Buffered);
    let mut bare = Bare::new(runs.update_bytes());
    let mut group = c.benchmark_group("buffered, 1 thread");
    group.bench_function("bare write", |b| b.iter(|| bare.write()));
    group.bench_function("update", |b| b.iter(|| update(&mut runs.runs[0])));
    group.finish();
}

fn synced(c: &mut Criterion) {
    let mut runs = Runs::new(1, Durability::Synced);
    let mut bare = Bare::new(runs.update_bytes());
    let mut group = c.benchmark_group("synced, 1 thread");
    group.bench_function("bare write and fdatasync", |b| {
        b.iter(|| {
            bare.write();
            bare.file.sync_data().unwrap();
        });
    });
    group.bench_function("update", |b| b.iter(|| update(&mut runs.runs[0])));
    group.finish();
}

/// The time that `threads` take for `count` calls in all.
fn in_threads<T: Send>(workers: &mut [T], count: u64, call: impl Fn(&mut T) + Sync) -> Duration {
    let barrier = Barrier::new(workers.len() + 1);
    let each = count.div_ceil(workers.len() as u64);
    std::thread::scope(|scope| {
        for worker in workers {
            scope.spawn(|| {
                barrier.wait();
                (0..each).for_each(|_| call(worker));
                barrier.wait();
            });
        }
        barrier.wait();
        let began = Instant::now();
        barrier.wait();
        began.elapsed()
    })
}

fn shared_syncs(c: &mut Criterion) {
    for threads in [16, 64] {
        let mut runs = Runs::new(threads, Durability::Synced);
        let bare = BareGroup::new(runs.update_bytes());
        let mut group = c.benchmark_group(format!("synced, {threads} threads"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("bare group commit", |b| {
            let mut workers = vec![(); threads];
            b.iter_custom(|count| in_threads(&mut workers, count, |()| bare.commit()));
        });
        group.bench_function("update", |b| {
            b.iter_custom(|count| in_threads(&mut runs.runs, count, update));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    targets = buffered, synced, shared_syncs
}
criterion_main!(benches);
