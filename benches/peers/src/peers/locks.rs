//! Locks for engines that write batches but do not check: a commit holds the lock of its owner.

use std::hash::{BuildHasher, RandomState};

use parking_lot::{Mutex, MutexGuard};

pub struct Locks {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Locks {
    /// So many that two of 64 threads do not meet at one lock (one run in thirty has such two),
    /// and with a byte each no burden.
    const COUNT: usize = 65_536;

    pub fn new() -> Self {
        let locks = std::iter::repeat_with(Mutex::default).take(Self::COUNT).collect();
        Self { locks, hasher: RandomState::new() }
    }

    pub fn lock(&self, owner: &[u8]) -> MutexGuard<'_, ()> {
        self.locks[self.hasher.hash_one(owner) as usize % Self::COUNT].lock()
    }
}
