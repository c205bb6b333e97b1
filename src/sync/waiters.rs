//! Threads that wait for the same event.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Threads that wait for an event which happens once, or for their turn before it.
///
/// On Linux the standard library's condition variable wakes all of them with one system call. That of
/// parking_lot wakes one, which wakes the next.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakes: Mutex<Wakes>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct Wakes {
    all: bool,
    /// The number of wakes for one thread each that no thread has taken yet.
    single: usize,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    All,
    One,
}

impl Wakes {
    /// Takes the wake of one waiting thread.
    fn take(&mut self) -> Option<Wake> {
        if self.all {
            return Some(Wake::All);
        }
        self.single = self.single.checked_sub(1)?;
        Some(Wake::One)
    }
}

impl Waiters {
    /// Waits until woken.
    pub(crate) fn wait(&self) -> Wake {
        let mut wakes = self.lock();
        loop {
            if let Some(wake) = wakes.take() {
                return wake;
            }
            wakes = self.woken.wait(wakes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes all threads that wait, and those that will.
    pub(crate) fn wake_all(&self) {
        self.lock().all = true;
        self.woken.notify_all();
    }

    /// Wakes one thread: one that waits, or else the next one that would.
    pub(crate) fn wake_one(&self) {
        self.lock().single += 1;
        self.woken.notify_one();
    }

    /// Takes a wake without waiting.
    #[cfg(test)]
    pub(crate) fn try_wait(&self) -> Option<Wake> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Wakes> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn all_threads_are_woken_also_late_ones() {
        let waiters = Waiters::default();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| waiters.wait())).collect();
            assert_eq!(waiters.try_wait(), None);
            waiters.wake_all();
            threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), Wake::All));
        });
        assert_eq!(waiters.wait(), Wake::All);
    }

    #[test]
    fn one_thread_is_woken_at_a_time() {
        let waiters = Waiters::default();
        thread::scope(|scope| {
            let mut threads: Vec<_> = (0..4).map(|_| scope.spawn(|| waiters.wait())).collect();
            while !threads.is_empty() {
                let left = threads.len() - 1;
                waiters.wake_one();
                while threads.len() > left {
                    threads.retain(|thread| !thread.is_finished());
                    thread::yield_now();
                }
                assert_eq!(threads.len(), left);
            }
        });
        assert_eq!(waiters.try_wait(), None, "every wake was taken");
    }

    #[test]
    fn a_wake_before_the_wait_is_kept_once() {
        let waiters = Waiters::default();
        waiters.wake_one();
        assert_eq!(waiters.wait(), Wake::One);
        assert_eq!(waiters.try_wait(), None);
    }
}
