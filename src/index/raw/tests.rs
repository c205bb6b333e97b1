use std::collections::BTreeMap;

use super::*;
use crate::index::{Index, Options};

const OPTIONS: Options =
    Options { cache_bytes: 1 << 20, verify: true, copy_of: None, store: None, mode: 0o600 };

type Found = BTreeMap<Bytes, Vec<Bytes>>;

fn found(dir: &Path) -> Found {
    let mut found = Found::new();
    read(dir, &|_| (), &mut |key, value| found.entry(key).or_default().push(value)).unwrap();
    found
}

fn key(n: u32) -> Vec<u8> {
    format!("some common beginning {n:06}").into_bytes()
}

fn value(n: u32, round: u32) -> Vec<u8> {
    let large = if n.is_multiple_of(97) { 20_000 } else { 60 };
    format!("{n} {round} ").into_bytes().into_iter().cycle().take(large + n as usize % 7).collect()
}

/// Creates an index with some history and closes it.
fn written(dir: &Path) {
    let index = Index::open(dir, &OPTIONS).unwrap();
    for round in 0..4 {
        for n in (round..600).step_by(round as usize + 1) {
            let written: std::result::Result<(), ()> =
                index.transact(|transaction| transaction.put(&key(n), &value(n, round))).unwrap();
            written.unwrap();
        }
        index.sync().unwrap();
    }
    index.close().unwrap();
}

/// Returns the newest value of each key.
fn newest(n: u32) -> Vec<u8> {
    let round = (0..4).rev().find(|round| n >= *round && (n - round).is_multiple_of(round + 1)).unwrap();
    value(n, round)
}

#[test]
fn finds_everything_that_sled_does() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let found = found(folder.path());
    for n in 0..600 {
        let values = &found[&key(n)[..]];
        assert!(values.iter().any(|value| *value == newest(n)), "{n}: {} values", values.len());
    }
}

#[test]
fn reports_progress() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let told = std::cell::Cell::new(0);
    read(folder.path(), &|bytes| told.set(told.get() + bytes), &mut |_, _| ()).unwrap();
    assert_eq!(told.get(), fs::metadata(folder.path().join("db")).unwrap().len());
}

/// Reading each of them to its end would take hours.
#[test]
fn messages_that_claim_much_cost_little() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let log = folder.path().join("db");
    let sound = fs::read(&log).unwrap();
    // A node of almost half a segment.
    let fake = [7, 7, 7, 7, 8, 250, 0, 0, 3, 1, 1];
    let bytes = [sound, fake.repeat((4 << 20) / fake.len())].concat();
    fs::write(&log, bytes).unwrap();
    let found = found(folder.path());
    let missing = (0..600).filter(|n| !found.contains_key(&key(*n)[..])).count();
    assert_eq!(missing, 0);
}

/// A flipped bit costs few records, wherever it is.
#[test]
fn finds_nearly_everything_in_a_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let log = folder.path().join("db");
    let sound = fs::read(&log).unwrap();
    let step = sound.len() / 40;
    for at in (7..sound.len()).step_by(step) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&log, damaged).unwrap();
        let found = found(folder.path());
        let is_missing = |n: &u32| {
            let values = found.get(&key(*n)[..]);
            !values.is_some_and(|values| values.iter().any(|value| *value == newest(*n)))
        };
        let missing = (0..600).filter(is_missing).count();
        assert!(missing <= 16, "byte {at}: {missing} are missing");
    }
}

#[test]
fn truncated_or_missing_files_are_read_as_far_as_possible() {
    let folder = tempfile::tempdir().unwrap();
    assert!(found(folder.path()).is_empty());
    written(folder.path());
    let log = folder.path().join("db");
    let sound = fs::read(&log).unwrap();
    for part in 0..8 {
        fs::write(&log, &sound[..sound.len() * part / 8]).unwrap();
        found(folder.path());
    }
}
