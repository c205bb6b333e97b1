//! The state of a run that can be read at any moment.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::proto::Params;

/// The state of a run without a lock, since writers hold the run's lock for as long as the disk
/// takes.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    sent_nanos: AtomicU64,
    is_over: AtomicBool,
    begins_no_more: AtomicBool,
    /// Changes with the settings.
    settings_version: AtomicU64,
    settings: Mutex<Params>,
}

impl Heartbeat {
    pub(crate) fn new(sent: Duration, settings: Params) -> Self {
        Self {
            sent_nanos: AtomicU64::new(nanos(sent)),
            is_over: AtomicBool::new(false),
            begins_no_more: AtomicBool::new(false),
            settings_version: AtomicU64::new(0),
            settings: Mutex::new(settings),
        }
    }

    /// Returns when the last accepted write was sent, on the monotonic clock.
    pub(crate) fn sent(&self) -> Duration {
        Duration::from_nanos(self.sent_nanos.load(Ordering::Acquire))
    }

    pub(crate) fn set_sent(&self, sent: Duration) {
        self.sent_nanos.store(nanos(sent), Ordering::Release);
    }

    /// Reports whether the worker should stop: the run is aborted, lost, or over.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    pub(crate) fn set_over(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Reports whether the run begins no more items although there may be some.
    pub(crate) fn begins_no_more(&self) -> bool {
        self.begins_no_more.load(Ordering::Acquire)
    }

    pub(crate) fn set_takes_no_more(&self) {
        self.begins_no_more.store(true, Ordering::Release);
    }

    /// Returns how often the settings have changed.
    pub(crate) fn settings_version(&self) -> u64 {
        self.settings_version.load(Ordering::Acquire)
    }

    /// Returns an integer setting.
    pub(crate) fn setting(&self, name: &str) -> Option<i64> {
        self.settings.lock().get_int(name)
    }

    pub(crate) fn set_settings(&self, settings: Params) {
        *self.settings.lock() = settings;
        self.settings_version.fetch_add(1, Ordering::Release);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
