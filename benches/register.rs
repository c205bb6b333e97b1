//! What registering work costs, and whether that grows with the items of a process.
//!
//!     cargo bench --bench register              1 minute
//!
//! Times on a shared machine vary; compare lines of one run.

mod common;

use common::calls::Call;
use common::stores::Opened;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};

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

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = register
}

fn main() {
    common::criterion_main(benches);
}
