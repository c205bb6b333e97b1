//! The cost of changing the owner of a process, and whether it grows with the number of items.
//!
//!     cargo bench --bench claim                 1 minute
//!
//! Times on a shared machine vary; compare lines of one run.

mod common;

use common::bare;
use common::calls::Call;
use common::stores::Opened;
use criterion::{BenchmarkId, Criterion, criterion_group};

/// The approximate size of a claim in the log.
const CLAIM_BYTES: usize = 400;

fn claim(c: &mut Criterion) {
    let mut group = c.benchmark_group("claim");
    for &items in common::sizes() {
        let opened = Opened::on_disk(items);
        for (name, call) in [("and hand back", Call::ClaimAndHandBack), ("in vain", Call::ClaimInVain)] {
            let mut call = call.on(&opened.process());
            group.bench_function(BenchmarkId::new(name, items), |b| b.iter(&mut call));
        }
    }
    // The disk alone: each of the two commits must survive power loss.
    let mut bare = bare::write_and_sync(CLAIM_BYTES);
    group.bench_function("two bare writes with fdatasync", |b| {
        b.iter(|| {
            bare();
            bare();
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = claim
}

fn main() {
    common::criterion_main(benches);
}
