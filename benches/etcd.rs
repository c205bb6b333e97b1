//! The cost of the engine on etcd: an update of a run compared with a bare transaction with the
//! same number of compares and bytes, and coalesced progress.
//!
//!     cargo bench --features etcd --bench etcd              half a minute
//!
//! Starts one member on loopback; without etcd it measures nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use procstate::{Claim, ClaimOptions, EtcdOptions, Instance, Params, Run, Store, WorkItem};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};

#[path = "../tests/common/etcd/mod.rs"]
mod etcd;

#[allow(clippy::all, dead_code, unreachable_pub, unused_qualifications, reason = "generated")]
mod mvccpb {
    include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
}

#[allow(clippy::all, dead_code, unreachable_pub, unused_qualifications, reason = "generated")]
mod pb {
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
}

use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::kv_client::KvClient;
use pb::request_op::Request;

/// The number of measurements, alternating so that disturbances affect both.
const ROUNDS: usize = 3;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (time, rounds) =
        if is_test { (Duration::from_millis(50), 1) } else { (Duration::from_secs(2), ROUNDS) };
    let Some(cluster) = etcd::Cluster::start(1) else { return };
    let options = EtcdOptions::new(cluster.endpoints());
    let store = Store::connect(&options).unwrap();
    let bare = Bare::new(&cluster.endpoints()[0]);
    println!("threads    bare Txn/s    updates/s    times a bare one");
    let mut alone = 0.0;
    for threads in [1, 16, 64] {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            theirs.push(count(threads, time, |n| bare.client(n)));
            ours.push(count(threads, time, |n| updates(&store, n)));
        }
        let (theirs, ours) = (median(theirs), median(ours));
        if threads == 1 {
            alone = ours;
        }
        println!("{threads:>7}    {theirs:>10.0}    {ours:>9.0}    {:>16.2}", theirs / ours);
    }
    let (run, mut work) = claim(&store, "buffered", Duration::ZERO);
    let (begun, mut reports) = (Instant::now(), 0_u32);
    while begun.elapsed() < time {
        work.add_stat("n", 1.0);
        let _ = work.progress().unwrap();
        reports += 1;
    }
    let buffered = f64::from(reports) / begun.elapsed().as_secs_f64();
    println!("Buffered progress of one run: {buffered:.0}/s, {:.0} times an update", buffered / alone);
    run.abort("measured").unwrap();
}

/// Returns how often per second this many threads do it.
fn count<W: FnMut() + Send>(threads: usize, time: Duration, make: impl Fn(usize) -> W) -> f64 {
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let workers: Vec<W> = (0..threads).map(make).collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for mut work in workers {
            let (done, stop) = (&done, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    work();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn claim(store: &Store, name: &str, interval: Duration) -> (Run, WorkItem) {
    let process = store.process(name).unwrap();
    process.register("item", Params::new().string("path", "/some/where/else")).unwrap();
    let options = ClaimOptions::new().force(true).progress_interval(interval);
    let Claim::Won(mut run) = process.claim_with(&Instance::new(), &options).unwrap() else { panic!("held") };
    let work = run.next_work().unwrap().unwrap();
    (run, work)
}

/// Returns updates of a separate run, each written: its status, and an item.
fn updates(store: &Store, n: usize) -> impl FnMut() + Send {
    let (run, mut work) = claim(store, &format!("process-{n}"), Duration::ZERO);
    move || {
        work.add_stat("n", 1.0);
        let _ = run.progress_now().unwrap();
    }
}

/// etcd without procstate.
struct Bare {
    runtime: Runtime,
    channel: Channel,
}

impl Bare {
    fn new(endpoint: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).unwrap().tcp_nodelay(true);
        let channel = runtime.block_on(endpoint.connect()).unwrap();
        Self { runtime, channel }
    }

    /// Three compares, of which the first has been put, and two puts of the sizes of a status and
    /// an item.
    fn client(&self, n: usize) -> impl FnMut() + Send {
        const STATUS_BYTES: usize = 130;
        const ITEM_BYTES: usize = 150;
        let key = move |what: &str| Bytes::from(format!("bare/process-{n}/{what}"));
        let put = |key, bytes| {
            let put = pb::PutRequest { key, value: vec![7; bytes].into(), lease: 0 };
            pb::RequestOp { request: Some(Request::RequestPut(put)) }
        };
        let (mut client, runtime) = (KvClient::new(self.channel.clone()), self.runtime.handle().clone());
        let mut revision = None;
        move || {
            let compare = |key, target: CompareTarget, with| pb::Compare {
                result: CompareResult::Equal.into(),
                target: target.into(),
                key,
                target_union: Some(with),
                range_end: Bytes::new(),
            };
            let absent = |key| compare(key, CompareTarget::Create, TargetUnion::CreateRevision(0));
            let mut compares = vec![absent(key("owner")), absent(key("settings"))];
            if let Some(revision) = revision {
                compares.push(compare(key("item"), CompareTarget::Mod, TargetUnion::ModRevision(revision)));
            }
            let txn = pb::TxnRequest {
                compare: compares,
                success: vec![put(key("status"), STATUS_BYTES), put(key("item"), ITEM_BYTES)],
                failure: Vec::new(),
            };
            let answer = runtime.block_on(client.txn(txn)).unwrap().into_inner();
            assert!(answer.succeeded);
            revision = answer.header.map(|header| header.revision);
        }
    }
}

fn median(mut counts: Vec<f64>) -> f64 {
    counts.sort_unstable_by(f64::total_cmp);
    counts[counts.len() / 2]
}
