//! The cost of a progress update, and whether it grows with the items of a process.
//!
//!     cargo bench --bench hot_update            1 minute
//!
//! Times on a shared machine vary; compare lines of one run. Those named `blob` keep the same state
//! as one value in sled and rewrite all of it, which is how such state is usually kept.

mod common;

use common::calls::Call;
use common::sample;
use common::stores::Opened;
use criterion::{BenchmarkId, Criterion, criterion_group};
use procstate::Process;
use prost::Message;

fn progress(c: &mut Criterion) {
    let mut group = c.benchmark_group("progress");
    for &items in common::sizes() {
        for (name, opened) in [("disk", Opened::on_disk(items)), ("memory", Opened::in_memory(items))] {
            let mut update = Call::Update.on(&opened.process());
            group.bench_function(BenchmarkId::new(name, items), |b| b.iter(&mut update));
        }
    }
    group.finish();
}

/// Begins and ends items one after another: the cost of a run besides the work.
fn items(c: &mut Criterion) {
    let mut group = c.benchmark_group("begin and end the next item");
    for &items in common::sizes() {
        let opened = Opened::on_disk(items);
        let mut next = Call::Item.on(&opened.process());
        group.bench_function(BenchmarkId::new("disk", items), |b| b.iter(&mut next));
    }
    group.finish();
}

fn blob(c: &mut Criterion) {
    let mut group = c.benchmark_group("progress");
    for &items in common::sizes().iter().filter(|items| **items <= 10_000) {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::open(folder.path()).unwrap();
        db.insert("p", sample::process(sample::PROCESS, items).encode_to_vec()).unwrap();
        group.bench_function(BenchmarkId::new("blob", items), |b| b.iter(|| update_blob(&db)));
    }
    group.finish();
}

/// The same update of state in one value.
fn update_blob(db: &sled::Db) {
    let bytes = db.get("p").unwrap().unwrap();
    let mut process = Process::decode(&bytes[..]).unwrap();
    let work = process.active_work.get_mut(&sample::item_name(0)).unwrap();
    let stats = &mut work.status.get_or_insert_default().stats;
    *stats.entry("keysRemoved".to_owned()).or_default() += 1.0;
    let stats = &mut process.process_status.get_or_insert_default().stats;
    *stats.entry("work.keysRemoved".to_owned()).or_default() += 1.0;
    db.insert("p", process.encode_to_vec()).unwrap();
    db.flush().unwrap();
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = progress, items, blob
}

fn main() {
    common::criterion_main(benches);
}
