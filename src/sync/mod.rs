//! Synchronization: locks, atomics, waiting, and the clock of waits.
//!
//! The primitives are those of parking_lot and std. In unit tests each operation is also
//! a scheduling point, so that thread interleavings can be explored: see `explored`.

#[cfg(test)]
mod explored;
mod waiters;

#[cfg(not(test))]
mod real {
    use std::time::Instant;

    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
    pub(crate) use std::thread::yield_now;

    pub(crate) use parking_lot::{Condvar, Mutex, RwLock};

    pub(crate) use super::waiters::{Waiters, Wake};

    /// The clock for timed waits.
    #[inline]
    pub(crate) fn now() -> Instant {
        Instant::now()
    }
}

pub(crate) use std::sync::atomic::Ordering;

#[cfg(test)]
pub(crate) use explored::*;
pub(crate) use parking_lot::MutexGuard;
#[cfg(not(test))]
pub(crate) use real::*;
