//! What reading costs: an item, a page, a whole process.
//!
//!     cargo bench --bench read                  2 minutes
//!
//! Times on a shared machine vary; compare lines of one run.

mod common;

use common::calls::Call;
use common::stores::Opened;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    for &items in common::sizes() {
        let opened = Opened::on_disk(items);
        for (name, call, found) in [
            ("an item", Call::ReadItem, 1),
            ("a page of 100", Call::ReadPage, 100),
            ("the whole process", Call::ReadProcess, items),
        ] {
            let mut call = call.on(&opened.process());
            group.throughput(Throughput::Elements(found as u64));
            group.bench_function(BenchmarkId::new(name, items), |b| b.iter(&mut call));
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = read
}

fn main() {
    common::criterion_main(benches);
}
