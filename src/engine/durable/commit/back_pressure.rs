//! Back-pressure: commits wait, rather than fail, while the disk cannot keep up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How often those who wait look whether the store was poisoned.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(crate) struct BackPressure {
    is_high: AtomicBool,
    waiting: Mutex<()>,
    eased: Condvar,
}

impl BackPressure {
    pub(crate) fn set(&self, is_high: bool) {
        self.is_high.store(is_high, Ordering::Release);
        if !is_high {
            let _waiting = self.waiting.lock();
            self.eased.notify_all();
        }
    }

    pub(crate) fn is_high(&self) -> bool {
        self.is_high.load(Ordering::Acquire)
    }

    /// Returns once there is no pressure, or fails as soon as `check` does.
    pub(crate) fn wait<E>(&self, check: impl Fn() -> Result<(), E>) -> Result<(), E> {
        while self.is_high() {
            check()?;
            let mut waiting = self.waiting.lock();
            if self.is_high() {
                self.eased.wait_for(&mut waiting, LOOK);
            }
        }
        Ok(())
    }
}
