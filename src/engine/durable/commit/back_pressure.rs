//! Back-pressure: commits wait, rather than fail, while the checkpointer cannot keep up.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::engine::durable::options::Options;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// How often a waiting commit checks whether the store was poisoned.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// How far the index lags behind the commits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    /// The active generation of the memtable.
    pub(super) memtable_bytes: usize,
    /// The log since the last freeze of the memtable.
    pub(super) unfrozen_log_bytes: u64,
    /// The log that no snapshot covers.
    pub(super) log_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct BackPressure {
    is_high: AtomicBool,
    waiting: Mutex<()>,
    eased: Condvar,
    /// The amount of log at which a snapshot is due, because the log outgrows the state.
    snapshot_at: AtomicU64,
    /// The amount of log beyond which commits wait.
    log_bytes_max: AtomicU64,
    /// Whether the last checkpoint lacked disk space.
    is_disk_full: AtomicBool,
    /// Whether commits wait for the verification of the store.
    is_verifying: AtomicBool,
}

impl BackPressure {
    /// Reports whether the checkpointer has work.
    pub(super) fn needs_checkpoint(&self, backlog: &Backlog, options: &Options) -> bool {
        backlog.memtable_bytes >= options.checkpoint_bytes()
            || backlog.unfrozen_log_bytes >= options.checkpoint_log_bytes()
            || self.is_snapshot_due(backlog.log_bytes)
    }

    pub(super) fn is_snapshot_due(&self, log_bytes: u64) -> bool {
        log_bytes >= self.snapshot_at.load(Ordering::Acquire)
    }

    /// Makes commits wait or continue.
    pub(super) fn update(&self, backlog: &Backlog, options: &Options) {
        let is_high = self.is_verifying()
            || backlog.memtable_bytes >= options.active_bytes_max()
            || backlog.log_bytes >= self.log_bytes_max.load(Ordering::Acquire);
        if is_high == self.is_high() {
            return;
        }
        self.is_high.store(is_high, Ordering::Release);
        if !is_high {
            let _waiting = self.waiting.lock();
            self.eased.notify_all();
        }
    }

    pub(super) fn set_log_limits(&self, snapshot_at: u64, log_bytes_max: u64) {
        self.snapshot_at.store(snapshot_at, Ordering::Release);
        self.log_bytes_max.store(log_bytes_max, Ordering::Release);
    }

    pub(super) fn is_high(&self) -> bool {
        self.is_high.load(Ordering::Acquire)
    }

    /// Makes commits wait for the verification of the store, or no longer.
    ///
    /// The next update applies it.
    pub(super) fn set_verifying(&self, is_verifying: bool) {
        self.is_verifying.store(is_verifying, Ordering::Release);
    }

    pub(super) fn is_verifying(&self) -> bool {
        self.is_verifying.load(Ordering::Acquire)
    }

    pub(super) fn is_disk_full(&self) -> bool {
        self.is_disk_full.load(Ordering::Acquire)
    }

    /// Sets whether the disk is full; returns the previous value.
    pub(super) fn set_disk_full(&self, is_full: bool) -> bool {
        self.is_disk_full.swap(is_full, Ordering::AcqRel)
    }

    /// Waits until there is no back-pressure; fails as soon as `check` does.
    pub(super) fn wait<E>(&self, check: impl Fn() -> Result<(), E>) -> Result<(), E> {
        while self.is_high() {
            check()?;
            let mut waiting = self.waiting.lock();
            if self.is_high() {
                self.eased.wait_for(&mut waiting, CHECK_INTERVAL);
            }
        }
        Ok(())
    }
}
