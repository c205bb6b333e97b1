//! What a process pays while it runs, and whether that grows with its items.
//!
//!     cargo bench --bench hot_update
//!
//! Times on a shared machine vary; compare lines of one run. Those named `blob`
//! keep the same state as one value and rewrite all of it, which is how such state
//! is usually kept.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group};
use procstate::proto::{State, Status, Work};
use procstate::{Claim, ClaimOptions, ImportMode, Instance, List, Params, Process, Run, Store, WorkItem};
use prost::Message;
use tempfile::TempDir;

const SIZES: [usize; 3] = [100, 10_000, 1_000_000];

/// With more log than this the store is about to write a snapshot.
const SNAPSHOT_LOG_BYTES: u64 = 64 << 20;

/// Set where this program is only to build a store.
const BUILD: &str = "PROCSTATE_BENCH_BUILD";
const BUILD_ITEMS: &str = "PROCSTATE_BENCH_BUILD_ITEMS";

fn process(items: usize) -> Process {
    let status = Status { state: State::New.into(), ..Status::default() };
    let params = Params::new().int("keysPerAccount", 8).string("region", "eu");
    let work = Work { params: Some(params), status: Some(status), ..Work::default() };
    Process {
        process_name: "p".to_owned(),
        active_work: (0..items).map(|n| (format!("project-{n:07}"), work.clone())).collect(),
        ..Process::default()
    }
}

struct Bench {
    store: Store,
    _folder: Option<TempDir>,
}

impl Bench {
    fn on_disk(items: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // In a program of its own: what it leaves in the heap (a million small free
        // pieces) would slow down every allocation of what is measured.
        let built = Command::new(std::env::current_exe().unwrap())
            .env(BUILD, folder.path())
            .env(BUILD_ITEMS, items.to_string())
            .status();
        assert!(built.unwrap().success());
        let store = Store::open(folder.path()).unwrap();
        Self { store, _folder: Some(folder) }
    }

    fn in_memory(items: usize) -> Self {
        let store = Store::in_memory();
        store.import(process(items), ImportMode::New).unwrap();
        Self { store, _folder: None }
    }

    fn claim(&self) -> Run {
        let options = ClaimOptions::new().force(true).progress_interval(Duration::ZERO);
        let claim = self.store.process("p").unwrap().claim_with(&Instance::new(), &options).unwrap();
        let Claim::Won(run) = claim else { panic!("nobody else is here") };
        run
    }
}

/// One progress update: the item and the status of the run, fenced.
fn update(work: &mut WorkItem, run: &Run) {
    work.add_stat("keysRemoved", 1.0);
    let _ = black_box(run.progress().unwrap());
}

fn progress(c: &mut Criterion) {
    let mut group = c.benchmark_group("progress");
    for items in SIZES {
        for (name, bench) in [("disk", Bench::on_disk(items)), ("memory", Bench::in_memory(items))] {
            let mut run = bench.claim();
            let mut work = run.next_work().unwrap().unwrap();
            group.bench_function(BenchmarkId::new(name, items), |b| b.iter(|| update(&mut work, &run)));
            drop(work);
            run.hand_back().unwrap();
        }
    }
    for items in [100, 10_000] {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::open(folder.path()).unwrap();
        db.insert("p", process(items).encode_to_vec()).unwrap();
        group.bench_function(BenchmarkId::new("blob", items), |b| b.iter(|| update_blob(&db)));
    }
    group.finish();
}

/// The same update of state that is kept as one value.
fn update_blob(db: &sled::Db) {
    let bytes = db.get("p").unwrap().unwrap();
    let mut process = Process::decode(&bytes[..]).unwrap();
    let work = process.active_work.get_mut("project-0000000").unwrap();
    let stats = &mut work.status.get_or_insert_default().stats;
    *stats.entry("keysRemoved".to_owned()).or_default() += 1.0;
    let stats = &mut process.process_status.get_or_insert_default().stats;
    *stats.entry("work.keysRemoved".to_owned()).or_default() += 1.0;
    db.insert("p", process.encode_to_vec()).unwrap();
    db.flush().unwrap();
}

fn register(c: &mut Criterion) {
    let mut group = c.benchmark_group("register");
    for items in SIZES {
        let bench = Bench::on_disk(items);
        let process = bench.store.process("p").unwrap();
        let mut n = 0;
        group.bench_function(BenchmarkId::new("disk", items), |b| {
            b.iter(|| {
                n += 1;
                process.register("one", Params::new().int("n", n)).unwrap()
            });
        });
    }
    group.finish();
}

fn claim(c: &mut Criterion) {
    let mut group = c.benchmark_group("claim and hand back");
    for items in SIZES {
        let bench = Bench::on_disk(items);
        group.bench_function(BenchmarkId::new("disk", items), |b| {
            b.iter(|| bench.claim().hand_back().unwrap());
        });
    }
    // What the disk alone takes: each of the two is made to survive power loss.
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("bare")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 0).unwrap();
    file.sync_all().unwrap();
    group.bench_function("two bare writes with fdatasync", |b| {
        b.iter(|| {
            for _ in 0..2 {
                std::os::unix::fs::FileExt::write_all_at(&file, &[1; 400], 0).unwrap();
                file.sync_data().unwrap();
            }
        });
    });
    group.finish();
}

fn scan(c: &mut Criterion) {
    let mut group = c.benchmark_group("read a whole process");
    group.sample_size(10);
    for items in [100, 10_000] {
        let bench = Bench::on_disk(items);
        let process = bench.store.process("p").unwrap();
        group.bench_function(BenchmarkId::new("snapshot", items), |b| b.iter(|| process.snapshot().unwrap()));
        group.bench_function(BenchmarkId::new("page of 100", items), |b| {
            b.iter(|| process.list(List::Active, None, 100).unwrap());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = progress, register, claim, scan
}

fn main() {
    let Some(folder) = std::env::var_os(BUILD) else {
        benches();
        Criterion::default().configure_from_args().final_summary();
        return;
    };
    let items = std::env::var(BUILD_ITEMS).unwrap().parse().unwrap();
    let store = Store::open(folder).unwrap();
    store.import(process(items), ImportMode::New).unwrap();
    // What a large import leaves to be done is not a part of what is measured.
    while store.stats().unwrap().log_bytes > SNAPSHOT_LOG_BYTES {
        std::thread::sleep(Duration::from_millis(50));
    }
    store.close().unwrap();
}
