//! Tests of workers without a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use procstate::proto::State;
use procstate::testing::{self, TestRun};
use procstate::{Clock, ManualClock, Params, Retry, WorkContext, WorkResult, Worker};

#[derive(Default)]
struct Rotate {
    calls: AtomicU32,
}

impl Worker for Rotate {
    fn process(&self, work: &mut WorkContext) -> WorkResult {
        self.calls.fetch_add(1, Ordering::SeqCst);
        work.add_stat("rotated", 1.0);
        if work.params().get_int("panics").is_some() {
            panic!("out of keys");
        }
        if work.params().get_int("once").is_some() {
            work.drop_when_done();
        }
        let failures = work.params().get_int("failures").unwrap_or_default();
        if i64::from(work.attempt()) <= failures {
            return Err(
                format!("attempt {} in {:?}", work.attempt(), work.settings().get_string("region")).into()
            );
        }
        Ok(())
    }

    fn clean_up(&self, work: &mut WorkContext) -> WorkResult {
        if work.name() == "stuck" { Err("it is stuck".into()) } else { Ok(()) }
    }
}

#[test]
fn a_worker_is_tested_in_a_few_lines() {
    let outcome = testing::run(Rotate::default(), "w", Params::new());
    assert!(outcome.is_completed() && outcome.errors.is_empty() && !outcome.is_dropped);
    assert_eq!((outcome.stats["rotated"], outcome.attempts), (1.0, 1));
}

#[test]
fn errors_panics_and_drops_are_reported() {
    let outcome = testing::run(Rotate::default(), "w", Params::new().int("failures", 1));
    assert_eq!((outcome.state, outcome.errors), (State::Incomplete, vec!["attempt 1 in None".to_owned()]));
    let outcome = testing::run(Rotate::default(), "w", Params::new().int("panics", 1));
    assert_eq!(outcome.state, State::Aborted);
    assert_eq!(outcome.errors, ["the worker panicked: out of keys"]);
    let outcome = testing::run(Rotate::default(), "w", Params::new().int("once", 1));
    assert!(outcome.is_completed() && outcome.is_dropped);
    assert_eq!(outcome.stats["rotated"], 1.0);
    let outcome = testing::run(Rotate::default(), "", Params::new());
    assert!(!outcome.is_completed() && outcome.errors[0].contains("name"), "{outcome:?}");
}

#[test]
fn cleaning_up_is_tested_too() {
    let outcome = testing::clean_up(Rotate::default(), "w");
    assert!(outcome.is_completed() && outcome.is_dropped, "{outcome:?}");
    let outcome = testing::clean_up(Rotate::default(), "stuck");
    assert!(!outcome.is_completed() && !outcome.is_dropped);
    assert!(outcome.errors[0].contains("it is stuck"), "{outcome:?}");
}

#[test]
fn retries_take_no_time_and_no_thread_of_the_test() {
    let worker = Arc::new(Rotate::default());
    let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
    let hour = Duration::from_secs(3600);
    let outcome = TestRun::new("w", Params::new().int("failures", 2))
        .settings(Params::new().string("region", "eu"))
        .retry(Retry::attempts(3).initial(hour).max_backoff(10 * hour))
        .clock(&clock)
        .process(worker.clone());
    assert_eq!((outcome.attempts, worker.calls.load(Ordering::SeqCst)), (3, 3));
    assert!(outcome.waited >= 3 * hour && outcome.waited < 4 * hour, "{:?}", outcome.waited);
    assert_eq!(clock.monotonic(), outcome.waited);
    assert_eq!(outcome.errors[0], "attempt 1 in Some(\"eu\")");
}

#[test]
fn a_worker_that_moves_the_clock_keeps_its_item() {
    struct Slow(ManualClock);
    impl Worker for Slow {
        fn process(&self, work: &mut WorkContext) -> WorkResult {
            self.0.advance(Duration::from_secs(24 * 3600));
            let _ = work.progress()?;
            Ok(())
        }
    }
    let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
    let outcome = TestRun::new("w", Params::new()).clock(&clock).process(Slow(clock.clone()));
    assert!(outcome.is_completed(), "{outcome:?}");
}
