//! Tests the cluster that the other tests rely on, and the faults that they inject into it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use procstate::{EtcdOptions, Params, Store};

use crate::etcd::net::{self, Entered, Host};
use crate::etcd::{Cluster, PATIENCE};

#[track_caller]
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "timeout: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_majority_of_three_elects_another_leader_when_the_first_is_killed_or_stopped() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let first = cluster.leader().unwrap();
    cluster.members[first].kill();
    wait_for("another leader", || cluster.leader().is_some_and(|leader| leader != first));
    cluster.members[first].restart();
    cluster.await_majority();

    let second = cluster.leader().unwrap();
    cluster.members[second].stop();
    wait_for("another leader", || cluster.leader().is_some_and(|leader| leader != second));
    cluster.members[second].resume();
    cluster.await_majority();

    // A single member of three has no majority.
    (0..2).for_each(|n| cluster.members[n].kill());
    wait_for("no majority", || !cluster.members[2].is_healthy());
}

#[test]
fn a_partitioned_member_serves_no_client_until_it_is_reconnected() {
    match net::enter("members::a_partitioned_member_serves_no_client_until_it_is_reconnected") {
        Entered::Inside => {}
        Entered::Ran(status) => return assert!(status.success()),
        Entered::Unavailable => return,
    }
    let hosts: Vec<Host> = (1..=3).map(Host::new).collect();
    let Some(cluster) = Cluster::start_in(&hosts.iter().collect::<Vec<_>>()) else { return };
    let first = cluster.leader().unwrap();
    let others = || hosts.iter().enumerate().filter(|(n, _)| *n != first).map(|(_, host)| host);
    others().for_each(|other| net::cut(&hosts[first], other));
    wait_for("another leader", || (0..3).any(|n| n != first && cluster.members[n].is_leader()));
    wait_for("cut off", || !cluster.members[first].is_healthy());
    others().for_each(|other| net::reconnect(&hosts[first], other));
    cluster.await_majority();
}

/// Each thread writes to its own process, so that no commit is refused. There must be exactly one
/// revision per acknowledged write: one more would be a write that was applied twice.
#[test]
fn members_that_die_during_commits_lose_and_repeat_no_write() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let store = Store::connect(EtcdOptions::new(cluster.endpoints()).timeout(PATIENCE)).unwrap();
    let processes: Vec<_> = (0..8).map(|n| store.process(&format!("p{n}")).unwrap()).collect();
    let before = store.last_seq();
    let (written, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for process in &processes {
            scope.spawn(|| {
                for n in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    process.register(&format!("w{n}"), Params::new()).unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let await_writes = || {
            let until = written.load(Ordering::Relaxed) + 40;
            wait_for("writes", || written.load(Ordering::Relaxed) >= until);
        };
        for n in 0..3 {
            await_writes();
            cluster.members[n].kill();
            await_writes();
            cluster.members[n].restart();
            cluster.await_majority();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let written = written.into_inner();
    assert_eq!(store.last_seq() - before, written);
    let items = processes.iter().map(|process| process.summary().unwrap().active);
    assert_eq!(items.sum::<u64>(), written);
}
