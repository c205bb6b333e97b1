//! Random damage, 500 times by default. The long form:
//! `PROCSTATE_DAMAGES=50000 cargo test --release --all-features --lib damaged_stores`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::fault::Damaged;
use super::{Answer, harness, life, oracle};
use crate::engine::Recovery;
use crate::fuzzing::fixture::content::read_store;
use crate::fuzzing::fixture::original::scratch;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}

/// Draws a life, a moment, flags, and one to three faults.
fn input(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let faults = random.usize(1..=3);
    std::iter::repeat_with(|| random.u8(..)).take(3 + 6 * faults).collect()
}

#[test]
fn damaged_stores_are_correct_or_refused() {
    let cases = number("PROCSTATE_DAMAGES").unwrap_or(500);
    let first = number("PROCSTATE_SEED").unwrap_or_else(|| fastrand::u64(..1 << 48));
    let (next, answers, failed) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= cases || failed.lock().len() >= 5 {
                        return;
                    }
                    let (seed, scratch) = (first + n, scratch());
                    match catch_unwind(AssertUnwindSafe(|| harness(&input(seed), scratch.path()))) {
                        Ok(Some(answer)) => *answers.lock().entry(answer).or_insert(0) += 1,
                        Ok(None) => {}
                        Err(_) => failed.lock().push((seed, scratch.keep())),
                    }
                }
            });
        }
    });
    println!("{cases} damaged stores from seed {first}: {:?}", answers.lock());
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "PROCSTATE_SEED=N PROCSTATE_DAMAGES=1 repeats each of {failed:?}");
    let wanted = [Answer::Whole, Answer::Refused];
    assert!(cases < 100 || wanted.iter().all(|answer| answers.lock().contains_key(answer)));
}

/// Checks the assumptions of the oracle.
#[test]
fn every_moment_opens_as_it_was() {
    for (n, life) in life::all().iter().enumerate() {
        for branch in life.branches() {
            for (m, moment) in branch.moments.iter().enumerate() {
                let scratch = scratch();
                life::put(scratch.path(), &moment.files);
                let (seq, content) = read_store(scratch.path(), Recovery::Refuse).unwrap();
                let what = format!("life {n}, moment {m}");
                assert_eq!(seq, moment.acked, "{what}");
                let state = branch.states.get(&seq).unwrap();
                for key in content.keys().chain(state.keys()) {
                    let versions = [&content, state].map(|all| all.get(key).map(|(version, _)| *version));
                    assert!(content.get(key) == state.get(key), "{what}: {key:?} {versions:?}");
                }
            }
        }
    }
}

/// The oracle knows no other past: a store that was rolled back has lost commits.
#[test]
#[should_panic(expected = "was due")]
fn a_store_that_lost_commits_is_detected() {
    let mut lives = life::all();
    let rolled_back = Damaged::decode(&lives, &[3, 255, 12]).unwrap();
    for life in &mut lives {
        let last = life.main.moments.pop();
        life.main.moments = last.into_iter().collect();
        life.fork.moments.clear();
    }
    let scratch = scratch();
    oracle::check(&lives, &rolled_back, scratch.path());
}

/// Writes the seeds of the fuzz target, a few of each kind.
#[test]
#[ignore = "writes fuzz/seeds/damaged"]
fn write_seeds() {
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/damaged");
    std::fs::create_dir_all(&to).unwrap();
    for seed in 0..48 {
        std::fs::write(to.join(seed.to_string()), input(seed)).unwrap();
    }
}
