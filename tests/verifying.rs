//! Stores that are verified in the background: `StoreBuilder::verify(Verify::InBackground)`.

mod common;

use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use common::{copy_as_it_is, small};
use procstate::{Params, ProcessHandle, Store, Verify};
use tempfile::TempDir;

const ITEMS: usize = 20_000;

/// A store whose program died.
fn killed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("original");
    let store = small().open(&path).unwrap();
    let process = store.process("p").unwrap();
    process.register_all((0..ITEMS).map(|n| (format!("w{n:05}"), Params::new().int("n", n as i64)))).unwrap();
    process.register("last", Params::new()).unwrap();
    copy_as_it_is(&path, &folder.path().join("store"));
    drop(store);
    folder
}

fn open(folder: &TempDir) -> Store {
    small().verify(Verify::InBackground).open(folder.path().join("store")).unwrap()
}

fn process(store: &Store) -> ProcessHandle {
    store.process("p").unwrap()
}

fn items(store: &Store) -> usize {
    process(store).counts().unwrap().states.values().sum::<u64>() as usize
}

fn is_verifying(folder: &TempDir) -> bool {
    folder.path().join("store/VERIFYING").exists()
}

/// Deletes a record from the index, which leaves no trace but the sum of all records.
fn lose_a_record(index: &Path) {
    let db = sled::Config::new().path(index).open().unwrap();
    let (key, _) = db.range([1]..[2]).nth(ITEMS / 2).unwrap().unwrap();
    db.remove(key).unwrap().unwrap();
    db.flush().unwrap();
}

#[test]
fn an_intact_store_is_verified_while_it_is_open() {
    let folder = killed();
    for round in 0..3 {
        let store = open(&folder);
        assert_eq!(items(&store), ITEMS + 1 + round);
        process(&store).register(&format!("another {round}"), Params::new()).unwrap();
        // The commit waited for it.
        assert!(!is_verifying(&folder));
        store.wait_until_verified().unwrap();
        store.clone().close().unwrap();
        assert!(store.wait_until_verified().unwrap_err().is_closed());
    }
    assert_eq!(small().open(folder.path().join("store")).unwrap().open_report().rebuilt, None);
}

#[test]
fn damage_is_found_while_writers_wait_and_repaired_by_the_next_opening() {
    let folder = killed();
    let index = folder.path().join("store/index");
    lose_a_record(&index);
    let store = open(&folder);
    let errors: Vec<_> = thread::scope(|scope| {
        let write = |n| process(&store).register(&format!("another {n}"), Params::new()).unwrap_err();
        let writers: Vec<_> = (0..4).map(|n| scope.spawn(move || write(n))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    for error in errors {
        assert!(error.is_poisoned(), "{error}");
        assert!(error.to_string().contains("opening it again repairs it"), "{error}");
    }
    assert!(store.wait_until_verified().unwrap_err().is_poisoned());
    assert!(store.backup(folder.path().join("backup")).unwrap_err().is_poisoned());
    drop(store);
    assert!(is_verifying(&folder));
    let store = open(&folder);
    assert!(store.open_report().rebuilt.is_some());
    assert_eq!(items(&store), ITEMS + 1);
    assert!(!is_verifying(&folder));
    store.close().unwrap();
}

#[test]
fn closing_does_not_wait_for_the_verification() {
    let folder = killed();
    let store = open(&folder);
    let waiter = thread::spawn({
        let store = store.clone();
        move || store.wait_until_verified()
    });
    thread::sleep(Duration::from_millis(1));
    store.close().unwrap();
    // Whichever was faster.
    if let Err(error) = waiter.join().unwrap() {
        assert!(error.is_closed(), "{error}");
    }
    assert!(!is_verifying(&folder));
    let store = small().open(folder.path().join("store")).unwrap();
    assert_eq!(items(&store), ITEMS + 1);
    assert_eq!(store.open_report().rebuilt, None);
}

/// Found by the damage harness: opening wrote over the evidence before it had read what it contradicts.
#[test]
fn a_store_with_a_file_of_a_diverged_copy_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [path, fork] = ["store", "fork"].map(|name| folder.path().join(name));
    // The index has the commits of all segments but the last, which are all there.
    let builder = || small().snapshot_log_bytes(1 << 20);
    let register = |path: &Path, names: Range<usize>| {
        let store = builder().open(path).unwrap();
        for n in names {
            let params = Params::new().string("pad", "x".repeat(2000));
            store.process("p").unwrap().register(&format!("w{n}"), params).unwrap();
        }
        store.close().unwrap();
    };
    register(&path, 0..10);
    Store::copy_files(&path, &fork).unwrap();
    register(&path, 10..40);
    register(&fork, 10..20);
    std::fs::copy(fork.join("SYNCED"), path.join("SYNCED")).unwrap();
    let error = builder().open(&path).unwrap_err();
    assert!(error.to_string().contains("another history"), "{error}");
    for _ in 0..2 {
        let again = builder().verify(Verify::InBackground).open(&path).unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
    }
    std::fs::remove_file(path.join("SYNCED")).unwrap();
    let store = builder().verify(Verify::InBackground).open(&path).unwrap();
    assert_eq!(items(&store), 40);
}
