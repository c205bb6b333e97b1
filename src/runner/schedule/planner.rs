//! Plans when a runner claims its process: by schedule, jitter, rest, and after failures.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::{Error, Failure, Result};
use crate::model::ownership::Decision;
use crate::model::time;
use crate::run::ClaimOptions;
use crate::runner::Outcome;
use crate::store::ProcessHandle;

/// The waits after failures of the store: the first, and the maximum.
pub(crate) const TROUBLE_WAIT_MIN: Duration = Duration::from_millis(250);
pub(crate) const TROUBLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Adjustments to the times of runs.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    /// The maximum delay of a run.
    pub(crate) jitter: Duration,
    pub(crate) seed: Option<u64>,
    /// The minimum time between two runs.
    pub(crate) rest: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { jitter: Duration::ZERO, seed: None, rest: Duration::from_secs(1) }
    }
}

/// What a runner does next.
pub(crate) enum Plan {
    Run,
    /// Waits this long unconditionally.
    Rest(Duration),
    /// Another instance holds the process, and may be taken over at this time.
    Held {
        until: Timestamp,
    },
    NotDue {
        at: Timestamp,
    },
    /// Delays the due run by this time.
    PutOff(Duration),
}

pub(crate) struct Planner {
    process: ProcessHandle,
    claim: ClaimOptions,
    timing: Timing,
    random: fastrand::Rng,
    /// The awaited slot, and the delay of its run.
    slot: Option<(Timestamp, Duration)>,
    /// No claim before this time, on the monotonic clock.
    not_before: Duration,
    /// The wait after the next failure.
    trouble_wait: Duration,
}

impl Planner {
    pub(crate) fn new(process: ProcessHandle, claim: ClaimOptions, timing: Timing) -> Self {
        let random = timing.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let (not_before, trouble_wait) = (Duration::ZERO, TROUBLE_WAIT_MIN);
        Self { process, claim, timing, random, slot: None, not_before, trouble_wait }
    }

    pub(crate) fn plan(&mut self) -> Result<Plan> {
        let too_early = self.not_before.saturating_sub(self.monotonic());
        if !too_early.is_zero() {
            return Ok(Plan::Rest(too_early));
        }
        Ok(match self.decision()? {
            Decision::Held { until } => Plan::Held { until },
            Decision::NotDue { at } => {
                self.note_slot(at)?;
                Plan::NotDue { at }
            }
            Decision::Start => self.put_off().map_or(Plan::Run, Plan::PutOff),
            Decision::Resume => Plan::Run,
        })
    }

    /// Decides a claim.
    fn decision(&self) -> Result<Decision> {
        let process = &self.process;
        process.decide(&process.existing_owner()?, &process.read_status()?, self.claim.terms())
    }

    fn note_slot(&mut self, at: Timestamp) -> Result<()> {
        if self.slot.is_none_or(|(known, _)| known != at) {
            let settings = self.process.read_settings()?.value;
            let period = time::period(&settings.schedule_frequency).unwrap_or_default();
            let longest = self.timing.jitter.min(period / 2);
            self.slot = Some((at, longest.mul_f64(self.random.f64())));
        }
        Ok(())
    }

    /// Returns the remaining delay of the awaited slot's run.
    ///
    /// A run that is due for another reason is not delayed.
    fn put_off(&self) -> Option<Duration> {
        let now = self.process.store().now();
        let (at, jitter) = self.slot.filter(|(at, _)| *at <= now)?;
        let passed = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        jitter.checked_sub(passed).filter(|left| !left.is_zero())
    }

    /// Returns how long until the wall clock shows `time`.
    pub(crate) fn until(&self, time: Timestamp) -> Duration {
        Duration::try_from(time.duration_since(self.process.store().now())).unwrap_or_default()
    }

    pub(crate) fn note_outcome(&mut self, instance: &str, outcome: &Outcome) {
        let process = self.process.name();
        match outcome {
            // Another instance was faster.
            Outcome::Held { .. } | Outcome::NotDue { .. } => return,
            Outcome::Lost(loss) => tracing::warn!(process, instance, by = loss.by, "lost the process"),
            Outcome::Lapsed => {
                tracing::warn!(process, instance, "the run lapsed: no worker sent a heartbeat")
            }
            Outcome::Finished(status) => {
                tracing::info!(process, instance, state = status.state().as_str_name(), "run finished");
            }
            Outcome::HandedBack | Outcome::Stopped => {}
        }
        self.trouble_wait = TROUBLE_WAIT_MIN;
        self.not_before = self.monotonic().saturating_add(self.timing.rest);
    }

    /// Waits longer after each failure; returns the error if retries are pointless.
    pub(crate) fn note_trouble(&mut self, error: Error) -> Result<()> {
        if error.is_poisoned() || matches!(error.failure(), Failure::Closed) {
            return Err(error);
        }
        let (process, wait) = (self.process.name(), self.trouble_wait);
        tracing::error!(process, %error, ?wait, "the runner failed and will try again");
        self.not_before = self.monotonic().saturating_add(wait);
        self.trouble_wait = (wait * 2).min(TROUBLE_WAIT_MAX);
        Ok(())
    }

    fn monotonic(&self) -> Duration {
        self.process.store().inner.clock.monotonic()
    }
}
