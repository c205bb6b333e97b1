//! Three programs on three members, while members and programs are killed and stopped, and
//! cut off from each other.
//!
//! What each program was told stands in a file of its own; what landed is read from etcd's
//! history. [`oracle`] holds one against the other. Eight seconds by default; longer:
//! `PROCSTATE_ETCD_CHAOS=600 cargo test --all-features --test etcd chaos`. Where there are no
//! network namespaces, nobody is cut off.

mod landed;
mod oracle;
mod oracle_tests;
pub mod program;
pub mod stage;
pub mod told;

use std::time::{Duration, Instant};

use procstate::{Error, EtcdOptions, Params, Store};

use self::program::{CLAIMED, COUNTERS, ITEMS, RUNNER, TIMEOUT};
use self::stage::{Fault, MEMBERS, PROGRAMS, Stage};
use crate::etcd::net::{self, Entered};

const PREFIX: &str = "chaos/";

fn connect(endpoints: &[String]) -> Result<Store, Error> {
    Store::connect(EtcdOptions::new(endpoints).prefix(PREFIX))
}

#[test]
fn killed_stopped_and_cut_off_nothing_accepted_is_lost_and_one_owns() {
    match net::enter("chaos::killed_stopped_and_cut_off_nothing_accepted_is_lost_and_one_owns") {
        Entered::Inside => run(true),
        Entered::Ran(status) => assert!(status.success()),
        Entered::Unavailable => run(false),
    }
}

fn run(is_networked: bool) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seconds = number("PROCSTATE_ETCD_CHAOS").unwrap_or(8);
    let seed = number("PROCSTATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("PROCSTATE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let Some(mut stage) = Stage::new(is_networked, folder.path()) else { return };
    let store = set_up(&stage.cluster.endpoints());
    stage.start_programs();
    stage.await_progress(None);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut faults = 0;
    while Instant::now() < end {
        let fault = choose(&stage, &mut random, is_networked);
        println!("{fault:?}");
        suffer(&mut stage, &mut random, fault);
        faults += 1;
    }
    stage.await_completion();
    stage.kill_programs();
    stage.cluster.await_majority();
    let landed = landed::read(&stage.cluster.members[0], PREFIX);
    let diaries = stage.diaries();
    let told: usize = diaries.values().map(Vec::len).sum();
    let findings = oracle::judge(&diaries, &landed);
    println!("{faults} faults; {} writes landed, {told} things were told", landed.len());
    assert!(findings.is_empty(), "PROCSTATE_SEED={seed}: {} findings: {findings:#?}", findings.len());
    assert_sound(&store);
}

/// A store with work in it.
pub fn set_up(endpoints: &[String]) -> Store {
    let store = connect(endpoints).unwrap();
    for process in [CLAIMED, RUNNER] {
        let process = store.process(process).unwrap();
        for item in ITEMS {
            process.register(item, Params::new()).unwrap();
        }
    }
    store.process(COUNTERS).unwrap().register("nobody", Params::new()).unwrap();
    store
}

fn suffer(stage: &mut Stage, random: &mut fastrand::Rng, fault: Fault) {
    stage.inflict(fault);
    std::thread::sleep(how_long(fault, random));
    stage.await_progress(Some(fault));
    stage.put_right(fault);
    stage.await_progress(None);
}

/// Who is stopped as an owner is to wake when another has taken its place.
fn how_long(fault: Fault, random: &mut fastrand::Rng) -> Duration {
    let is_silenced = matches!(fault, Fault::ProgramStopped(_) | Fault::ProgramCutOff(_));
    let least = if is_silenced && random.bool() { TIMEOUT + Duration::from_secs(1) } else { Duration::ZERO };
    least + Duration::from_millis(random.u64(200..3000))
}

fn choose(stage: &Stage, random: &mut fastrand::Rng, is_networked: bool) -> Fault {
    let member = random.usize(0..MEMBERS);
    let other = (member + random.usize(1..MEMBERS)) % MEMBERS;
    let any = random.usize(0..PROGRAMS);
    // More often who owns the process: what befalls it is of interest.
    let program = stage.owner().filter(|_| random.usize(0..3) > 0).unwrap_or(any);
    match random.usize(0..if is_networked { 9 } else { 5 }) {
        0 => Fault::MemberKilled(stage.cluster.leader().filter(|_| random.bool()).unwrap_or(member)),
        1 => Fault::ProgramKilled(program),
        2 => Fault::LeaderStopped(stage.cluster.leader().unwrap_or(member)),
        3 => Fault::ProgramStopped(program),
        4 => Fault::EveryMemberKilled,
        5 => Fault::MemberCutOff(stage.cluster.leader().filter(|_| random.bool()).unwrap_or(member)),
        6 => Fault::MembersParted(member, other),
        7 => Fault::ProgramCutOffBut(program, member),
        _ => Fault::ProgramCutOff(program),
    }
}

/// The store can be read from end to end.
fn assert_sound(store: &Store) {
    crate::common::check(store);
}
