//! Group commit: one sync serves every commit that waits for one.

use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use super::commit_delay::CommitDelay;
use crate::error::Result;
use crate::sync::{self, AtomicU64, AtomicUsize, Mutex, Ordering, Waiters, Wake};

/// Makes the log durable up to a sequence number.
///
/// One of the waiting threads leads: its sync covers everything committed by then. The others
/// sleep, and one system call wakes all that a sync covers.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    /// The sequence number up to which everything is durable.
    done: AtomicU64,
    state: Mutex<State>,
    /// The length of the next group, for a leader that waits for it without the lock.
    next_len: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    has_leader: bool,
    /// The commit up to which the running sync covers everything; 0 without one.
    syncing: u64,
    /// The threads that the running sync covers, besides its leader.
    covered: Option<Group>,
    /// The threads that wait for the next sync.
    next: Group,
    /// Tasks that wait without a thread, and never lead.
    tasks: Vec<Task>,
    delay: CommitDelay,
}

/// Threads that wait for the same sync.
#[derive(Debug, Default)]
struct Group {
    waiters: Arc<Waiters>,
    len: usize,
}

/// A task to wake once everything up to `seq` is durable or a sync fails.
#[derive(Debug)]
struct Task {
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
    /// `collect` returns the last commit and the files to sync for it; `sync` syncs them.
    ///
    /// If either fails, each waiting thread makes its own attempt.
    pub(crate) fn reach<F>(
        &self,
        seq: u64,
        collect: impl Fn() -> Result<(u64, F)>,
        sync: impl Fn(F) -> Result<()>,
    ) -> Result<()> {
        while self.done() < seq {
            let mut state = self.state.lock();
            if self.done() >= seq {
                break;
            }
            if state.has_leader {
                let waiters = self.join(&mut state, seq);
                drop(state);
                // Once the group has a leader, that one wakes all.
                while waiters.wait() == Wake::One && !self.leave(&waiters) {}
                continue;
            }
            state.has_leader = true;
            let delay = state.delay;
            drop(state);
            self.lead(delay, &collect, &sync)?;
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
        let same = |task: &&mut Task| task.waker.will_wake(waker);
        match state.tasks.iter_mut().find(same) {
            // The task polls again, possibly for a later commit.
            Some(task) => task.seq = task.seq.min(seq),
            None => state.tasks.push(Task { seq, waker: waker.clone() }),
        }
        Poll::Pending
    }

    /// Wakes all tasks, which then poll again.
    pub(crate) fn wake_tasks(&self) {
        let tasks = std::mem::take(&mut self.state.lock().tasks);
        tasks.into_iter().for_each(|task| task.waker.wake());
    }

    /// Joins the group of the sync that will cover `seq`.
    fn join(&self, state: &mut State, seq: u64) -> Arc<Waiters> {
        if seq > state.syncing {
            self.set_next_len(state, |len| len + 1);
            return state.next.waiters.clone();
        }
        let covered = state.covered.get_or_insert_default();
        covered.len += 1;
        covered.waiters.clone()
    }

    /// Leaves the group of `waiters` to lead it; returns false if it has a leader, which will wake all.
    ///
    /// No sync that has ended covers a thread of the next group: one that leaves it leads, unless
    /// another is faster.
    fn leave(&self, waiters: &Arc<Waiters>) -> bool {
        let mut state = self.state.lock();
        if state.has_leader || !Arc::ptr_eq(&state.next.waiters, waiters) {
            return false;
        }
        self.set_next_len(&mut state, |len| len - 1);
        true
    }

    fn take_next(&self, state: &mut State) -> Option<Group> {
        self.next_len.store(0, Ordering::Release);
        (state.next.len > 0).then(|| std::mem::take(&mut state.next))
    }

    fn set_next_len(&self, state: &mut State, change: impl Fn(usize) -> usize) {
        state.next.len = change(state.next.len);
        self.next_len.store(state.next.len, Ordering::Release);
    }

    fn lead<F>(
        &self,
        delay: CommitDelay,
        collect: impl Fn() -> Result<(u64, F)>,
        sync: impl Fn(F) -> Result<()>,
    ) -> Result<()> {
        let lead = Lead { group: self, has_ended: false };
        let have_come = self.delay_for(delay);
        let began = sync::now();
        let (upto, files) = collect()?;
        lead.close_group(upto);
        sync(files)?;
        lead.end(upto, have_come, sync::now() - began);
        Ok(())
    }

    /// Waits for the expected followers; returns whether they arrived.
    fn delay_for(&self, delay: CommitDelay) -> bool {
        let began = sync::now();
        while self.next_len.load(Ordering::Acquire) + 1 < delay.expected {
            if sync::now() - began >= delay.limit {
                return false;
            }
            // They are about to run; sleeping until they wake this thread would take longer.
            sync::yield_now();
        }
        true
    }
}

/// The leadership of a thread. If it fails or panics, all others retry on their own.
struct Lead<'a> {
    group: &'a GroupCommit,
    has_ended: bool,
}

impl Lead<'_> {
    /// Lets threads that arrive from now on wait for the next sync, unless this one covers them.
    fn close_group(&self, upto: u64) {
        let mut state = self.group.state.lock();
        state.syncing = upto;
        state.covered = self.group.take_next(&mut state);
    }

    /// Wakes the threads and tasks that a sync up to `done` covers, and the next leader.
    fn end(mut self, done: u64, have_come: bool, took: Duration) {
        self.has_ended = true;
        self.group.done.fetch_max(done, Ordering::AcqRel);
        let mut state = self.group.state.lock();
        (state.has_leader, state.syncing) = (false, 0);
        let covered = state.covered.take();
        let served = 1 + covered.as_ref().map_or(0, |group| group.len);
        let arrived = state.next.len;
        state.delay.learn(have_come, served, arrived, took);
        let tasks: Vec<_> = state.tasks.extract_if(.., |task| task.seq <= done).collect();
        let leader = (arrived > 0).then(|| state.next.waiters.clone());
        drop(state);
        // The appointed thread leads next, unless a covered one commits again first.
        leader.iter().for_each(|waiters| waiters.wake_one());
        covered.iter().for_each(|group| group.waiters.wake_all());
        tasks.into_iter().for_each(|task| task.waker.wake());
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut state = self.group.state.lock();
        (state.has_leader, state.syncing) = (false, 0);
        state.delay = CommitDelay::default();
        let waiting = [state.covered.take(), self.group.take_next(&mut state)];
        let tasks = std::mem::take(&mut state.tasks);
        drop(state);
        waiting.iter().flatten().for_each(|group| group.waiters.wake_all());
        tasks.into_iter().for_each(|task| task.waker.wake());
    }
}

/// Internals for tests.
#[cfg(test)]
impl GroupCommit {
    /// Returns the number of threads that the next leader waits for, including itself.
    pub(crate) fn expected(&self) -> usize {
        self.state.lock().delay.expected
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
        group.reach(5, || -> Result<(u64, ())> { panic!("no sync is needed") }, Ok).unwrap();
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
                    let collect = || Ok((committed.load(Ordering::SeqCst), ()));
                    let sync = |()| {
                        syncs.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(5));
                        Ok(())
                    };
                    group.reach(seq, collect, sync).unwrap();
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
        let collect = || Ok((committed.load(Ordering::SeqCst), ()));
        let sync = |()| {
            syncs.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(50));
            Ok(())
        };
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (group, committed) = (&group, &committed);
                scope.spawn(move || {
                    for n in 0..COMMITS {
                        let seq = committed.fetch_add(1, Ordering::SeqCst) + 1;
                        group.reach(seq, collect, sync).unwrap();
                        assert!(group.done() >= seq);
                        if (n + thread) % 16 == 0 {
                            std::thread::sleep(Duration::from_micros(200));
                        }
                    }
                });
            }
        });
        assert_eq!(group.done(), THREADS * COMMITS);
        assert_eq!(group.state.lock().next.len, 0);
        let syncs = syncs.into_inner();
        assert!(syncs < THREADS * COMMITS, "{syncs} syncs, none of them shared");
    }

    #[test]
    fn a_panicking_leader_blocks_no_thread() {
        let group = GroupCommit::default();
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| {
                let collect = || {
                    while group.state.lock().next.len == 0 {
                        std::thread::yield_now();
                    }
                    Ok((1, ()))
                };
                group.reach(1, collect, |()| panic!("as a test does"))
            });
            while !group.state.lock().has_leader {
                std::thread::yield_now();
            }
            group.reach(1, || Ok((1, ())), Ok).unwrap();
            assert!(leader.join().is_err());
        });
    }

    /// Found by review: it waited for a sync of its own.
    #[test]
    fn a_late_thread_waits_for_the_running_sync_that_covers_it() {
        let group = GroupCommit::default();
        let waiting = || {
            let state = group.state.lock();
            (state.covered.as_ref().map_or(0, |group| group.len), state.next.len)
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let sync = |()| {
                    while waiting() == (0, 0) {
                        std::thread::yield_now();
                    }
                    assert_eq!(waiting(), (1, 0));
                    Ok(())
                };
                group.reach(2, || Ok((2, ())), sync).unwrap();
            });
            while group.state.lock().syncing < 2 {
                std::thread::yield_now();
            }
            group.reach(1, || -> Result<(u64, ())> { panic!("it is covered") }, Ok).unwrap();
        });
        assert_eq!(group.state.lock().syncing, 0);
    }

    #[cfg(feature = "tokio")]
    #[derive(Default)]
    struct Wakes(std::sync::atomic::AtomicUsize);

    #[cfg(feature = "tokio")]
    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn tasks_are_woken_by_covering_and_failed_syncs() {
        let group = GroupCommit::default();
        let wakes = [(); 3].map(|()| Arc::new(Wakes::default()));
        let wakers = wakes.clone().map(Waker::from);
        let woken = || wakes.clone().map(|wakes| wakes.0.load(Ordering::SeqCst));
        for (seq, waker) in (1..).zip(&wakers) {
            assert!(group.poll(seq, waker).is_pending());
            // Polled again, it waits only once.
            assert!(group.poll(seq, waker).is_pending());
        }
        group.reach(2, || Ok((2, ())), Ok).unwrap();
        assert_eq!(woken(), [1, 1, 0]);
        assert!(group.poll(2, &wakers[1]).is_ready());
        group.reach(3, || Ok((3, ())), |()| Err(Error::argument("no"))).unwrap_err();
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
                    let failed = group.reach(1, || Ok((1, ())), |()| Err(Error::argument("no")));
                    assert!(failed.is_err());
                });
            }
        });
        assert_eq!(group.done(), 0);
    }
}
