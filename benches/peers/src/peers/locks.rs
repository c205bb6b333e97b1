//! Locks for engines that write batches without conditions: a commit holds the lock of its owner.

use std::hash::{BuildHasher, RandomState};

use parking_lot::{Mutex, MutexGuard};

pub struct Locks {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Locks {
    /// Enough that two of 64 threads rarely share a lock (in one run of thirty), at a byte each.
    const COUNT: usize = 65_536;

    pub fn new() -> Self {
        let locks = std::iter::repeat_with(Mutex::default).take(Self::COUNT).collect();
        Self { locks, hasher: RandomState::new() }
    }

    pub fn lock(&self, owner: &[u8]) -> MutexGuard<'_, ()> {
        self.locks[self.hasher.hash_one(owner) as usize % Self::COUNT].lock()
    }
}
