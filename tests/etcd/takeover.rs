//! A dead owner is replaced once its lease has expired.

use std::time::{Duration, Instant};

use crate::chaos::events::{self, Event, Line};
use crate::chaos::program::TIMEOUT;
use crate::chaos::testbed::{Fault, Testbed};
use crate::etcd::PATIENCE;

/// Kills the owner during its run, `PROCSTATE_ETCD_TAKEOVERS` times, and reads from the event logs
/// of the other programs when one of them won. The bound leaves ample time for etcd and a slow
/// machine.
#[test]
fn a_dead_owner_is_replaced_once_its_lease_has_run_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut testbed) = Testbed::new(false, folder.path()) else { return };
    crate::chaos::set_up(&testbed.cluster.endpoints());
    testbed.start_programs();
    testbed.await_progress(None);
    let mut took = Vec::new();
    let takeovers = crate::common::from_env("PROCSTATE_ETCD_TAKEOVERS").unwrap_or(2);
    while (took.len() as u64) < takeovers {
        let Some((owner, token)) = running(&testbed) else { continue };
        testbed.inject(Fault::ProgramKilled(owner));
        let killed = events::now();
        // Its run may have ended just before.
        if is_unfinished(&testbed, owner, token) {
            took.push(Duration::from_nanos(next_win(&testbed, token) - killed));
        }
        testbed.repair(Fault::ProgramKilled(owner));
        testbed.await_progress(None);
    }
    took.sort();
    println!("an owner with a timeout of {TIMEOUT:?} was replaced after {took:?}");
    assert!(took.iter().all(|took| *took < TIMEOUT + Duration::from_secs(10)), "{took:?}");
}

fn lines(testbed: &Testbed, program: usize) -> Vec<Line> {
    testbed.event_logs().into_values().nth(program).unwrap()
}

fn is_unfinished(testbed: &Testbed, program: usize, token: u64) -> bool {
    let ends = |event: &Event| matches!(event, Event::FinishTry { token: ended } if *ended == token);
    !lines(testbed, program).iter().any(|line| ends(&line.event))
}

/// Returns the owner and its token, if its run has not ended.
fn running(testbed: &Testbed) -> Option<(usize, u64)> {
    std::thread::sleep(Duration::from_millis(5));
    let owner = testbed.owner()?;
    let token = lines(testbed, owner).iter().rev().find_map(|line| match line.event {
        Event::Won { token } => Some(token),
        _ => None,
    })?;
    is_unfinished(testbed, owner, token).then_some((owner, token))
}

/// Waits for the next program to win, and returns when it did.
fn next_win(testbed: &Testbed, token: u64) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wins = testbed.event_logs().into_values().flatten().filter_map(|line| match line.event {
            Event::Won { token: won } if won > token => Some(line.at),
            _ => None,
        });
        if let Some(at) = wins.min() {
            return at;
        }
        assert!(Instant::now() < deadline, "no program took over from {token}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
