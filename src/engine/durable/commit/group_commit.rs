//! Group commit: one sync serves every commit that waits for one.

#[cfg(feature = "tokio")]
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use crate::error::Result;
use crate::sync::{self, AtomicU64, AtomicUsize, Mutex, Ordering, Parker, Unparker};

/// The maximum delay of a leader, however long a sync takes.
const DELAY_MAX: Duration = Duration::from_millis(1);

/// After repeated futile delays, at most one in this many leaders waits.
const REST_MAX: u32 = 64;

/// Makes the log durable up to a sequence number.
///
/// One of the waiting threads leads: its sync covers everything committed by then. The others
/// sleep.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    /// The sequence number up to which everything is durable.
    done: AtomicU64,
    state: Mutex<State>,
    /// The number of sleeping followers, for the leader, which does not hold the lock.
    sleeping: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    has_leader: bool,
    followers: Vec<Follower>,
    /// Tasks that wait without a thread, and never lead.
    tasks: Vec<Waiting>,
    delay: CommitDelay,
}

#[derive(Debug)]
struct Follower {
    seq: u64,
    unparker: Unparker,
}

/// A task to wake once everything up to `seq` is durable or a sync fails.
#[derive(Debug)]
struct Waiting {
    seq: u64,
    waker: Waker,
}

impl GroupCommit {
    /// Creates a group whose commits up to `done` are durable.
    pub(crate) fn starting_at(done: u64) -> Self {
        Self { done: AtomicU64::new(done), ..Self::default() }
    }

    /// Returns the sequence number up to which everything is durable.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Returns once everything up to `seq` is durable.
    ///
    /// `sync` makes everything committed before its call durable, and returns the last commit.
    ///
    /// If a sync fails, each waiting thread makes its own attempt.
    pub(crate) fn reach(&self, seq: u64, sync: impl Fn() -> Result<u64>) -> Result<()> {
        while self.done() < seq {
            let mut state = self.state.lock();
            if self.done() >= seq {
                break;
            }
            if state.has_leader {
                let parker = Parker::new();
                state.followers.push(Follower { seq, unparker: parker.unparker().clone() });
                self.sleeping.store(state.followers.len(), Ordering::Release);
                drop(state);
                parker.park();
                continue;
            }
            state.has_leader = true;
            let delay = state.delay;
            drop(state);
            self.lead(delay, &sync)?;
        }
        Ok(())
    }

    /// Polls until everything up to `seq` is durable.
    ///
    /// A thread has to lead.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll(&self, seq: u64, waker: &Waker) -> Poll<()> {
        let mut state = self.state.lock();
        if self.done() >= seq {
            return Poll::Ready(());
        }
        let same = |task: &&mut Waiting| task.waker.will_wake(waker);
        match state.tasks.iter_mut().find(same) {
            // The task polls again, possibly for a later commit.
            Some(task) => task.seq = task.seq.min(seq),
            None => state.tasks.push(Waiting { seq, waker: waker.clone() }),
        }
        Poll::Pending
    }

    /// Wakes all tasks, which then poll again.
    pub(crate) fn wake_tasks(&self) {
        let tasks = std::mem::take(&mut self.state.lock().tasks);
        tasks.into_iter().for_each(|task| task.waker.wake());
    }

    fn lead(&self, delay: CommitDelay, sync: &impl Fn() -> Result<u64>) -> Result<()> {
        let lead = Lead { group: self, has_ended: false };
        let have_come = self.delay_for(delay);
        let began = sync::now();
        let synced = sync();
        lead.end(synced.as_ref().ok().copied(), have_come, sync::now() - began);
        synced.map(drop)
    }

    /// Waits for the expected followers; returns whether they arrived.
    fn delay_for(&self, delay: CommitDelay) -> bool {
        let began = sync::now();
        while self.sleeping.load(Ordering::Acquire) + 1 < delay.expected {
            if sync::now() - began >= delay.limit {
                return false;
            }
            // They are about to run; sleeping until they wake this thread would take longer.
            sync::yield_now();
        }
        true
    }
}

/// The leadership of a thread. If it panics, all others retry on their own.
struct Lead<'a> {
    group: &'a GroupCommit,
    has_ended: bool,
}

impl Lead<'_> {
    /// Wakes the followers that a sync up to `done` covers, and the next leader; all of them if the
    /// sync failed.
    fn end(mut self, done: Option<u64>, have_come: bool, took: Duration) {
        self.has_ended = true;
        let Some(done) = done else { return self.give_up() };
        self.group.done.fetch_max(done, Ordering::AcqRel);
        let mut state = self.group.state.lock();
        state.has_leader = false;
        let served: Vec<_> = state.followers.extract_if(.., |follower| follower.seq <= done).collect();
        let tasks: Vec<_> = state.tasks.extract_if(.., |task| task.seq <= done).collect();
        let arrived = state.followers.len();
        state.delay.learn(have_come, served.len() + 1, arrived, took);
        // It leads next, unless a covered thread commits again before this one is awake.
        let next = (arrived > 0).then(|| state.followers.remove(0));
        self.group.sleeping.store(state.followers.len(), Ordering::Release);
        drop(state);
        next.iter().chain(&served).for_each(|follower| follower.unparker.unpark());
        tasks.into_iter().for_each(|task| task.waker.wake());
    }

    fn give_up(&self) {
        let mut state = self.group.state.lock();
        state.has_leader = false;
        state.delay = CommitDelay::default();
        let followers = std::mem::take(&mut state.followers);
        let tasks = std::mem::take(&mut state.tasks);
        self.group.sleeping.store(0, Ordering::Release);
        drop(state);
        followers.iter().for_each(|follower| follower.unparker.unpark());
        tasks.into_iter().for_each(|task| task.waker.wake());
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.give_up();
        }
    }
}

/// The commit delay: whether the next leader waits for others before it syncs, and for how many.
///
/// Threads that commit repeatedly split into two halves: one commits during the sync of the other,
/// so that each sync covers only half of them. Once this is observed, leaders wait briefly for the
/// threads covered by the last sync, as long as these arrive.
#[derive(Debug, Clone, Copy, Default)]
struct CommitDelay {
    /// The expected number of threads including the leader; 0 means no delay.
    expected: usize,
    limit: Duration,
    /// The number of syncs without a delay.
    rest: u32,
    /// The length of the last rest, which grows.
    last_rest: u32,
}

impl CommitDelay {
    /// Updates the delay after a sync: whether the expected threads had arrived, how many were
    /// covered, how many arrived during the sync, and how long it took.
    fn learn(&mut self, have_come: bool, served: usize, arrived: usize, took: Duration) {
        let has_waited = self.expected > 0;
        if has_waited && have_come {
            self.last_rest = 0;
        } else if has_waited {
            self.last_rest = (2 * self.last_rest + 1).min(REST_MAX);
            self.rest = self.last_rest;
        }
        let are_halves = arrived > 0 && arrived >= served;
        let waits = self.rest == 0 && (has_waited || are_halves);
        self.expected = if waits { served + arrived } else { 0 };
        self.limit = took.min(DELAY_MAX);
        self.rest = self.rest.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::error::Error;

    #[test]
    fn durable_commits_need_no_sync() {
        let group = GroupCommit::starting_at(5);
        group.reach(5, || panic!("no sync is needed")).unwrap();
    }

    #[test]
    fn one_sync_covers_all_waiting_threads() {
        const THREADS: u64 = 16;
        let group = GroupCommit::default();
        let (committed, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
        let barrier = Barrier::new(THREADS as usize);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let seq = committed.fetch_add(1, Ordering::SeqCst) + 1;
                    barrier.wait();
                    let sync = || {
                        syncs.fetch_add(1, Ordering::SeqCst);
                        let upto = committed.load(Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(5));
                        Ok(upto)
                    };
                    group.reach(seq, sync).unwrap();
                    assert!(group.done() >= seq);
                });
            }
        });
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
    }

    /// Leaders that wait, and followers that do not arrive, or arrive too late.
    #[test]
    fn no_thread_is_forgotten() {
        const THREADS: u64 = 8;
        const COMMITS: u64 = 300;
        let group = GroupCommit::default();
        let (committed, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
        let sync = || {
            syncs.fetch_add(1, Ordering::SeqCst);
            let upto = committed.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(50));
            Ok(upto)
        };
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (group, committed) = (&group, &committed);
                scope.spawn(move || {
                    for n in 0..COMMITS {
                        let seq = committed.fetch_add(1, Ordering::SeqCst) + 1;
                        group.reach(seq, sync).unwrap();
                        assert!(group.done() >= seq);
                        if (n + thread) % 16 == 0 {
                            std::thread::sleep(Duration::from_micros(200));
                        }
                    }
                });
            }
        });
        assert_eq!(group.done(), THREADS * COMMITS);
        assert!(group.state.lock().followers.is_empty());
        let syncs = syncs.into_inner();
        assert!(syncs < THREADS * COMMITS, "{syncs} syncs, none of them shared");
    }

    const TOOK: Duration = Duration::from_micros(100);

    #[test]
    fn a_leader_waits_for_the_other_half_while_it_arrives() {
        let mut delay = CommitDelay::default();
        delay.learn(true, 8, 7, TOOK);
        assert_eq!(delay.expected, 0, "most arrive late, or not at all");
        delay.learn(true, 8, 8, TOOK);
        assert_eq!((delay.expected, delay.limit), (16, TOOK));
        delay.learn(true, 16, 0, TOOK);
        assert_eq!(delay.expected, 16);
        delay.learn(false, 12, 0, TOOK);
        assert_eq!(delay.expected, 0);
    }

    #[test]
    fn futile_delays_become_rarer() {
        let mut delay = CommitDelay::default();
        let mut waits = Vec::new();
        for sync in 0..400 {
            let waited = delay.expected > 0;
            if waited {
                waits.push(sync);
            }
            delay.learn(!waited, 1, 1, TOOK);
        }
        let between: Vec<i32> = waits.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(between.is_sorted(), "{between:?}");
        assert_eq!((between[0], between.last()), (2, Some(&65)), "{between:?}");
    }

    #[test]
    fn a_single_thread_does_not_wait() {
        let mut delay = CommitDelay::default();
        for _ in 0..10 {
            delay.learn(true, 1, 0, TOOK);
            assert_eq!(delay.expected, 0);
        }
    }

    #[test]
    fn a_panicking_leader_blocks_no_thread() {
        let group = GroupCommit::default();
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| {
                group.reach(1, || {
                    while group.state.lock().followers.is_empty() {
                        std::thread::yield_now();
                    }
                    panic!("as a test does");
                })
            });
            while !group.state.lock().has_leader {
                std::thread::yield_now();
            }
            group.reach(1, || Ok(1)).unwrap();
            assert!(leader.join().is_err());
        });
    }

    #[cfg(feature = "tokio")]
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    #[cfg(feature = "tokio")]
    impl std::task::Wake for Wakes {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn tasks_are_woken_by_covering_and_failed_syncs() {
        let group = GroupCommit::default();
        let wakes = [(); 3].map(|()| std::sync::Arc::new(Wakes::default()));
        let wakers = wakes.clone().map(Waker::from);
        let woken = || wakes.clone().map(|wakes| wakes.0.load(Ordering::SeqCst));
        for (seq, waker) in (1..).zip(&wakers) {
            assert!(group.poll(seq, waker).is_pending());
            // Polled again, it waits only once.
            assert!(group.poll(seq, waker).is_pending());
        }
        group.reach(2, || Ok(2)).unwrap();
        assert_eq!(woken(), [1, 1, 0]);
        assert!(group.poll(2, &wakers[1]).is_ready());
        group.reach(3, || Err(Error::argument("no"))).unwrap_err();
        assert_eq!(woken(), [1, 1, 1]);
        assert!(group.poll(3, &wakers[2]).is_pending());
        group.wake_tasks();
        assert_eq!(woken(), [1, 1, 2]);
    }

    #[test]
    fn a_failed_sync_reaches_every_thread() {
        let group = GroupCommit::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let failed = group.reach(1, || Err(Error::argument("no")));
                    assert!(failed.is_err());
                });
            }
        });
        assert_eq!(group.done(), 0);
    }
}
