//! Tests of the engine on a disk and an index that fail, lose unsynced writes and lose power, at
//! every operation. They run without threads so that each history is deterministic.

mod closing;
mod verifying;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use fastrand::Rng;

use super::sim::{self, SimIndexDirectory};
use crate::disk::sim::{Fault, Plan, SimDisk, Survives};
use crate::engine::durable::DurableEngine;
use crate::engine::durable::options::{Options, Recovery};
use crate::engine::durable::report::OpenReport;
use crate::engine::durable::storage::IndexDirectory;
use crate::engine::{Batch, Durability, Engine, Expect, Outcome};
use crate::error::Result;
use crate::model::List;
use crate::record::{Key, KeyRange, Position, Record};

type Model = BTreeMap<Key, (u64, Bytes)>;

/// The writes of a commit; `None` deletes.
type Effect = Vec<(Key, Option<Bytes>)>;

fn after(mut before: Model, seq: u64, effect: &Effect) -> Model {
    for (key, payload) in effect {
        match payload {
            Some(payload) => drop(before.insert(key.clone(), (seq, payload.clone()))),
            None => drop(before.remove(key)),
        }
    }
    before
}

fn batch_of(effect: &Effect) -> Batch {
    effect.iter().fold(Batch::new(), |batch, (key, payload)| match payload {
        Some(payload) => batch.put(key.clone(), payload.clone()),
        None => batch.delete(key.clone()),
    })
}

/// Returns the commit noted in the manifest.
fn noted(world: &World) -> Option<u64> {
    world.index_dir.manifest().unwrap().noted().map(|noted| noted.seq)
}

/// A store and its expected content.
struct World {
    disk: SimDisk,
    index_dir: SimIndexDirectory,
    options: Options,
    store: Option<DurableEngine>,
    /// The expected records after each commit, starting with the empty store.
    history: Vec<Model>,
    /// The records after each failed commit, applied in order: a failed commit may be there.
    attempted: Vec<Model>,
    /// The last commit that must survive a power cut.
    synced: u64,
    /// Makes each payload unique.
    nonce: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Some records, of this many bytes each.
    Commit(usize, Durability),
    /// Commits of such records, in one write group.
    Together([usize; 3]),
    Claim,
    Sync,
    KeepUp,
    /// A checkpoint, and a snapshot if one is due.
    Maintain,
    /// A checkpoint and a snapshot.
    Snapshot,
    Close,
    /// A compaction by a separate program, after the current one died.
    Compact,
    /// The program dies and restarts.
    Kill,
    /// Like `Kill`, and the index is found damaged.
    Rebuild,
}

const SEGMENT_BYTES: u32 = 8192;

fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        memtable_bytes: 64 << 10,
        snapshot_log_bytes: 40 << 10,
        ..Options::default()
    }
}

impl World {
    fn new() -> Self {
        let disk = SimDisk::new();
        let index_dir = SimIndexDirectory::new(&disk);
        let (history, attempted) = (vec![Model::new()], Vec::new());
        Self { disk, index_dir, options: options(), store: None, history, attempted, synced: 0, nonce: 0 }
    }

    fn store(&self) -> &DurableEngine {
        self.store.as_ref().unwrap()
    }

    /// Opens the store and checks that it holds the records after some commit that is not before
    /// `at_least`.
    fn open(&mut self, at_least: u64) -> Result<OpenReport> {
        self.store = None;
        self.store = Some(self.open_and_verify()?);
        let seq = self.store().last_seq();
        assert!(seq >= at_least, "has commits up to {seq}, expected at least {at_least}");
        self.history.append(&mut self.attempted);
        self.check(seq);
        self.history.truncate(seq as usize + 1);
        self.synced = seq;
        Ok(self.store().report().clone())
    }

    /// Opens the store, again if that is what repairs it.
    fn open_and_verify(&self) -> Result<DurableEngine> {
        let store = sim::open(&self.disk, &self.index_dir, &self.options)?;
        match store.index.with(|index| store.checkpointer.verify(index)) {
            Ok(()) => Ok(store),
            Err(error) if error.is_corrupt() => {
                drop(store);
                sim::open(&self.disk, &self.index_dir, &self.options)
            }
            Err(error) => Err(error),
        }
    }

    /// Compares all records with those expected after the commit `seq`.
    fn check(&self, seq: u64) {
        let mut found = Model::new();
        self.store()
            .scan(&KeyRange::all(), &mut |record| {
                let Record { key, version, payload } = record.to_record();
                found.insert(key, (version, payload));
                ControlFlow::Continue(())
            })
            .unwrap();
        let expected = self.history.get(seq as usize).expect("the test made this commit");
        assert!(found == *expected, "the records differ from those after commit {seq}");
        for (key, (version, _)) in expected {
            assert_eq!(self.store().get(key).unwrap().map(|record| record.version), Some(*version));
        }
        assert_eq!(self.store().stats().unwrap().records, expected.len() as u64);
    }

    fn newest(&self) -> &Model {
        self.history.last().unwrap()
    }

    /// Makes several commits in one write group.
    fn commit(&mut self, mut commits: Vec<(Batch, Effect)>, durability: Durability) -> Result<()> {
        let path = &self.store().commits;
        if path.has_back_pressure() {
            // No checkpoint thread makes room, so do its work here.
            self.maintain()?;
            assert!(path.is_disk_full() || !path.has_back_pressure(), "commits would wait forever");
        }
        let (own, effect) = commits.pop().unwrap();
        let join = |(batch, effect)| (self.store().commits.enqueue(batch), effect);
        let others: Vec<_> = commits.into_iter().map(join).collect();
        let own = (self.store().commit(own, durability), effect);
        let answers = others.into_iter().map(|(outcome, effect)| (outcome(), effect));
        let answers: Vec<_> = answers.chain([(Some(own.0), own.1)]).collect();
        let is_stopped = self.store().shared.poison.check().is_err();
        let mut failed = Ok(());
        for (answer, effect) in answers {
            let last = self.attempted.last().unwrap_or(self.newest()).clone();
            let seq = (self.history.len() + self.attempted.len()) as u64;
            match answer.unwrap_or_else(|| self.store().shared.poison.check().map(|()| panic!("no answer"))) {
                Ok(Outcome::Committed(committed)) => {
                    assert_eq!(committed, seq);
                    self.history.push(after(last, seq, &effect));
                }
                Ok(Outcome::Failed(_)) => assert!(failed.is_err(), "its precondition holds"),
                Err(error) => {
                    // A failure that does not stop the store wrote nothing.
                    self.attempted.extend(is_stopped.then(|| after(last, seq, &effect)));
                    failed = failed.and(Err(error));
                }
            }
        }
        if failed.is_ok() && durability == Durability::Synced {
            self.synced = self.history.len() as u64 - 1;
        }
        failed
    }

    /// Returns a commit of some records of `bytes` each, with the precondition that one record is
    /// as in `before`.
    fn make_commit(&mut self, bytes: usize, before: &Model) -> (Batch, Effect) {
        let mut effect = Effect::new();
        for _ in 0..3 {
            self.nonce += 1;
            let key = Key::item("p", List::Active, &format!("{}", self.nonce * 7 % 11));
            let mut payload = self.nonce.to_le_bytes().to_vec();
            payload.resize(bytes.max(8), self.nonce as u8);
            effect.push((key, (!self.nonce.is_multiple_of(5)).then(|| Bytes::from(payload))));
        }
        let first = effect[0].0.clone();
        let version = before.get(&first).map(|(version, _)| *version);
        (batch_of(&effect).expect(first, Expect::unchanged(version)), effect)
    }

    fn write(&mut self, sizes: &[usize], durability: Durability) -> Result<()> {
        let (mut before, mut commits) = (self.newest().clone(), Vec::new());
        for (bytes, seq) in sizes.iter().zip(self.history.len() as u64..) {
            let (batch, effect) = self.make_commit(*bytes, &before);
            before = after(before, seq, &effect);
            commits.push((batch, effect));
        }
        self.commit(commits, durability)
    }

    fn claim(&mut self) -> Result<()> {
        self.nonce += 1;
        let key = Key::owner("p");
        let before = self.newest().get(&key).map(|(version, _)| *version);
        let effect = vec![(key.clone(), Some(Bytes::from(format!("instance {}", self.nonce))))];
        self.commit(
            vec![(batch_of(&effect).expect(key, Expect::unchanged(before)), effect)],
            Durability::Synced,
        )
    }

    /// Does the work of the checkpoint thread.
    fn maintain(&self) -> Result<()> {
        self.store().index.with(|index| self.store().checkpointer.maintain(index))
    }

    fn sync(&mut self) -> Result<()> {
        self.store().sync()?;
        self.synced = self.history.len() as u64 - 1;
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<()> {
        let newest = self.history.len() as u64 - 1;
        match step {
            Step::Commit(bytes, durability) => self.write(&[bytes], durability),
            Step::Together(sizes) => self.write(&sizes, Durability::Buffered),
            Step::Claim => self.claim(),
            Step::Sync => self.sync(),
            Step::KeepUp => self.store().commits.keep_up(),
            Step::Maintain => self.maintain(),
            Step::Snapshot => {
                let Self { store: Some(store), .. } = self else { return Ok(()) };
                store.index.with(|index| store.checkpointer.checkpoint_and_snapshot(index, || true))
            }
            Step::Close => {
                self.store().close()?;
                self.synced = newest;
                let report = self.open(newest)?;
                assert_eq!(report, OpenReport::default());
                Ok(())
            }
            Step::Compact => {
                self.options.segment_bytes = SEGMENT_BYTES;
                self.open(newest)?;
                self.store().compact_and_close()?;
                self.synced = newest;
                // The next opening uses longer segments.
                self.options.segment_bytes = 2 * SEGMENT_BYTES;
                let report = self.open(newest)?;
                assert_eq!(report, OpenReport::default());
                Ok(())
            }
            Step::Kill => self.open(newest).map(drop),
            Step::Rebuild => {
                self.index_dir.damage();
                let report = self.open(newest)?;
                assert!(report.rebuilt.is_some());
                Ok(())
            }
        }
    }

    fn run(&mut self, steps: &[Step]) -> Result<()> {
        self.open(0)?;
        steps.iter().try_for_each(|step| self.step(*step))
    }

    fn lose_power(&mut self, survives: Survives) {
        self.disk.lose_power(survives);
        self.index_dir.lose_power(survives);
    }
}

/// Returns a workload with every kind of step.
fn workload() -> Vec<Step> {
    use Durability::{Buffered, Synced};
    use Step::{Claim, Close, Commit, Compact, KeepUp, Kill, Maintain, Rebuild, Snapshot, Sync, Together};
    vec![
        Claim,
        Commit(100, Buffered),
        Commit(20, Synced),
        Commit(900, Buffered),
        Maintain,
        Together([50, 700, 20]),
        Claim,
        KeepUp,
        Commit(5000, Buffered),
        Commit(30, Buffered),
        Kill,
        Commit(10, Synced),
        Snapshot,
        Together([2000, 900, 40]),
        Sync,
        Claim,
        Rebuild,
        Commit(300, Buffered),
        Maintain,
        Commit(100, Buffered),
        Close,
        Claim,
        Commit(700, Synced),
        Snapshot,
        Commit(60, Buffered),
        Rebuild,
        Commit(70, Buffered),
        Compact,
        Commit(9000, Buffered),
        Commit(40, Buffered),
        Compact,
        Commit(50, Buffered),
    ]
}

fn operations(steps: &[Step]) -> u64 {
    let mut healthy = World::new();
    healthy.run(steps).unwrap();
    healthy.disk.operations()
}

#[test]
fn power_cuts_lose_no_synced_commit() {
    let operations = operations(&workload());
    assert!(operations > 100, "{operations}");
    for at in 1..=operations {
        for survives in
            [Survives::Nothing, Survives::Everything, Survives::Chance(at), Survives::Chance(at + 1000)]
        {
            let mut world = World::new();
            world.disk.plan(Some(Plan { at, what: Fault::PowerOff }));
            assert!(world.run(&workload()).is_err(), "{at}");
            world.lose_power(survives);
            world.open(world.synced).unwrap_or_else(|error| panic!("{at} {survives:?}: {error}"));
            // The store accepts further steps and keeps their results too.
            for step in [
                Step::Claim,
                Step::Commit(80, Durability::Synced),
                Step::Maintain,
                Step::Rebuild,
                Step::Close,
            ] {
                world.step(step).unwrap_or_else(|error| panic!("{at} {survives:?}: {error}"));
            }
        }
    }
}

/// Fails each operation in turn. The store reports the failure, and everything that it accepted is
/// there after it is reopened.
#[test]
fn failed_operations_lose_no_accepted_commit() {
    let mut unnoted = 0;
    for at in 1..=operations(&workload()) {
        for what in [Fault::Error, Fault::Torn, Fault::Full] {
            let mut world = World::new();
            world.disk.plan(Some(Plan { at, what }));
            let failed = world.run(&workload());
            // Only a full disk (which may cost a snapshot) and a failure of the note of the synced
            // position may go unreported.
            let is_of_note = world.disk.failed().is_some_and(|path| path.ends_with("SYNCED"));
            assert!(failed.is_err() || what == Fault::Full || is_of_note, "{at} {what:?}");
            unnoted += u64::from(failed.is_ok() && is_of_note);
            world.disk.plan(None);
            let newest = world.history.len() as u64 - 1;
            world.open(newest).unwrap_or_else(|error| panic!("{at} {what:?}: {error}"));
            world.lose_power(Survives::Nothing);
            world.open(world.synced).unwrap_or_else(|error| panic!("{at} {what:?}: {error}"));
            world.step(Step::Claim).unwrap();
            world.step(Step::Close).unwrap();
        }
    }
    assert!(unnoted > 10, "only {unnoted} failures hit the note");
}

fn cases(default: u64) -> u64 {
    std::env::var("PROCSTATE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Random histories with successive power cuts and failures.
#[test]
fn random_failures_lose_no_promised_commit() {
    for seed in 0..cases(60) {
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let mut world = World::new();
        if rng.bool() {
            // Closing then releases the unused part of the segment.
            world.options = Options { segment_bytes: 256 << 10, log_history_bytes: 0, ..options() };
        }
        for _ in 0..8 {
            world.open(world.synced).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let is_cut = rng.bool();
            let what = if is_cut { Fault::PowerOff } else { [Fault::Error, Fault::Torn][rng.usize(0..2)] };
            world.disk.plan(Some(Plan { at: rng.u64(1..120), what }));
            while world.step(random_step(&mut rng)).is_ok() && world.disk.failed().is_none() {}
            if is_cut {
                world.lose_power(Survives::Chance(rng.u64(..)));
            } else {
                world.disk.plan(None);
                world.synced = world.history.len() as u64 - 1;
            }
        }
    }
}

fn random_step(rng: &mut Rng) -> Step {
    let durability = if rng.u32(0..3) == 0 { Durability::Synced } else { Durability::Buffered };
    match rng.u32(0..25) {
        0..11 => Step::Commit(rng.usize(0..300), durability),
        11 => Step::Commit(rng.usize(0..8000), durability),
        12 => Step::Together([rng.usize(0..300), rng.usize(0..8000), rng.usize(0..300)]),
        13..15 => Step::Claim,
        15 => Step::Sync,
        16 => Step::KeepUp,
        17..19 => Step::Maintain,
        19 => Step::Snapshot,
        20 => Step::Close,
        21..23 => Step::Kill,
        23 => Step::Compact,
        _ => Step::Rebuild,
    }
}

/// A checkpoint that fails halfway stops the store, so none starts without room for it. Reads
/// continue, and so do writes until their memory is used up.
#[test]
fn a_disk_without_room_refuses_writes_and_loses_nothing() {
    let mut world = World::new();
    world.open(0).unwrap();
    world.disk.set_full(true);
    let error = loop {
        world.maintain().unwrap();
        if let Err(error) = world.write(&[900], Durability::Synced) {
            break error;
        }
        assert!(world.history.len() < 1000, "the memory is never used up");
    };
    assert!(error.is_disk_full(), "{error}");
    assert!(world.history.len() > 5);
    let newest = world.history.len() as u64 - 1;
    world.check(newest);
    world.store().close().unwrap();
    world.open(newest).unwrap();
    assert!(world.write(&[900], Durability::Synced).unwrap_err().is_disk_full());
    world.disk.set_full(false);
    world.maintain().unwrap();
    world.write(&[900], Durability::Synced).unwrap();
    world.step(Step::Close).unwrap();
}

/// Without the index, only the note shows that the log lost something. If there is no room to write
/// it, the previous note stays valid.
#[test]
fn a_full_disk_keeps_the_previous_note() {
    let checkpoint = |world: &World| {
        let store = world.store();
        store.index.with(|index| store.checkpointer.checkpoint_and_snapshot(index, || false)).unwrap();
    };
    let mut world = World::new();
    world.open(0).unwrap();
    world.write(&[50], Durability::Buffered).unwrap();
    assert_eq!(noted(&world), Some(0));
    world.disk.plan(None);
    checkpoint(&world);
    assert_eq!(noted(&world), Some(1));
    let operations = world.disk.operations();
    for before in 1..4 {
        world.write(&[50], Durability::Buffered).unwrap();
        world.disk.plan(Some(Plan { at: operations - before, what: Fault::Full }));
        checkpoint(&world);
        assert_eq!(noted(&world), Some(before), "{before} before the last operation");
        world.disk.plan(None);
        world.store().close().unwrap();
        assert_eq!(noted(&world), Some(before + 1));
        world.open(before + 1).unwrap();
    }
}

/// A program that dies between a snapshot and the release of its log leaves more log than commits
/// may add to: unless opening releases it, commits would wait forever.
#[test]
fn opening_releases_log_covered_by_a_snapshot() {
    let mut world = World::new();
    world.open(0).unwrap();
    let retained = |world: &World| world.store().commits.retained_log();
    while retained(&world) < 30_000 {
        world.write(&[300], Durability::Buffered).unwrap();
    }
    let store = world.store();
    let (checkpointer, snapshots) = (&store.checkpointer, &store.shared.files.snapshots);
    store
        .index
        .with(|index| {
            checkpointer.checkpoint_and_snapshot(index, || false)?;
            snapshots.write(index, &|| false)
        })
        .unwrap();
    world.step(Step::Kill).unwrap();
    assert!(retained(&world) <= 8192, "{}", retained(&world));
    world.lose_power(Survives::Nothing);
    world.open(world.synced).unwrap();
    world.step(Step::Rebuild).unwrap();
}

/// Log in a large segment that a snapshot covers but that cannot be released yet does not count
/// against commits.
#[test]
fn a_store_accepts_commits_after_segments_shrink() {
    let mut world = World::new();
    world.options = Options { segment_bytes: 1 << 20, ..Options::default() };
    world.open(0).unwrap();
    for _ in 0..200 {
        world.write(&[500], Durability::Buffered).unwrap();
    }
    world.options = options();
    world.step(Step::Kill).unwrap();
    for _ in 0..50 {
        world.write(&[500], Durability::Buffered).unwrap();
    }
    world.step(Step::Close).unwrap();
}

/// Log maintenance notes the synced position in a separate file; no commit waits for it.
#[test]
fn log_maintenance_notes_the_synced_position() {
    let mut world = World::new();
    world.open(0).unwrap();
    let noted = |world: &World| world.store().shared.files.synced.read().unwrap().position().unwrap();
    let own = world.store().shared.files.log.epoch;
    assert_eq!(noted(&world), Position::default());
    world.write(&[50], Durability::Synced).unwrap();
    assert_eq!(noted(&world).seq, 0, "not by the commit");
    world.store().commits.keep_up().unwrap();
    assert_eq!(noted(&world), Position::new(1, Some(own)));
    let operations = |world: &World| {
        world.disk.plan(None);
        world.store().commits.keep_up().unwrap();
        world.disk.operations()
    };
    world.write(&[50], Durability::Buffered).unwrap();
    assert!(operations(&world) > 2);
    assert_eq!(operations(&world), 0, "nothing is new");
    world.store().close().unwrap();
    world.open(2).unwrap();
    assert_eq!(noted(&world), Position::new(2, Some(own)), "nothing was written since");
    world.write(&[50], Durability::Buffered).unwrap();
    world.store().close().unwrap();
    assert_ne!(noted(&world).epoch, Some(own));
    assert_eq!(noted(&world).seq, 3);
}

/// The user accepts the loss of the end of the log, and the power fails at every operation of the
/// truncation: afterwards the log is either truncated or refused as before.
#[test]
fn a_power_cut_during_truncation_leaves_no_broken_log() {
    for at in 1.. {
        let mut world = World::new();
        world.open(0).unwrap();
        for _ in 0..4 {
            world.write(&[50], Durability::Synced).unwrap();
        }
        world.store().commits.keep_up().unwrap();
        world.store = None;
        let log = Path::new("/s/wal/000000.wal");
        world.disk.change(log, |bytes| {
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            bytes[end - 300..].fill(0);
        });
        assert!(sim::open(&world.disk, &world.index_dir, &options()).unwrap_err().is_corrupt());
        let cutting = Options { recovery: Recovery::CutLog, ..options() };
        world.disk.plan(Some(Plan { at, what: Fault::PowerOff }));
        let cut = sim::open(&world.disk, &world.index_dir, &cutting);
        let is_over = cut.is_ok();
        drop(cut);
        world.lose_power(Survives::Chance(at));
        let store = sim::open(&world.disk, &world.index_dir, &cutting).unwrap();
        assert!(store.last_seq() < 4);
        drop(store);
        let store = sim::open(&world.disk, &world.index_dir, &options()).unwrap();
        assert_eq!(store.report().lost, None, "{at}");
        if is_over {
            break;
        }
    }
}
