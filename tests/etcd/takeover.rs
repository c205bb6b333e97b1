//! Who dies as an owner is replaced once its lease has run out.

use std::time::{Duration, Instant};

use crate::chaos::program::TIMEOUT;
use crate::chaos::stage::{Fault, Stage};
use crate::chaos::told::{self, Line, Told};
use crate::etcd::PATIENCE;

/// The owner is killed in the middle of its run, `PROCSTATE_ETCD_TAKEOVERS` times. What the others wrote down says when one of
/// them won; how long etcd and this machine take is bounded generously.
#[test]
fn a_dead_owner_is_replaced_once_its_lease_has_run_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut stage) = Stage::new(false, folder.path()) else { return };
    crate::chaos::set_up(&stage.cluster.endpoints());
    stage.start_programs();
    stage.await_progress(None);
    let mut took = Vec::new();
    let takeovers = crate::common::from_env("PROCSTATE_ETCD_TAKEOVERS").unwrap_or(2);
    while (took.len() as u64) < takeovers {
        let Some((owner, token)) = running(&stage) else { continue };
        stage.inflict(Fault::ProgramKilled(owner));
        let killed = told::now();
        // It may have come to the end of its run just before.
        if is_unfinished(&stage, owner, token) {
            took.push(Duration::from_nanos(next_win(&stage, token) - killed));
        }
        stage.put_right(Fault::ProgramKilled(owner));
        stage.await_progress(None);
    }
    took.sort();
    println!("an owner with a timeout of {TIMEOUT:?} was replaced after {took:?}");
    assert!(took.iter().all(|took| *took < TIMEOUT + Duration::from_secs(10)), "{took:?}");
}

fn lines(stage: &Stage, program: usize) -> Vec<Line> {
    stage.diaries().into_values().nth(program).unwrap()
}

fn is_unfinished(stage: &Stage, program: usize, token: u64) -> bool {
    let ends = |told: &Told| matches!(told, Told::FinishTry { token: ended } if *ended == token);
    !lines(stage, program).iter().any(|line| ends(&line.told))
}

/// The owner, and its token, once it is in its run.
fn running(stage: &Stage) -> Option<(usize, u64)> {
    std::thread::sleep(Duration::from_millis(5));
    let owner = stage.owner()?;
    let token = lines(stage, owner).iter().rev().find_map(|line| match line.told {
        Told::Won { token } => Some(token),
        _ => None,
    })?;
    is_unfinished(stage, owner, token).then_some((owner, token))
}

/// When the next one won.
fn next_win(stage: &Stage, token: u64) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wins = stage.diaries().into_values().flatten().filter_map(|line| match line.told {
            Told::Won { token: won } if won > token => Some(line.at),
            _ => None,
        });
        if let Some(at) = wins.min() {
            return at;
        }
        assert!(Instant::now() < deadline, "nobody takes the place of {token}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
