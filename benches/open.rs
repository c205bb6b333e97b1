//! The time to open a store: after closing, after SIGKILL, which leaves 100,000 commits to replay,
//! and after the loss of its index, which is rebuilt from snapshot and log.
//!
//!     cargo bench --bench open                  6 minutes
//!
//! Times on a shared machine vary; compare lines of one run.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::stores::{self, End};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use procstate::{Store, StoreBuilder, Verify};

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for &items in common::sizes() {
        group.throughput(Throughput::Elements(items as u64));
        for (end, after) in [(End::Close, "close"), (End::Kill, "SIGKILL")] {
            let original = stores::build(items, end);
            let checks = [
                (Verify::BeforeOpening, "checked"),
                (Verify::InBackground, "checked in the background"),
                (Verify::Never, "unchecked"),
            ];
            for (verify, check) in checks {
                group.bench_function(BenchmarkId::new(format!("after {after}, {check}"), items), |b| {
                    b.iter_custom(|count| time(count, original.path(), verify, &|_| {}));
                });
            }
            if end == End::Close {
                group.bench_function(BenchmarkId::new("after the loss of the index", items), |b| {
                    b.iter_custom(|count| time(count, original.path(), Verify::BeforeOpening, &lose_index));
                });
            }
        }
    }
    group.finish();
}

/// Opens copies of `original`, each after `befalls` was applied to it.
fn time(count: u64, original: &Path, verify: Verify, befalls: &dyn Fn(&Path)) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..count {
        let copy = tempfile::tempdir().unwrap();
        Store::copy_files(original, copy.path()).unwrap();
        befalls(copy.path());
        took += time_one(copy.path(), Store::builder().verify(verify));
    }
    took
}

fn time_one(folder: &Path, builder: StoreBuilder) -> Duration {
    let began = Instant::now();
    let store = builder.open(folder).unwrap();
    let took = began.elapsed();
    store.close().unwrap();
    took
}

fn lose_index(folder: &Path) {
    std::fs::remove_dir_all(folder.join("index")).unwrap();
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = open
}

fn main() {
    common::criterion_main(benches);
}
