//! What a closed store takes of the disk, as the file system counts it. It does not depend on the
//! machine. `PROCSTATE_UPDATES=1000000 cargo test --release --all-features --test size -- --nocapture`
//! prints the figures of docs/performance.md.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::from_env;
use procstate::recovery::read_log;
use procstate::{Params, Store, StoreBuilder};

const ITEMS: usize = 100;

const KIB: u64 = 1 << 10;

fn on_disk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let bytes = |entry: fs::DirEntry| match entry.metadata().unwrap() {
        folder if folder.is_dir() => on_disk(&entry.path()),
        file => file.blocks() * 512,
    };
    entries.map(bytes).sum()
}

/// Opens the store, uses it, and closes it; returns its size afterwards.
fn session(builder: StoreBuilder, folder: &Path, use_it: impl FnOnce(&Store)) -> u64 {
    let store = builder.open(folder).unwrap();
    use_it(&store);
    store.close().unwrap();
    let parts = ["wal", "snapshots", "index"].map(|part| format!("{part} {}", on_disk(&folder.join(part))));
    println!("{} bytes: {}", on_disk(folder), parts.join(", "));
    on_disk(folder)
}

fn register(store: &Store) {
    let items = (0..ITEMS).map(|item| (format!("project-{item:06}"), Params::new().int("keysPerAccount", 8)));
    store.process("gckeys").unwrap().register_all(items).unwrap();
}

fn update(store: &Store, updates: usize) {
    let process = store.process("gckeys").unwrap();
    let mut run = common::won(&process);
    let mut left = updates;
    while let Some(mut work) = run.next_work().unwrap() {
        for _ in 0..left.min(updates.div_ceil(ITEMS)) {
            work.add_stat("keysRemoved", 1.0);
            let _ = work.progress().unwrap();
            left -= 1;
        }
    }
    run.finish().unwrap();
}

#[test]
fn a_closed_store_is_little_larger_than_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let small = session(Store::builder(), folder.path(), register);
    assert!(small <= 256 * KIB, "{small}");
    for _ in 0..3 {
        let again = session(Store::builder(), folder.path(), |store| {
            store.process("gckeys").unwrap().register("one more", Params::new()).unwrap();
        });
        assert!(again <= 256 * KIB, "{again}, opened again");
    }
    let updates = from_env("PROCSTATE_UPDATES").unwrap_or(20_000) as usize;
    let updated = session(Store::builder(), folder.path(), |store| update(store, updates));
    assert!(updated <= 1024 * KIB, "{updated} after {updates} updates");
    let again = session(Store::builder(), folder.path(), |_| ());
    assert!(again <= 1024 * KIB, "{again}, opened again");
}

/// For `procstate log`, and to restore any commit.
#[test]
fn history_is_kept_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let builder = || Store::builder().log_history_bytes(64 << 20);
    session(builder(), folder.path(), register);
    let bytes = session(builder(), folder.path(), |store| update(store, 5000));
    let mut commits = 0;
    read_log(folder.path(), 0, |_| {
        commits += 1;
        Ok(())
    })
    .unwrap();
    assert!(commits > 5000, "{commits}");
    assert!(bytes > 1024 * KIB, "{bytes}");
}
