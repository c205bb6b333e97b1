//! Tests group commit and the feed under random interleavings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::Batch;
use super::durable::GroupCommit;
use super::feed::{ChangedKeys, Feed, Received, Subscription};
use crate::error::{Error, Result};
use crate::record::Key;
#[cfg(feature = "tokio")]
use crate::sync::yield_now;
use crate::sync::{Mutex, explore, point};

const THREADS: u64 = 3;
const COMMITS: u64 = 3;

/// The simulated disk of a group. Its own counters are not scheduling points.
#[derive(Debug, Default)]
struct Disk {
    group: GroupCommit,
    committed: AtomicU64,
    durable: AtomicU64,
}

impl Disk {
    fn commit(&self) -> u64 {
        self.committed.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn collect(&self) -> Result<(u64, u64)> {
        let upto = self.committed.load(Ordering::SeqCst);
        Ok((upto, upto))
    }

    /// Syncs after a delay, and may fail.
    fn sync(&self, upto: u64, may_fail: bool) -> Result<()> {
        for _ in 0..thread_rng().gen_range(1..8) {
            point();
        }
        if may_fail && thread_rng().gen_bool(0.3) {
            return Err(Error::argument("no"));
        }
        self.durable.fetch_max(upto, Ordering::SeqCst);
        Ok(())
    }

    fn reach(&self, seq: u64, may_fail: bool) -> Result<()> {
        self.group.reach(seq, || self.collect(), |upto| self.sync(upto, may_fail))
    }

    fn commit_and_sync(&self, may_fail: bool) {
        let seq = self.commit();
        point();
        assert!(self.group.expected() <= THREADS as usize, "a thread was counted twice");
        if self.reach(seq, may_fail).is_ok() {
            assert!(self.durable.load(Ordering::SeqCst) >= seq, "acknowledged before a sync that covers it");
        }
    }
}

fn spawn_committers(disk: &Arc<Disk>, may_fail: bool) -> Vec<thread::JoinHandle<()>> {
    let spawn = |_| {
        let disk = disk.clone();
        thread::spawn(move || (0..COMMITS).for_each(|_| disk.commit_and_sync(may_fail)))
    };
    (0..THREADS).map(spawn).collect()
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Leaders also delay: once they have seen that each sync covers half of the committing threads.
#[test]
fn every_commit_is_covered_by_a_sync() {
    explore(|| {
        let disk = Arc::default();
        join(spawn_committers(&disk, false));
        assert_eq!(disk.group.done(), THREADS * COMMITS);
    });
}

#[test]
fn a_failed_sync_blocks_no_thread() {
    explore(|| {
        let disk = Arc::default();
        join(spawn_committers(&disk, true));
        assert!(disk.group.done() <= disk.durable.load(Ordering::SeqCst));
    });
}

/// A task waits beside the threads, and one of them wakes it.
#[cfg(feature = "tokio")]
#[test]
fn a_task_is_woken_by_any_sync() {
    use std::future::poll_fn;

    use shuttle::future::block_on;

    explore(|| {
        let disk = Arc::new(Disk::default());
        let waiter = disk.clone();
        let task = thread::spawn(move || {
            let seq = waiter.commit();
            block_on(poll_fn(|context| waiter.group.poll(seq, context.waker())));
            assert!(waiter.durable.load(Ordering::SeqCst) >= seq);
        });
        join(spawn_committers(&disk, false));
        // The task may have committed after the last of their syncs.
        while disk.committed.load(Ordering::SeqCst) <= THREADS * COMMITS {
            yield_now();
        }
        disk.reach(disk.committed.load(Ordering::SeqCst), false).unwrap();
        task.join().unwrap();
    });
}

fn batch() -> Batch {
    Batch::new().put(Key::owner("p"), Bytes::new())
}

/// Publishes like an engine: in order, under one lock.
#[derive(Debug, Default)]
struct Writer {
    seq: Mutex<u64>,
    feed: Feed,
}

impl Writer {
    fn publish(&self) -> u64 {
        let mut seq = self.seq.lock();
        *seq += 1;
        self.feed.publish(*seq, &batch());
        *seq
    }

    fn publish_all(&self) {
        for _ in 0..COMMITS {
            self.publish();
        }
    }
}

/// Checks that a subscription receives each commit once and in order, or counted as missed,
/// starting with its first.
fn listen(subscription: &Subscription, mut next: Option<u64>, last: u64) {
    loop {
        match subscription.receive(None) {
            Received::Commit(commit) => {
                let expected = next.unwrap_or(commit.seq);
                assert_eq!(commit.seq, expected, "in order, each once");
                next = Some(commit.seq + 1);
            }
            Received::Missed(missed) => next = next.map(|next| next + missed),
            Received::Closed => break,
            Received::Nothing => panic!("no timeout was given"),
        }
    }
    assert!(next.is_none_or(|next| next == last + 1), "{next:?} of {last}");
}

#[test]
fn a_subscription_receives_each_commit_once_or_as_missed() {
    explore(|| {
        let writer = Arc::new(Writer::default());
        let listeners: Vec<_> = [(1, true), (2, true), (100, true), (100, false)]
            .map(|(capacity, from_start)| {
                let listener = writer.clone();
                let early = from_start.then(|| writer.feed.subscribe(capacity));
                thread::spawn(move || {
                    let subscription = early.unwrap_or_else(|| listener.feed.subscribe(capacity));
                    listen(&subscription, from_start.then_some(1), THREADS * COMMITS);
                })
            })
            .into();
        let publish = |_| {
            let writer = writer.clone();
            thread::spawn(move || writer.publish_all())
        };
        join((0..THREADS).map(publish).collect());
        writer.feed.close();
        join(listeners);
    });
}

/// Subscribers from before a commit receive it, regardless of others; an overlooked one would wait
/// forever.
#[test]
fn no_commit_is_lost_while_listeners_come_and_go() {
    explore(|| {
        let writer = Arc::new(Writer::default());
        let come_and_go = |_| {
            let writer = writer.clone();
            thread::spawn(move || {
                for _ in 0..COMMITS {
                    let subscription = writer.feed.subscribe(100);
                    let own = writer.publish();
                    while !matches!(subscription.receive(None), Received::Commit(commit) if commit.seq == own)
                    {
                    }
                }
            })
        };
        let mut threads: Vec<_> = (0..2).map(come_and_go).collect();
        let other = writer.clone();
        threads.push(thread::spawn(move || other.publish_all()));
        join(threads);
    });
}

/// A reader that sleeps through a change would wait forever.
#[test]
fn no_change_is_missed_by_a_sleeping_reader() {
    explore(|| {
        let writer = Arc::new(Writer::default());
        let (changes, last) = (writer.feed.gather(100), THREADS * COMMITS);
        let reader = thread::spawn(move || {
            let (mut seen, mut is_told) = (0, false);
            while changes.wait(Duration::MAX) {
                let Some(ChangedKeys { seq, keys, is_incomplete }) = changes.take() else { break };
                assert!(seq > seen && keys.contains_key(&Key::owner("p")) && !is_incomplete);
                (seen, is_told) = (seq, true);
            }
            assert!(is_told && seen == last, "{seen} of {last}");
        });
        let publish = |_| {
            let writer = writer.clone();
            thread::spawn(move || writer.publish_all())
        };
        join((0..THREADS).map(publish).collect());
        writer.feed.close();
        join(vec![reader]);
    });
}
