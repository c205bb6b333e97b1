//! The scheduler: when an async runner claims its process.
//!
//! An idle runner waits for changes of its process, and once a second compares the wall clock,
//! which may have jumped, with the monotonic one. Neither reads the store.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::AsyncRunner;
use super::call::call;
use super::dispatch::either::either;
use crate::engine::Alarm;
use crate::error::Result;
use crate::runner::{Plan, Planner, alarm};

/// The interval at which a waiting runner reads the wall clock.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest wait for a time that is near.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// The minimum difference between wall time and monotonic time that shows that the clock was set or
/// the machine was suspended.
const JUMP_MIN: Duration = Duration::from_millis(500);

pub(super) struct Scheduler {
    planner: Arc<Mutex<Planner>>,
    runner: AsyncRunner,
    /// Raised when the process changes owners, a run ends, or settings or work change, also between
    /// the decision what to wait for and the wait.
    changed: Arc<Notify>,
}

/// A wait.
enum Wait {
    /// This long unconditionally.
    For(Duration),
    /// Until a change of the process, and at most this long on the wall clock.
    Change(Duration),
}

impl Scheduler {
    pub(super) fn new(runner: AsyncRunner) -> Self {
        let options = &runner.options;
        let planner = Planner::new(runner.handle.clone(), options.claim.clone(), options.timing.clone());
        Self { planner: Arc::new(Mutex::new(planner)), runner, changed: Arc::new(Notify::new()) }
    }

    pub(super) fn runner(&self) -> &AsyncRunner {
        &self.runner
    }

    pub(super) async fn run(self) -> Result<()> {
        let _alarm = self.set_alarm().await?;
        while self.runner.shared.stop().is_none() {
            if let Err(error) = self.step().await {
                self.planner.lock().note_trouble(error)?;
            }
        }
        Ok(())
    }

    async fn set_alarm(&self) -> Result<Alarm> {
        let (handle, raised) = (self.runner.handle.clone(), self.changed.clone());
        call(self.runner.store(), move || Ok(alarm(&handle, move || raised.notify_one()))).await
    }

    /// Runs the process if a run is due; otherwise waits.
    async fn step(&self) -> Result<()> {
        let planner = self.planner.clone();
        let plan = call(self.runner.store(), move || planner.lock().plan()).await?;
        let wait = match plan {
            Plan::Rest(time) => Wait::For(time),
            Plan::Held { until } => Wait::Change(self.look_at_owner(until)),
            Plan::NotDue { at } => Wait::Change(self.planner.lock().until(at)),
            Plan::PutOff(time) => Wait::Change(time),
            Plan::Run => {
                let outcome = self.runner.run_once().await?;
                self.planner.lock().note_outcome(self.runner.instance.id(), &outcome);
                return Ok(());
            }
        };
        self.wait(wait).await;
        Ok(())
    }

    /// Returns when to check the owner again. An owner that leaves its process may write nothing; a
    /// check is free unless it waits for a network.
    fn look_at_owner(&self, until: Timestamp) -> Duration {
        let longest =
            if self.runner.store().inner.engine.is_networked() { Duration::MAX } else { LOOK_INTERVAL };
        self.planner.lock().until(until).clamp(WAIT_MIN, longest)
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

    /// Waits for a change of the process, a jump of the wall clock, or at most `time`.
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
