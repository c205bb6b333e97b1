//! The validated options of a runner.

use std::time::Duration;

use super::Retry;
use super::dispatch::flow_control::FlowControl;
use super::schedule::planner::Timing;
use crate::run::ClaimOptions;

/// The validated options of a runner.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) claim: ClaimOptions,
    pub(super) flow: FlowControl,
    pub(super) retry: Retry,
    pub(super) item_timeout: Option<Duration>,
    pub(super) stop_grace: Duration,
    pub(super) beats_by_itself: bool,
    pub(super) beat_interval: Duration,
    pub(super) timing: Timing,
}
