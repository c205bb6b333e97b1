//! How an idle runner waits: it reads nothing until a record is written that may make a run due, or
//! a time has come.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::engine::Alarm;
use crate::record::Key;
use crate::runner::signal::Signal;
use crate::store::ProcessHandle;

/// How soon to notice that the wall clock jumped or the machine was suspended, during which
/// monotonic time stands still. Each check reads two clocks.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// The minimum difference between wall time and elapsed time to count as a jump. Time servers that
/// slew a clock stay far below.
const JUMP_MIN: SignedDuration = SignedDuration::from_millis(100);

/// Calls `raise` when the process changes owners, a run ends, or settings or work change, and when
/// the store is closed.
pub(crate) fn alarm(process: &ProcessHandle, raise: impl Fn() + Send + Sync + 'static) -> Alarm {
    let name = process.name();
    let keys = vec![Key::owner(name), Key::settings(name), Key::totals(name)];
    process.store().inner.engine.feed().alarm(keys, raise)
}

/// Waits until `signal` is raised, `longest` has passed, or the wall clock jumps.
pub(crate) fn wait(signal: &Signal, seen: u64, clock: &dyn Clock, longest: Duration) {
    let began = (clock.now(), clock.monotonic());
    loop {
        let passed = clock.monotonic().saturating_sub(began.1);
        let left = longest.saturating_sub(passed);
        if left.is_zero() || signal.seen() != seen || has_jumped(began.0, clock.now(), passed) {
            return;
        }
        signal.wait(seen, clock, left.min(CLOCK_INTERVAL));
    }
}

/// Reports whether the wall clock moved from `before` to `now` by something other than the time
/// that `passed`.
fn has_jumped(before: Timestamp, now: Timestamp, passed: Duration) -> bool {
    let moved = now.duration_since(before);
    let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
    moved.saturating_sub(passed).abs() > JUMP_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::proto::Params;
    use crate::run::{Claim, Instance};
    use crate::store::Store;

    fn clock() -> ManualClock {
        ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap())
    }

    /// Checks that this ends a wait of an hour.
    fn ends(with: impl Fn(&ManualClock, &Signal)) {
        let (clock, signal) = (clock(), Signal::default());
        let seen = signal.seen();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait(&signal, seen, &clock, Duration::from_secs(3600)));
            std::thread::sleep(Duration::from_millis(10));
            assert!(!waiting.is_finished());
            // Repeated, in case the wait had not begun.
            while !waiting.is_finished() {
                with(&clock, &signal);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }

    #[test]
    fn a_wait_ends_with_its_time_a_signal_or_a_jump_of_the_clock() {
        ends(|clock, _| clock.advance(Duration::from_secs(600)));
        ends(|_, signal| signal.raise());
        ends(|clock, _| clock.jump(SignedDuration::from_hours(1)));
        ends(|clock, _| clock.jump(SignedDuration::from_hours(-1)));
    }

    #[test]
    fn a_slewed_clock_has_not_jumped() {
        let before = clock().now();
        let hour = Duration::from_secs(3600);
        let after = |more: i64| before + SignedDuration::from_millis(3_600_000 + more);
        assert!(!has_jumped(before, after(50), hour));
        assert!(!has_jumped(before, after(-50), hour));
        assert!(has_jumped(before, after(150), hour));
        assert!(has_jumped(before, after(-150), hour));
    }

    #[test]
    fn relevant_changes_wake_the_runner_and_progress_does_not() {
        let store = Store::in_memory();
        let process = store.process("p").unwrap();
        process.register("w", Params::new()).unwrap();
        let signal = std::sync::Arc::new(Signal::default());
        let raised = signal.clone();
        let _alarm = alarm(&process, move || raised.raise());
        let hears = |change: &mut dyn FnMut()| {
            let seen = signal.seen();
            change();
            signal.seen() != seen
        };
        let mut run = None;
        assert!(hears(&mut || match process.claim(&Instance::new()).unwrap() {
            Claim::Won(won) => run = Some(won),
            other => panic!("{other:?}"),
        }));
        let mut run = run.unwrap();
        assert!(!hears(&mut || {
            let work = run.next_work().unwrap().unwrap();
            let _ = run.progress_now().unwrap();
            work.finish().unwrap();
        }));
        let mut run = Some(run);
        assert!(hears(&mut || drop(run.take().map(crate::run::Run::finish))));
        assert!(hears(&mut || drop(process.register("x", Params::new()))));
        assert!(hears(&mut || drop(process.set_params(Params::new().int("n", 1)))));
        assert!(!hears(&mut || drop(store.process("q").unwrap().register("x", Params::new()))));
        assert!(hears(&mut || drop(store.clone().close())));
    }
}
