//! Flips every byte of every file of a small store in turn, truncates every file at every length,
//! and deletes it: verify reports the damage or it does not matter, opening returns everything or
//! refuses, salvage recovers every record that is intact somewhere, and nothing is ever invented.
//!
//! By default it uses a store of a killed program with a few records, every eighth byte from a random
//! one on, and a sample of zero bytes and of lengths. For all bytes and lengths but those amid zeroes,
//! of which it takes every 64th, and a larger store that was also closed:
//! `PROCSTATE_EVERY_BYTE=1 cargo test --release --all-features --test every_byte`.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{copy_as_it_is, won};
use procstate::recovery::{self, LogEntry, Options, Salvaged, SalvagedRecord, Severity, Until};
use procstate::{Params, Process, Store};
use tempfile::TempDir;

/// Identifies a record: process, kind, work.
type Name = (String, &'static str, Option<String>);

/// A small store and its history.
struct Original {
    folder: TempDir,
    content: Process,
    records: BTreeMap<Name, u64>,
    /// Every version that a record ever had, if known.
    history: Option<BTreeSet<(Name, u64)>>,
}

/// Creates a folder, in memory if possible, since thousands of syncs would take long.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything is in the index.
    Closed,
    /// Half of it is only in the log.
    Killed,
}

impl Original {
    fn new(end: End) -> Self {
        let folder = folder();
        let (running, state) = (folder.path().join("running"), folder.path().join("state"));
        let made = folder.path().join("made");
        let store = Store::open(&made).unwrap();
        write_first(&store);
        store.close().unwrap();
        // The first writes are only in a snapshot and an index.
        let backup = folder.path().join("backup");
        Store::open(&made).unwrap().backup(&backup).unwrap();
        recovery::restore(&backup, &running, Until::End).unwrap();
        let builder = Store::builder().segment_bytes(16 << 10).sync_interval(Duration::from_millis(5));
        let store = builder.open(&running).unwrap();
        write_then(&store);
        let content = store.process("p").unwrap().snapshot().unwrap();
        // Waits until SYNCED covers the whole log.
        std::thread::sleep(Duration::from_millis(50));
        if end == End::Killed {
            copy_as_it_is(&running, &state);
        }
        store.close().unwrap();
        if end == End::Closed {
            copy_as_it_is(&running, &state);
        }
        let (_, records) = salvage(&state).unwrap();
        let records: BTreeMap<Name, u64> = records.into_iter().map(named).collect();
        let history = Some(history(&state, &records));
        Self { folder, content, records, history }
    }

    /// A store written by an earlier version.
    fn of_fixture(name: &str) -> Self {
        let folder = folder();
        let (state, copy) = (folder.path().join("state"), folder.path().join("copy"));
        copy_as_it_is(&Path::new("tests/fixtures").join(name).join("store"), &state);
        copy_as_it_is(&state, &copy);
        let content = open(&copy, "gckeys").unwrap();
        let (_, records) = salvage(&state).unwrap();
        Self { folder, content, records: records.into_iter().map(named).collect(), history: None }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

fn write_first(store: &Store) {
    let process = store.process("p").unwrap();
    process.register("a", Params::new().int("n", 0)).unwrap();
    process.unregister("x").unwrap();
    if wants_all() {
        run(store);
    }
}

/// Makes the writes that only the log has when the program is killed.
fn write_then(store: &Store) {
    let process = store.process("p").unwrap();
    process.register("a", Params::new().int("n", 1)).unwrap();
    process.register("b", Params::new()).unwrap();
    if wants_all() {
        process.unregister("b").unwrap();
        run(store);
    }
}

fn run(store: &Store) {
    let mut run = won(&store.process("p").unwrap());
    while let Some(mut work) = run.next_work().unwrap() {
        work.add_stat("n", 1.0);
    }
    run.finish().unwrap();
}

fn named(record: SalvagedRecord) -> (Name, u64) {
    ((record.process, record.record, record.work), record.version)
}

/// Returns every version of each record, from the log and what preceded it.
fn history(store: &Path, records: &BTreeMap<Name, u64>) -> BTreeSet<(Name, u64)> {
    let mut history: BTreeSet<_> = records.clone().into_iter().collect();
    recovery::read_log(store, 0, |entry| {
        if let LogEntry::Commit(commit) = entry {
            let names = commit.changes.into_iter().map(|change| (change.process, change.record, change.work));
            history.extend(names.map(|name| (name, commit.seq)));
        }
        Ok(())
    })
    .unwrap();
    let without_log = folder();
    copy_as_it_is(store, &without_log.path().join("state"));
    fs::remove_dir_all(without_log.path().join("state/wal")).unwrap();
    let (_, older) = salvage(&without_log.path().join("state")).unwrap();
    history.extend(older.into_iter().map(named));
    history
}

fn salvage(store: &Path) -> procstate::Result<(Salvaged, Vec<SalvagedRecord>)> {
    let (into, scratch) = (folder(), folder());
    let mut records = Vec::new();
    let options = Options::default().scratch(scratch.path());
    let salvaged = recovery::salvage(store, into.path(), options, |record| records.push(record))?;
    Ok((salvaged, records))
}

fn open(store: &Path, process: &str) -> procstate::Result<Process> {
    let store = Store::builder().create(false).open(store)?;
    store.process(process)?.snapshot()
}

/// The effect of damage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    is_reported: bool,
    is_refused: bool,
    missing: u64,
}

/// Checks a damaged store, which is consumed.
fn check(original: &Original, store: &Path, damage: &str) -> Outcome {
    let before = bytes(store);
    let scratch = folder();
    let mut worst = None;
    let verified = recovery::verify(store, Options::default().scratch(scratch.path()), |finding| {
        assert!(finding.what.len() > 5 && !finding.what.contains("panicked"), "{damage}: {finding:?}");
        worst = worst.max(Some(finding.severity));
    });
    let salvaged = salvage(store);
    assert!(bytes(store) == before, "{damage}: the original was changed");
    let (verified, (salvaged, records)) = match (verified, salvaged) {
        (Ok(verified), Ok(salvaged)) => (verified, salvaged),
        (verified, salvaged) => panic!("{damage}: {verified:?} {salvaged:?}"),
    };
    check_salvaged(original, &salvaged, &records, damage);
    let process = &original.content.process_name;
    let opened = open(store, process);
    assert_eq!(opened.is_err(), verified.refused.is_some(), "{damage}: {verified:?} {opened:?}");
    if let Ok(content) = &opened {
        assert!(*content == original.content, "{damage}: opened with other content");
        assert!(salvaged.is_complete(), "{damage}: opens and cannot be salvaged: {salvaged:?}");
    }
    let is_reported = worst >= Some(Severity::Warning);
    assert_eq!(is_reported, !verified.is_sound(), "{damage}: {worst:?} {verified:?}");
    if !is_reported {
        // Opening wrote at most a new snapshot; the copies have everything.
        fs::remove_dir_all(store.join("index")).unwrap();
        assert!(open(store, process).unwrap() == original.content, "{damage}: not reported, and it matters");
    }
    Outcome {
        is_reported,
        is_refused: opened.is_err(),
        missing: salvaged
            .missing
            .iter()
            .map(|range| range.last.map_or(99, |last| last - range.first + 1))
            .sum(),
    }
}

/// Checks that each record has its last version, unless the commit that wrote it is missing, and
/// that none is invented.
fn check_salvaged(original: &Original, salvaged: &Salvaged, records: &[SalvagedRecord], damage: &str) {
    let is_missing = |seq: u64| {
        salvaged.missing.iter().any(|range| range.first <= seq && range.last.is_none_or(|last| seq <= last))
    };
    let found: BTreeMap<Name, u64> = records.iter().cloned().map(named).collect();
    for (name, version) in &found {
        let known =
            original.history.as_ref().is_none_or(|history| history.contains(&(name.clone(), *version)));
        assert!(known, "{damage}: invented {name:?} {version}");
    }
    for (name, version) in &original.records {
        let found = found.get(name);
        let is_fine =
            found == Some(version) || (is_missing(*version) && found.is_none_or(|found| found < version));
        assert!(is_fine, "{damage}: {name:?} {version} is {found:?}; {salvaged:?}");
    }
}

fn bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder).into_iter().map(|path| (path.clone(), fs::read(folder.join(path)).unwrap())).collect()
}

/// Returns the relative paths of a store's files except the lock.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("LOCK") {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A way to damage a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Damage {
    Flip(usize),
    Cut(usize),
    Delete,
}

impl Damage {
    fn apply(&self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match *self {
            Self::Flip(at) => bytes[at] ^= 1 << (at % 8),
            Self::Cut(length) => bytes.truncate(length),
            Self::Delete => return fs::remove_file(path).unwrap(),
        }
        fs::write(path, bytes).unwrap();
    }
}

fn wants_all() -> bool {
    std::env::var_os("PROCSTATE_EVERY_BYTE").is_some()
}

/// Returns every eighth byte, a sample of zero bytes, and every 32nd length; or every byte and length
/// and a larger sample of those amid zeroes, if requested.
fn damages(bytes: &[u8]) -> Vec<Damage> {
    // Each run of the test takes others.
    let first = fastrand::usize(..8);
    let is_amid_zeroes = |at: usize| {
        let around = &bytes[at.saturating_sub(16)..bytes.len().min(at + 16)];
        around.iter().all(|byte| *byte == 0)
    };
    let is_wanted = |at: usize, step: usize| {
        // Free space, where one byte is like another.
        let step = match (is_amid_zeroes(at), wants_all()) {
            (false, true) => 1,
            (false, false) => step,
            (true, true) => 64,
            (true, false) => 1024,
        };
        at % step == first % step
    };
    let flips = (0..bytes.len()).filter(|at| is_wanted(*at, 8)).map(Damage::Flip);
    let cuts = (0..bytes.len()).filter(|at| is_wanted(*at, 32)).map(Damage::Cut);
    flips.chain(cuts).chain([Damage::Delete]).collect()
}

/// Returns a sample of each kind.
fn some_damages(bytes: &[u8]) -> Vec<Damage> {
    let step = |parts: usize| (bytes.len() / parts).max(1);
    let flips = (0..bytes.len()).step_by(step(5)).map(|at| Damage::Flip((at + at / 97) % bytes.len()));
    let cuts = (0..bytes.len()).step_by(step(2)).map(Damage::Cut);
    flips.chain(cuts).chain([Damage::Delete]).collect()
}

fn damage_each(original: &Original, file: &Path, damages: fn(&[u8]) -> Vec<Damage>) {
    let bytes = fs::read(original.path().join(file)).unwrap();
    let damages = damages(&bytes);
    let (next, outcomes) = (AtomicUsize::new(0), parking_lot::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(damage) = damages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let copy = folder();
                    let store = copy.path().join("state");
                    copy_as_it_is(&original.path(), &store);
                    damage.apply(&store.join(file));
                    let outcome = check(original, &store, &format!("{} {damage:?}", file.display()));
                    outcomes.lock().push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner();
    let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    println!(
        "{}: {} ways, {} reported, {} refused, {} with missing commits",
        file.display(),
        outcomes.len(),
        count(|outcome| outcome.is_reported),
        count(|outcome| outcome.is_refused),
        count(|outcome| outcome.missing > 0)
    );
}

fn every_byte(end: End) {
    let original = Original::new(end);
    for file in files(&original.path()) {
        damage_each(&original, &file, damages);
    }
}

#[test]
fn of_a_closed_store() {
    if wants_all() {
        every_byte(End::Closed);
    }
}

#[test]
fn of_a_killed_store() {
    every_byte(End::Killed);
}

/// A sample only, on stores kept as earlier versions wrote them.
#[test]
fn of_stores_of_earlier_versions() {
    for name in ["format-1", "format-2-closed", "format-2-killed", "format-3-closed", "format-3-killed"] {
        println!("{name}");
        let original = Original::of_fixture(name);
        for file in files(&original.path()) {
            damage_each(&original, &file, some_damages);
        }
    }
}
