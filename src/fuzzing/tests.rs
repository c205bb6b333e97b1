//! Runs the properties briefly, on arbitrary bytes and on damaged seeds, and generates the seeds of
//! the fuzzer.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, iter};

use proptest::collection::vec;
use proptest::prelude::*;

use super::fixture::original::{Files, History, Original, files, scratch};
use crate::disk::ReadOnlyDisk;
use crate::engine::wal::{Found, SegmentDirectory, walk};
use crate::engine::{Batch, Durability, DurableEngine, Engine, Options};
use crate::folder::Folder;
use crate::index;
use crate::model::List;
use crate::proto::Params;
use crate::record::{Key, Record};
use crate::run::{Claim, ClaimOptions, Instance, Progress, Run};
use crate::store::{ProcessHandle, Store};

fn seeds(target: &str) -> Files {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target))
}

struct Input(Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Checks a property on the seeds of a target, and `cases` times on a mutated seed or arbitrary
/// bytes.
fn check(target: &str, cases: u32, property: impl Fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target}");
    seeds.iter().for_each(|(_, seed)| property(seed));
    let mutated = (any::<prop::sample::Index>(), vec((any::<prop::sample::Index>(), any::<u8>()), 1..5));
    let mutated = mutated.prop_map(move |(seed, changes)| {
        let mut bytes = seed.get(&seeds).1.clone();
        changes.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
        bytes
    });
    let input = prop_oneof![3 => mutated, 1 => vec(any::<u8>(), 0..300)].prop_map(Input);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(input in input)| property(&input.0));
}

#[test]
fn log() {
    check("log", 200, super::log);
}

#[test]
fn archive() {
    check("archive", 30, |bytes| super::archive(bytes, scratch().path()));
}

#[test]
fn record() {
    check("record", 1000, super::record);
}

#[test]
fn manifest() {
    check("manifest", 1000, super::manifest);
}

#[cfg(feature = "json")]
#[test]
fn json() {
    check("json", 200, super::interchange);
}

#[cfg(feature = "json")]
#[test]
fn binary() {
    check("binary", 200, super::interchange);
}

#[test]
fn the_history_of_the_original_is_whole() {
    assert!(Original::load().history.is_whole());
}

#[test]
fn store() {
    check("store", 30, |bytes| super::store(bytes, scratch().path()));
}

fn won(process: &ProcessHandle) -> Run {
    let options = ClaimOptions::new().force(true).progress_interval(Duration::ZERO);
    match process.claim_with(&Instance::new(), &options).unwrap() {
        Claim::Won(run) => run,
        other => panic!("{other:?}"),
    }
}

/// Adds the commits in the log of an open store.
fn note(history: &mut History, store: &Path) {
    let disk = std::sync::Arc::new(ReadOnlyDisk);
    let (log, _) = SegmentDirectory::salvage(disk, &store.join("wal"), None).unwrap();
    walk(&log, 0, &mut |found| {
        if let Found::Commit { seq, entry, .. } = found {
            history.add(seq, entry);
        }
        Ok(())
    })
    .unwrap();
}

fn save(files: &Files, to: &Path) {
    for (path, bytes) in files {
        fs::create_dir_all(to.join(path).parent().unwrap()).unwrap();
        fs::write(to.join(path), bytes).unwrap();
    }
}

/// Uses a store.
///
/// `note` follows every call, before a checkpoint can release the log of that call.
fn live(store: &Store, mut note: impl FnMut()) {
    let process = store.process("gckeys").unwrap();
    store.process("a/b").unwrap().register("x", Params::new().string("s", "y")).unwrap();
    for round in 0..10 {
        let large = Params::new().string("large", "abcdefg".repeat(1000 + round));
        process.register("large", large).unwrap();
        note();
        process.register_all((0..4).map(|n| (format!("w{n}"), Params::new().int("n", n)))).unwrap();
        note();
        let mut run = won(&process);
        while let Some(mut work) = run.next_work().unwrap() {
            work.add_stat("n", 1.0);
            work.add_error("e");
            drop(work);
            note();
        }
        run.finish().unwrap();
        process.unregister(&format!("w{}", round % 4)).unwrap();
        note();
        // Lets a pending checkpoint finish.
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Writes the store that the fuzzer damages, for a new format.
#[test]
#[ignore = "writes fuzz/original"]
fn write_original() {
    let (folder, to) = (scratch(), Original::dir());
    let builder = Store::builder().segment_bytes(16 << 10).memtable_bytes(64 << 10);
    let store = builder.snapshot_log_bytes(64 << 10).open(folder.path()).unwrap();
    let mut history = History::default();
    live(&store, || note(&mut history, folder.path()));
    assert!(store.stats().unwrap().snapshot_seq > 0);
    store.process("gckeys").unwrap().register("last", Params::new()).unwrap();
    let run = won(&store.process("gckeys").unwrap());
    assert_eq!(run.progress_now().unwrap(), Progress::Updated);
    // Waits until SYNCED covers the whole log.
    std::thread::sleep(Duration::from_millis(500));
    note(&mut history, folder.path());
    save(&files(folder.path()), &to.join("killed"));
    std::mem::forget(run);
    store.close().unwrap();
    note(&mut history, folder.path());
    save(&files(folder.path()), &to.join("closed"));
    assert!(history.is_whole(), "a commit was not noted");
    fs::write(to.join("history"), history.encode()).unwrap();
}

/// Writes the seeds of the targets.
#[test]
#[ignore = "writes fuzz/seeds"]
fn write_seeds() {
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let original = Original::load();
    let seed = |target: &str, name: &str, bytes: Vec<u8>| {
        save(&vec![(PathBuf::from(name), bytes)], &to.join(target));
    };
    let manifest = original.killed.iter().find(|(path, _)| path == Path::new("MANIFEST")).unwrap();
    seed("manifest", "sound", manifest.1.clone());
    seed("log", "sound", log_files());
    for (path, bytes) in backup() {
        seed("archive", &path.display().to_string(), bytes);
    }
    for (n, record) in records(&original).into_iter().enumerate() {
        let key = record.key.bytes();
        let bytes = [&[u8::try_from(key.len()).unwrap()], key.as_ref(), record.payload.as_ref()].concat();
        seed("record", &format!("{n}"), bytes);
    }
    for (n, bytes) in damages(original.killed.len()).into_iter().enumerate() {
        seed("store", &format!("{n}"), bytes);
    }
    #[cfg(feature = "json")]
    for name in ["full.json", "full.binpb", "many.binpb"] {
        let target = if name.ends_with("json") { "json" } else { "binary" };
        let fixture = Path::new("tests/fixtures/interchange").join(name);
        seed(target, name, fs::read(fixture).unwrap());
    }
}

/// A log of several short files.
fn log_files() -> Vec<u8> {
    let folder = scratch();
    let index =
        index::Options { cache_bytes: 1 << 20, verify: true, copy_of: None, store: None, mode: 0o600 };
    let options = Options { segment_bytes: 8 << 10, ..Options::default() };
    let engine = DurableEngine::open(Folder::open(folder.path(), true).unwrap(), &index, &options).unwrap();
    let commit = |batch: Batch| engine.commit(batch, Durability::Synced).unwrap();
    for n in 0..3_u8 {
        let item = |list| Key::item("p", list, "w");
        commit(Batch::new().put(Key::owner("p"), vec![n].into()).put(item(List::Active), vec![n; 9].into()));
        commit(Batch::new().delete(item(List::Active)).put(item(List::Cleanup), vec![n; 3000].into()));
    }
    engine.close().unwrap();
    files(&folder.path().join("wal")).into_iter().flat_map(|(_, bytes)| bytes).collect()
}

fn backup() -> Files {
    let folder = scratch();
    let store = Store::open(folder.path().join("state")).unwrap();
    let archives = folder.path().join("archives");
    fs::create_dir(&archives).unwrap();
    store.backup(archives.join("empty")).unwrap();
    let process = store.process("p").unwrap();
    process.register("w", Params::new().int("n", 1)).unwrap();
    won(&process).finish().unwrap();
    store.backup(archives.join("small")).unwrap();
    files(&archives)
}

/// One record of each kind in the original.
fn records(original: &Original) -> Vec<Record> {
    let states = original.history.states();
    let (_, content) = states.last_key_value().unwrap();
    let records = content.iter().filter_map(|(key, (version, payload))| {
        let key = Key::from_bytes(key.clone())?;
        (payload.len() < 1000).then(|| Record { key, version: *version, payload: payload.clone() })
    });
    let mut records: Vec<Record> = records.collect();
    records.dedup_by_key(|record| record.key.kind());
    records
}

/// Every file of the original flipped, zeroed, truncated, deleted, and pairs of these.
fn damages(count: usize) -> Vec<Vec<u8>> {
    let file = |n: usize| u8::try_from(n).unwrap();
    let each = (0..count).flat_map(move |n| {
        let flags = file(n % 16);
        [
            vec![flags, 1, file(n), 0, 16, file(n), 3],
            vec![flags, 2, file(n), 0, 20, 0, 2, 0],
            vec![flags, 3, file(n), 0, 16, 0, file((n + 1) % count), 0, 16, 0, 8, 0],
            vec![flags, 4, file(n), 0, 32, 0],
            vec![flags, 5, file(n), 0, 0, 0, 0, file((n + 3) % count), 0, 32, 0, 2, 1, 2],
        ]
    });
    each.chain(iter::once(vec![0])).chain(iter::once(vec![1])).collect()
}
