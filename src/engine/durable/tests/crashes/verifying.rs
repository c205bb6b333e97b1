//! Stores that are verified while they are open.

use super::*;
use crate::disk::Disk;
use crate::engine::durable::options::Verify;

fn world() -> World {
    World { options: Options { verify: Verify::InBackground, ..options() }, ..World::new() }
}

fn workload() -> Vec<Step> {
    use Durability::{Buffered, Synced};
    use Step::{Claim, Close, Commit, Kill, Maintain, Rebuild, Snapshot};
    vec![
        Claim,
        Commit(900, Buffered),
        Commit(20, Synced),
        Maintain,
        Kill,
        Commit(100, Synced),
        Snapshot,
        Commit(60, Buffered),
        Rebuild,
        Commit(70, Synced),
        Close,
        Claim,
        Kill,
        Kill,
        Commit(30, Buffered),
    ]
}

/// Runs the workload with a fault at each operation.
fn for_each_operation(what: Fault, mut check: impl FnMut(u64, World)) {
    let mut healthy = world();
    healthy.run(&workload()).unwrap();
    let operations = healthy.disk.operations();
    assert!(operations > 100, "{operations}");
    for at in 1..=operations {
        let mut world = world();
        world.disk.plan(Some(Plan { at, what }));
        // An opening that fails is tried again with verification.
        let is_survived = world.run(&workload()).is_ok();
        assert!(!is_survived || what != Fault::PowerOff, "{at}");
        check(at, world);
    }
}

/// A world with a snapshot, log after it, and an index that lacks a part of that; its program died.
fn killed() -> World {
    let mut world = world();
    world.run(&[Step::Claim, Step::Commit(900, Durability::Synced), Step::Snapshot]).unwrap();
    for _ in 0..3 {
        world.step(Step::Commit(2000, Durability::Synced)).unwrap();
    }
    world.step(Step::Maintain).unwrap();
    world.step(Step::Commit(50, Durability::Synced)).unwrap();
    world.store = None;
    world
}

/// Opens the store without verifying it yet.
fn open_unverified(world: &World) -> DurableEngine {
    let store = sim::open(&world.disk, &world.index_dir, &world.options).unwrap();
    assert!(store.shared.verification.is_pending());
    store
}

fn verify(store: &DurableEngine) -> Result<()> {
    store.index.with(|index| store.checkpointer.verify(index))
}

fn is_verifying(world: &World) -> bool {
    world.disk.list(Path::new("/s")).unwrap().iter().any(|name| name == "VERIFYING")
}

/// Returns each file with its content.
fn files(world: &World) -> Vec<(String, Vec<u8>)> {
    let read = |dir: &'static str| {
        let names = world.disk.list(Path::new(dir)).unwrap().into_iter();
        names.map(move |name| {
            let bytes = world.disk.read(Path::new(dir), &name).unwrap().unwrap();
            (format!("{dir}/{name}"), bytes)
        })
    };
    ["/s/wal", "/s/snapshots"].into_iter().flat_map(read).collect()
}

#[test]
fn power_cuts_lose_no_synced_commit() {
    for_each_operation(Fault::PowerOff, |at, mut world| {
        let survives = Survives::Chance(at);
        world.lose_power(survives);
        world.open(world.synced).unwrap_or_else(|error| panic!("{at} {survives:?}: {error}"));
        world.step(Step::Commit(10, Durability::Synced)).unwrap();
        world.step(Step::Kill).unwrap();
    });
}

#[test]
fn failed_operations_lose_no_accepted_commit() {
    for_each_operation(Fault::Error, |at, mut world| {
        let newest = world.history.len() as u64 - 1;
        world.open(newest).unwrap_or_else(|error| panic!("{at}: {error}"));
        world.step(Step::Kill).unwrap();
    });
}

#[test]
fn commits_wait_for_the_verification_and_reads_do_not() {
    let mut world = killed();
    let last = world.history.len() as u64 - 1;
    let before = files(&world);
    world.store = Some(open_unverified(&world));
    let opened = files(&world);
    world.check(last);
    let store = world.store();
    assert!(store.commits.has_back_pressure() && is_verifying(&world));
    // Nothing is written meanwhile that the verification could mistake for damage.
    store.commits.keep_up().unwrap();
    assert_eq!((files(&world) == opened, before.len()), (true, opened.len()));
    verify(store).unwrap();
    store.wait_until_verified().unwrap();
    assert!(!store.commits.has_back_pressure() && !is_verifying(&world));
    world.step(Step::Commit(10, Durability::Synced)).unwrap();
    world.step(Step::Kill).unwrap();
}

#[test]
fn damage_stops_the_store_and_the_next_opening_repairs_it() {
    let damages: [fn(&World); 2] =
        [|world| world.index_dir.damage(), |world| flip(world, "/s/snapshots", 200)];
    for (n, damage) in damages.into_iter().enumerate() {
        let mut world = killed();
        damage(&world);
        let store = open_unverified(&world);
        let error = verify(&store).unwrap_err();
        assert!(
            error.is_corrupt() && error.to_string().contains("opening it again repairs it"),
            "{n}: {error}"
        );
        assert!(store.wait_until_verified().unwrap_err().is_poisoned(), "{n}");
        assert!(store.commit(Batch::new(), Durability::Buffered).unwrap_err().is_poisoned(), "{n}");
        drop(store);
        assert!(is_verifying(&world), "{n}");
        let report = world.open(world.synced).unwrap();
        let repaired = [report.rebuilt.is_some(), report.damaged_snapshot.is_some()];
        assert!(repaired[n], "{n}: {report:?}");
        assert!(!is_verifying(&world), "{n}");
        assert_eq!(world.open(world.synced).unwrap().damaged_snapshot, None, "{n}");
    }
}

/// A snapshot of an index that is not verified must not replace the log.
#[test]
fn damage_that_opening_sees_is_repaired_after_verification() {
    let damages: [fn(&World); 3] = [
        // A commit that the snapshot lacks, and perhaps the index has.
        |world| flip(world, "/s/wal", 4096 + 100),
        // The header of each segment.
        |world| {
            for name in world.disk.list(Path::new("/s/wal")).unwrap() {
                world.disk.change(&Path::new("/s/wal").join(name), |bytes| bytes[20] ^= 1);
            }
        },
        |world| world.disk.remove(Path::new("/s/SYNCED")).unwrap(),
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        let mut world = killed();
        damage(&world);
        if n > 0 {
            world.index_dir.damage();
        }
        let store = sim::open(&world.disk, &world.index_dir, &world.options).unwrap();
        assert!(!store.shared.verification.is_pending(), "{n}");
        let report = store.report();
        assert!(report.rebuilt.is_some() || report.damaged_log.is_some(), "{n}: {report:?}");
        drop(store);
        world.open(world.synced).unwrap();
    }
}

fn flip(world: &World, dir: &str, at: usize) {
    let mut names = world.disk.list(Path::new(dir)).unwrap();
    names.sort();
    world.disk.change(&Path::new(dir).join(&names[0]), |bytes| bytes[at] ^= 1);
}

#[test]
fn a_store_closed_during_its_verification_is_as_before() {
    let mut world = killed();
    let store = open_unverified(&world);
    let opened = files(&world);
    store.close().unwrap();
    assert!(store.wait_until_verified().unwrap_err().is_closed());
    assert!(files(&world) == opened && !is_verifying(&world));
    drop(store);
    world.open(world.synced).unwrap();
}

#[test]
fn a_store_whose_program_died_during_its_verification_is_verified_before_it_opens() {
    let world = killed();
    drop(open_unverified(&world));
    assert!(is_verifying(&world));
    let store = sim::open(&world.disk, &world.index_dir, &world.options).unwrap();
    assert!(!store.shared.verification.is_pending() && !is_verifying(&world));
    store.commit(Batch::new(), Durability::Buffered).unwrap();
}
