//! The cost of registering work, and whether it grows with the items of a process; and of importing
//! a whole process into a new store, which is then closed.
//!
//!     cargo bench --bench register              2 minutes
//!
//! Times on a shared machine vary; compare lines of one run.

mod common;

use std::time::{Duration, Instant};

use common::calls::Call;
use common::stores::Opened;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use procstate::{ImportMode, Process, Store};

fn register(c: &mut Criterion) {
    for &items in common::sizes() {
        let opened = Opened::on_disk(items);
        let mut group = c.benchmark_group("register");
        for (name, call) in [
            ("a new item", Call::Register),
            ("an unchanged item", Call::RegisterUnchanged),
            ("and unregister", Call::RegisterAndUnregister),
        ] {
            let mut call = call.on(&opened.process());
            group.bench_function(BenchmarkId::new(name, items), |b| b.iter(&mut call));
        }
        group.throughput(Throughput::Elements(1000)).sample_size(10);
        let mut thousand = Call::RegisterThousand.on(&opened.process());
        group.bench_function(BenchmarkId::new("1000 new items", items), |b| b.iter(&mut thousand));
        group.finish();
    }
}

/// A commit may take 256 MiB.
const IMPORTED_MAX: usize = 100_000;

fn import(c: &mut Criterion) {
    let mut group = c.benchmark_group("import");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for &items in common::sizes().iter().filter(|items| **items <= IMPORTED_MAX) {
        let process = Opened::on_disk(items).process().snapshot().unwrap();
        group.throughput(Throughput::Elements(items as u64));
        group.bench_function(BenchmarkId::new("and close", items), |b| {
            b.iter_custom(|count| (0..count).map(|_| time_import(process.clone())).sum());
        });
    }
    group.finish();
}

fn time_import(process: Process) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let began = Instant::now();
    store.import(process, ImportMode::New).unwrap();
    store.close().unwrap();
    began.elapsed()
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = register, import
}

fn main() {
    common::criterion_main(benches);
}
