//! The behaviour of a store over millions of updates: latency during checkpoints and snapshots,
//! disk and memory.
//!
//!     cargo bench --bench endurance             2,000,000 updates, 20 seconds
//!     PROCSTATE_UPDATES=10000000 cargo bench --bench endurance
//!
//! Not a criterion benchmark, since extremes matter here.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::calls::Hot;
use common::table::mib;
use common::times::{Limit, Times};
use common::{is_test, resources, sample, table};
use procstate::{Durability, Store};

const HOT_ITEMS: usize = 100;

/// The number of updates of an item before the next one.
const UPDATES_OF_ITEM: u64 = 1000;

fn main() {
    let updates = common::setting("PROCSTATE_UPDATES").unwrap_or(2_000_000);
    endure(if is_test() { 20_000 } else { updates });
}

fn endure(updates: u64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    sample::fill(&store, HOT_ITEMS);
    println!("{}", resources::machine());
    println!("{} updates over {HOT_ITEMS} items (one run, one thread, Buffered)", table::count(updates));
    let disk_max = watching_disk(folder.path(), || {
        let mut times = Times::default();
        for tenth in 1..=10 {
            times = times.then(update(&store, updates / 10));
            println!("  after {tenth}0 %: memory {}", mib(resources::memory_bytes()));
        }
        report(&times);
    });
    let stats = store.stats().unwrap();
    println!(
        "  checkpoints {} (last {:?}), snapshots {} (last {:?}), log written {}",
        stats.checkpoints,
        stats.checkpoint_time,
        stats.snapshots,
        stats.snapshot_time,
        mib(stats.log_written_bytes)
    );
    store.close().unwrap();
    let closed = resources::disk_bytes(folder.path());
    let log = resources::disk_bytes(&folder.path().join("wal"));
    println!("  disk: at most {}, after close {}, of which the log {}", mib(disk_max), mib(closed), mib(log));
}

fn report(times: &Times) {
    println!("  {} updates a second", table::digits(times.per_second()));
    for percent in [50.0, 99.0, 99.9, 99.99] {
        println!("  {percent:>5} % within {:?}", times.percentile(percent));
    }
    let ratio = times.percentile(99.9).as_secs_f64() / times.percentile(50.0).as_secs_f64();
    println!("  longest {:?}; 99.9 % over median {ratio:.1} x", times.max());
}

/// Returns the maximum size of the folder on disk during `work`.
fn watching_disk(folder: &Path, work: impl FnOnce()) -> u64 {
    let (stop, disk_max) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                disk_max.fetch_max(resources::disk_bytes(folder), Ordering::AcqRel);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        work();
        stop.store(true, Ordering::Release);
    });
    disk_max.into_inner()
}

/// Updates item after item; switching items is not timed.
fn update(store: &Store, count: u64) -> Times {
    let process = store.process(sample::PROCESS).unwrap();
    let mut hot = Hot::claim(&process, Durability::Buffered);
    let mut times = Times::default();
    while times.count() < count {
        let calls = UPDATES_OF_ITEM.min(count - times.count());
        times = times.then(Times::of(Limit { time: Duration::MAX, calls }, &mut || hot.update()));
        hot = hot.next(&process);
    }
    times
}
