//! The options of an async runner, checked.

use std::time::Duration;

use crate::run::ClaimOptions;
use crate::runner::{FlowControl, Retry, Timing};

/// The most items that one runner works on at once.
pub(super) const CONCURRENCY_MAX: usize = 65_536;

/// The options that an async runner works by.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// With progress that is buffered: the runner waits for the disk by itself.
    pub(super) claim: ClaimOptions,
    /// Progress and the ends of items are to survive power loss.
    pub(super) is_synced: bool,
    pub(super) flow: FlowControl,
    pub(super) retry: Retry,
    pub(super) item_timeout: Option<Duration>,
    pub(super) cancel_grace: Duration,
    pub(super) stop_grace: Duration,
    pub(super) beat_interval: Duration,
    pub(super) timing: Timing,
}
