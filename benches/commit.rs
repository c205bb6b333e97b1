//! The cost of a commit compared with the disk itself: each line of procstate stands next to a bare
//! loop on one preallocated file that makes the same promise with the same number of bytes, and
//! nothing else.
//!
//!     cargo bench --bench commit                1 minute
//!
//! Times on a shared machine vary; compare lines of one run.

mod common;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use common::bare;
use common::calls::{self, Ready};
use common::stores::Opened;
use criterion::{Criterion, Throughput, criterion_group};
use procstate::Durability;

fn buffered(c: &mut Criterion) {
    let opened = Opened::with_processes(1);
    let mut update = opened.updates(Durability::Buffered).remove(0);
    let mut bare = bare::write(calls::log_bytes(&opened.store, &mut update));
    let mut group = c.benchmark_group("buffered, 1 thread");
    group.bench_function("bare write", |b| b.iter(&mut bare));
    group.bench_function("update", |b| b.iter(&mut update));
    group.finish();
}

fn synced(c: &mut Criterion) {
    let opened = Opened::with_processes(1);
    let mut update = opened.updates(Durability::Synced).remove(0);
    let mut bare = bare::write_and_sync(calls::log_bytes(&opened.store, &mut update));
    let mut group = c.benchmark_group("synced, 1 thread");
    group.bench_function("bare write and fdatasync", |b| b.iter(&mut bare));
    group.bench_function("update", |b| b.iter(&mut update));
    group.finish();
}

fn shared_syncs(c: &mut Criterion) {
    for threads in [16, 64] {
        let opened = Opened::with_processes(threads);
        let mut updates = opened.updates(Durability::Synced);
        let mut bare = bare::group(threads, calls::log_bytes(&opened.store, &mut updates[0]));
        let mut group = c.benchmark_group(format!("synced, {threads} threads"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("bare group commit", |b| {
            b.iter_custom(|count| in_threads(&mut bare, count));
        });
        group.bench_function("update", |b| b.iter_custom(|count| in_threads(&mut updates, count)));
        group.finish();
    }
}

/// Returns the time of one thread per entry of `calls` for `count` calls in total.
fn in_threads(calls: &mut [Ready], count: u64) -> Duration {
    let barrier = Barrier::new(calls.len() + 1);
    let each = count.div_ceil(calls.len() as u64);
    std::thread::scope(|scope| {
        for call in calls {
            scope.spawn(|| {
                barrier.wait();
                (0..each).for_each(|_| call());
                barrier.wait();
            });
        }
        barrier.wait();
        let began = Instant::now();
        barrier.wait();
        began.elapsed()
    })
}

criterion_group! {
    name = benches;
    config = common::criterion().measurement_time(Duration::from_secs(4));
    targets = buffered, synced, shared_syncs
}

fn main() {
    common::criterion_main(benches);
}
