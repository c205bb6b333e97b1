//! Three programs on three members, while members and programs are killed, stopped and partitioned.
//!
//! Each program logs the results that it gets to a file; the test reads what landed from etcd's
//! history, and [`oracle`] compares the two. The test takes eight seconds by default; for a longer
//! run: `PROCSTATE_ETCD_CHAOS=600 cargo test --all-features --test etcd chaos`. Without network
//! namespaces, there are no partitions.

pub mod events;
mod landed;
mod oracle;
mod oracle_tests;
pub mod program;
pub mod testbed;

use std::time::{Duration, Instant};

use procstate::{Error, EtcdOptions, Params, Store};

use self::program::{CLAIMED, COUNTERS, ITEMS, RUNNER, TIMEOUT};
use self::testbed::{Fault, MEMBERS, PROGRAMS, Testbed};
use crate::etcd::net::{self, Entered};

const PREFIX: &str = "chaos/";

fn connect(endpoints: &[String]) -> Result<Store, Error> {
    Store::connect(EtcdOptions::new(endpoints).prefix(PREFIX))
}

#[test]
fn accepted_writes_and_single_ownership_survive_faults() {
    match net::enter("chaos::accepted_writes_and_single_ownership_survive_faults") {
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
    let Some(mut testbed) = Testbed::new(is_networked, folder.path()) else { return };
    let store = set_up(&testbed.cluster.endpoints());
    testbed.start_programs();
    testbed.await_progress(None);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut faults = 0;
    while Instant::now() < end {
        let fault = choose(&testbed, &mut random, is_networked);
        println!("{fault:?}");
        inject_and_repair(&mut testbed, &mut random, fault);
        faults += 1;
    }
    testbed.await_completion();
    testbed.kill_programs();
    testbed.cluster.await_majority();
    let landed = landed::read(&testbed.cluster.members[0], PREFIX);
    let event_logs = testbed.event_logs();
    let events: usize = event_logs.values().map(Vec::len).sum();
    let findings = oracle::judge(&event_logs, &landed);
    println!("{faults} faults; {} writes landed, {events} events were logged", landed.len());
    assert!(findings.is_empty(), "PROCSTATE_SEED={seed}: {} findings: {findings:#?}", findings.len());
    assert_sound(&store);
}

/// Creates the store, with work in it.
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

fn inject_and_repair(testbed: &mut Testbed, random: &mut fastrand::Rng, fault: Fault) {
    testbed.inject(fault);
    std::thread::sleep(duration(fault, random));
    testbed.await_progress(Some(fault));
    testbed.repair(fault);
    testbed.await_progress(None);
}

/// Returns how long a fault lasts: half of the faults that silence a program are long enough for
/// another one to take over before it resumes.
fn duration(fault: Fault, random: &mut fastrand::Rng) -> Duration {
    let is_silenced = matches!(fault, Fault::ProgramStopped(_) | Fault::ProgramCutOff(_));
    let least = if is_silenced && random.bool() { TIMEOUT + Duration::from_secs(1) } else { Duration::ZERO };
    least + Duration::from_millis(random.u64(200..3000))
}

fn choose(testbed: &Testbed, random: &mut fastrand::Rng, is_networked: bool) -> Fault {
    let member = random.usize(0..MEMBERS);
    let other = (member + random.usize(1..MEMBERS)) % MEMBERS;
    let any = random.usize(0..PROGRAMS);
    // Prefers the owner of the process, where faults are most likely to reveal a bug.
    let program = testbed.owner().filter(|_| random.usize(0..3) > 0).unwrap_or(any);
    match random.usize(0..if is_networked { 9 } else { 5 }) {
        0 => Fault::MemberKilled(testbed.cluster.leader().filter(|_| random.bool()).unwrap_or(member)),
        1 => Fault::ProgramKilled(program),
        2 => Fault::LeaderStopped(testbed.cluster.leader().unwrap_or(member)),
        3 => Fault::ProgramStopped(program),
        4 => Fault::EveryMemberKilled,
        5 => Fault::MemberCutOff(testbed.cluster.leader().filter(|_| random.bool()).unwrap_or(member)),
        6 => Fault::MembersCutOff(member, other),
        7 => Fault::ProgramCutOffExcept(program, member),
        _ => Fault::ProgramCutOff(program),
    }
}

/// Checks that the whole store can be read.
fn assert_sound(store: &Store) {
    crate::common::check(store);
}
