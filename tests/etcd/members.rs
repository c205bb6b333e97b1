//! The cluster that the other tests stand on is one, and can be harmed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use procstate::{EtcdOptions, Params, Store};

use crate::etcd::net::{self, Entered, Host};
use crate::etcd::{Cluster, PATIENCE};

#[track_caller]
fn in_time(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_majority_of_three_elects_another_leader_when_the_first_is_killed_or_stopped() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let first = cluster.leader().unwrap();
    cluster.members[first].kill();
    in_time("another leader", || cluster.leader().is_some_and(|leader| leader != first));
    cluster.members[first].restart();
    cluster.await_majority();

    let second = cluster.leader().unwrap();
    cluster.members[second].stop();
    in_time("another leader", || cluster.leader().is_some_and(|leader| leader != second));
    cluster.members[second].go_on();
    cluster.await_majority();

    // One of three alone serves nobody.
    (0..2).for_each(|n| cluster.members[n].kill());
    in_time("no majority", || !cluster.members[2].is_healthy());
}

#[test]
fn a_member_that_is_cut_off_serves_nobody_until_it_is_joined_again() {
    match net::enter("members::a_member_that_is_cut_off_serves_nobody_until_it_is_joined_again") {
        Entered::Inside => {}
        Entered::Ran(status) => return assert!(status.success()),
        Entered::Unavailable => return,
    }
    let hosts: Vec<Host> = (1..=3).map(Host::new).collect();
    let Some(cluster) = Cluster::start_in(&hosts.iter().collect::<Vec<_>>()) else { return };
    let first = cluster.leader().unwrap();
    let others = || hosts.iter().enumerate().filter(|(n, _)| *n != first).map(|(_, host)| host);
    others().for_each(|other| net::cut(&hosts[first], other));
    in_time("another leader", || (0..3).any(|n| n != first && cluster.members[n].is_leader()));
    in_time("cut off", || !cluster.members[first].is_healthy());
    others().for_each(|other| net::join(&hosts[first], other));
    cluster.await_majority();
}

/// Each writes to a process of its own, so that no commit is refused: every revision is one that
/// somebody was told of, or it was applied twice.
#[test]
fn members_that_die_in_mid_commit_cost_no_write_and_double_none() {
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
        let goes_on = || {
            let until = written.load(Ordering::Relaxed) + 40;
            in_time("writes", || written.load(Ordering::Relaxed) >= until);
        };
        for n in 0..3 {
            goes_on();
            cluster.members[n].kill();
            goes_on();
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
