//! Closes stores that have more log, or longer log files, than needed, with power cuts and disk
//! failures at every operation.

use super::*;
use crate::disk::Disk;
use crate::engine::durable::wal::{SHORT_SEGMENT_BYTES, is_unfinished};

const SEGMENT_BYTES: u32 = 256 << 10;

fn world(log_history_bytes: u64) -> World {
    let snapshot_log_bytes = 64 << 20;
    let options =
        Options { segment_bytes: SEGMENT_BYTES, snapshot_log_bytes, log_history_bytes, ..options() };
    World { options, ..World::new() }
}

/// Returns the lengths of the log files.
fn log_files(world: &World) -> Vec<u64> {
    let dir = Path::new("/s/wal");
    let names = world.disk.list(dir).unwrap();
    names.iter().map(|name| world.disk.open(&dir.join(name)).unwrap().len().unwrap()).collect()
}

/// Workloads that close the store in different states of its log.
fn workloads() -> Vec<(&'static str, World, Vec<Step>)> {
    use Durability::{Buffered, Synced};
    use Step::{Claim, Close, Commit, KeepUp, Snapshot};
    vec![
        // A shortened file; it suffices for the next session, but not for the last one.
        (
            "few commits",
            world(1 << 20),
            vec![
                Claim,
                Commit(100, Buffered),
                KeepUp,
                Close,
                Commit(70, Synced),
                Close,
                Commit(30_000, Buffered),
                Claim,
                Close,
                Commit(10, Synced),
            ],
        ),
        // A snapshot, and another segment.
        (
            "much log",
            world(0),
            vec![
                Commit(30_000, Buffered),
                Claim,
                Close,
                Claim,
                Commit(1000, Buffered),
                Close,
                Commit(20, Synced),
            ],
        ),
        // The same with full segments before the last one, which is kept.
        ("a little much log", world(1), {
            let mut steps = vec![Commit(28_000, Buffered); 4];
            steps.extend([Claim, Close, Claim, Close]);
            steps
        }),
        // A snapshot has everything when the store is closed.
        (
            "a snapshot",
            world(0),
            vec![Commit(30_000, Buffered), Claim, Snapshot, Close, Commit(30, Buffered), Close],
        ),
    ]
}

/// Checks every third operation, from a random one on; all of them if `PROCSTATE_CASES` is set.
fn for_each_operation(mut check: impl FnMut(&str, u64, World, &[Step])) {
    let counts: Vec<u64> = workloads()
        .into_iter()
        .map(|(_, mut healthy, steps)| {
            healthy.run(&steps).unwrap();
            healthy.disk.operations()
        })
        .collect();
    for (which, operations) in counts.into_iter().enumerate() {
        let step = if std::env::var_os("PROCSTATE_CASES").is_some() { 1 } else { 3 };
        for at in (1..=operations).skip(fastrand::usize(..step)).step_by(step) {
            let (name, world, steps) = workloads().swap_remove(which);
            check(name, at, world, &steps);
        }
    }
}

/// Checks that the store opens with everything promised, even without its index, and continues.
fn check_sound(world: &mut World, at_least: u64, what: &str) {
    world.open(at_least).unwrap_or_else(|error| panic!("{what}: {error}"));
    let names = world.disk.list(Path::new("/s/wal")).unwrap();
    assert!(!names.iter().any(|name| is_unfinished(name)), "{what}: {names:?}");
    for step in [Step::Rebuild, Step::Claim, Step::Commit(80, Durability::Synced), Step::Rebuild, Step::Close]
    {
        world.step(step).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn power_cuts_while_a_store_shrinks_lose_nothing() {
    for_each_operation(|name, at, _, steps| {
        let which = |world: &(&str, World, Vec<Step>)| world.0 == name;
        for survives in
            [Survives::Nothing, Survives::Everything, Survives::Chance(at), Survives::Chance(at + 1000)]
        {
            let (_, mut world, _) = workloads().into_iter().find(which).unwrap();
            world.disk.plan(Some(Plan { at, what: Fault::PowerOff }));
            assert!(world.run(steps).is_err(), "{name} {at}");
            world.lose_power(survives);
            let synced = world.synced;
            check_sound(&mut world, synced, &format!("{name} {at} {survives:?}"));
        }
    });
}

#[test]
fn failures_while_a_store_shrinks_lose_nothing() {
    for_each_operation(|name, at, _, steps| {
        let which = |world: &(&str, World, Vec<Step>)| world.0 == name;
        for what in [Fault::Error, Fault::Torn, Fault::Full] {
            let (_, mut world, _) = workloads().into_iter().find(which).unwrap();
            world.disk.plan(Some(Plan { at, what }));
            let failed = world.run(steps);
            let is_of_note = world.disk.failed().is_some_and(|path| path.ends_with("SYNCED"));
            assert!(failed.is_err() || what == Fault::Full || is_of_note, "{name} {at} {what:?}");
            world.disk.plan(None);
            let newest = world.history.len() as u64 - 1;
            check_sound(&mut world, newest, &format!("{name} {at} {what:?}"));
            world.lose_power(Survives::Nothing);
            let synced = world.synced;
            check_sound(&mut world, synced, &format!("{name} {at} {what:?}, then a power cut"));
        }
    });
}

/// The size of a closed store's log.
#[test]
fn a_closed_store_has_no_more_log_than_it_needs() {
    let short = u64::from(SHORT_SEGMENT_BYTES);
    for (name, mut world, steps) in workloads() {
        world.open(0).unwrap();
        for step in steps {
            if !matches!(step, Step::Close) {
                world.step(step).unwrap();
                continue;
            }
            let (in_use, _) = world.store().commits.log_in_use();
            let kept = world.options.log_history_bytes.max(short);
            world.store().close().unwrap();
            let files = log_files(&world);
            let bytes: u64 = files.iter().sum();
            let expected = in_use.min(kept) + 2 * short;
            assert!(bytes <= expected, "{name}: {files:?} of {in_use}");
            world.synced = world.history.len() as u64 - 1;
            let synced = world.synced;
            world.open(synced).unwrap();
        }
    }
}

/// Programs that open a store briefly write little, so that nothing is copied.
#[test]
fn a_short_session_continues_in_the_existing_file() {
    let mut world = world(1 << 20);
    world.open(0).unwrap();
    world.step(Step::Close).unwrap();
    let before = log_files(&world);
    for _ in 0..10 {
        world.step(Step::Commit(1000, Durability::Synced)).unwrap();
        world.step(Step::Close).unwrap();
        assert_eq!(log_files(&world), before);
    }
    while world.step(Step::Commit(1000, Durability::Synced)).is_ok() && log_files(&world) == before {}
    assert_eq!(log_files(&world), [before[0], SEGMENT_BYTES.into()], "then one of the usual length");
}

/// A state larger than the log is not written again to replace it.
#[test]
fn log_without_a_snapshot_is_kept_on_a_full_disk() {
    let mut world = world(0);
    world.open(0).unwrap();
    world.write(&[30_000], Durability::Synced).unwrap();
    world.maintain().unwrap();
    world.disk.set_full(true);
    world.store().close().unwrap();
    world.disk.set_full(false);
    world.open(1).unwrap();
    world.step(Step::Rebuild).unwrap();
}
