//! Async calls on etcd: a call that waits for a response must not block a thread of the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use procstate::proto::State;
use procstate::tokio::{AsyncProcess, AsyncRunner};
use procstate::{Claim, ClaimOptions, Effect, EtcdOptions, Instance, Outcome, Params, Store};
use tokio::time::sleep;

use crate::etcd::{Cluster, PATIENCE};

const MOMENT: Duration = Duration::from_millis(1);

fn connect(cluster: &Cluster) -> Store {
    Store::connect(EtcdOptions::new(cluster.endpoints()).timeout(PATIENCE)).unwrap()
}

/// The runtime has one thread: a call that blocked it would block all other tasks.
#[tokio::test]
async fn a_task_that_waits_for_a_response_does_not_block_its_thread() {
    let Some(cluster) = Cluster::start(1) else { return };
    let store = connect(&cluster);
    let process = AsyncProcess::new(&store.process("p").unwrap());
    process.register("before", Params::new()).await.unwrap();

    cluster.members[0].stop();
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let process = process.clone();
            tokio::spawn(async move { process.register(&format!("w{n}"), Params::new()).await })
        })
        .collect();
    for _ in 0..20 {
        sleep(MOMENT).await;
    }
    assert!(tasks.iter().all(|task| !task.is_finished()));
    cluster.members[0].resume();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), Effect::Changed);
    }
    assert_eq!(store.process("p").unwrap().summary().unwrap().active, 101);
}

#[tokio::test]
async fn workers_continue_while_a_write_of_their_run_waits() {
    let Some(cluster) = Cluster::start(1) else { return };
    let store = connect(&cluster);
    let process = AsyncProcess::new(&store.process("p").unwrap());
    process.register_all(["a", "b", "c"].map(|name| (name, Params::new()))).await.unwrap();

    let (counted, is_done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, done) = (counted.clone(), is_done.clone());
    let runner = AsyncRunner::builder(&store, "p")
        .concurrency(2)
        .progress_interval(Duration::from_millis(10))
        .heartbeat_timeout(PATIENCE)
        .worker_fn(move |work| {
            let (count, done) = (count.clone(), done.clone());
            async move {
                while !done.load(Ordering::Relaxed) {
                    work.add_stat("n", 1.0);
                    count.fetch_add(1, Ordering::Relaxed);
                    sleep(MOMENT).await;
                    assert!(!work.is_cancelled() && work.params() == Params::new());
                }
                Ok(())
            }
        })
        .build()
        .unwrap();
    let run = tokio::spawn(async move { runner.run_once().await });
    let many_more = || async {
        let until = counted.load(Ordering::Relaxed) + 200;
        while counted.load(Ordering::Relaxed) < until && !run.is_finished() {
            sleep(MOMENT).await;
        }
    };
    many_more().await;
    cluster.members[0].stop();
    // That takes longer than the progress interval, so a write is in flight then.
    many_more().await;
    assert!(!run.is_finished());
    cluster.members[0].resume();
    many_more().await;
    is_done.store(true, Ordering::Relaxed);
    let Outcome::Finished(status) = run.await.unwrap().unwrap() else { panic!("there is no other owner") };
    assert_eq!(status.state(), State::Completed);
    let counted = counted.load(Ordering::Relaxed) as f64;
    assert_eq!(status.stats["work.n"], counted, "counts during a write were lost");
    assert_eq!(store.process("p").unwrap().totals().unwrap()["work.n"], counted);
}

#[tokio::test]
async fn a_claim_whose_caller_stopped_waiting_is_given_up() {
    let Some(cluster) = Cluster::start(1) else { return };
    let store = connect(&cluster);
    let process = AsyncProcess::new(&store.process("p").unwrap());
    process.register("a", Params::new()).await.unwrap();
    cluster.members[0].stop();
    let (instance, options) = (Instance::new(), ClaimOptions::new().force(true));
    let claiming = tokio::time::timeout(20 * MOMENT, process.claim(&instance, &options)).await;
    assert!(claiming.is_err(), "{claiming:?}");
    cluster.members[0].resume();
    let won = loop {
        match process.claim(&Instance::new(), &options).await.unwrap() {
            Claim::Won(run) => break run,
            // The first claim may still win before it is given up.
            _ => sleep(MOMENT).await,
        }
    };
    AsyncProcess::hand_back(won).await.unwrap();
}

#[tokio::test]
async fn closing_a_store_ends_the_calls_that_wait() {
    let Some(cluster) = Cluster::start(1) else { return };
    let store = connect(&cluster);
    let process = AsyncProcess::new(&store.process("p").unwrap());
    cluster.members[0].stop();
    let waiting = tokio::spawn(async move { process.register("a", Params::new()).await });
    sleep(20 * MOMENT).await;
    store.close().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().to_string(), "the store was closed");
}
