//! The cost of a runner besides the work: items per second of a worker that does nothing, with 1, 8
//! and 64 at a time, compared with two bare loops of two writes per item: progress of one item, and
//! begin and end of each item of a run.
//!
//!     cargo bench --bench dispatch              1 minute
//!
//! Times on a shared machine vary; compare lines of one run. All are for the same number of items.

mod common;

use std::time::{Duration, Instant};

use common::calls::{self, Hot};
use common::{sample, stores::Opened};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use procstate::{Durability, Outcome, Runner, Store};

fn items() -> usize {
    if common::is_test() { 100 } else { 10_000 }
}

/// Makes one whole run.
fn run(store: &Store, concurrency: usize) -> Duration {
    let runner = Runner::builder(store, sample::PROCESS).concurrency(concurrency).worker_fn(|_| Ok(()));
    let runner = runner.build().unwrap();
    let began = Instant::now();
    let outcome = runner.run_now().unwrap();
    let took = began.elapsed();
    let Outcome::Finished(status) = outcome else { panic!("{outcome:?}") };
    assert_eq!(status.stats["workItems"], items() as f64);
    took
}

/// Makes one whole run on this thread.
fn bare(opened: &Opened) -> Duration {
    let began = Instant::now();
    let mut run = calls::claim(&opened.process(), Durability::Buffered);
    while let Some(work) = run.next_work().unwrap() {
        work.finish().unwrap();
    }
    run.finish().unwrap();
    began.elapsed()
}

fn dispatch(c: &mut Criterion) {
    let mut group = c.benchmark_group("dispatch");
    group.sample_size(10).throughput(Throughput::Elements(items() as u64));
    let opened = Opened::on_disk(items());
    let mut hot = Some(Hot::claim(&opened.process(), Durability::Buffered));
    group.bench_function("a loop of two progress writes an item", |b| {
        let hot = hot.as_mut().unwrap();
        b.iter(|| (0..2 * items()).for_each(|_| hot.update()));
    });
    drop(hot.take());
    group.bench_function("a loop that begins and ends each item", |b| {
        b.iter_custom(|times| (0..times).map(|_| bare(&opened)).sum());
    });
    for concurrency in [1, 8, 64] {
        group.bench_function(BenchmarkId::new("a runner whose worker does nothing", concurrency), |b| {
            b.iter_custom(|times| (0..times).map(|_| run(&opened.store, concurrency)).sum());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = dispatch
}

fn main() {
    common::criterion_main(benches);
}
