//! Measures the figures in docs/cluster.md: `just cluster-figures`.

use std::time::{Duration, Instant};

use procstate::{Claim, ClaimOptions, Durability, EtcdOptions, Instance, Params, Run, Store};

use crate::etcd::Cluster;
use crate::gateway::{call, compact};

const ITEMS: usize = 10_000;
const SPAN: Duration = Duration::from_secs(5);

#[test]
#[ignore = "a measurement for docs/cluster.md, not a test"]
fn how_large_and_how_fast() {
    let cluster = Cluster::start(3).expect("etcd must be installed");
    let store = Store::connect(EtcdOptions::new(cluster.endpoints())).unwrap();
    let empty = size(&cluster);
    let registered = Instant::now();
    let process = store.process("large").unwrap();
    let items = (0..ITEMS).map(|n| (format!("project-{n:06}"), Params::new().int("keysPerAccount", 8)));
    process.register_all(items).unwrap();
    println!("{ITEMS} items registered in {:?}", registered.elapsed());
    println!("{} bytes per item", (size(&cluster) - empty) / ITEMS as f64);

    for threads in [1, 16, 64] {
        let before = raw_size(&cluster);
        let (count, latency) = updates(&store, threads, Durability::Synced);
        let bytes = (raw_size(&cluster) - before) / count as f64;
        let rate = count as f64 / SPAN.as_secs_f64();
        println!(
            "{threads} runs: {rate:.0} synced updates per second, median {latency:?}, {bytes:.0} bytes each"
        );
    }
    let (count, latency) = updates(&store, 1, Durability::Buffered);
    println!(
        "1 run: {:.0} buffered updates per second, median {latency:?}",
        count as f64 / SPAN.as_secs_f64()
    );
}

/// Returns the size of the data in use, after compaction of the history.
fn size(cluster: &Cluster) -> f64 {
    compact(&cluster.members[0]);
    call(&cluster.members[0], "/v3/maintenance/defragment", &serde_json::json!({}));
    raw_size(cluster)
}

fn raw_size(cluster: &Cluster) -> f64 {
    cluster.members[0].metric("etcd_mvcc_db_total_size_in_use_in_bytes").unwrap()
}

/// Reports progress in this many runs at the same time; returns the number of reports and the median
/// time of one.
fn updates(store: &Store, threads: usize, durability: Durability) -> (usize, Duration) {
    let runs: Vec<Run> = (0..threads).map(|n| begin(store, &format!("p{threads}-{n}"), durability)).collect();
    let end = Instant::now() + SPAN;
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = runs.iter().map(|run| scope.spawn(move || update_until(run, end))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    runs.into_iter().for_each(|run| drop(run.finish().unwrap()));
    times.sort();
    (times.len(), times[times.len() / 2])
}

fn begin(store: &Store, name: &str, durability: Durability) -> Run {
    let process = store.process(name).unwrap();
    process.register("w", Params::new()).unwrap();
    let options =
        ClaimOptions::new().force(true).progress_interval(Duration::ZERO).progress_durability(durability);
    match process.claim_with(&Instance::new(), &options).unwrap() {
        Claim::Won(run) => run,
        other => panic!("{other:?}"),
    }
}

fn update_until(run: &Run, end: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        run.add_stat("n", 1.0);
        let _ = run.progress().unwrap();
        times.push(begun.elapsed());
    }
    times
}
