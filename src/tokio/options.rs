//! The validated options of an async runner.

use std::time::Duration;

use crate::run::ClaimOptions;
use crate::runner::{FlowControl, Retry, Timing};

/// The maximum concurrency of a runner.
pub(super) const CONCURRENCY_MAX: usize = 65_536;

/// The validated options of an async runner.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// With buffered progress, since the runner waits for the disk itself.
    pub(super) claim: ClaimOptions,
    /// Whether progress and ends of items must survive power loss.
    pub(super) is_synced: bool,
    pub(super) flow: FlowControl,
    pub(super) retry: Retry,
    pub(super) item_timeout: Option<Duration>,
    pub(super) cancel_grace: Duration,
    pub(super) stop_grace: Duration,
    pub(super) beat_interval: Duration,
    pub(super) timing: Timing,
}
