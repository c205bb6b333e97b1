//! The whole path of a commit, from the queue through log and sync to the feed, under random
//! interleavings on a simulated disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::{self, JoinHandle};

use super::sim::{self, SimIndexDirectory};
use crate::disk::sim::{Fault, Plan, SimDisk, Survives};
use crate::engine::durable::DurableEngine;
use crate::engine::durable::options::Options;
#[cfg(feature = "tokio")]
use crate::engine::durable::threads::sync_until_stopped;
use crate::engine::{Batch, Durability, Engine, Expect, Outcome, Received};
use crate::error::{Failure, Result};
use crate::model::List;
use crate::record::Key;
use crate::sync::{Mutex, explore};

const THREADS: usize = 3;
const COMMITS: usize = 2;

struct World {
    disk: SimDisk,
    index_dir: SimIndexDirectory,
    store: Arc<DurableEngine>,
    /// The acknowledged commits.
    promises: Arc<Mutex<Vec<Promise>>>,
}

/// An acknowledged commit with the disk at that moment.
struct Promise {
    key: Key,
    seq: u64,
    durability: Durability,
    disk: SimDisk,
}

fn options() -> Options {
    Options { segment_bytes: 8192, ..Options::default() }
}

fn key(thread: usize, n: usize) -> Key {
    Key::item("p", List::Active, &format!("{thread}-{n}"))
}

fn put(key: &Key) -> Batch {
    Batch::new().put(key.clone(), Bytes::from_static(b"payload"))
}

fn open(options: &Options) -> World {
    let disk = SimDisk::new();
    let index_dir = SimIndexDirectory::new(&disk);
    let store = Arc::new(sim::open(&disk, &index_dir, options).unwrap());
    World { disk, index_dir, store, promises: Arc::default() }
}

fn join<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

impl World {
    /// Spawns threads that commit and record what was promised; returns their outcomes.
    fn spawn_committers(&self, durability: Durability) -> Vec<JoinHandle<Vec<Result<u64>>>> {
        let spawn = |thread| {
            let (store, disk, promises) = (self.store.clone(), self.disk.clone(), self.promises.clone());
            thread::spawn(move || {
                let commit = |n| {
                    let key = key(thread, n);
                    let outcome = store.commit(put(&key), durability)?;
                    // Immediately: no thread runs in between.
                    let disk = disk.copy();
                    let Outcome::Committed(seq) = outcome else { panic!("nothing was asked for") };
                    let found = store.get(&key).map(|record| record.map(|record| record.version));
                    assert!(
                        found.is_err() || found.unwrap() == Some(seq),
                        "acknowledged, and not to be read"
                    );
                    promises.lock().push(Promise { key, seq, durability, disk });
                    Ok(seq)
                };
                (0..COMMITS).map(commit).collect()
            })
        };
        (0..THREADS).map(spawn).collect()
    }

    /// Kills the program or cuts the power at each moment of an acknowledgement.
    fn check_promises(&self) {
        for Promise { key, seq, durability, disk } in self.promises.lock().drain(..) {
            disk.lose_power(match durability {
                Durability::Buffered => Survives::Everything,
                Durability::Synced => Survives::Nothing,
            });
            let store = sim::open(&disk, &SimIndexDirectory::new(&disk), &options()).unwrap();
            let found = store.get(&key).unwrap().map(|record| record.version);
            assert_eq!(found, Some(seq), "{} was acknowledged as {durability:?} too early", key.describe());
        }
    }
}

#[test]
fn acknowledged_commits_survive() {
    explore(|| {
        let world = open(&options());
        let upkeep = world.store.clone();
        let upkeep = thread::spawn(move || upkeep.commits.keep_up().unwrap());
        let committers = world.spawn_committers(Durability::Synced);
        join(committers).into_iter().flatten().for_each(|answer| assert!(answer.is_ok(), "{answer:?}"));
        upkeep.join().unwrap();
        world.check_promises();
    });
}

/// A leader leaves when its own commit is made; later ones lead themselves. A claim waits for
/// commits staged before it.
#[test]
fn every_commit_is_made_once() {
    explore(|| {
        let world = open(&options());
        let committers = world.spawn_committers(Durability::Buffered);
        let claim = |_| {
            let store = world.store.clone();
            thread::spawn(move || {
                let claim =
                    Batch::new().expect(Key::owner("p"), Expect::Absent).put(Key::owner("p"), Bytes::new());
                store.commit(claim, Durability::Buffered).unwrap()
            })
        };
        let claims = join((0..2).map(claim).collect());
        let committed = claims.iter().filter_map(|claim| match claim {
            Outcome::Committed(seq) => Some(*seq),
            Outcome::Failed(_) => None,
        });
        let mut numbers: Vec<u64> = committed.collect();
        assert_eq!(numbers.len(), 1, "exactly one claimer succeeds: {claims:?}");
        for (thread, answers) in join(committers).into_iter().enumerate() {
            for (n, answer) in answers.into_iter().enumerate() {
                let seq = answer.unwrap();
                let record = world.store.get(&key(thread, n)).unwrap().unwrap();
                assert_eq!(record.version, seq);
                numbers.push(seq);
            }
        }
        let all = numbers.len() as u64;
        assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), (1..=all).collect());
        assert!(!world.store.commits.has_queued());
    });
}

/// Closing waits for running calls, and refuses later ones.
#[test]
fn the_feed_delivers_commits_in_order_until_closed() {
    explore(|| {
        let mut world = open(&options());
        let listen = |capacity| {
            let (subscription, store) = (world.store.feed().subscribe(capacity), world.store.clone());
            thread::spawn(move || {
                let mut heard = 0;
                loop {
                    match subscription.receive(None) {
                        Received::Commit(commit) => {
                            heard += 1;
                            assert_eq!(commit.seq, heard);
                            assert!(store.last_seq() >= commit.seq, "not visible yet");
                        }
                        Received::Missed(missed) => heard += missed,
                        Received::Closed => return heard,
                        Received::Nothing => panic!("no timeout was given"),
                    }
                }
            })
        };
        let listeners = vec![listen(1), listen(100)];
        let committers = world.spawn_committers(Durability::Buffered);
        world.store.close().unwrap();
        let mut made = 0;
        for answer in join(committers).into_iter().flatten() {
            match answer {
                Ok(_) => made += 1,
                Err(error) => assert!(matches!(error.failure(), Failure::Closed), "{error}"),
            }
        }
        assert_eq!(join(listeners), [made, made]);
        world.store = Arc::new(sim::open(&world.disk, &world.index_dir, &options()).unwrap());
        assert_eq!(world.store.last_seq(), made);
    });
}

/// Any write or sync fails, or is torn. Waiting threads see the error, and nothing acknowledged is
/// lost.
#[test]
fn a_failure_reaches_all_waiting_threads() {
    explore(|| {
        let world = open(&options());
        let what = if thread_rng().gen_bool(0.5) { Fault::Error } else { Fault::Torn };
        world.disk.plan(Some(Plan { at: thread_rng().gen_range(1..8), what }));
        let durability = if thread_rng().gen_bool(0.5) { Durability::Synced } else { Durability::Buffered };
        let committers = world.spawn_committers(durability);
        let answers: Vec<_> = join(committers).into_iter().flatten().collect();
        if world.disk.failed().is_some() {
            assert!(answers.iter().any(Result::is_err), "an unreported failure");
            assert!(world.store.commit(put(&key(9, 9)), Durability::Buffered).unwrap_err().is_poisoned());
        }
        world.check_promises();
    });
}

/// Tasks hold no thread: the sync thread syncs for them when signalled.
#[cfg(feature = "tokio")]
#[test]
fn tasks_are_woken_by_sync_failure_and_close() {
    use std::future::poll_fn;
    use std::time::Duration;

    use shuttle::future::block_on;

    explore(|| {
        // Nothing else wakes it.
        let world = open(&Options { sync_interval: Duration::MAX, ..options() });
        if thread_rng().gen_bool(0.5) {
            let at = thread_rng().gen_range(1..6);
            world.disk.plan(Some(Plan { at, what: Fault::Error }));
        }
        let store = world.store.clone();
        let upkeep = thread::spawn(move || sync_until_stopped(&store.shared, &store.commits));
        let task = |thread| {
            let (store, disk, promises) = (world.store.clone(), world.disk.clone(), world.promises.clone());
            thread::spawn(move || {
                let key = key(thread, 0);
                let Ok(Outcome::Committed(seq)) = store.commit(put(&key), Durability::Buffered) else {
                    return;
                };
                if block_on(poll_fn(|context| store.poll_synced(seq, context.waker()))).is_ok() {
                    let (durability, disk) = (Durability::Synced, disk.copy());
                    promises.lock().push(Promise { key, seq, durability, disk });
                }
            })
        };
        let tasks: Vec<_> = (0..THREADS).map(task).collect();
        let stop = || {
            world.store.shared.sync_thread.stop();
            upkeep.join().unwrap();
        };
        if thread_rng().gen_bool(0.5) {
            stop();
            // It fails if another operation failed.
            let _ = world.store.close();
            join(tasks);
        } else {
            join(tasks);
            stop();
        }
        world.check_promises();
    });
}
