//! Options of a claim.

use std::time::Duration;

use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::model::FailureLimit;
use crate::model::ownership::Terms;

/// The minimum heartbeat timeout derived from a progress interval.
const HEARTBEAT_TIMEOUT_MIN: Duration = Duration::from_secs(30);

/// The options of a claim.
///
/// ```
/// use procstate::{Claim, ClaimOptions, Durability, FailureLimit, Instance, Params, Store};
/// use std::time::Duration;
///
/// let options = ClaimOptions::new()
///     .force(true)
///     .min_interval(Duration::from_secs(60))
///     .afresh(false)
///     .skip_completed(false)
///     .progress_interval(Duration::from_secs(5))
///     .heartbeat_timeout(Duration::from_secs(60))
///     .progress_durability(Durability::Synced)
///     .max_failed_items(FailureLimit::Items(10));
///
/// let keys = Store::in_memory().process("gckeys")?;
/// keys.register("project-1", Params::new())?;
/// let Claim::Won(run) = keys.claim_with(&Instance::new(), &options)? else { panic!("no other instance holds the process") };
/// run.finish()?;
/// # Ok::<(), procstate::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClaimOptions {
    pub(crate) force: bool,
    pub(crate) min_interval: Option<Duration>,
    pub(crate) afresh: bool,
    pub(crate) progress_interval: Duration,
    pub(crate) heartbeat_timeout: Option<Duration>,
    pub(crate) durability: Durability,
    pub(crate) max_failed_items: Option<FailureLimit>,
    pub(crate) skip_completed: bool,
}

impl Default for ClaimOptions {
    fn default() -> Self {
        Self {
            force: false,
            min_interval: None,
            afresh: false,
            progress_interval: Duration::from_secs(1),
            heartbeat_timeout: None,
            durability: Durability::Buffered,
            max_failed_items: None,
            skip_completed: false,
        }
    }
}

impl ClaimOptions {
    /// Returns the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to claim even if no run is due.
    ///
    /// A live owner still holds the process.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Sets the minimum time between the starts of two runs. Default: as set by
    /// [`set_min_interval`](crate::ProcessHandle::set_min_interval).
    ///
    /// It delays new runs whatever makes them due: a slot that begins right after a run began
    /// (started at 23:59 with a daily period), a clock that jumps over its beginning, changed
    /// settings and work. It affects neither [`force`](ClaimOptions::force) nor resumed runs.
    /// [`set_min_interval`](crate::ProcessHandle::set_min_interval) has it.
    #[must_use]
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.min_interval = Some(interval);
        self
    }

    /// Sets whether to start a new run instead of resuming one that never finished.
    #[must_use]
    pub fn afresh(mut self, afresh: bool) -> Self {
        self.afresh = afresh;
        self
    }

    /// Sets the minimum time between two writes of progress; in between
    /// [`Run::progress`](crate::Run::progress) writes nothing. Default: 1 s.
    ///
    /// It is at most half the heartbeat timeout, so that a run that reports progress stays alive.
    #[must_use]
    pub fn progress_interval(mut self, interval: Duration) -> Self {
        self.progress_interval = interval;
        self
    }

    /// Sets how long the owner counts as alive after the start of its last write; above zero.
    /// Default: three times the progress interval, at least 30 s.
    #[must_use]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = Some(timeout);
        self
    }

    /// Sets what progress and ends of items survive. Default: [`Buffered`](Durability::Buffered).
    #[must_use]
    pub fn progress_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many items may fail before the run stops. Default: as set by
    /// [`set_max_failed_items`](crate::ProcessHandle::set_max_failed_items).
    #[must_use]
    pub fn max_failed_items(mut self, limit: FailureLimit) -> Self {
        self.max_failed_items = Some(limit);
        self
    }

    /// Sets whether a new run skips items completed in or since the last full run: it processes
    /// items that failed, that no run reached, and that were registered meanwhile.
    ///
    /// A resumed run continues as it began.
    #[must_use]
    pub fn skip_completed(mut self, skip: bool) -> Self {
        self.skip_completed = skip;
        self
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms { forced: self.force, min_interval: self.min_interval }
    }

    pub(crate) fn interval(&self) -> Duration {
        self.progress_interval.min(self.timeout() / 2)
    }

    /// Returns the interval of automatic heartbeats.
    pub(crate) fn beat_interval(&self) -> Duration {
        self.interval().min(self.timeout() / 3).max(Duration::from_millis(1))
    }

    pub(crate) fn timeout(&self) -> Duration {
        let usual = self.progress_interval.saturating_mul(3).max(HEARTBEAT_TIMEOUT_MIN);
        self.heartbeat_timeout.unwrap_or(usual)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.timeout().is_zero() {
            return Err(Error::argument("the heartbeat timeout must be above zero"));
        }
        if self.max_failed_items.is_some_and(|limit| !limit.is_valid()) {
            return Err(Error::argument("the share of items that may fail must be from 0.0 to 1.0"));
        }
        Ok(())
    }
}
