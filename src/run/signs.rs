//! What may be asked of a run at any moment.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How a run stands, answered at once: whoever writes holds the run's lock for as
/// long as the disk takes.
#[derive(Debug)]
pub(super) struct Signs {
    sent_nanos: AtomicU64,
    is_over: AtomicBool,
}

impl Signs {
    pub(super) fn new(sent: Duration) -> Self {
        Self { sent_nanos: AtomicU64::new(nanos(sent)), is_over: AtomicBool::new(false) }
    }

    /// When the last accepted write was sent, by the monotonic clock.
    pub(super) fn sent(&self) -> Duration {
        Duration::from_nanos(self.sent_nanos.load(Ordering::Acquire))
    }

    pub(super) fn set_sent(&self, sent: Duration) {
        self.sent_nanos.store(nanos(sent), Ordering::Release);
    }

    /// The worker should stop: the run is aborted, lost, or over.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    pub(super) fn set_over(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
