//! Kills a program with SIGKILL at random moments while it registers many items: the reopened store
//! has every acknowledged call, and only whole commits, in name order, of the interrupted one.
//!
//! The victim is this test program itself. Its store is so small that checkpoints and snapshots are
//! always in progress. Long run: `PROCSTATE_KILLS=300 cargo test --release --all-features --test
//! bulk_kill`.

mod common;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use common::{any_verify, check, from_env, small};
use procstate::{Params, Store};

const FOLDER: &str = "PROCSTATE_TEST_VICTIM";

/// The items per call.
const ITEMS: usize = 3000;

/// The items per commit.
const COMMIT: usize = 1000;

/// Above this number of items a new store is started.
const ITEMS_MAX: usize = 10 * ITEMS;

fn name(item: usize) -> String {
    format!("item-{item:06}")
}

fn params(item: usize) -> Params {
    Params::new().int("n", item as i64).string("pad", "x".repeat(item % 200))
}

#[test]
fn victim() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = small().verify(any_verify()).open(folder).unwrap();
    let process = store.process("p").unwrap();
    // Repeats an interrupted call.
    let had = if process.exists().unwrap() { process.summary().unwrap().active as usize } else { 0 };
    for call in had / ITEMS.. {
        let items = call * ITEMS..(call + 1) * ITEMS;
        process.register_all(items.map(|item| (name(item), params(item)))).unwrap();
        // One write per line: what is printed was acknowledged.
        std::io::stdout().write_all(format!("\n@{}\n", (call + 1) * ITEMS).as_bytes()).unwrap();
    }
}

/// Returns the number of items, which must be the first ones in whole commits.
fn inspect(folder: &Path, acknowledged: usize, context: &str) -> usize {
    let store = small().open(folder).unwrap_or_else(|error| panic!("{context}: {error}"));
    check(&store);
    let found = items(&store, context);
    assert!(found >= acknowledged, "{context}: {found} items of {acknowledged} that were acknowledged");
    assert_eq!(found % COMMIT, 0, "{context}: a part of a commit");
    store.close().unwrap();
    found
}

fn items(store: &Store, context: &str) -> usize {
    let process = store.process("p").unwrap();
    if !process.exists().unwrap() {
        return 0;
    }
    let active = process.snapshot().unwrap().active_work;
    for (item, (found, work)) in active.iter().enumerate() {
        assert_eq!((found, &work.params), (&name(item), &Some(params(item))), "{context}");
    }
    active.len()
}

#[test]
fn kills_during_bulk_registration_leave_whole_commits() {
    let kills = from_env("PROCSTATE_KILLS").unwrap_or(10);
    let seed = from_env("PROCSTATE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut folder = tempfile::tempdir().unwrap();
    let (mut had, mut halfway, mut added) = (0, 0, 0);
    for kill in 0..kills {
        if had >= ITEMS_MAX {
            (folder, had) = (tempfile::tempdir().unwrap(), 0);
        }
        let (calls, delay) = (random.usize(0..3), Duration::from_micros(random.u64(0..400_000)));
        let context = format!("PROCSTATE_SEED={seed}, kill {kill}, after {calls} calls and {delay:?}");
        let acknowledged = common::kill_after(FOLDER, folder.path(), calls, delay).max(had);
        let found = inspect(folder.path(), acknowledged, &context);
        added += found - had;
        halfway += usize::from(!found.is_multiple_of(ITEMS));
        had = found;
    }
    println!("{kills} kills: {added} items, {halfway} halfway through a call");
    assert!(added > 0, "nothing was registered: the test tests nothing");
}
