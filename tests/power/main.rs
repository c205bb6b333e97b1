//! Cuts the power at random moments: the reopened store has everything that it promised to keep,
//! and nothing is torn.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "a test program has no outside")]

mod chain;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod disk_tests;
mod mount;
mod oracle;
mod script;
mod victim;

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chain::{Chain, Faults, LIVES, Tally};
use common::from_env;
use disk::{Disk, Honesty};
use mount::{Mounted, Power};
use script::Style;

/// The victim, if this program was started as one.
#[test]
fn victim() {
    victim::live();
}

/// Reports whether a file system can be mounted.
///
/// If not, it prints that past the test harness; with `PROCSTATE_REQUIRE_FUSE` it fails if
/// `/dev/fuse` exists.
fn can_mount() -> bool {
    mount::clean_leftovers();
    let folder = mount::folder();
    let mounted = Mounted::new(&Power::new(Disk::new()), folder.path());
    let Err(error) = mounted else { return true };
    let is_required = std::env::var_os("PROCSTATE_REQUIRE_FUSE").is_some_and(|value| value != "0");
    assert!(!(is_required && Path::new("/dev/fuse").exists()), "cannot mount a FUSE file system: {error}");
    common::ignored(&format!("no power cuts, because no FUSE file system can be mounted here ({error})"));
    false
}

/// Cuts the power `cuts` times, on two stores in parallel, until the first failure.
fn cut_all(seed: u64, chains: impl Iterator<Item = u64>, cuts: u64) -> Result<Tally, String> {
    let chains: Vec<u64> = chains.collect();
    let (next, left) = (AtomicU64::new(0), AtomicU64::new(cuts));
    let outcome = Mutex::new(Ok(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(number) = chains.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let mut chain = Chain::new(seed, *number, Faults::NONE);
                    for _ in 0..LIVES {
                        let is_left =
                            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
                        if is_left.is_err() || outcome.lock().unwrap().is_err() {
                            return;
                        }
                        let cut = chain.cut();
                        let mut outcome = outcome.lock().unwrap();
                        match (&mut *outcome, cut) {
                            (Ok(tally), Ok(cut)) => tally.add(cut),
                            (Ok(_), Err(why)) => *outcome = Err(why),
                            (Err(_), _) => {}
                        }
                    }
                }
            });
        }
    });
    outcome.into_inner().unwrap()
}

#[test]
fn power_cuts_keep_all_promises() {
    if !can_mount() {
        return;
    }
    let cuts = from_env("PROCSTATE_CUTS").unwrap_or(200);
    let seed = from_env("PROCSTATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let chains = match from_env("PROCSTATE_CHAIN") {
        Some(chain) => chain..chain + 1,
        None => 0..cuts.div_ceil(LIVES),
    };
    let started = Instant::now();
    let tally = cut_all(seed, chains, cuts).unwrap_or_else(|why| panic!("{why}"));
    let _ = writeln!(std::io::stderr(), "\npower cuts, seed {seed}, {:?}: {tally:?}", started.elapsed());
    if tally.cuts >= 100 {
        let is_telling = tally.acknowledged > 50 * tally.cuts
            && tally.lost > 0
            && tally.opening > 0
            && tally.after_kills > 0;
        assert!(is_telling, "the test tests next to nothing: {tally:?}");
    }
}

/// Returns the first failure in a chain with faults.
fn first_failure(faults: Faults, cuts: u64) -> Option<String> {
    (0..cuts.div_ceil(LIVES)).find_map(|number| {
        let mut chain = Chain::new(7, number, faults);
        (0..LIVES).find_map(|_| chain.cut().err())
    })
}

/// The canary: if a lying disk went unnoticed, the other test would be worthless.
#[test]
fn a_lying_disk_is_detected() {
    if !can_mount() {
        return;
    }
    for honesty in [Honesty::NeverSyncs, Honesty::ForgetsSectors, Honesty::ForgetsNames] {
        let found = first_failure(Faults { honesty, ..Faults::NONE }, 30);
        let why = found.unwrap_or_else(|| panic!("not detected: {honesty:?}"));
        println!("{honesty:?}: {why}");
    }
}

/// The same for the limit on lost buffered writes.
#[test]
fn a_store_that_syncs_too_late_is_detected() {
    if !can_mount() {
        return;
    }
    let late = Some(Duration::from_secs(3600));
    let faults = Faults { sync_interval: late, style: Some(Style::Buffered), ..Faults::NONE };
    println!("{}", first_failure(faults, 20).expect("not detected"));
}
