//! The status of a run: its start, its end, and its totals.

use jiff::Timestamp;

use super::{stats, time};
use crate::proto::record::{History, RunStatus};
use crate::proto::{State, Status};

/// The number of errors that a run's history entry keeps.
const HISTORY_ERRORS_MAX: usize = 3;

/// Returns a run that begins at `now`, after the run `before` of the same process.
pub(crate) fn begin(run: u64, before: &RunStatus, skips_completed: bool, now: Timestamp) -> RunStatus {
    let since = if before.skips_completed { before.completed_since } else { before.run };
    RunStatus {
        status: Some(running(now)),
        run,
        begun_since: begun_since(before),
        skips_completed,
        completed_since: if skips_completed { since } else { 0 },
        ..RunStatus::default()
    }
}

/// Returns the run since which begun items wait for those not begun, so that every item gets its
/// turn however often runs are aborted.
fn begun_since(before: &RunStatus) -> u64 {
    let was_aborted = before.status.as_ref().is_some_and(|status| status.state() == State::Aborted);
    match (was_aborted, before.begun_since) {
        (false, _) => 0,
        (true, 0) => before.run,
        (true, since) => since,
    }
}

/// Returns how many items have failed for good in the run so far.
pub(crate) fn failed_items(run: &RunStatus) -> f64 {
    run.status.as_ref().map_or(0.0, |status| {
        stats::get(&status.stats, stats::WORK_ITEMS_DIRTY)
            + stats::get(&status.stats, stats::WORK_ITEMS_ABORTED)
    })
}

/// Resumes the run under a new owner.
///
/// An imported run gets the number `run`.
pub(crate) fn resume(mut earlier: RunStatus, run: u64, now: Timestamp) -> RunStatus {
    if earlier.run == 0 {
        earlier.run = run;
        earlier.continues_import = true;
    }
    // Every failed cleanup is done again.
    let failed = [
        (State::Incomplete, std::mem::take(&mut earlier.cleanups_dirty)),
        (State::Aborted, std::mem::take(&mut earlier.cleanups_aborted)),
    ];
    let status = earlier.status.get_or_insert_with(|| running(now));
    for (state, times) in failed {
        stats::take_back_ends(&mut status.stats, state, times);
    }
    status.progress_time = Some(time::to_wire(now));
    status.set_state(State::Active);
    earlier
}

fn running(now: Timestamp) -> Status {
    let now = Some(time::to_wire(now));
    Status { start_time: now, progress_time: now, state: State::Active.into(), ..Status::default() }
}

/// Reports whether a run has started and not finished.
pub(crate) fn is_unfinished(run: &RunStatus) -> bool {
    run.status.as_ref().is_some_and(|status| status.start_time.is_some() && status.finish_time.is_none())
}

/// Returns the final state of a run that was not aborted.
pub(crate) fn final_state(run: &RunStatus) -> State {
    if failed_items(run) > 0.0 || run.run_errors > 0 { State::Incomplete } else { State::Completed }
}

/// Finishes a run: sets its times, its state, and its final statistics.
pub(crate) fn finish(status: &mut Status, state: State, now: Timestamp) {
    status.set_state(state);
    status.progress_time = Some(time::to_wire(now));
    status.finish_time = status.progress_time;
    #[allow(clippy::cast_precision_loss, reason = "a count of errors is far below 2^52")]
    let errors = status.total_errors as f64;
    stats::add(&mut status.stats, stats::ERRORS, errors);
    let duration = seconds_since_start(status, now);
    stats::add(&mut status.stats, stats::DURATION, duration);
    stats::add(&mut status.stats, stats::RUNS, 1.0);
    stats::add(&mut status.stats, &format!("state.{}", state_name(state)), 1.0);
}

fn seconds_since_start(status: &Status, now: Timestamp) -> f64 {
    let start = time::read(&status.start_time).unwrap_or(now);
    now.duration_since(start).as_secs_f64().max(0.0)
}

/// Returns the wire name of a state in lower case.
pub(crate) fn state_name(state: State) -> String {
    state.as_str_name().to_ascii_lowercase()
}

/// Returns the history entry of a finished run.
pub(crate) fn history(instance: &str, status: &Status) -> History {
    History {
        instance: instance.to_owned(),
        start_time: status.start_time,
        finish_time: status.finish_time,
        state: status.state,
        stats: status.stats.clone(),
        errors: status.errors.iter().take(HISTORY_ERRORS_MAX).cloned().collect(),
        total_errors: status.total_errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::errors;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn new(run: u64, now: Timestamp) -> RunStatus {
        begin(run, &RunStatus::default(), false, now)
    }

    fn ended(run: RunStatus, state: State) -> RunStatus {
        let mut run = run;
        run.status.get_or_insert_default().set_state(state);
        run
    }

    #[test]
    fn a_new_run_is_active_since_now() {
        let now = at("2026-01-01T10:00:00Z");
        let run = new(7, now);
        let status = run.status.unwrap();
        assert_eq!((run.run, status.state()), (7, State::Active));
        assert_eq!([status.start_time, status.progress_time], [Some(time::to_wire(now)); 2]);
        assert_eq!(status.finish_time, None);
    }

    #[test]
    fn incomplete_and_aborted_items_have_failed() {
        let mut run = new(1, at("2026-01-01T10:00:00Z"));
        for state in [State::Completed, State::Incomplete, State::Aborted, State::Aborted] {
            stats::count_end(&mut run.status.as_mut().unwrap().stats, state);
        }
        assert!((failed_items(&run) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn history_keeps_the_result_and_the_first_errors() {
        let mut status = new(1, at("2026-01-01T10:00:00Z")).status.unwrap();
        let later = at("2026-01-01T10:00:01Z");
        for n in 0..5 {
            errors::record(&mut status, errors::RUN_ERRORS_MAX, later, &n.to_string());
        }
        finish(&mut status, State::Incomplete, later);
        let entry = history("host", &status);
        assert_eq!((entry.instance.as_str(), entry.state()), ("host", State::Incomplete));
        assert_eq!((entry.start_time, entry.finish_time), (status.start_time, Some(time::to_wire(later))));
        assert_eq!((entry.stats, entry.total_errors), (status.stats, 5));
        let texts: Vec<_> = entry.errors.iter().map(|error| error.text.as_str()).collect();
        assert_eq!(texts, ["0", "1", "2"]);
    }

    #[test]
    fn after_an_aborted_run_items_not_begun_come_first() {
        let now = at("2026-01-01T10:00:00Z");
        let first = ended(new(10, now), State::Aborted);
        let second = ended(begin(20, &first, false, now), State::Aborted);
        let third = begin(30, &second, false, now);
        assert_eq!([first.begun_since, second.begun_since, third.begun_since], [0, 10, 10]);
        for state in [State::Completed, State::Incomplete] {
            assert_eq!(begin(40, &ended(third.clone(), state), false, now).begun_since, 0);
        }
    }

    #[test]
    fn runs_that_skip_completed_items_refer_to_the_last_full_run() {
        let now = at("2026-01-01T10:00:00Z");
        let whole = new(10, now);
        let second = begin(20, &whole, true, now);
        let third = begin(30, &second, true, now);
        assert_eq!([second.completed_since, third.completed_since], [10, 10]);
        let whole = begin(40, &third, false, now);
        assert_eq!((whole.skips_completed, whole.completed_since), (false, 0));
        assert_eq!(begin(50, &whole, true, now).completed_since, 40);
    }

    #[test]
    fn a_finished_run_counts_itself() {
        let mut run = new(1, at("2026-01-01T10:00:00Z"));
        assert!(is_unfinished(&run));
        let status = run.status.as_mut().unwrap();
        status.total_errors = 2;
        finish(status, State::Incomplete, at("2026-01-01T10:00:01.5Z"));
        assert_eq!(status.progress_time, status.finish_time);
        let expected = [("duration", 1.5), ("errors", 2.0), ("runs", 1.0), ("state.incomplete", 1.0)];
        assert_eq!(status.stats, expected.map(|(label, value)| (label.to_owned(), value)).into());
        assert!(!is_unfinished(&run));
    }

    #[test]
    fn a_run_that_ends_before_its_start_has_zero_duration() {
        let mut status = running(at("2026-01-01T10:00:00Z"));
        finish(&mut status, State::Completed, at("2025-01-01T10:00:00Z"));
        assert!(stats::get(&status.stats, stats::DURATION).abs() < f64::EPSILON);
    }

    #[test]
    fn remaining_errors_make_it_incomplete() {
        let mut run = new(1, at("2026-01-01T10:00:00Z"));
        // An error followed by a successful retry is counted but does not remain.
        run.status.as_mut().unwrap().total_errors = 1;
        assert_eq!(final_state(&run), State::Completed);
        stats::add(&mut run.status.as_mut().unwrap().stats, stats::WORK_ITEMS_DIRTY, 1.0);
        assert_eq!(final_state(&run), State::Incomplete);
        let own = RunStatus { run_errors: 1, ..RunStatus::default() };
        assert_eq!(final_state(&own), State::Incomplete);
    }

    #[test]
    fn resuming_keeps_start_stats_and_errors() {
        let mut earlier = new(7, at("2026-01-01T10:00:00Z"));
        stats::add(&mut earlier.status.as_mut().unwrap().stats, "work.n", 3.0);
        let resumed = resume(earlier.clone(), 90, at("2026-01-01T10:05:00Z"));
        assert_eq!(resumed.run, 7);
        let (before, after) = (earlier.status.unwrap(), resumed.status.unwrap());
        assert_eq!((before.start_time, &before.stats), (after.start_time, &after.stats));
        assert_ne!(before.progress_time, after.progress_time);
    }

    #[test]
    fn resuming_reverts_failed_cleanups_once() {
        let mut earlier = new(7, at("2026-01-01T10:00:00Z"));
        let stats = &mut earlier.status.as_mut().unwrap().stats;
        for state in [State::Incomplete, State::Incomplete, State::Aborted, State::Incomplete] {
            stats::count_end(stats, state);
        }
        (earlier.cleanups_dirty, earlier.cleanups_aborted) = (2, 1);
        let resumed = resume(earlier, 90, at("2026-01-01T10:05:00Z"));
        assert_eq!((resumed.cleanups_dirty, resumed.cleanups_aborted), (0, 0));
        let expected = [("workItems", 1.0), ("workItemsAborted", 0.0), ("workItemsDirty", 1.0)];
        let stats = &resumed.status.as_ref().unwrap().stats;
        assert_eq!(*stats, expected.map(|(label, value)| (label.to_owned(), value)).into());
        let again = resume(resumed.clone(), 91, at("2026-01-01T10:05:00Z"));
        assert_eq!(again.status.unwrap().stats, resumed.status.unwrap().stats);
    }

    #[test]
    fn a_resumed_import_gets_a_number() {
        let resumed = resume(new(0, at("2026-01-01T10:00:00Z")), 90, at("2026-01-01T10:05:00Z"));
        assert_eq!((resumed.run, resumed.continues_import), (90, true));
        let again = resume(resumed, 120, at("2026-01-01T10:06:00Z"));
        assert_eq!((again.run, again.continues_import), (90, true));
    }
}
