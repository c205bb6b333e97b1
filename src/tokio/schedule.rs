//! The schedule: when an async runner claims its process.
//!
//! An idle runner waits for changes of its process, and once a second compares the wall
//! clock, which may have jumped, with the monotonic one. Neither reads the store.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::AsyncRunner;
use super::either::either;
use crate::engine::Alarm;
use crate::error::{Error, Failure, Result};
use crate::model::ownership::Decision;
use crate::model::time;
use crate::record::Key;
use crate::runner::Outcome;

/// How often a runner that waits looks at the wall clock.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A wall clock that has gone on by more or less than the monotonic one, by this much,
/// was set, or the machine was suspended.
const JUMP_MIN: Duration = Duration::from_millis(500);

/// The waits after failures of the store: the first, and the longest.
const TROUBLE_WAIT_MIN: Duration = Duration::from_millis(250);
const TROUBLE_WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) struct Schedule {
    runner: AsyncRunner,
    random: fastrand::Rng,
    /// The slot that is waited for, and by how much its run is put off.
    slot: Option<(Timestamp, Duration)>,
    /// Raised when the process changes hands, a run of it ends, or its settings or work
    /// change; also between the decision what to wait for and the wait.
    changed: Arc<Notify>,
    _alarm: Alarm,
    /// No claim before this time, by the monotonic clock.
    not_before: Duration,
    /// The wait after the next failure.
    trouble_wait: Duration,
}

enum Plan {
    Run,
    Wait(Wait),
}

/// What is waited for.
enum Wait {
    /// So long, whatever else happens.
    For(Duration),
    /// A change of the process, and at most so long by the wall clock.
    Change(Duration),
}

impl Schedule {
    pub(super) fn new(runner: AsyncRunner) -> Self {
        let random = runner.options.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let (not_before, trouble_wait) = (Duration::ZERO, TROUBLE_WAIT_MIN);
        let changed = Arc::new(Notify::new());
        let name = runner.handle.name();
        let keys = vec![Key::owner(name), Key::settings(name), Key::totals(name)];
        let raised = changed.clone();
        let alarm = runner.store().inner.engine.feed().alarm(keys, move || raised.notify_one());
        Self { runner, random, slot: None, changed, _alarm: alarm, not_before, trouble_wait }
    }

    pub(super) fn runner(&self) -> &AsyncRunner {
        &self.runner
    }

    pub(super) async fn run(mut self) -> Result<()> {
        while self.runner.shared.stop().is_none() {
            let ended = match self.plan() {
                Ok(Plan::Wait(wait)) => {
                    self.wait(wait).await;
                    Ok(())
                }
                Ok(Plan::Run) => self.runner.run_once().await.map(|outcome| self.note_outcome(&outcome)),
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => {}
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => self.note_trouble(&error),
            }
        }
        Ok(())
    }

    /// What to do now.
    fn plan(&mut self) -> Result<Plan> {
        let too_early = self.not_before.saturating_sub(self.runner.monotonic());
        if !too_early.is_zero() {
            return Ok(Plan::Wait(Wait::For(too_early)));
        }
        match self.decision()? {
            // Who lets go of a process need not write anything.
            Decision::Held { .. } => Ok(Plan::Wait(Wait::Change(LOOK_INTERVAL))),
            Decision::NotDue { at } => {
                self.note_slot(at)?;
                Ok(Plan::Wait(Wait::Change(self.until(at))))
            }
            Decision::Start if self.is_put_off() => Ok(Plan::Wait(Wait::Change(self.until_put_off()))),
            Decision::Start | Decision::Resume => Ok(Plan::Run),
        }
    }

    /// What a claim would come to.
    fn decision(&self) -> Result<Decision> {
        let handle = &self.runner.handle;
        let terms = self.runner.options.claim.terms();
        handle.decide(&handle.existing_owner()?, &handle.read_status()?, terms)
    }

    fn note_slot(&mut self, at: Timestamp) -> Result<()> {
        if self.slot.is_none_or(|(known, _)| known != at) {
            let settings = self.runner.handle.read_settings()?.value;
            let period = time::period(&settings.schedule_frequency).unwrap_or_default();
            let longest = self.runner.options.jitter.min(period / 2);
            self.slot = Some((at, longest.mul_f64(self.random.f64())));
        }
        Ok(())
    }

    /// Whether the slot that was waited for has come and its run is still put off. A run
    /// that is due for another reason is not.
    fn is_put_off(&self) -> bool {
        let now = self.runner.store().now();
        self.slot.is_some_and(|(at, jitter)| {
            at <= now && now.as_nanosecond() - at.as_nanosecond() < jitter.as_nanos().cast_signed()
        })
    }

    fn until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.runner.store().now())).unwrap_or_default()
    }

    fn until_put_off(&self) -> Duration {
        let at = self.slot.and_then(|(at, jitter)| at.checked_add(jitter).ok());
        at.map_or(Duration::ZERO, |at| self.until(at))
    }

    fn note_outcome(&mut self, outcome: &Outcome) {
        let (process, instance) = (self.runner.handle.name(), self.runner.instance.id());
        match outcome {
            // Another instance was faster.
            Outcome::Held { .. } | Outcome::NotDue { .. } => return,
            Outcome::Lost(loss) => tracing::warn!(process, instance, by = loss.by, "lost the process"),
            Outcome::Lapsed => tracing::warn!(process, instance, "the run lapsed: nobody showed life"),
            Outcome::Finished(status) => {
                tracing::info!(process, instance, state = status.state().as_str_name(), "run finished");
            }
            Outcome::HandedBack | Outcome::Stopped => {}
        }
        self.trouble_wait = TROUBLE_WAIT_MIN;
        self.not_before = self.runner.monotonic().saturating_add(self.runner.options.rest);
    }

    fn note_trouble(&mut self, error: &Error) {
        let (process, wait) = (self.runner.handle.name(), self.trouble_wait);
        tracing::error!(process, %error, ?wait, "the runner failed and will try again");
        self.not_before = self.runner.monotonic().saturating_add(wait);
        self.trouble_wait = (wait * 2).min(TROUBLE_WAIT_MAX);
    }

    async fn wait(&self, wait: Wait) {
        let mut asked = self.runner.shared.subscribe();
        if self.runner.shared.stop().is_some() {
            return;
        }
        let stopped = asked.changed();
        match wait {
            Wait::For(time) => {
                let longest = self.runner.clock().longest_sleep(time);
                let _ = tokio::time::timeout(longest, stopped).await;
            }
            Wait::Change(time) => {
                let changed = async { drop(stopped.await) };
                either(changed, self.changed_within(time)).await;
            }
        }
    }

    /// Waits for a change of the process, for the wall clock to jump, and for `time` at
    /// most.
    async fn changed_within(&self, time: Duration) {
        let (wall, monotonic) = (self.runner.store().now(), self.runner.monotonic());
        loop {
            let passed = self.runner.monotonic().saturating_sub(monotonic);
            let by_wall = self.runner.store().now().duration_since(wall);
            let is_jump = by_wall.as_nanos().abs_diff(passed.as_nanos().cast_signed()) > JUMP_MIN.as_nanos();
            if is_jump || passed >= time {
                return;
            }
            let sleep = self.runner.clock().longest_sleep((time - passed).min(LOOK_INTERVAL));
            if tokio::time::timeout(sleep, self.changed.notified()).await.is_ok() {
                return;
            }
        }
    }
}

/// No later call can do better.
fn is_final(error: &Error) -> bool {
    error.is_poisoned() || matches!(error.failure(), Failure::Closed)
}
