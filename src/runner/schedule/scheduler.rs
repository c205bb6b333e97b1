//! The schedule: when a runner claims its process.
//!
//! No wait is unconditional: it ends when its time has come, the wall clock jumps, the settings
//! change, or the owner finishes; then everything relevant is read again. Nothing is read
//! meanwhile.

use std::time::Duration;

use super::idle;
use super::planner::{Plan, Planner};
use crate::engine::Alarm;
use crate::error::Result;
use crate::runner::Runner;

/// The minimum wait for a time that has come on another clock, or is about to.
const WAIT_MIN: Duration = Duration::from_millis(1);

pub(crate) struct Scheduler {
    planner: Planner,
    runner: Runner,
    /// Raises the signal while the runner is idle.
    alarm: Option<Alarm>,
}

impl Scheduler {
    pub(crate) fn new(runner: Runner) -> Self {
        let options = &runner.options;
        let planner = Planner::new(runner.handle.clone(), options.claim.clone(), options.timing.clone());
        Self { planner, runner, alarm: None }
    }

    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    pub(crate) fn run(mut self) -> Result<()> {
        let (shared, store) = (self.runner.shared.clone(), self.runner.handle.store().clone());
        let clock = &*store.inner.clock;
        loop {
            let seen = shared.signal.seen();
            if shared.stop().is_some() {
                return Ok(());
            }
            match self.step() {
                // Changes before the alarm was set are read now.
                Ok(_) if self.alarm.is_none() => {
                    let raised = shared.clone();
                    let raise = move || raised.signal.raise();
                    self.alarm = Some(idle::alarm(&self.runner.handle, raise));
                }
                Ok(wait) => idle::wait(&shared.signal, seen, clock, wait),
                Err(error) => self.planner.note_trouble(error)?,
            }
        }
    }

    /// Runs the process if a run is due; returns the maximum wait.
    fn step(&mut self) -> Result<Duration> {
        let wait = match self.planner.plan()? {
            Plan::Rest(wait) => return Ok(wait),
            Plan::Held { until: time } | Plan::NotDue { at: time } => self.planner.until(time),
            Plan::PutOff(wait) => wait,
            Plan::Run => {
                self.alarm = None;
                let outcome = self.runner.run_once()?;
                self.planner.note_outcome(self.runner.instance.id(), &outcome);
                return Ok(Duration::ZERO);
            }
        };
        Ok(wait.max(WAIT_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::super::planner::{TROUBLE_WAIT_MAX, TROUBLE_WAIT_MIN};
    use super::*;
    use crate::clock::ManualClock;
    use crate::error::Error;
    use crate::proto::Params;
    use crate::run::{Claim, Instance};
    use crate::runner::RunnerBuilder;
    use crate::store::{ProcessHandle, Store};
    use jiff::SignedDuration;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    /// A scheduler stepped by the test, on a clock that stands at ten past twelve.
    struct Fixture {
        clock: ManualClock,
        process: ProcessHandle,
        scheduler: Scheduler,
    }

    impl Fixture {
        fn new(with: impl FnOnce(RunnerBuilder) -> RunnerBuilder) -> Self {
            let clock = ManualClock::new("2026-11-23T12:10:00Z".parse().unwrap());
            let store = Store::builder().clock(clock.clone()).in_memory();
            let process = store.process("p").unwrap();
            process.register("w", Params::new()).unwrap();
            let builder = Runner::builder(&store, "p").every(HOUR).worker_fn(|_| Ok(()));
            let scheduler = Scheduler::new(with(builder.rest(Duration::ZERO)).build().unwrap());
            Self { clock, process, scheduler }
        }

        /// Steps as often as a runner would at this moment; returns the total number of runs.
        fn runs(&mut self) -> usize {
            while self.scheduler.step().unwrap().is_zero() {}
            self.process.history().unwrap().len()
        }

        fn runs_after(&mut self, time: Duration) -> usize {
            self.clock.advance(time);
            self.runs()
        }
    }

    #[test]
    fn one_run_in_each_slot() {
        let mut fixture = Fixture::new(|builder| builder);
        assert_eq!(fixture.runs(), 1);
        assert_eq!(fixture.runs_after(49 * MINUTE), 1);
        assert_eq!(fixture.runs_after(MINUTE), 2);
        for slot in 3..10 {
            assert_eq!(fixture.runs_after(59 * MINUTE), slot - 1);
            assert_eq!(fixture.runs_after(MINUTE), slot);
        }
        // Missed slots are not made up for.
        assert_eq!(fixture.runs_after(5 * HOUR), 10);
    }

    #[test]
    fn a_clock_that_jumps_neither_stops_the_runs_nor_doubles_them() {
        let mut fixture = Fixture::new(|builder| builder);
        assert_eq!(fixture.runs(), 1);
        let day = SignedDuration::from_hours(24);
        for (jump, runs) in [(-day, 2), (day, 3)] {
            fixture.clock.jump(jump);
            assert_eq!(fixture.runs(), runs);
            assert_eq!(fixture.runs(), runs);
        }
        assert_eq!(fixture.runs_after(HOUR), 4);
    }

    #[test]
    fn a_clock_that_jumps_over_the_slot_repeats_it_without_an_interval() {
        for (interval, runs) in [(Duration::ZERO, 2), (30 * MINUTE, 1)] {
            let mut fixture = Fixture::new(|builder| builder.min_interval(interval));
            fixture.clock.advance(49 * MINUTE);
            assert_eq!(fixture.runs(), 1);
            fixture.clock.jump(SignedDuration::from_secs(61));
            assert_eq!(fixture.runs(), runs);
            assert_eq!(fixture.runs_after(29 * MINUTE), 2);
            assert_eq!(fixture.runs_after(HOUR), 3);
        }
    }

    #[test]
    fn changes_of_settings_and_work_are_noticed_at_once() {
        let mut fixture = Fixture::new(|builder| builder.jitter(HOUR));
        assert_eq!(fixture.runs(), 1);
        fixture.process.register("x", Params::new()).unwrap();
        assert_eq!(fixture.runs(), 2);
        fixture.process.set_schedule(Some(MINUTE)).unwrap();
        assert_eq!(fixture.runs(), 3);
        assert_eq!(fixture.runs_after(2 * MINUTE), 4);
    }

    /// Returns the delay of the run of the slot after twelve, in seconds.
    fn put_off_by(seed: u64) -> Duration {
        let mut fixture = Fixture::new(|builder| builder.jitter(10 * MINUTE).seed(seed));
        assert_eq!(fixture.runs(), 1);
        assert_eq!(fixture.runs_after(50 * MINUTE), 1);
        (1..=600).map(Duration::from_secs).find(|_| fixture.runs_after(Duration::from_secs(1)) == 2).unwrap()
    }

    #[test]
    fn jitter_delays_runs_by_the_seed() {
        let waits: Vec<Duration> = (0..5).map(put_off_by).collect();
        assert_eq!(waits, (0..5).map(put_off_by).collect::<Vec<_>>());
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }

    #[test]
    fn jitter_leaves_half_of_the_period() {
        let mut fixture = Fixture::new(|builder| builder.jitter(1000 * HOUR));
        for runs in 1..50 {
            assert_eq!(fixture.runs(), runs);
            let to_the_slot = if runs == 1 { 50 * MINUTE } else { 30 * MINUTE };
            fixture.runs_after(to_the_slot);
            fixture.clock.advance(30 * MINUTE);
        }
    }

    #[test]
    fn takes_over_from_a_silent_holder() {
        let mut fixture = Fixture::new(|builder| builder);
        let held = fixture.process.claim(&Instance::new()).unwrap();
        assert!(matches!(held, Claim::Won(_)));
        fixture.clock.advance(Duration::from_secs(29));
        assert_eq!(fixture.scheduler.step().unwrap(), Duration::from_secs(1));
        assert_eq!(fixture.runs_after(Duration::from_secs(1)), 1);
    }

    #[test]
    fn rests_between_runs() {
        let mut fixture = Fixture::new(|builder| builder.rest(MINUTE));
        assert_eq!(fixture.runs(), 1);
        fixture.process.register("x", Params::new()).unwrap();
        assert_eq!(fixture.runs_after(MINUTE / 2), 1);
        assert_eq!(fixture.runs_after(MINUTE / 2), 2);
    }

    #[test]
    fn waits_longer_after_each_failure_and_recovers() {
        let mut fixture = Fixture::new(|builder| builder);
        fn fail(fixture: &mut Fixture) {
            fixture.scheduler.planner.note_trouble(Error::argument("a failure")).unwrap();
        }
        for wait in [250, 500, 1000] {
            fail(&mut fixture);
            assert_eq!(fixture.scheduler.step().unwrap(), Duration::from_millis(wait));
        }
        (0..20).for_each(|_| fail(&mut fixture));
        assert_eq!(fixture.scheduler.step().unwrap(), TROUBLE_WAIT_MAX);
        assert_eq!(fixture.runs_after(TROUBLE_WAIT_MAX), 1);
        fail(&mut fixture);
        assert_eq!(fixture.scheduler.step().unwrap(), TROUBLE_WAIT_MIN);
    }
}
