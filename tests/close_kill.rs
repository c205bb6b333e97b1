//! Kills a program with SIGKILL at random moments, mostly while it closes its store and frees
//! space: the reopened store has everything acknowledged, even without its index, since snapshot
//! and log are a second copy at all times.
//!
//! The victim is this test program itself. It repeatedly opens its store, registers a few items,
//! and closes it. Long run:
//! `PROCSTATE_KILLS=1000 cargo test --release --all-features --test close_kill`.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use common::{any_verify, check, from_env};
use procstate::{Params, Store, StoreBuilder};

const FOLDER: &str = "PROCSTATE_TEST_VICTIM";

/// The number of items above which a new store is started.
const ITEMS_MAX: usize = 300;

/// Log files longer than their content, and sometimes more log than is kept.
fn builder(item: usize) -> StoreBuilder {
    let kept = if (item / 20).is_multiple_of(2) { 1 << 20 } else { 0 };
    Store::builder().segment_bytes(512 << 10).snapshot_log_bytes(1 << 20).log_history_bytes(kept)
}

fn name(item: usize) -> String {
    format!("item-{item:06}")
}

fn params(item: usize) -> Params {
    let pad = if item.is_multiple_of(7) { 30_000 } else { item % 200 };
    Params::new().int("n", item as i64).string("pad", "x".repeat(pad))
}

fn count(store: &Store) -> usize {
    let process = store.process("p").unwrap();
    if process.exists().unwrap() { process.summary().unwrap().active as usize } else { 0 }
}

#[test]
fn victim() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut had = 0;
    loop {
        let store = builder(had).verify(any_verify()).open(&folder).unwrap();
        had = count(&store);
        let process = store.process("p").unwrap();
        for _ in 0..1 + had % 3 {
            process.register(&name(had), params(had)).unwrap();
            had += 1;
            // One write per line: what is printed was acknowledged.
            std::io::stdout().write_all(format!("\n@{had}\n").as_bytes()).unwrap();
        }
        store.close().unwrap();
    }
}

fn inspect(folder: &Path, acknowledged: usize, without_index: bool, context: &str) -> usize {
    if without_index && folder.join("index").exists() {
        fs::remove_dir_all(folder.join("index")).unwrap();
    }
    let store = builder(1).open(folder).unwrap_or_else(|error| panic!("{context}: {error}"));
    check(&store);
    let process = store.process("p").unwrap();
    let active =
        if process.exists().unwrap() { process.snapshot().unwrap().active_work } else { Default::default() };
    for (item, (found, work)) in active.iter().enumerate() {
        assert_eq!((found, &work.params), (&name(item), &Some(params(item))), "{context}");
    }
    assert!(active.len() >= acknowledged, "{context}: {} items of {acknowledged}", active.len());
    active.len()
}

#[test]
fn kills_during_close_keep_everything_acknowledged() {
    let kills = from_env("PROCSTATE_KILLS").unwrap_or(20);
    let seed = from_env("PROCSTATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut folder = tempfile::tempdir().unwrap();
    let (mut had, mut unfinished) = (0, 0);
    for kill in 0..kills {
        if had >= ITEMS_MAX {
            (folder, had) = (tempfile::tempdir().unwrap(), 0);
        }
        let (times, delay) = (random.usize(1..8), Duration::from_micros(random.u64(0..60_000)));
        let without_index = random.bool();
        let context = format!(
            "PROCSTATE_SEED={seed}, kill {kill}, {delay:?} after {times} items, without index: {without_index}"
        );
        let acknowledged = common::kill_after(FOLDER, folder.path(), times, delay).max(had);
        let names = fs::read_dir(folder.path().join("wal")).unwrap().map(|entry| entry.unwrap().file_name());
        unfinished += names.filter(|name| name.to_string_lossy().ends_with(".new")).count();
        had = inspect(folder.path(), acknowledged, without_index, &context);
    }
    println!("{kills} kills: {unfinished} left a file that was not finished");
    assert!(had > 0, "nothing was registered: the test tests nothing");
}
