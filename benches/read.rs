//! The cost of reads: an item, a page, a whole process.
//!
//!     cargo bench --bench read                  2 minutes
//!
//! Times on a shared machine vary; compare lines of one run.

mod common;

use common::calls::Call;
use common::stores::Opened;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};

/// The number of items changed before they are read.
const CHANGED_ITEMS_MAX: usize = 10_000;

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    for &items in common::sizes() {
        let opened = Opened::on_disk(items);
        let mut measure = |name, call: Call, found| {
            let mut call = call.on(&opened.process());
            group.throughput(Throughput::Elements(found as u64));
            group.bench_function(BenchmarkId::new(name, items), |b| b.iter(&mut call));
        };
        measure("an item", Call::ReadItem, 1);
        measure("a page of 100", Call::ReadPage, 100);
        measure("all items, not decoded", Call::ReadItems, items);
        measure("the whole process", Call::ReadProcess, items);
        change(&opened, items.min(CHANGED_ITEMS_MAX));
        measure("a page of 100, changed", Call::ReadPage, 100);
    }
    group.finish();
}

/// Processes the first items, so that their new versions are in the memtable on top of the index.
fn change(opened: &Opened, items: usize) {
    let mut next = Call::Item.on(&opened.process());
    (0..items).for_each(|_| next());
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = read
}

fn main() {
    common::criterion_main(benches);
}
