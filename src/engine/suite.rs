//! The test suite for all engines.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::bare::BareEngine;
use super::{Batch, Durability, DurableEngine, Engine, Expect, MemoryEngine, Options, Outcome, Received};
use crate::error::Result;
use crate::folder::Folder;
use crate::index::{self, Index};
use crate::model::List;
use crate::model::limits::{COMMIT_BYTES_MAX, RECORD_BYTES_MAX};
use crate::record::{Key, KeyRange, Record};

/// An engine that a test may close and reopen.
pub(crate) struct Subject {
    engine: Option<Box<dyn Engine>>,
    folder: Option<TempDir>,
    open: Box<Opener>,
}

type Opener = dyn Fn(&TempDir) -> Result<Box<dyn Engine>> + Sync;

impl Subject {
    fn memory() -> Self {
        Self { engine: Some(Box::new(MemoryEngine::new())), folder: None, open: Box::new(|_| unreachable!()) }
    }

    /// The index alone.
    fn sled() -> Self {
        Self::on_disk(|folder| Ok(Box::new(BareEngine::new(Index::open(folder.path(), &INDEX)?))))
    }

    fn durable() -> Self {
        Self::on_disk(|folder| Ok(Box::new(open_durable(folder, &Options::default())?)))
    }

    /// Always in the middle of a checkpoint or a snapshot.
    fn durable_small() -> Self {
        Self::on_disk(|folder| Ok(Box::new(open_durable(folder, &small())?)))
    }

    /// With its index deleted before each opening.
    fn durable_rebuilt() -> Self {
        Self::on_disk(|folder| {
            let _ = std::fs::remove_dir_all(folder.path().join("index"));
            Ok(Box::new(open_durable(folder, &small())?))
        })
    }

    /// An engine in another program, which may be connected to again.
    #[cfg(feature = "http")]
    pub(crate) fn remote(open: impl Fn() -> Box<dyn Engine> + Sync + 'static) -> Self {
        Self::on_disk(move |_| Ok(open()))
    }

    /// On an etcd member of its own, so that sequence numbers have no gaps; `None`, reported as
    /// IGNORED, if etcd is not installed.
    #[cfg(feature = "etcd")]
    fn etcd() -> Option<Self> {
        let member = super::etcd::tests::start()?;
        Some(Self::on_disk(move |_| Ok(Box::new(super::etcd::tests::connect(&member)?))))
    }

    fn on_disk(open: impl Fn(&TempDir) -> Result<Box<dyn Engine>> + Sync + 'static) -> Self {
        let open = Box::new(open);
        let mut subject = Self { engine: None, folder: Some(tempfile::tempdir().unwrap()), open };
        subject.reopen();
        subject
    }

    /// Closes and reopens an engine that keeps its records.
    fn reopen(&mut self) {
        let Some(folder) = &self.folder else { return };
        if let Some(engine) = self.engine.take() {
            engine.close().unwrap();
        }
        self.engine = Some((self.open)(folder).unwrap());
    }
}

impl std::ops::Deref for Subject {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        self.engine.as_deref().unwrap()
    }
}

const INDEX: index::Options =
    index::Options { cache_bytes: 1 << 20, verify: true, copy_of: None, store: None, mode: 0o600 };

fn small() -> Options {
    Options {
        sync_interval: Duration::from_millis(1),
        segment_bytes: 16 << 10,
        memtable_bytes: 8 << 10,
        snapshot_log_bytes: 64 << 10,
        ..Options::default()
    }
}

fn open_durable(folder: &TempDir, options: &Options) -> Result<DurableEngine> {
    DurableEngine::open(Folder::open(folder.path(), true)?, &INDEX, options)
}

/// The timeout for delivery over a network.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

fn key(n: usize) -> Key {
    Key::item("p", List::Active, &format!("{n:04}"))
}

fn put(n: usize, payload: &'static [u8]) -> Batch {
    Batch::new().put(key(n), Bytes::from_static(payload))
}

fn commit(engine: &dyn Engine, batch: &Batch) -> u64 {
    match engine.commit(batch.clone(), Durability::Buffered).unwrap() {
        Outcome::Committed(seq) => seq,
        Outcome::Failed(index) => panic!("precondition {index} failed"),
    }
}

fn payload(engine: &dyn Engine, n: usize) -> Option<Vec<u8>> {
    engine.get(&key(n)).unwrap().map(|record| record.payload.to_vec())
}

fn scan(engine: &dyn Engine, range: &KeyRange) -> Vec<Record> {
    let mut records = Vec::new();
    engine
        .scan(range, &mut |record| {
            records.push(record.to_record());
            ControlFlow::Continue(())
        })
        .unwrap();
    records
}

macro_rules! suite {
    ($($(#[$attribute:meta])* fn $name:ident($engine:ident: $type:ty) $body:block)*) => {
        $(fn $name($engine: $type) $body)*

        /// Returns each test with its name, for engines of higher layers.
        #[cfg(feature = "http")]
        pub(crate) fn all() -> Vec<(&'static str, fn(Subject))> {
            vec![$((stringify!($name), $name)),*]
        }

        mod memory {
            $($(#[$attribute])* #[test] fn $name() { super::$name(super::Subject::memory()); })*
        }

        mod sled {
            $($(#[$attribute])* #[test] fn $name() { super::$name(super::Subject::sled()); })*
        }

        mod durable {
            $($(#[$attribute])* #[test] fn $name() { super::$name(super::Subject::durable()); })*
        }

        mod durable_small {
            $($(#[$attribute])* #[test] fn $name() { super::$name(super::Subject::durable_small()); })*
        }

        #[cfg(feature = "etcd")]
        mod etcd {
            $($(#[$attribute])* #[test] fn $name() {
                if let Some(subject) = super::Subject::etcd() {
                    super::$name(subject);
                }
            })*
        }

        mod durable_rebuilt {
            $($(#[$attribute])* #[test] fn $name() { super::$name(super::Subject::durable_rebuilt()); })*
        }
    };
}

suite! {
    fn reads_what_was_written_with_its_version(engine: Subject) {
        let mut engine = engine;
        assert_eq!(engine.last_seq(), 0);
        assert_eq!(payload(&*engine, 1), None);
        assert_eq!(commit(&*engine, &put(1, b"a")), 1);
        assert_eq!(commit(&*engine, &put(2, b"")), 2);
        assert_eq!(commit(&*engine, &put(1, b"b")), 3);
        engine.reopen();
        assert_eq!(engine.last_seq(), 3);
        let record = engine.get(&key(1)).unwrap().unwrap();
        assert_eq!((record.version, &record.payload[..]), (3, &b"b"[..]));
        assert_eq!(engine.get(&key(2)).unwrap().unwrap().version, 2);
        assert_eq!(commit(&*engine, &Batch::new().delete(key(1))), 4);
        engine.reopen();
        assert_eq!(payload(&*engine, 1), None);
        assert_eq!(engine.last_seq(), 4);
    }

    fn a_commit_is_all_or_nothing(engine: Subject) {
        commit(&*engine, &put(1, b"a"));
        let batch = put(2, b"b").delete(key(1))
            .expect(key(1), Expect::Version(1))
            .expect(key(3), Expect::Version(9))
            .expect(key(1), Expect::Absent);
        assert_eq!(engine.commit(batch, Durability::Synced).unwrap(), Outcome::Failed(1));
        assert_eq!(payload(&*engine, 1), Some(b"a".to_vec()));
        assert_eq!(payload(&*engine, 2), None);
        assert_eq!(engine.last_seq(), 1);
    }

    fn preconditions_hold_or_fail(engine: Subject) {
        commit(&*engine, &put(1, b"a"));
        for (expect, holds) in [(Expect::Absent, false), (Expect::Version(1), true), (Expect::Version(2), false)] {
            let batch = Batch::new().expect(key(1), expect);
            let expected = if holds { Outcome::Committed(1) } else { Outcome::Failed(0) };
            assert_eq!(engine.commit(batch, Durability::Synced).unwrap(), expected, "{expect:?}");
        }
        let absent = Batch::new().expect(key(2), Expect::Absent);
        assert_eq!(engine.commit(absent, Durability::Synced).unwrap(), Outcome::Committed(1));
    }

    fn writes_of_one_commit_apply_in_order(engine: Subject) {
        let mut engine = engine;
        commit(&*engine, &put(1, b"old"));
        let batch = Batch::new()
            .delete(key(1)).put(key(1), Bytes::from_static(b"new"))
            .put(key(2), Bytes::from_static(b"x")).delete(key(2));
        commit(&*engine, &batch);
        engine.reopen();
        assert_eq!(payload(&*engine, 1), Some(b"new".to_vec()));
        assert_eq!(payload(&*engine, 2), None);
        assert_eq!(engine.stats().unwrap().records, 1);
    }

    fn large_records_are_kept_replaced_and_deleted(engine: Subject) {
        let mut engine = engine;
        let sizes = [6000, 6100, 6144, 7000, 20_000, RECORD_BYTES_MAX];
        for (n, size) in sizes.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + n) as u8).collect();
            commit(&*engine, &Batch::new().put(key(n), bytes.into()));
        }
        engine.reopen();
        for (n, size) in sizes.into_iter().enumerate() {
            let expected: Vec<u8> = (0..size).map(|at| (at * 7 + n) as u8).collect();
            assert!(payload(&*engine, n) == Some(expected), "{size}");
        }
        assert_eq!(scan(&*engine, &KeyRange::process("p")).len(), sizes.len());
        commit(&*engine, &put(5, b"small now"));
        commit(&*engine, &Batch::new().delete(key(4)));
        engine.reopen();
        assert_eq!(payload(&*engine, 5), Some(b"small now".to_vec()));
        assert_eq!(payload(&*engine, 4), None);
    }

    fn oversized_writes_are_refused_as_a_whole(engine: Subject) {
        let large = Bytes::from(vec![0; RECORD_BYTES_MAX + 1]);
        let batch = put(1, b"a").put(key(2), large);
        let error = engine.commit(batch, Durability::Synced).unwrap_err();
        assert_eq!(
            error.to_string(),
            "active work \"0002\" of process \"p\" would take 1048577 bytes; the limit is 1048576. Nothing was written"
        );
        let record = Bytes::from(vec![0; RECORD_BYTES_MAX]);
        let batch = (0..=COMMIT_BYTES_MAX / RECORD_BYTES_MAX)
            .fold(Batch::new(), |batch, n| batch.put(key(n), record.clone()));
        assert!(engine.commit(batch, Durability::Synced).unwrap_err().is_invalid());
        assert_eq!(engine.last_seq(), 0);
        assert_eq!(payload(&*engine, 1), None);
    }

    fn scans_go_in_key_order_and_stop_when_told(engine: Subject) {
        for n in [5, 1, 9, 3] {
            commit(&*engine, &put(n, b"x"));
        }
        commit(&*engine, &Batch::new().put(Key::owner("o"), Bytes::new()).put(Key::owner("q"), Bytes::new()));
        let keys: Vec<Key> = scan(&*engine, &KeyRange::process("p")).into_iter().map(|record| record.key).collect();
        assert_eq!(keys, [1, 3, 5, 9].map(key));
        let after = KeyRange::process("p").after(&key(3));
        assert_eq!(scan(&*engine, &after).len(), 2);
        assert_eq!(scan(&*engine, &KeyRange::all()).len(), 6);
        let mut seen = 0;
        engine.scan(&KeyRange::all(), &mut |_| { seen += 1; ControlFlow::Break(()) }).unwrap();
        assert_eq!(seen, 1);
    }

    /// Each commit gives every record the same payload.
    fn a_scan_sees_one_point_in_time(engine: Subject) {
        const RECORDS: usize = 50;
        let stop = AtomicBool::new(false);
        let write = |n: u64| {
            let payload = Bytes::copy_from_slice(&n.to_le_bytes());
            commit(&*engine, &(0..RECORDS).fold(Batch::new(), |batch, at| batch.put(key(at), payload.clone())));
        };
        write(0);
        std::thread::scope(|scope| {
            scope.spawn(|| (1..).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(write));
            for _ in 0..100 {
                let records = scan(&*engine, &KeyRange::process("p"));
                assert_eq!(records.len(), RECORDS);
                assert!(records.iter().all(|record| record.payload == records[0].payload), "torn");
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    fn of_racing_increments_none_is_lost(engine: Subject) {
        const EACH: u64 = 50;
        let increment = || loop {
            let record = engine.get(&key(1)).unwrap();
            let (version, n) = match &record {
                None => (None, 0),
                Some(record) => (Some(record.version), u64::from_le_bytes(record.payload[..].try_into().unwrap())),
            };
            let payload = Bytes::copy_from_slice(&(n + 1).to_le_bytes());
            let batch = Batch::new().expect(key(1), Expect::unchanged(version)).put(key(1), payload);
            if let Outcome::Committed(_) = engine.commit(batch, Durability::Synced).unwrap() {
                return;
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..EACH).for_each(|_| increment()));
            }
        });
        assert_eq!(payload(&*engine, 1), Some((4 * EACH).to_le_bytes().to_vec()));
        assert_eq!(engine.last_seq(), 4 * EACH, "a failed commit takes no number");
    }

    /// Each thread holds the record as it last read or wrote it, which is mostly out of date.
    fn of_racing_increments_of_records_read_earlier_none_is_lost(engine: Subject) {
        const EACH: u64 = 200;
        let first = commit(&*engine, &Batch::new().put(key(1), Bytes::copy_from_slice(&0_u64.to_le_bytes())));
        let increment = |(read, read_as_of): &mut (Record, u64)| loop {
            let as_of = engine.as_of();
            let newest = engine.get_since(read.clone(), *read_as_of).unwrap().unwrap();
            let n = u64::from_le_bytes(newest.payload[..].try_into().unwrap());
            let payload = Bytes::copy_from_slice(&(n + 1).to_le_bytes());
            let batch = Batch::new().expect_since(key(1), Expect::Version(newest.version), as_of);
            match engine.commit(batch.put(key(1), payload.clone()), Durability::Buffered).unwrap() {
                Outcome::Committed(version) => {
                    (*read, *read_as_of) = (Record { key: key(1), version, payload }, version);
                    return;
                }
                Outcome::Failed(_) => (*read, *read_as_of) = (newest, as_of),
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let as_of = engine.as_of();
                let mut read = (engine.get(&key(1)).unwrap().unwrap(), as_of);
                assert!(read.0.version >= first);
                scope.spawn(move || (0..EACH).for_each(|_| increment(&mut read)));
            }
        });
        assert_eq!(payload(&*engine, 1), Some((4 * EACH).to_le_bytes().to_vec()));
    }

    fn what_was_read_earlier_is_as_new_as_what_is_read_now(engine: Subject) {
        let mut engine = engine;
        // Enough for several checkpoints, which move records out of the memtable.
        let write_others = |engine: &dyn Engine| {
            for n in 0..40 {
                commit(engine, &put(100 + n, &[7; 2000]));
            }
        };
        for change in [put(1, b"b"), Batch::new().delete(key(1))] {
            let version = commit(&*engine, &put(1, b"a"));
            let as_of = engine.as_of();
            let read = engine.get(&key(1)).unwrap().unwrap();
            let check = |engine: &dyn Engine| {
                let newest = engine.get(&key(1)).unwrap();
                assert_eq!(engine.get_since(read.clone(), as_of).unwrap(), newest);
                let batch = Batch::new().expect_since(key(1), Expect::Version(version), as_of);
                let outcome = engine.commit(batch, Durability::Buffered).unwrap();
                assert_eq!(matches!(outcome, Outcome::Committed(_)), newest.as_ref() == Some(&read));
            };
            write_others(&*engine);
            check(&*engine);
            commit(&*engine, &change);
            check(&*engine);
            write_others(&*engine);
            check(&*engine);
            engine.reopen();
            check(&*engine);
        }
    }

    fn the_feed_delivers_every_commit_in_order(engine: Subject) {
        let listener = engine.feed().subscribe(1000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let engine = &*engine;
                scope.spawn(move || {
                    for _ in 0..50 {
                        commit(engine, &put(thread, b"x"));
                    }
                });
            }
        });
        for expected in 1..=200 {
            let Received::Commit(heard) = listener.receive(Some(HEARD_WITHIN)) else { panic!("{expected}") };
            assert_eq!(heard.seq, expected);
        }
        engine.close().unwrap();
        assert_eq!(listener.receive(None), Received::Closed);
    }

    fn a_closed_engine_reports_it(engine: Subject) {
        commit(&*engine, &put(1, b"a"));
        engine.close().unwrap();
        engine.close().unwrap();
        let closed = "the store was closed";
        assert_eq!(engine.get(&key(1)).unwrap_err().to_string(), closed);
        assert_eq!(engine.commit(put(1, b"b"), Durability::Synced).unwrap_err().to_string(), closed);
        assert_eq!(engine.scan(&KeyRange::all(), &mut |_| ControlFlow::Break(())).unwrap_err().to_string(), closed);
        assert_eq!(engine.stats().unwrap_err().to_string(), closed);
    }

    fn behaves_like_a_map(engine: Subject) {
        let cell = parking_lot::Mutex::new(engine);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(20));
        let steps = proptest::collection::vec(step(), 1..30);
        runner.run(&steps, |steps| {
            let mut engine = cell.lock();
            clear(&**engine);
            let mut model = BTreeMap::new();
            for step in steps {
                follow(&mut engine, &mut model, &step);
            }
            let records: BTreeMap<Key, Bytes> =
                scan(&**engine, &KeyRange::all()).into_iter().map(|record| (record.key, record.payload)).collect();
            prop_assert_eq!(records, model);
            Ok(())
        }).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Writes keys with payloads of a size, or deletes them, on condition that this key is absent.
    Commit(Vec<(usize, Option<usize>)>, Option<usize>),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![3 => 0..100_usize, 1 => 5_000..20_000_usize];
    let writes = proptest::collection::vec((0..8_usize, proptest::option::weighted(0.8, size)), 1..6);
    prop_oneof![
        8 => (writes, proptest::option::weighted(0.3, 0..8_usize)).prop_map(|(writes, absent)| Step::Commit(writes, absent)),
        1 => Just(Step::Reopen),
    ]
}

fn follow(engine: &mut Subject, model: &mut BTreeMap<Key, Bytes>, step: &Step) {
    let Step::Commit(writes, absent) = step else { return engine.reopen() };
    let mut batch = Batch::new();
    let mut after = model.clone();
    for (n, size) in writes {
        match size {
            Some(size) => {
                let payload = Bytes::from(vec![*n as u8; *size]);
                batch = batch.put(key(*n), payload.clone());
                after.insert(key(*n), payload);
            }
            None => {
                batch = batch.delete(key(*n));
                after.remove(&key(*n));
            }
        }
    }
    let holds = absent.is_none_or(|n| !model.contains_key(&key(n)));
    if let Some(n) = absent {
        batch = batch.expect(key(*n), Expect::Absent);
    }
    let seq = engine.last_seq();
    match engine.commit(batch, Durability::Buffered).unwrap() {
        Outcome::Committed(committed) => {
            assert!(holds);
            assert_eq!(committed, seq + 1);
            *model = after;
        }
        Outcome::Failed(index) => assert!(!holds && index == 0),
    }
}

fn clear(engine: &dyn Engine) {
    let batch = scan(engine, &KeyRange::all())
        .into_iter()
        .fold(Batch::new(), |batch, record| batch.delete(record.key));
    commit(engine, &batch);
}

/// A program killed while creating a store leaves files that sled never opens.
#[test]
fn an_interrupted_creation_is_continued() {
    for length in [0, 4, 20, 58] {
        let folder = tempfile::tempdir().unwrap();
        drop(Folder::open(folder.path(), true).unwrap());
        let index = folder.path().join("index");
        std::fs::create_dir(&index).unwrap();
        std::fs::write(index.join("conf"), vec![b'x'; length]).unwrap();
        let engine =
            open_durable(&folder, &Options::default()).unwrap_or_else(|error| panic!("{length}: {error}"));
        assert_eq!(commit(&engine, &put(1, b"a")), 1);
        engine.close().unwrap();
        assert_eq!(payload(&open_durable(&folder, &Options::default()).unwrap(), 1), Some(b"a".to_vec()));
    }
}

#[test]
fn a_damaged_record_affects_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open_durable(&folder, &Options::default()).unwrap();
    commit(&engine, &put(1, b"a"));
    commit(&engine, &put(2, b"b"));
    engine.close().unwrap();
    let index = Index::open(&folder.path().join("index"), &INDEX).unwrap();
    let damage: Result<(), ()> =
        index.transact(|transaction| transaction.put(key(1).bytes(), b"no envelope of ours")).unwrap();
    damage.unwrap();
    index.close().unwrap();

    let engine = open_durable(&folder, &Options::default()).unwrap();
    assert!(engine.get(&key(1)).unwrap_err().is_corrupt());
    assert!(engine.scan(&KeyRange::all(), &mut |_| ControlFlow::Continue(())).unwrap_err().is_corrupt());
    let needs_it = put(3, b"c").expect(key(1), Expect::Absent);
    assert!(engine.commit(needs_it, Durability::Synced).unwrap_err().is_corrupt());
    assert_eq!(payload(&engine, 2), Some(b"b".to_vec()));
    assert_eq!(payload(&engine, 3), None);
    assert_eq!(commit(&engine, &put(4, b"d")), 3);
}
