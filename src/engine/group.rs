//! Group commit: one sync serves every commit that waits for one.

use parking_lot::{Condvar, Mutex};

use crate::error::Result;

/// Brings what is durable up to a sequence number. Of the threads that wait, one
/// leads: it syncs for all that were committed by then.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Everything up to this sequence number is durable.
    done: u64,
    has_leader: bool,
}

impl Group {
    /// Nothing up to `done` needs a sync.
    pub(crate) fn starting_at(done: u64) -> Self {
        Self { state: Mutex::new(State { done, has_leader: false }), changed: Condvar::new() }
    }

    /// Returns once everything up to `seq` is durable. `sync` makes durable what
    /// is committed when it is called, and answers up to where that is.
    ///
    /// If a sync fails, each of those who wait makes its own attempt.
    pub(crate) fn reach(&self, seq: u64, sync: impl Fn() -> Result<u64>) -> Result<()> {
        let mut state = self.state.lock();
        while state.done < seq {
            if state.has_leader {
                self.changed.wait(&mut state);
                continue;
            }
            state.has_leader = true;
            drop(state);
            let result = sync();
            state = self.state.lock();
            state.has_leader = false;
            self.changed.notify_all();
            state.done = state.done.max(result?);
        }
        Ok(())
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
    fn what_is_durable_costs_nothing() {
        let group = Group::starting_at(5);
        group.reach(5, || panic!("no sync is needed")).unwrap();
    }

    #[test]
    fn one_sync_serves_all_that_wait() {
        const THREADS: u64 = 16;
        let group = Group::default();
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
                    assert!(group.state.lock().done >= seq);
                });
            }
        });
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_sync_reaches_everybody() {
        let group = Group::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let failed = group.reach(1, || Err(Error::argument("no")));
                    assert!(failed.is_err());
                });
            }
        });
        assert_eq!(group.state.lock().done, 0);
    }
}
