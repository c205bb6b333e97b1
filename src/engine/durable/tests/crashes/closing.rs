//! Closing a store that has more log, or longer files for it, than it needs: the power goes, and
//! the disk fails, at every operation of that.

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

/// The lengths of the files of the log.
fn log_files(world: &World) -> Vec<u64> {
    let dir = Path::new("/s/wal");
    let names = world.disk.list(dir).unwrap();
    names.iter().map(|name| world.disk.open(&dir.join(name)).unwrap().len().unwrap()).collect()
}

/// Each closes the store in another state of its log.
fn workloads() -> Vec<(&'static str, World, Vec<Step>)> {
    use Durability::{Buffered, Synced};
    use Step::{Claim, Close, Commit, KeepUp, Snapshot};
    vec![
        // A file that is shortened; the next session is content with that, the last one is not.
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

fn for_each_operation(mut check: impl FnMut(&str, u64, World, &[Step])) {
    let counts: Vec<u64> = workloads()
        .into_iter()
        .map(|(_, mut healthy, steps)| {
            healthy.run(&steps).unwrap();
            healthy.disk.operations()
        })
        .collect();
    for (which, operations) in counts.into_iter().enumerate() {
        for at in 1..=operations {
            let (name, world, steps) = workloads().swap_remove(which);
            check(name, at, world, &steps);
        }
    }
}

/// The store is sound: it opens with all that it promised, also without its index, and goes on.
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
fn no_power_cut_while_a_store_shrinks_takes_anything() {
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
fn no_failure_while_a_store_shrinks_takes_anything() {
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

/// What a closed store takes of the disk for its log.
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

/// Most programs that open a store for a moment write little: nothing is copied then.
#[test]
fn a_short_session_goes_on_in_the_file_that_is_there() {
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

/// A state that takes more of the disk than the log is not written again for the sake of that.
#[test]
fn log_without_a_snapshot_is_kept_where_the_disk_has_no_room() {
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
