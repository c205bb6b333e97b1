//! Locks for engines that write batches but do not check: a commit holds the lock of its owner.

use std::hash::{BuildHasher, RandomState};

use parking_lot::{Mutex, MutexGuard};

pub struct Locks {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Locks {
    /// More than any bench has threads, so that two rarely meet at one lock.
    const COUNT: usize = 4096;

    pub fn new() -> Self {
        let locks = std::iter::repeat_with(Mutex::default).take(Self::COUNT).collect();
        Self { locks, hasher: RandomState::new() }
    }

    pub fn lock(&self, owner: &[u8]) -> MutexGuard<'_, ()> {
        self.locks[self.hasher.hash_one(owner) as usize % Self::COUNT].lock()
    }
}
